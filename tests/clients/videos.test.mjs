// The official openai package's videos and webhooks, against the built server.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { OpenAI, toFile } from 'openai';
import { accessKey, png, start } from './support.mjs';

describe('openai videos', () => {
  let servers;
  let client;
  let listener;
  const heard = [];

  before(async () => {
    listener = createServer((request, response) => {
      const pieces = [];
      request.on('data', (piece) => pieces.push(piece));
      request.on('end', () => {
        heard.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
        response.writeHead(204).end();
      });
    });
    await new Promise((done) => listener.listen(0, '127.0.0.1', done));
    servers = await start({ env: { CALLBACK_HOSTS: `http://127.0.0.1:${listener.address().port}` } });
    client = new OpenAI({ baseURL: `${servers.url}/v1`, apiKey: accessKey });
  });
  after(async () => {
    await servers?.stop();
    listener?.close();
  });

  // As the examples of the package do it.
  const ended = async (video) => {
    let progress = 0;
    while (video.status === 'queued' || video.status === 'in_progress') {
      await pause(20);
      video = await client.videos.retrieve(video.id);
      assert.ok(Number.isInteger(video.progress) && video.progress >= progress);
      progress = video.progress;
    }
    return video;
  };

  it('creates, polls, downloads, lists and deletes', async () => {
    const begun = await client.videos.create({ model: 'sora-clip', prompt: 'waves', seconds: '8', size: '1280x720' });
    assert.match(begun.id, /^video_[0-9a-f]{32}$/);
    assert.equal(begun.object, 'video');
    assert.equal(begun.error, null);
    const video = await ended(begun);
    assert.equal(video.status, 'completed');
    assert.equal(video.progress, 100);
    assert.equal(video.seconds, '8');
    assert.equal(video.size, '1280x720');
    const content = await client.videos.downloadContent(video.id);
    assert.equal(content.headers.get('content-type'), 'video/webm');
    const bytes = Buffer.from(await content.arrayBuffer());
    assert.equal(bytes.readUInt32BE(0), 0x1a45dfa3);
    assert.equal(bytes.length, Number(content.headers.get('content-length')));
    const ids = [];
    for await (const one of client.videos.list({ limit: 1 })) ids.push(one.id);
    assert.ok(ids.includes(video.id));
    assert.deepEqual(await client.videos.delete(video.id), { id: video.id, object: 'video.deleted', deleted: true });
    await assert.rejects(client.videos.retrieve(video.id), (error) => error.status === 404 && error.code === 'not_found');
  });

  it('takes a file as the picture that begins the video', async () => {
    const video = await ended(
      await client.videos.create({
        model: 'sora-clip',
        prompt: 'waves',
        seconds: '4',
        input_reference: await toFile(png(64, 64), 'start.png', { type: 'image/png' }),
      }),
    );
    assert.equal(video.status, 'completed');
    const submit = (await servers.submits()).at(-1);
    assert.equal(submit.endpoint, 'falsim/clip/image-to-video');
    assert.match(submit.input.image_url, /\/files\/uploads\//);
    assert.equal(submit.input.duration, '4s');
  });

  it('takes the address of a picture, and fields of the model', async () => {
    await client.videos.create({
      model: 'sora-clip',
      prompt: 'waves',
      seconds: '6',
      input_reference: { image_url: 'https://example.com/a.png' },
      seed: 7,
      end_image_url: 'https://example.com/b.png',
    });
    const { input } = (await servers.submits()).at(-1);
    assert.equal(input.image_url, 'https://example.com/a.png');
    assert.equal(input.end_image_url, 'https://example.com/b.png');
    assert.equal(input.seed, 7);
  });

  it('is told which length cannot be made, unpaid', async () => {
    const before = (await servers.submits()).length;
    await assert.rejects(
      client.videos.create({ model: 'sora-clip', prompt: 'waves', seconds: '20' }),
      (error) => error.status === 400 && error.param === 'seconds',
    );
    assert.equal((await servers.submits()).length, before);
  });

  it('verifies the signature of a callback', async () => {
    const field = { 'X-Falproxy-Callback': `http://127.0.0.1:${listener.address().port}/hook` };
    const begun = await client.videos.create({ model: 'sora-clip', prompt: 'waves' }, { headers: field });
    await ended(begun);
    for (let tries = 0; tries < 500 && heard.length === 0; ++tries) await pause(10);
    const { headers, body } = heard[0];
    const secret = `whsec_${createHmac('sha256', accessKey).update('falproxy callback').digest('base64')}`;
    const event = await client.webhooks.unwrap(body, headers, secret);
    assert.equal(event.type, 'video.completed');
    assert.equal(event.data.id, begun.id);
    await assert.rejects(client.webhooks.unwrap(`${body} `, headers, secret));
  });
});
