// Whatever falproxy's server takes for a request, Node.js (llhttp) takes for the same one: where two readings of a
// connection differ, what stands in front of the server can be made to let a request through that it never saw.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';

const folder = new URL('../fuzz/corpus/http_request/', import.meta.url).pathname;
const names = readdirSync(folder);
const ours = execFileSync(path.join(process.env.FALPROXY_BIN, 'http_messages'), names.map((name) => folder + name))
  .toString().trim().split('\n').map((line) => JSON.parse(line));

// How many requests ours has to find in a file; in every other one it finds none and refuses what is there.
const counts = {
  absolute: 1, chunk_zeros: 2, chunks: 2, closes: 1, closes_in_list: 1, encoding_case: 2, expects: 1, fragment: 1,
  get: 1, get_with_body: 2, head: 1, latin1: 1, length: 2, length_zeros: 2, line_ends_before: 2, old: 1, old_kept: 2,
  pipelined: 3, query: 1, star: 1,
};
const unfinished = ['cut_body'];

// What Node.js read on each connection, by the client's port.
const seen = new Map();
const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 });
const note = (request, response) => {
  const all = seen.get(request.socket.remotePort);
  const read = { method: request.method, target: request.url, minor: request.httpVersionMinor, body: '' };
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    read.body = Buffer.concat(parts).toString('hex');
    all.push(read);
    response.end();
  });
};
server.on('request', note);
server.on('checkContinue', note);
server.on('checkExpectation', note);
server.on('connect', (request, socket) => socket.end());
server.on('upgrade', (request, socket) => socket.end());
server.on('clientError', (error, socket) => socket.destroy());
before(() => new Promise((done) => { server.listen(0, '127.0.0.1', done); }));
after(() => server.close());

const replay = (bytes) => new Promise((done) => {
  const socket = net.connect(server.address().port, '127.0.0.1', () => {
    const { localPort } = socket;
    const read = [];
    seen.set(localPort, read);
    socket.end(bytes);
    socket.resume();
    socket.on('error', () => {});
    socket.on('close', () => done(read));
  });
});

const origin = (target) => target.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/#.*/, '') || '/';

test('every file with a count is there', () => {
  assert.deepEqual(Object.keys(counts).filter((name) => !names.includes(name)), []);
});

for (const [i, name] of names.entries()) {
  test(`Node.js reads ${name} alike`, async () => {
    const theirs = (await replay(readFileSync(folder + name))).map((read) => ({ ...read, target: origin(read.target) }));
    assert.equal(ours[i].requests.length, counts[name] ?? 0);
    assert.equal(ours[i].refused, !(name in counts || unfinished.includes(name)));
    assert.deepEqual(theirs.slice(0, ours[i].requests.length), ours[i].requests);
  });
}
