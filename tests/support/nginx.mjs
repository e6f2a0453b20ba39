// nginx.mjs: a real nginx in front of the server, below a prefix, as operators put it there.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from './servers.mjs';

const program = process.env.NGINX ?? '/usr/sbin/nginx';
export const haveNginx = spawnSync(program, ['-v']).status === 0;

const configuration = (folder, port, prefix, target) => `
daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/errors;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    location ${prefix} { proxy_pass ${target}/; proxy_buffering off; }
  }
}
`;

/** Serves `target` below `prefix` ("/img/"): { url, stop }. */
export async function startNginx(prefix, target) {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-nginx-'));
  const port = await freePort();
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(file, configuration(folder, port, prefix, target));
  const child = spawn(program, ['-c', file, '-p', folder, '-e', path.join(folder, 'errors')], { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise((resolve) => { child.once('exit', resolve); });
  const url = `http://127.0.0.1:${port}`;
  for (let answered = false; !answered;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    answered = await fetch(`${url}${prefix}health`).then((answer) => answer.ok, () => false);
  }
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
