// Kept files in a bucket of s3rver's. Another server is asked in its place if S3_ENDPOINT says where it is, and
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have its keys: its bucket `pictures` must be there.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey, startServers } from '../support/servers.mjs';
import { startBucket } from './bucket.mjs';

const large = 20_000_000; // three parts
const elsewhere = process.env.S3_ENDPOINT;
const keys = elsewhere ? [process.env.AWS_ACCESS_KEY_ID, process.env.AWS_SECRET_ACCESS_KEY] : ['S3RVER', 'S3RVER'];

async function until(holds, what) {
  for (let tries = 0; tries < 400; ++tries) {
    const value = await holds();
    if (value) return value;
    await pause(25);
  }
  assert.fail(what);
}

async function startKeeping(endpoint, { parameters = '', bytes = 0, env = {} } = {}) {
  const state = await mkdtemp(path.join(tmpdir(), 'falproxy-s3-state-'));
  const servers = await startServers({
    simArgs: ['--job-time', '0', ...(bytes ? ['--picture-bytes', `${bytes}`] : [])],
    env: {
      STATE_DIR: state,
      MEDIA_STORE: `s3://pictures/made/here?endpoint=${encodeURIComponent(endpoint)}${parameters}`,
      AWS_ACCESS_KEY_ID: keys[0], AWS_SECRET_ACCESS_KEY: keys[1], ...env,
    },
  });
  const headers = { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' };
  const ask = (what, init = {}) => fetch(`${servers.url}/v1/${what}`, { headers, ...init });
  return {
    ...servers,
    ask,
    async make(prompt) {
      const answer = await ask('images/generations', {
        method: 'POST',
        body: JSON.stringify({ model: 'flux', prompt, response_format: 'url', output_format: 'png', size: '64x64' }),
      });
      assert.equal(answer.status, 200);
      return { url: (await answer.json()).data[0].url, notes: answer.headers.get('x-falproxy-notes') };
    },
    kept: (url) => until(async () => {
      const { data } = await (await ask('falproxy/media')).json();
      return data.find((file) => url.includes(file.id) && file.status === 'kept');
    }, `${url} is not kept`),
    async end() {
      await servers.stop();
      await rm(state, { recursive: true, force: true });
    },
  };
}

describe('kept files in a bucket', () => {
  let directory, bucket, endpoint;
  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'falproxy-s3-'));
    bucket = elsewhere ? undefined : await startBucket(directory);
    endpoint = elsewhere ?? bucket.endpoint;
  });
  after(async () => {
    await bucket?.close();
    await rm(directory, { recursive: true, force: true });
  });

  it('puts a picture there, hands out a link that opens it, and takes it away', async () => {
    const server = await startKeeping(endpoint);
    try {
      const { url, notes } = await server.make('a lighthouse');
      assert.equal(notes, null);
      assert.match(url, /\/media\/[0-9a-f]{32}\.png$/);
      const file = await server.kept(url);
      assert.equal(file.type, 'image/png');

      const redirect = await fetch(url, { redirect: 'manual' });
      assert.equal(redirect.status, 302);
      const link = redirect.headers.get('location');
      assert.ok(link.startsWith(`${endpoint}/pictures/made/here/${file.id}.png?X-Amz-`), link);
      const picture = await fetch(url);
      assert.equal(picture.status, 200);
      assert.equal(picture.headers.get('content-type'), 'image/png');
      assert.match(picture.headers.get('content-disposition'), /^inline; filename="/);
      const bytes = Buffer.from(await picture.arrayBuffer());
      assert.equal(bytes.length, file.size);
      assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
      const part = await fetch(url, { headers: { range: 'bytes=1-3' } });
      assert.equal(part.status, 206);
      assert.equal(await part.text(), 'PNG');
      assert.equal((await fetch(url, { method: 'HEAD' })).status, 200);
      const forged = await fetch(link.replace(/Signature=./, (text) => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0')));
      assert.equal(forged.status, 403);

      assert.equal((await server.ask(`falproxy/media/${file.id}`, { method: 'DELETE' })).status, 200);
      assert.equal((await fetch(link)).status, 404);
      assert.equal((await fetch(url)).status, 404);
    } finally {
      await server.end();
    }
  });

  it('puts a large file in parts, as it comes', async () => {
    const server = await startKeeping(endpoint, { bytes: large });
    try {
      const { url } = await server.make('a large one');
      const file = await server.kept(url);
      assert.ok(file.size >= large);
      const picture = await fetch(url);
      assert.equal(picture.headers.get('content-type'), 'image/png');
      assert.equal((await picture.arrayBuffer()).byteLength, file.size);
    } finally {
      await server.end();
    }
  });

  it('asks for a link of falproxy itself with access signed', async () => {
    const server = await startKeeping(endpoint, { parameters: '&access=signed' });
    try {
      const { url } = await server.make('a signed one');
      await server.kept(url);
      assert.equal((await fetch(url)).status, 200);
      assert.equal((await fetch(url.replace(/\?.*/, ''))).status, 403);
    } finally {
      await server.end();
    }
  });

  it('goes on with fal\'s addresses and a Note if the bucket refuses', async () => {
    const server = await startKeeping(endpoint, { env: { AWS_SECRET_ACCESS_KEY: 'a wrong one' } });
    try {
      const { url, notes } = await server.make('a refused one');
      assert.ok(url.startsWith(server.sim), url);
      assert.match(notes, /cannot keep files/);
      await until(() => server.log().includes('SignatureDoesNotMatch'), 'the log says why');
      assert.ok(!server.log().includes('a wrong one'));
    } finally {
      await server.end();
    }
  });
});
