// servers.mjs: the built falproxy with the built falsim behind it, for tests that drive them as a client would.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const bin = process.env.FALPROXY_BIN ?? path.join(top, 'build/release/bin');

export const accessKey = 'test-access-key';
export const models = {
  'gpt-image-1': 'fal-ai/gpt-image-1/text-to-image+fal-ai/gpt-image-1/edit-image',
  flux: 'fal-ai/flux/dev',
  'dall-e-3': 'fal-ai/flux/dev',
  sdxl: 'fal-ai/fast-sdxl',
  nano: 'fal-ai/nano-banana+fal-ai/nano-banana/edit',
};

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a program and waits until `ready(everything it has printed)` gives a value. */
function start(program, args, env, ready) {
  const child = spawn(path.join(bin, program), args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  return new Promise((resolve, reject) => {
    const look = (chunk) => {
      printed += chunk;
      const value = ready(printed);
      if (value) resolve({ child, value, printed: () => printed });
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}:\n${printed}`)));
  });
}

function stop({ child }) {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.removeAllListeners('exit');
    child.once('exit', resolve);
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 5000).unref();
  });
}

const readEnv = (text) => Object.fromEntries([...text.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm)].map(([, name, value]) => [name, value]));

/** { url, sim, fal, restart, stop }: `sim` is falsim's own address, for its faults and its books; `fal`: what it prints. `mediaHosts`: more than its own. */
export async function startServers({ simArgs = [], env = {}, mediaHosts = [] } = {}) {
  const sim = await start('falsim', simArgs, {}, (text) => {
    const found = readEnv(text);
    return found.FAL_QUEUE_URL && found.FAL_MEDIA_HOSTS && text.endsWith('\n') ? found : null;
  });
  const startProxy = (port) => start('falproxy', ['serve', '--env', '/dev/null'], {
    ...sim.value,
    FAL_MEDIA_HOSTS: [sim.value.FAL_MEDIA_HOSTS, ...mediaHosts].join(','),
    AI_KEYS: 'key-id:key-secret', CUSTOM_ACCESS_KEY: accessKey,
    SUPPORTED_MODELS: Object.entries(models).map(([name, endpoint]) => `${name}:${endpoint}`).join(','),
    HOST: '127.0.0.1', SCHEMA_CACHE_DIR: 'none', STATE_DIR: 'none', ...env, PORT: port,
  }, (text) => /listening on (http:\/\/127\.0\.0\.1:\d+)\D/.exec(text)?.[1]);
  let proxy = await startProxy(env.PORT ?? '0');
  return {
    url: proxy.value,
    sim: sim.value.FAL_QUEUE_URL,
    fal: sim.value,
    log: () => proxy.printed(),
    get pid() { return proxy.child.pid; },
    /** falproxy ends and begins again, at the same address; falsim goes on. */
    async restart() {
      await stop(proxy);
      proxy = await startProxy(new URL(this.url).port);
    },
    async stop() {
      await stop(proxy);
      await stop(sim);
    },
  };
}
