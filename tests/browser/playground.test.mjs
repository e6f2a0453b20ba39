// Drives the real page of the built server, with falsim behind it, in headless Chromium.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { accessKey, startServers } from '../support/servers.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shots = process.env.FALPROXY_SHOTS ?? path.join(here, '../../build/screenshots');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// One pixel, so that no file is needed.
const picture = { name: 'cat.png', mimeType: 'image/png', buffer: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64') };

describe('the playground', () => {
  let servers;
  let browser;
  let context;
  let page;
  let problems;

  before(async () => {
    mkdirSync(shots, { recursive: true });
    servers = await startServers({ simArgs: ['--job-time', '300'] });
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
  });
  after(async () => {
    await browser?.close();
    await servers?.stop();
  });

  async function open({ key = accessKey, ...options } = {}) {
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'], ...options });
    page = await context.newPage();
    problems = [];
    page.on('console', (message) => { if (message.type() === 'error') problems.push(`console: ${message.text()}`); });
    page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.origin !== servers.url) problems.push(`request to ${url.origin}`);
    });
    if (key) await context.addInitScript((value) => { if (!sessionStorage.getItem('falproxy.access_key')) sessionStorage.setItem('falproxy.access_key', value); }, key);
    await page.goto(`${servers.url}/`);
  }

  async function choose(model) {
    await page.selectOption('#model', model);
    await page.waitForFunction(() => document.querySelector('#explain tbody tr'));
  }

  const pictures = () => page.locator('#results img');
  const faults = async () => {
    await page.evaluate(axeSource);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  };

  afterEach(async () => {
    await context?.close();
    context = undefined;
  });

  it('asks for the access key on the first visit, keeps it for the tab only, and never puts it into the address', async () => {
    await open({ key: '' });
    await page.waitForSelector('#key-dialog[open]');
    await page.fill('#key', accessKey);
    await page.click('#key-form button');
    await page.waitForFunction(() => document.querySelectorAll('#model option').length > 2);
    assert.equal(await page.evaluate(() => sessionStorage.getItem('falproxy.access_key')), accessKey);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    assert.ok(!page.url().includes(accessKey));
    // The 401 of the first try is shown on Chromium's console by the browser itself.
    assert.deepEqual(problems.filter((problem) => !problem.includes('401')), []);
  });

  it('says so when the key is wrong, and asks again', async () => {
    await open({ key: '' });
    await page.waitForSelector('#key-dialog[open]');
    await page.fill('#key', 'not-the-key');
    await page.click('#key-form button');
    await page.waitForSelector('#key-problem:not([hidden])');
    assert.match(await page.textContent('#key-problem'), /refused/);
    assert.ok(await page.isVisible('#key-dialog'));
  });

  it('generates two pictures and shows the time while it waits', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'A lighthouse at dusk, seen from the sea');
    await page.selectOption('#size', { label: 'square_hd (1024×1024)' });
    await page.fill('#n', '2');
    await page.click('#generate');
    await page.waitForFunction(() => /\d\.\d s$/.test(document.querySelector('#progress').textContent));
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 2);
    await page.waitForFunction(() => document.querySelector('#progress').textContent.startsWith('2 pictures'));
    assert.deepEqual(await pictures().evaluateAll((all) => all.map(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])), [[1024, 1024], [1024, 1024]]);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#results a[download]')]);
    assert.match(download.suggestedFilename(), /\.(png|jpg)$/);
    await page.screenshot({ path: path.join(shots, 'playground.png') });
    assert.deepEqual(problems, []);
  });

  it('explains what fal would receive, and the explanation follows the size', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'a red fox');
    await page.selectOption('#size', 'custom');
    await page.fill('#width', '1280');
    await page.fill('#height', '720');
    await page.waitForFunction(() => document.querySelector('#bodies').textContent.includes('1280'));
    await page.fill('#width', '640');
    await page.waitForFunction(() => document.querySelector('#bodies').textContent.includes('640'));
    assert.match(await page.textContent('#explain'), /image_size/);
    const stats = await (await fetch(`${servers.sim}/_falsim/stats`)).json();
    const before = stats.submits;
    await page.fill('#width', '800');
    await page.waitForFunction(() => document.querySelector('#bodies').textContent.includes('800'));
    assert.equal((await (await fetch(`${servers.sim}/_falsim/stats`)).json()).submits, before);
    assert.deepEqual(problems, []);
  });

  it('makes a form of the model’s own fields, and refuses a bad value in words', async () => {
    await open();
    await choose('sdxl');
    await page.click('#own summary');
    await page.fill('#own-fields label:has-text("Negative") + input, #own-fields label:has-text("Negative") + textarea', 'blurry');
    await page.waitForFunction(() => document.querySelector('#bodies').textContent.includes('blurry'));
    await page.fill('#own-fields label:has-text("Inference Steps") + input', '100000');
    await page.waitForFunction(() => document.querySelector('#explain-note').textContent.startsWith('Refused'));
    assert.match(await page.textContent('#explain-note'), /num_inference_steps/);
  });

  it('cancels at fal', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'slow falsim:job_time=20000');
    const before = await (await fetch(`${servers.sim}/_falsim/stats`)).json();
    await page.click('#generate');
    await page.waitForSelector('#cancel:not([hidden])');
    for (;;) {
      const now = await (await fetch(`${servers.sim}/_falsim/stats`)).json();
      if (now.submits > before.submits) break;
    }
    await page.click('#cancel');
    await page.waitForFunction(() => document.querySelector('#progress').textContent.startsWith('cancelled'));
    for (;;) {
      const now = await (await fetch(`${servers.sim}/_falsim/stats`)).json();
      if (now.cancelled > before.cancelled) break;
    }
    assert.ok(await page.isEnabled('#generate'));
    assert.deepEqual(problems, []);
  });

  it('shows an upstream error in words', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'forbidden falsim:content_policy');
    await page.click('#generate');
    await page.waitForSelector('#problem:not([hidden])');
    assert.match(await page.textContent('#problem'), /safety|policy|rejected/i);
  });

  it('edits a picture', async () => {
    await open();
    await choose('nano');
    await page.fill('#prompt', 'make it snow');
    await page.click('#edit summary');
    await page.setInputFiles('#images', [picture]);
    assert.match(await page.textContent('#image-list'), /cat\.png/);
    await page.waitForFunction(() => document.querySelector('#bodies').textContent.includes('image_urls'));
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
    assert.deepEqual(problems, []);
  });

  it('copies the request as curl, Python and JavaScript without the key', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', "it's a fox");
    for (const [kind, word] of [['curl', 'curl http'], ['python', 'from openai import OpenAI'], ['javascript', "from 'openai'"]]) {
      await page.click(`[data-copy=${kind}]`);
      await page.waitForFunction(() => document.querySelector('#progress').textContent.endsWith('copied'));
      const code = await page.evaluate(() => navigator.clipboard.readText());
      assert.ok(code.includes(word), code);
      assert.ok(!code.includes(accessKey));
      await page.evaluate(() => { document.querySelector('#progress').textContent = ''; });
    }
  });

  it('shows the status: accounts without keys, models, and where the time goes', async () => {
    await open();
    await page.click('#tab-status');
    await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4);
    assert.match(await page.textContent('#accounts'), /ready/);
    assert.ok(!(await page.content()).includes(accessKey));
    await page.screenshot({ path: path.join(shots, 'status.png') });
    assert.deepEqual(await faults(), []);
    assert.deepEqual(problems, []);
  });

  for (const [name, options] of [
    ['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['360 px wide', { viewport: { width: 360, height: 740 } }],
  ]) {
    it(`has no serious accessibility fault and no sideways scroll, ${name}`, async () => {
      await open(options);
      await choose('sdxl');
      await page.click('#own summary');
      await page.click('#edit summary');
      assert.deepEqual(await faults(), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await page.screenshot({ path: path.join(shots, `${name.replaceAll(' ', '-')}.png`), fullPage: true });
      assert.deepEqual(problems, []);
    });
  }

  it('is usable by keyboard alone', async () => {
    await open();
    await choose('flux');
    await page.focus('#prompt');
    await page.keyboard.type('a red fox');
    await page.keyboard.press('Control+Enter');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
  });

  it('is under 60 kB in all, compressed, with tags, and switched off by PLAYGROUND=false', async () => {
    let bytes = 0;
    for (const file of ['', 'app.js', 'api.js', 'dom.js', 'fields.js', 'snippets.js', 'status.js', 'try.js', 'style.css', 'icon.svg']) {
      const answer = await fetch(`${servers.url}/playground${file && `/${file}`}`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('content-encoding'), 'gzip');
      assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/);
      bytes += (await answer.arrayBuffer()).byteLength;
      const again = await fetch(answer.url, { headers: { 'if-none-match': answer.headers.get('etag') } });
      assert.equal(again.status, 304);
    }
    assert.ok(bytes < 60_000, `${bytes} bytes`);
    const without = await startServers({ env: { PLAYGROUND: 'false' } });
    try {
      assert.equal((await fetch(`${without.url}/`, { redirect: 'manual' })).status, 404);
      assert.equal((await fetch(`${without.url}/playground`)).status, 404);
    } finally {
      await without.stop();
    }
  });
});
