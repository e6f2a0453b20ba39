// A storm: clients that leave and ask again, while fal fails at random, the disk is full, the clock jumps, the configuration is read
// again, and the server is stopped or killed in the middle. Then two laws are looked at in fal's own account book:
//   nothing is lost: each request ends with its picture, or says that fal failed, or that nobody knows whether fal has it (409
//   job_uncertain);
//   nothing is paid twice: fal has taken at most one job for each.
// Usage: chaos.mjs BIN_DIR [SECONDS [SEED [redis]]]. One minute for CI, ten by hand. The same seed draws the same storm, though not
// the same race. A full disk needs root (a small tmpfs), clock jumps libfaketime; it says which of the two it goes without. With `redis`
// runs are noted in a Redis (STATE_URL) that stands still, is killed and comes back with its data, too; that needs redis-server.
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

const bin = process.argv[2];
const seconds = Number(process.argv[3] ?? 60);
const seed = Number(process.argv[4] ?? Date.now() % 1e6);
const sharing = process.argv[5] === 'redis';
if (!bin || !(seconds > 0) || (process.argv[5] && !sharing)) throw new Error('usage: chaos.mjs BIN_DIR [SECONDS [SEED [redis]]]');
const redisServer = spawnSync('sh', ['-c', 'command -v redis-server'], {encoding: 'utf8'}).stdout.trim();
if (sharing && !redisServer) {
  console.log('skipped: no redis-server (sh cmake/deps.sh --for test)');
  process.exit(77);
}
const clients = 12;
const accessKey = 'chaos-access-key';

let state = seed >>> 0;
function random() {  // mulberry32
  state = (state + 0x6d2b79f5) >>> 0;
  let x = state;
  x = Math.imul(x ^ (x >>> 15), x | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const one = (list) => list[below(list.length)];

const work = mkdtempSync(path.join(tmpdir(), 'falproxy-chaos-'));
const disk = path.join(work, 'disk');
mkdirSync(disk);
let hasDisk = false;
try {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk], {stdio: 'ignore'});
  hasDisk = true;
} catch { /* not root, or not allowed */ }
const fakeTime = readdirSync('/usr/lib').map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`).find(existsSync);
const jump = path.join(work, 'jump');
writeFileSync(jump, '+0');

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const {port} = server.address();
      server.close(() => resolve(port));
    });
  });
}

function begin(program, args, env, ready) {
  const child = spawn(path.resolve(bin, program), args, {env: {PATH: process.env.PATH, ...env}, stdio: ['ignore', 'pipe', 'pipe']});
  let printed = '';
  child.log = () => printed;
  child.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  return new Promise((resolve, reject) => {
    const look = (chunk) => {
      printed += chunk;
      if (ready.test(printed)) resolve(child);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.ended.then((how) => reject(new Error(`${program} ended with ${how}:\n${printed}`)));
  });
}

const sim = await begin('falsim', ['--job-time', '150', '--queue-time', '50'], {}, /FAL_MEDIA_HOSTS=.*\n/);
const fal = Object.fromEntries([...sim.log().matchAll(/^(FAL_[A-Z_]+)="?([^"\n]*)"?$/gm)].map(([, name, value]) => [name, value]));
const port = await freePort();
const redisPort = await freePort();
let redis;
// What it has taken is in its file before it answers, so that a kill loses nothing.
const serveRedis = async () => {
  redis = await begin(redisServer, ['--port', redisPort, '--bind', '127.0.0.1', '--dir', work, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'], {}, /Ready to accept connections/);
};
if (sharing) await serveRedis();
const url = `http://127.0.0.1:${port}`;
const settings = path.join(work, 'env');
writeFileSync(settings, Object.entries({
  ...fal, AI_KEYS: 'one:secret,two:secret,three:secret', CUSTOM_ACCESS_KEY: accessKey, HOST: '127.0.0.1', PORT: port,
  SUPPORTED_MODELS: 'flux:fal-ai/flux/dev,vidu:vidu/q2/text-to-image', SCHEMA_CACHE_DIR: path.join(work, 'cache'),
  ...(sharing && {STATE_URL: `redis://127.0.0.1:${redisPort}/0`}), STATE_DIR: path.join(disk, 'state'), SHUTDOWN_GRACE_SECONDS: 1, REQUEST_TIMEOUT_SECONDS: 20, REQUIRE_STATE: 'true',
}).map(([name, value]) => `${name}=${value}\n`).join(''));

let proxy;
let logs = '';
const serve = async () => {
  const env = fakeTime ? {LD_PRELOAD: fakeTime, FAKETIME_TIMESTAMP_FILE: jump, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1'} : {};
  proxy = await begin('falproxy', ['serve', '--env', settings], env, /listening on/);
};
const faultsAt = `${fal.FAL_QUEUE_URL}/_falsim/faults`;
const books = async (what) => (await fetch(`${fal.FAL_QUEUE_URL}/_falsim/${what}`)).json();

// What fal and the network do wrong, and get over.
const presets = ['rate_limited', 'rate_limited_retry_after', 'exhausted', 'ingress_502', 'ingress_503', 'ingress_504', 'queue_500', 'queue_503',
  'status_500', 'status_html', 'status_reset', 'stream_refused', 'stream_dies', 'stream_ends', 'result_503', 'result_html', 'result_reset',
  'result_close', 'result_truncated', 'submit_reset', 'submit_reset_unread', 'submit_accepts_and_closes', 'submit_close_unread',
  'media_500', 'media_reset', 'media_truncated', 'document_500'];

const done = {};
const count = (what) => done[what] = (done[what] ?? 0) + 1;
const blows = {
  fault: async () => {
    await fetch(faultsAt, {method: 'POST', body: JSON.stringify([{preset: one(presets), times: 1 + below(6), chance: 0.3 + 0.7 * random()}])});
  },
  kill: async () => {
    proxy.kill('SIGKILL');
    await proxy.ended;
    logs += proxy.log();
    await serve();
  },
  stop: async () => {
    const old = proxy;
    old.kill('SIGTERM');
    if (await Promise.race([old.ended, sleep(15_000, 'late')]) === 'late') throw new Error('it does not stop');
    logs += old.log();
    await serve();
  },
  reload: () => proxy.kill('SIGHUP'),
  still: async () => {
    proxy.kill('SIGSTOP');
    await sleep(300 + below(700));
    proxy.kill('SIGCONT');
  },
  ...(hasDisk && {
    disk: async () => {
      const filler = path.join(disk, 'filler');
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'count=100'], {stdio: 'ignore'});
      } catch { /* full, as it should be */ }
      await sleep(300 + below(1200));
      rmSync(filler, {force: true});
    },
  }),
  ...(fakeTime && {clock: () => writeFileSync(jump, `${one(['+', '-'])}${below(900)}`)}),
};
if (sharing) {
  blows['redis still'] = async () => {
    redis.kill('SIGSTOP');
    await sleep(200 + below(1500));
    redis.kill('SIGCONT');
  };
  blows['redis kill'] = async () => {
    redis.kill('SIGKILL');
    await redis.ended;
    await sleep(below(1500));
    await serveRedis();
  };
}
// Faults of fal are cheap, an end is dear.
const often = Object.keys(blows).flatMap((name) => Array({fault: 8, kill: 2, stop: 1, reload: 1, still: 1, disk: 2, clock: 2, 'redis still': 3, 'redis kill': 2}[name]).fill(name));

// What stays so, however often it is asked.
const known = {job_uncertain: 'uncertain', image_generation_failed: 'failed'};
const asked = [];
let calm = false;
async function ask(prompt) {
  const row = {prompt, end: null, tries: 0};
  asked.push(row);
  const body = JSON.stringify({model: one(['flux', 'vidu']), prompt, response_format: one(['url', 'b64_json'])});
  const until = Date.now() + (seconds + 120) * 1000;
  while (row.end === null && Date.now() < until) {
    ++row.tries;
    try {
      const answer = await fetch(`${url}/v1/images/generations`, {
        method: 'POST', body, signal: AbortSignal.timeout(calm ? 30_000 : 200 + below(6000)),
        headers: {Authorization: `Bearer ${accessKey}`, 'Content-Type': 'application/json', 'Idempotency-Key': prompt},
      });
      const text = await answer.text();
      row.last = `${answer.status} ${text.slice(0, 300)}`;
      if (answer.status === 200) row.end = JSON.parse(text).data.length === 1 ? 'picture' : `what is this: ${text.slice(0, 300)}`;
      else row.end = known[JSON.parse(text).error?.code] ?? null;
    } catch (fault) {
      row.last = String(fault.cause?.code ?? fault.name);
    }
    if (row.end === null) await sleep(50 + below(400));
  }
}

let broken = '';
try {
  await serve();
  const end = Date.now() + seconds * 1000;
  let number = 0;
  const crowd = Array.from({length: clients}, async () => {
    while (Date.now() < end) await ask(`picture ${seed}-${++number}`);
  });
  while (Date.now() < end) {
    await sleep(100 + below(700));
    const name = one(often);
    count(name);
    await blows[name]();
  }
  calm = true;
  await fetch(faultsAt, {method: 'DELETE'});
  // Accounts that fal has "blocked" are tried again at once.
  proxy.kill('SIGHUP');
  await Promise.all(crowd);

  const submits = await books('submits');
  const taken = {};
  for (const submit of submits) {
    if (!submit.request_id) continue;  // it was refused, or broken off before it was whole
    const prompt = JSON.parse(submit.input).prompt;
    taken[prompt] = (taken[prompt] ?? 0) + 1;
  }
  const lost = asked.filter((row) => !['picture', 'failed', 'uncertain'].includes(row.end));
  const twice = asked.filter((row) => (taken[row.prompt] ?? 0) > 1);
  const made = asked.filter((row) => row.end === 'picture' && !(taken[row.prompt] >= 1));
  const ends = {};
  for (const row of asked) ends[row.end] = (ends[row.end] ?? 0) + 1;
  const tries = asked.reduce((sum, row) => sum + row.tries, 0);
  console.log(`seed ${seed}: ${asked.length} requests in ${tries} tries: ${JSON.stringify(ends)}; ${JSON.stringify(done)}` +
    `${hasDisk ? '' : '; without a full disk (no root)'}${fakeTime ? '' : '; without clock jumps (no libfaketime)'}`);
  if (lost.length) broken += `${lost.length} lost: ${JSON.stringify(lost.slice(0, 3))}\n`;
  if (twice.length) broken += `${twice.length} paid twice: ${JSON.stringify(twice.slice(0, 3))}\n`;
  if (made.length) broken += `${made.length} pictures that fal never made\n`;
  if (!(ends.picture > asked.length / 2)) broken += 'most requests brought nothing\n';
  if (asked.length < seconds) broken += `only ${asked.length} requests: it stood still\n`;
  const stats = await books('stats');
  if (stats.misplaced_keys?.length) broken += `keys where none belong: ${JSON.stringify(stats.misplaced_keys)}\n`;
  logs += proxy.log();
  for (const word of ['internal: ', 'one:secret', 'two:secret', accessKey])
    if (logs.includes(word)) broken += `the log says "${word}": ${logs.split('\n').find((line) => line.includes(word))}\n`;
} catch (fault) {
  broken += `${fault.stack}\n`;
} finally {
  for (const child of [proxy, sim, redis]) child?.kill('SIGKILL');
  await Promise.all([proxy, sim, redis].map((child) => child?.ended));
  if (hasDisk) execFileSync('umount', [disk]);
  if (broken && process.env.CHAOS_LOG) writeFileSync(process.env.CHAOS_LOG, logs);
  rmSync(work, {recursive: true, force: true});
}
if (broken) console.error(broken);
process.exit(broken ? 1 : 0);
