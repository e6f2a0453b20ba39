// How long requests wait for their turn at an account: at three replicas that share a Redis, beside one alone. The same requests come at
// the same moments in each round; what waits is what an answer takes beyond its job's time.
// Usage: node tests/bench/waiting.mjs [REQUESTS [LOAD]]     (FALPROXY_BIN: the folder of the programs; redis-server is needed)

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey, freePort, startServers } from '../support/servers.mjs';

const [requests = 600, load = 0.95] = process.argv.slice(2).map(Number);
const jobTime = 1000; // ms
const places = 12; // jobs of the account at once
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

// Of a Poisson process, always the same (mulberry32).
function arrivals() {
  let state = 1;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = jobTime / places / load;
  let at = 0;
  return Array.from({ length: requests }, () => (at -= Math.log(1 - random()) * between));
}

function post(url, body) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const asked = request(`${url}/v1/images/generations`, {
      agent, method: 'POST', headers: { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' },
    }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ time: performance.now() - began, status: answer.statusCode }));
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}

async function round(replicas) {
  const folder = await mkdtemp(path.join(tmpdir(), 'falproxy-waiting-bench-'));
  const port = await freePort();
  const redis = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder], { stdio: 'ignore' });
  const servers = [];
  try {
    await pause(500);
    for (let i = 0; i < replicas; ++i) {
      const env = { ...servers[0]?.fal, STATE_DIR: `${folder}/${i}`, STATE_URL: `redis://127.0.0.1:${port}`, MAX_JOBS_PER_ACCOUNT: `${places}` };
      servers.push(await startServers({ simArgs: ['--job-time', `${jobTime}`], env }));
    }
    await pause(11_000); // until all have heard of each other
    const began = performance.now();
    const answers = [];
    for (const [i, at] of arrivals().entries()) {
      const late = began + at - performance.now();
      if (late > 0) await pause(late);
      answers.push(post(servers[i % replicas].url, { model: 'flux', prompt: `number ${i}`, response_format: 'url' }));
    }
    const all = await Promise.all(answers);
    const waits = all.map((answer) => Math.max(answer.time - jobTime, 0)).toSorted((a, b) => a - b);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const failed = all.filter((answer) => answer.status !== 200).length;
    console.log(`${replicas} replica(s): waited ${mean.toFixed(0)} ms at the mean, ${waits[waits.length >> 1].toFixed(0)} at the median, ${waits[Math.floor(waits.length * 0.95)].toFixed(0)} in 95 of 100; ${failed} failed`);
    return mean;
  } finally {
    for (const server of servers.reverse()) await server.stop();
    redis.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

const means = { 1: [], 3: [] };
for (const replicas of [1, 3, 1, 3]) means[replicas].push(await round(replicas));
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
console.log(`three replicas: ${(sum(means[3]) / sum(means[1])).toFixed(2)} times the wait of one`);
