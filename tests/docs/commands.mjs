// Each block of commands (```sh) in README and docs is run here, against falproxy with falsim behind it, or it says here why not.
// A block that is not known is a failure, and so is a row for a block that is gone. Usage: commands.mjs BIN_DIR
import {execFile, spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
process.env.FALPROXY_BIN ??= process.argv[2];
const bin = path.resolve(process.env.FALPROXY_BIN);
process.env.FALPROXY_BIN = bin;
const {accessKey, startServers} = await import('../support/servers.mjs');

const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-docs-'));

function shell(script, env = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile('sh', ['-eu', '-c', script], {cwd: folder, timeout: 60_000, env: {PATH: process.env.PATH, HOME: folder, ...env}},
      (fault, out, err) => fault ? reject(new Error(`${fault.message}\n${out}${err}`)) : resolve(out));
    child.stdin.end();
  });
}

function must(what, message) {
  if (!what) throw new Error(message);
}

/** Runs the block against servers of its own. `words`: what stands in it for what, in order. */
async function served(block, {env = {}, words = [], variables = () => ({}), check = () => {}}) {
  const servers = await startServers({simArgs: ['--job-time', '20'], env: {STATE_DIR: path.join(folder, 'state'), ...env}});
  try {
    let script = block.replaceAll(/curl /g, 'curl -sS --fail-with-body ');
    for (const [from, to] of words) script = script.replaceAll(from, typeof to === 'function' ? to(servers) : to);
    await check(await shell(script, variables(servers)), servers);
  } finally {
    await servers.stop();
    rmSync(path.join(folder, 'state'), {recursive: true, force: true});
  }
}

/** Settings that a server starts with, and `check` is content with. */
async function settings(block, more = {}, replaced = (text) => text) {
  const env = Object.fromEntries(replaced(block).split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
    const sign = line.indexOf('=');
    return [line.slice(0, sign), line.slice(sign + 1)];
  }));
  const servers = await startServers({env: {STATE_DIR: path.join(folder, 'state'), ...more, ...env}});
  await servers.stop();
  rmSync(path.join(folder, 'state'), {recursive: true, force: true});
}

/** Runs the line behind "$ ", and compares what it prints with what the block shows, up to a line of dots. */
async function told(block, {env = {}, faults = [], words = []} = {}) {
  const servers = await startServers({simArgs: ['--keys', env.AI_KEYS], env: {AI_KEYS: env.AI_KEYS}});
  try {
    await fetch(`${servers.sim}/_falsim/faults`, {method: 'POST', body: JSON.stringify(faults)});
    const [, command, shown, cut] = /^\$ (.*)\n([^]*?)(\.\.\.\n)?$/.exec(block);
    const out = await shell(`${command} || true`, {...servers.fal, PATH: `${bin}:${process.env.PATH}`, CUSTOM_ACCESS_KEY: accessKey, ...env});
    const expected = words.reduce((text, [from, to]) => text.replaceAll(from, to), shown);
    must(cut ? out.startsWith(expected) : out === expected, `it prints now:\n${out}`);
  } finally {
    await servers.stop();
  }
}

/** Starts each line, and waits until it has printed what `words` says of it. */
async function started(block, words, env) {
  const lines = block.trim().split('\n').map((line) => line.replace(/ +#.*/, ''));
  for (const [i, line] of lines.entries()) {
    await new Promise((resolve, reject) => {
      const child = spawn('sh', ['-c', `exec ${line}`], {cwd: folder, env: {PATH: process.env.PATH, ...env}});
      let printed = '';
      const limit = setTimeout(() => child.kill('SIGKILL'), 30_000);
      const look = (chunk) => {
        printed += chunk;
        if (words[i].test(printed)) child.kill('SIGTERM');
      };
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('close', () => {
        clearTimeout(limit);
        if (words[i].test(printed)) resolve();
        else reject(new Error(`${line}:\n${printed}`));
      });
    });
  }
}

const at = [/http:\/\/localhost:8000/g, (servers) => servers.url];
const elsewhere = (reason) => ({reason});

// By file and the first line of the block.
const blocks = {
  'README.md': {
    'sh cmake/demo.sh     # builds': elsewhere('it builds: the stage `tests` of CI is cmake/test.sh; the test demo_once makes the picture'),
    '# what your clients send': (block) => settings(block),
    'curl http://localhost:8000/v1/images/generations': (block) => served(block, {
      words: [at, ['my-super-secret-proxy-key', accessKey]],
      check: (out) => must(JSON.parse(out).data.length === 2, out),
    }),
  },
  'CONTRIBUTING.md': {'sh cmake/test.sh                                     #': elsewhere('they build; each is a stage of .ci/run')},
  'docs/chat.md': {'LLM_MODELS=gpt:': (block) => settings(block)},
  'docs/cluster.md': {
    'STATE_URL=redis://': (block) => settings(block),
    'docker compose -f deploy/compose.cluster.yaml': elsewhere('it wants Docker and its registry; the page says that it was not run'),
    'kubectl create secret': elsewhere('it wants a cluster; the test helm lints and renders the chart, and the page says that no cluster has run it'),
  },
  'docs/commands.md': {
    '$ falproxy check': (block) => {
      mkdirSync(path.join(folder, '.local/state/falproxy'), {recursive: true});
      return told(block, {
        env: {AI_KEYS: 'one:secret,two:secret', SUPPORTED_MODELS: 'flux-dev:fal-ai/flux/dev+fal-ai/flux/dev/edit', SCHEMA_CACHE_DIR: 'none', CUSTOM_ACCESS_KEY: accessKey.repeat(2)},
        faults: [{preset: 'status_locked', key: 'two:secret', times: 100}],
        words: [['/home/me', folder]],
      });
    },
    '$ echo': (block) => told(block, {env: {AI_KEYS: 'one:secret', SUPPORTED_MODELS: 'flux-dev:fal-ai/flux/dev', SCHEMA_CACHE_DIR: 'none', STATE_DIR: 'none'}}),
  },
  'docs/falsim.md': {
    'build/release/bin/falsim --job-time 500': async (block) => {
      await started(block.replaceAll('build/release/bin', bin).replace('DIR ', `${folder} `),
        [/FAL_QUEUE_URL=.*\n[^]*FAL_MEDIA_HOSTS=.*\n/, /FAL_QUEUE_URL="?https:.*\n/, /FAL_QUEUE_URL=/, /--job-time/], {});
    },
    'curl "$FAL_QUEUE_URL/_falsim/faults"': (block) => served(block, {variables: (servers) => ({FAL_QUEUE_URL: servers.sim})}),
  },
  'docs/media.md': {
    'MEDIA_STORE=dir:': (block) => settings(block, {}, (text) => text.replace('/var/lib/falproxy/media', `${folder}/media`)),
    'curl "https://pictures.example.com/v1/falproxy/media': (block) => served(block, {
      env: {MEDIA_STORE: `dir:${folder}/media`},
      words: [['https://pictures.example.com', (servers) => servers.url]],
      variables: () => ({KEY: accessKey}),
      check: (out) => must(Array.isArray(JSON.parse(out).data), out),
    }),
  },
  'docs/money.md': {
    'curl "$FALPROXY/v1/falproxy/keys" -H "Authorization: Bearer $ADMIN_KEY"   ': (block) => served(block, {
      env: {ADMIN_KEY: 'the-operators-key'},
      variables: (servers) => ({FALPROXY: servers.url, ADMIN_KEY: 'the-operators-key'}),
      check: (out) => must(out.includes('9.00/day') || out.includes('9/day'), out),
    }),
  },
  'docs/operations.md': {
    '  sh cmake/package.sh                          # makes': elsewhere('it wants root and systemd; the test package_debian unpacks the packages and uses them'),
  },
  'docs/videos.md': {
    'curl http://localhost:8000/v1/videos': (block) => served(block, {
      env: {SUPPORTED_MODELS: 'clip:falsim/clip/text-to-video'},
      words: [at, ['sk-mine', accessKey]],
      check: (out) => must(JSON.parse(out).object === 'video', out),
    }),
  },
  'packaging/README.md': {
    'sh cmake/package.sh': elsewhere('it builds for minutes and wants root; the test package_debian does the first, and unpacks'),
    'cmake --preset release -B build/shared': elsewhere('it builds for minutes, and changes the tree; the test package_fetchcontent compares the lists'),
    'conan create packaging/conan': elsewhere('it wants Conan and its registry; its page says what was tried'),
    'FALPROXY_SOURCE=$PWD': elsewhere('it wants vcpkg, which was not tried; its page says so'),
  },
};

const files = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'packaging/README.md', 'deploy/README.md',
  ...readdirSync(path.join(top, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
const faults = [];
let ran = 0;
let left = 0;
const seen = new Set();
for (const file of files) {
  let text = '';
  try {
    text = readFileSync(path.join(top, file), 'utf8');
  } catch {
    continue;
  }
  if (/^ *```\n *\$ /m.test(text)) faults.push(`${file}: a block of commands is not marked as \`\`\`console`);
  for (const [, block] of text.matchAll(/^ *```(?:sh|bash|shell|console)\n([^]*?)^ *```/gm)) {
    const first = block.split('\n')[0];
    const found = Object.entries(blocks[file] ?? {}).find(([begin]) => first.startsWith(begin));
    if (!found) {
      faults.push(`${file}: no test runs the block that begins with: ${first}`);
      continue;
    }
    seen.add(`${file} ${found[0]}`);
    if (typeof found[1] !== 'function') {
      ++left;
      console.log(`${file}: not run: ${first.trim()}: ${found[1].reason}`);
      continue;
    }
    try {
      await found[1](block);
      ++ran;
    } catch (fault) {
      faults.push(`${file}: ${first}\n${fault.message}`);
    }
  }
}
for (const [file, rows] of Object.entries(blocks)) {
  for (const begin of Object.keys(rows)) {
    if (!seen.has(`${file} ${begin}`)) faults.push(`${file}: there is no block any more that begins with: ${begin}`);
  }
}
rmSync(folder, {recursive: true, force: true});
console.log(faults.length === 0 ? `${ran} blocks ran, ${left} did not` : faults.join('\n'));
process.exit(faults.length === 0 ? 0 : 1);
