// What falproxy adds to a token of a chat model, and what a stream takes of memory.
// Usage: node router.mjs [STREAMS] [TOKENS]   FALPROXY_BIN: where the built programs are.
// A stand-in for fal's router writes the time into each token; both ends are in this process, so one clock tells both.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import { accessKey, startServers } from '../support/servers.mjs';

const streams = Number(process.argv[2] ?? 64);
const tokens = Number(process.argv[3] ?? 200);
const pause = 20;

const router = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let left = tokens;
  const timer = setInterval(() => {
    response.write(`data: {"t":${performance.now()}}\n\n`);
    if (--left > 0) return;
    clearInterval(timer);
    response.end('data: [DONE]\n\n');
  }, pause);
});
await new Promise((ready) => router.listen(0, '127.0.0.1', ready));
const direct = `http://127.0.0.1:${router.address().port}`;
const servers = await startServers({ env: { LLM_MODELS: '*', FAL_RUN_URL: direct } });
const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${servers.pid}/status`, 'utf8'))[1]);

async function run(url, n) {
  const late = [];
  let most = 0;
  const agent = new http.Agent({ maxSockets: Infinity });
  const one = () => new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', agent, headers: { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' } }, (response) => {
      response.on('data', (bytes) => {
        const now = performance.now();
        for (const [, sent] of bytes.toString().matchAll(/"t":([\d.]+)/g)) late.push(now - Number(sent));
      });
      response.on('end', resolve);
    });
    request.once('error', reject);
    request.end('{"model":"a/b","stream":true,"messages":[]}');
  });
  const timer = setInterval(() => { most = Math.max(most, memory()); }, 100);
  await Promise.all(Array.from({ length: n }, one));
  clearInterval(timer);
  agent.destroy();
  late.sort((a, b) => a - b);
  return { median: late[late.length >> 1], p99: late[Math.floor(late.length * 0.99)], tokens: late.length, most };
}

const through = `${servers.url}/v1/chat/completions`;
await run(through, 4);
const before = memory();
const floor = await run(direct, streams);
const seen = await run(through, streams);
console.log(`${streams} streams, ${seen.tokens} tokens: ${(seen.median - floor.median).toFixed(2)} ms added at the median, ${(seen.p99 - floor.p99).toFixed(2)} ms at p99 (without falproxy ${floor.median.toFixed(2)} and ${floor.p99.toFixed(2)} ms); ${((seen.most - before) / streams).toFixed(1)} kB a stream`);
await servers.stop();
router.close();
