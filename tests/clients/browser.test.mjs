// The openai package in a web page of another origin, in headless Chromium: what CORS has to allow.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { accessKey, png, start } from './support.mjs';

const packages = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

// Serves an empty page and the package's own modules, which browsers can load as they are.
function servePage() {
  const server = createServer((request, response) => {
    const file = path.join(packages, path.normalize(decodeURIComponent(request.url.split('?')[0])));
    if (request.url === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>a page of another origin</title>');
    } else if (file.startsWith(path.join(packages, 'openai')) && existsSync(file)) {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(file));
    } else {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

describe('openai in a browser', () => {
  let servers;
  let pages;
  let browser;
  let page;

  before(async () => {
    servers = await start();
    pages = await servePage();
    browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${pages.address().port}/`);
    await page.evaluate(async ({ url, key }) => {
      const { OpenAI, toFile } = await import('/openai/index.mjs');
      globalThis.toFile = toFile;
      globalThis.client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, dangerouslyAllowBrowser: true, maxRetries: 0 });
    }, { url: servers.url, key: accessKey });
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    await servers?.stop();
  });

  it('gets a picture that the page can show', async () => {
    const size = await page.evaluate(async () => {
      const { data } = await globalThis.client.images.generate({ model: 'flux', prompt: 'a lighthouse', size: '320x256', response_format: 'b64_json' });
      const image = new Image();
      image.src = `data:image/png;base64,${data[0].b64_json}`;
      await image.decode();
      return [image.naturalWidth, image.naturalHeight];
    });
    assert.deepEqual(size, [320, 256]);
  });

  it('lists the models, and reads an error with its request id', async () => {
    const { ids, status, code, requestID } = await page.evaluate(async () => {
      const listed = await globalThis.client.models.list();
      const error = await globalThis.client.images.generate({ model: 'nope', prompt: 'a lighthouse' }).catch((caught) => caught);
      return { ids: listed.data.map(({ id }) => id), status: error.status, code: error.code, requestID: error.requestID };
    });
    assert.ok(ids.includes('flux'));
    assert.equal(status, 400);
    assert.equal(code, 'invalid_value');
    assert.ok(requestID);
  });

  it('edits a picture and streams one', async () => {
    const types = await page.evaluate(async (bytes) => {
      const { client, toFile } = globalThis;
      const image = await toFile(new Uint8Array(bytes), 'a.png', { type: 'image/png' });
      const edited = await client.images.edit({ model: 'flux', image, prompt: 'a lighthouse', response_format: 'b64_json' });
      const seen = [typeof edited.data[0].b64_json];
      for await (const event of await client.images.generate({ model: 'flux', prompt: 'a lighthouse', stream: true, partial_images: 2 })) seen.push(event.type);
      return seen;
    }, [...png(32, 32)]);
    assert.equal(types[0], 'string');
    assert.equal(types.at(-1), 'image_generation.completed');
  });

  it('sends what other pages send, and is let in', async () => {
    const { status, ids, exposed } = await page.evaluate(async ({ url, key }) => {
      const answer = await fetch(`${url}/v1/models`, {
        headers: { authorization: `Bearer ${key}`, 'cache-control': 'no-store', pragma: 'no-cache', 'x-title': 'x', 'openai-organization': 'o', 'x-stainless-retry-count': '0' },
      });
      return { status: answer.status, ids: (await answer.json()).data.length, exposed: answer.headers.get('x-request-id') };
    }, { url: servers.url, key: accessKey });
    assert.equal(status, 200);
    assert.ok(ids > 0);
    assert.ok(exposed);
  });
});
