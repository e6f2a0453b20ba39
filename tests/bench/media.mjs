// What it costs to keep files: 1,000 pictures of 2 MB, a hundred requests a second, once without a store and once with a folder.
// Usage: node tests/bench/media.mjs [REQUESTS [PER_SECOND [BYTES]]]     (FALPROXY_BIN: the folder of the programs)

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey, startServers } from '../support/servers.mjs';

const [requests = 1000, perSecond = 100, bytes = 2_000_000] = process.argv.slice(2).map(Number);
const longest = 120_000; // for the files of one round to be kept
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function post(url, body) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const asked = request(`${url}/v1/images/generations`, {
      agent, method: 'POST', headers: { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' },
    }, (answer) => {
      let text = '';
      answer.on('data', (piece) => { text += piece; });
      answer.on('end', () => resolve({ time: performance.now() - began, status: answer.statusCode, url: JSON.parse(text).data?.[0].url, notes: answer.headers['x-falproxy-notes'] }));
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}

async function memory(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(text)[1]) / 1024;
}

const at = (times, share) => times.toSorted((a, b) => a - b)[Math.floor(times.length * share)];

async function round(keeps) {
  const folder = await mkdtemp(path.join(tmpdir(), 'falproxy-media-bench-'));
  const env = keeps ? { STATE_DIR: `${folder}/state`, MEDIA_STORE: `dir:${folder}/media` } : { STATE_DIR: `${folder}/state` };
  const servers = await startServers({ simArgs: ['--job-time', '20', '--picture-bytes', `${bytes}`], env });
  try {
    const ask = (i) => post(servers.url, { model: 'flux', prompt: `number ${i}`, response_format: 'url', output_format: 'png', size: '256x256' });
    for (let i = 0; i < 20; ++i) await ask(-i);
    const before = await memory(servers.pid);
    let most = before;
    const sampler = setInterval(async () => { most = Math.max(most, await memory(servers.pid).catch(() => 0)); }, 50);
    const answers = [];
    const began = performance.now();
    for (let i = 0; i < requests; ++i) {
      const late = began + (i * 1000) / perSecond - performance.now();
      if (late > 0) await pause(late);
      answers.push(ask(i));
    }
    const all = await Promise.all(answers);
    let kept = 0;
    while (keeps && kept < requests && performance.now() - began < longest) {
      await pause(100);
      const metrics = await (await fetch(`${servers.url}/metrics`, { headers: { authorization: `Bearer ${accessKey}` } })).text();
      kept = Number(/^falproxy_media_kept_total (\d+)/m.exec(metrics)?.[1] ?? 0) - 20;
    }
    const seconds = (performance.now() - began) / 1000;
    clearInterval(sampler);
    const times = all.map(({ time }) => time);
    return {
      keeps, answered: all.filter(({ status }) => status === 200).length, noted: all.filter(({ notes }) => notes).length, kept,
      seconds: seconds.toFixed(1), p50: at(times, 0.5).toFixed(1), p99: at(times, 0.99).toFixed(1),
      'MiB before': before.toFixed(0), 'MiB at most': most.toFixed(0),
    };
  } finally {
    await servers.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const rounds = [await round(false), await round(true)];
console.table(rounds);
console.log(`added at the median: ${(rounds[1].p50 - rounds[0].p50).toFixed(1)} ms (limit: 5)`);
agent.destroy();
