// What long files cost: a recording of 50 MB that is transcribed, 200 requests for speech at once, and a video of 200 MB to ten clients.
// Usage: node tests/bench/files.mjs [recording] [speech] [video]     (FALPROXY_BIN: the folder of the programs; none named: all three)

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey, startServers } from '../support/servers.mjs';

const megabyte = 1_000_000;
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const median = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];

/** When the first byte of the body came, how many there were, and the body if it is wanted. */
function ask(url, { method = 'GET', headers = {}, body, keep = false } = {}) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const asked = request(url, { agent, method, headers }, (answer) => {
      let first;
      let size = 0;
      let text = '';
      answer.on('data', (piece) => {
        first ??= performance.now() - began;
        size += piece.length;
        if (keep) text += piece;
      });
      answer.on('end', () => resolve({ status: answer.statusCode, first, size, text }));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const withKey = { authorization: `Bearer ${accessKey}` };
const withJson = { ...withKey, 'content-type': 'application/json' };

async function memory(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(text)[1]) * 1024) / megabyte;
}

/** How much more memory the process has at most while `work` runs, in MB. */
async function growth(pid, work) {
  const before = await memory(pid);
  let most = before;
  const sampler = setInterval(async () => { most = Math.max(most, await memory(pid).catch(() => 0)); }, 10);
  const result = await work();
  clearInterval(sampler);
  return [Math.max(most, await memory(pid)) - before, result];
}

function form(fields, file) {
  const parts = [`--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n`, file, '\r\n'];
  for (const [name, value] of Object.entries(fields)) parts.push(`--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  return Buffer.concat([...parts, '--b--\r\n'].map((part) => Buffer.from(part)));
}

// A WAV of 16 kHz, 16 bit and one channel.
function recording(bytes) {
  const file = Buffer.alloc(bytes);
  file.write('RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\xff\xff\xff\xff', 'latin1');
  return file;
}

async function transcribe({ url, pid }) {
  const hear = (bytes) => ask(`${url}/v1/audio/transcriptions`, {
    method: 'POST', headers: { ...withKey, 'content-type': 'multipart/form-data; boundary=b' }, body: form({ model: 'ear' }, recording(bytes)),
  });
  await hear(megabyte);
  const [more, answer] = await growth(pid, () => hear(49 * megabyte));
  console.log(`a recording of 49 MB: status ${answer.status}, ${more.toFixed(1)} MB more memory at most`);
}

async function speak({ url, fal }) {
  const many = 200;
  const input = 'Good morning, harbour. The lamp is lit.';
  const direct = async (i) => {
    const began = performance.now();
    const made = await ask(`${fal.FAL_RUN_URL}/falsim/storyteller`, {
      method: 'POST', headers: { authorization: 'Key key-id:key-secret', 'content-type': 'application/json' }, body: JSON.stringify({ prompt: `${input} ${i}` }), keep: true,
    });
    const between = performance.now();
    const file = await ask(JSON.parse(made.text).audio.url);
    return between - began + file.first;
  };
  const through = async (i) => {
    const answer = await ask(`${url}/v1/audio/speech`, {
      method: 'POST', headers: withJson, body: JSON.stringify({ model: 'tale', input: `${input} ${i}`, response_format: 'wav' }),
    });
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return answer.first;
  };
  // In turns, since the machine has its moods; no text comes twice to one of the two.
  const rounds = 5;
  const at_once = (one, round) => Promise.all(Array.from({ length: many }, (_, i) => one(round * many + i)));
  await at_once(through, -1);
  await at_once(direct, -1);
  const [fals, ours] = [[], []];
  for (let round = 0; round < rounds; ++round) {
    fals.push(...await at_once(direct, round));
    ours.push(...await at_once(through, round));
  }
  const [a, b] = [median(ours), median(fals)];
  console.log(`${many} requests for speech at once, ${rounds} times: first byte after ${a.toFixed(1)} ms, from fal itself (run, then the file) ${b.toFixed(1)} ms, at the median: ${(a - b).toFixed(1)} ms added`);
}

// A host of files of its own, since falsim makes no videos of that size.
async function hostOf(bytes) {
  const piece = Buffer.alloc(256 * 1024, 'v');
  piece.write('\0\0\0\x20ftypisom', 'latin1');
  const server = createServer((asked, answer) => {
    answer.writeHead(200, { 'content-type': 'video/mp4', 'content-length': bytes });
    let left = bytes;
    const more = () => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length));
        left -= next.length;
        if (!answer.write(next)) return answer.once('drain', more);
      }
      answer.end();
      return undefined;
    };
    more();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return server;
}

async function watch({ url, sim, pid }, host, bytes) {
  const address = `http://127.0.0.1:${host.address().port}/a.mp4`;
  await ask(`${sim}/_falsim/faults`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ step: 'submit', job: { result: { status: 200, body: JSON.stringify({ video: { url: address } }) } } }]),
  });
  const made = JSON.parse((await ask(`${url}/v1/videos`, {
    method: 'POST', headers: withJson, body: JSON.stringify({ model: 'clip', prompt: 'waves' }), keep: true,
  })).text);
  const status = async () => JSON.parse((await ask(`${url}/v1/videos/${made.id}`, { headers: withKey, keep: true })).text).status;
  while (await status() !== 'completed') await pause(20);
  const clients = Array.from({ length: 10 });
  const through = () => Promise.all(clients.map(() => ask(`${url}/v1/videos/${made.id}/content`, { headers: withKey })));
  const direct = await Promise.all(clients.map(() => ask(address)));
  const [more, answers] = await growth(pid, through);
  const whole = answers.filter(({ size }) => size === bytes).length;
  console.log(`a video of ${bytes / megabyte} MB to ten clients: ${whole} whole, ${(more / 10).toFixed(2)} MB more memory for each, first byte after `
    + `${median(answers.map(({ first }) => first)).toFixed(0)} ms, from its host ${median(direct.map(({ first }) => first)).toFixed(0)} ms`);
}

const wanted = process.argv.slice(2);
const does = (name) => wanted.length === 0 || wanted.includes(name);
const folder = await mkdtemp(path.join(tmpdir(), 'falproxy-files-bench-'));
const bytes = 200 * megabyte;
const host = await hostOf(bytes);
const servers = await startServers({
  simArgs: ['--job-time', '20'],
  env: { STATE_DIR: folder, SUPPORTED_MODELS: 'ear:falsim/listener,tale:falsim/storyteller,clip:falsim/clip/text-to-video' },
  mediaHosts: [`http://127.0.0.1:${host.address().port}`],
});
try {
  if (does('recording')) await transcribe(servers);
  if (does('speech')) await speak(servers);
  if (does('video')) await watch(servers, host, bytes);
} finally {
  await servers.stop();
  host.close();
  agent.destroy();
  await rm(folder, { recursive: true, force: true });
}
