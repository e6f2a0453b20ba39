// Drives the real page of the built server, with falsim behind it, in headless Chromium.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { haveNginx, startNginx } from '../support/nginx.mjs';
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
  let paid;

  before(async () => {
    mkdirSync(shots, { recursive: true });
    servers = await startServers({ simArgs: ['--job-time', '300'] });
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        // A name is no secure origin over plain http, as 127.0.0.1 is: it stands for a server in one's own network.
        '--host-resolver-rules=MAP plain.test 127.0.0.1'],
    });
  });
  after(async () => {
    await browser?.close();
    await servers?.stop();
  });

  async function open({ key = accessKey, at = servers.url, ...options } = {}) {
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'], ...options });
    page = await context.newPage();
    problems = [];
    paid = [];
    page.on('console', (message) => { if (message.type() === 'error') problems.push(`console: ${message.text()}`); });
    page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && !url.href.startsWith(`${at}/`)) problems.push(`request to ${url}`);
      if (request.method() === 'POST' && request.headers()['x-falproxy-explain'] !== '1') paid.push(url.pathname);
    });
    if (key) await context.addInitScript((value) => { if (!sessionStorage.getItem('falproxy.access_key')) sessionStorage.setItem('falproxy.access_key', value); }, key);
    await page.goto(`${at}/`);
  }

  async function choose(model) {
    await page.selectOption('#model', model);
    await page.waitForFunction(() => document.querySelector('#explain tbody tr'));
  }

  const pictures = () => page.locator('#results img');
  const sim = async (what) => (await fetch(`${servers.sim}/_falsim/${what}`)).json();
  const explained = (text) => page.waitForFunction((wanted) => document.querySelector('#bodies').textContent.includes(wanted), text);

  /** A PNG of 16x16 pixels in one colour, with a square of another in it: `hole` '' makes that transparent. */
  async function drawn(name, colour, hole = colour) {
    const base64 = await page.evaluate(([outside, inside]) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 16, height: 16 });
      const pen = canvas.getContext('2d');
      pen.fillStyle = outside;
      pen.fillRect(0, 0, 16, 16);
      pen.clearRect(4, 4, 8, 8);
      if (inside) pen.fillStyle = inside;
      if (inside) pen.fillRect(4, 4, 8, 8);
      return canvas.toDataURL('image/png').split(',')[1];
    }, [colour, hole]);
    return { name, mimeType: 'image/png', buffer: Buffer.from(base64, 'base64') };
  }
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
    assert.match(await page.textContent('#figures'), /runs noted inmemory/);
    assert.ok(await page.isHidden('#status-problem'));
    assert.ok(!(await page.content()).includes(accessKey));
    await page.screenshot({ path: path.join(shots, 'status.png') });
    assert.deepEqual(await faults(), []);
    assert.deepEqual(problems, []);
  });

  it('shows jobs and cancels them, and what was spent', async () => {
    const slow = await startServers({ simArgs: ['--job-time', '60000'] });
    try {
      const ask = (path, options) => fetch(slow.url + path, { ...options, headers: { authorization: `Bearer ${accessKey}`, prefer: 'respond-async', 'content-type': 'application/json' } });
      const begun = await ask('/v1/images/generations', { method: 'POST', body: JSON.stringify({ model: 'flux', prompt: 'a fox' }) });
      assert.equal(begun.status, 202);
      const { id } = await begun.json();
      await open({ at: slow.url });
      await page.click('#tab-status');
      await page.waitForFunction((job) => document.querySelector('#jobs').textContent.includes(job), id);
      await page.click(`#jobs button[aria-label="Cancel ${id}"]`);
      await page.waitForFunction(() => /cancelled/.test(document.querySelector('#jobs').textContent));
      assert.equal(await page.locator('#jobs button').count(), 0);
      assert.equal((await (await ask(`/v1/falproxy/jobs/${id}`)).json()).status, 'cancelled');
      assert.deepEqual(await faults(), []);
      assert.deepEqual(problems, []);
    } finally {
      await slow.stop();
    }
    await context.close();
    await open();
    await choose('flux');
    await page.fill('#prompt', 'a spent fox');
    await explained('a spent fox');
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
    await page.click('#tab-status');
    await page.waitForFunction(() => /flux/.test(document.querySelector('#usage').textContent));
    assert.match(await page.textContent('#usage-sum'), /in the last 30 days/);
    assert.ok(await page.locator('#usage-sum .chart').isVisible());
    assert.deepEqual(await faults(), []);
    assert.deepEqual(problems, []);
  });

  it('says in the status why runs cannot be noted', async () => {
    const without = await startServers({ env: { STATE_DIR: '/dev/null/state' } });
    try {
      await open({ at: without.url });
      await page.click('#tab-status');
      await page.waitForFunction(() => document.querySelector('#status-problem').textContent.startsWith('STATE_DIR: '));
      assert.ok(await page.isVisible('#status-problem'));
      assert.deepEqual(await faults(), []);
      assert.deepEqual(problems, []);
    } finally {
      await without.stop();
    }
  });

  it('works below a prefix of a reverse proxy, without a setting', { skip: haveNginx ? false : 'no nginx (sh cmake/deps.sh --for browser)' }, async () => {
    const nginx = await startNginx('/img/', servers.url);
    try {
      for (const entry of ['/img', '/img/', '/img/playground', '/img/playground/', '/img/v1', '/img/v1/playground']) {
        const answer = await fetch(nginx.url + entry);
        assert.equal(answer.status, 200, entry);
        assert.match(await answer.text(), /<title>falproxy/, entry);
      }
      await open({ at: `${nginx.url}/img` });
      await choose('nano');
      await page.fill('#prompt', 'below a prefix');
      await explained('below a prefix');
      await page.click('#generate');
      await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
      await page.click('[data-copy=curl]');
      await page.waitForFunction(() => document.querySelector('#progress').textContent.endsWith('copied'));
      assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`^curl ${nginx.url}/img/v1/images/generations `));
      await page.click('#tab-status');
      await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4);
      await page.goto(`${nginx.url}/img/v1/`);
      await page.waitForFunction(() => document.querySelectorAll('#model option').length > 2);
      assert.deepEqual(problems, []);
    } finally {
      await nginx.stop();
    }
  });

  it('pays for nothing without a chosen model', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'a red fox');
    await page.fill('#model-search', 'no such model');
    await page.click('#generate');
    await page.waitForSelector('#problem:not([hidden])');
    assert.match(await page.textContent('#problem'), /Choose a model/);
    await page.waitForFunction(() => !document.querySelector('#explain tbody tr'));
    await page.click('[data-copy=curl]');
    assert.match(await page.textContent('#problem'), /Choose a model/);
    // What was chosen is chosen again once the search lets it.
    await page.fill('#model-search', '');
    assert.equal(await page.inputValue('#model'), 'flux');
    await explained('a red fox');
    assert.deepEqual(paid, []);
  });

  it('chooses the first model found with Enter in the search, and pays with no Enter but Ctrl+Enter', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'a red fox');
    await page.fill('#model-search', 'banana');
    await page.press('#model-search', 'Enter');
    assert.equal(await page.inputValue('#model'), 'nano');
    await page.fill('#model-search', '');
    assert.equal(await page.inputValue('#model'), 'nano');
    await page.fill('#n', '2');
    await page.press('#n', 'Enter');
    await page.click('#own summary');
    await page.fill('#own-fields input[type=number]', '7');
    await page.press('#own-fields input[type=number]', 'Enter');
    await page.fill('#model-search', 'no such model');
    await page.press('#model-search', 'Enter');
    await page.fill('#model-search', 'sdxl');
    await page.press('#model-search', 'Enter');
    await page.waitForFunction(() => document.querySelector('#model-about').textContent.includes('fast-sdxl'));
    await explained('a red fox');
    assert.deepEqual(paid, []);
  });

  it('shows the very body that fal receives', async () => {
    await open();
    await choose('flux');
    await page.fill('#prompt', 'the very body');
    await explained('the very body');
    const shown = async () => JSON.parse(await page.textContent('#bodies'));
    const sent = async () => JSON.parse((await sim('submits')).at(-1).input);
    const body = await shown();
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
    assert.deepEqual(await sent(), body);
    assert.equal(body.sync_mode, true);

    // A model that is told the picture's own size: the same pixels are planned as are sent.
    await page.selectOption('#model', 'gpt-image-1');
    await page.click('#edit summary');
    await page.setInputFiles('#images', [await drawn('cat.png', 'teal')]);
    await page.setInputFiles('#mask', [await drawn('mask.png', 'black', '')]);
    await explained('(mask)');
    const edit = await shown();
    assert.deepEqual(edit.image_urls, ['(image 1)']);
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 2);
    const { image_urls: images, mask_image_url: mask, ...rest } = await sent();
    assert.deepEqual({ ...rest, image_urls: ['(image 1)'], mask_image_url: '(mask)' }, edit);
    assert.ok(images[0].startsWith('http') && mask.startsWith('http'));
  });

  it('counts no dry run as traffic, and no refused one as an error', async () => {
    await open();
    const status = async () => (await fetch(`${servers.url}/v1/falproxy/status`, { headers: { authorization: `Bearer ${accessKey}` } })).json();
    const before = await status();
    await choose('sdxl');
    await page.fill('#prompt', 'a dry run');
    await explained('a dry run');
    await page.click('#own summary');
    await page.fill('#own-fields label:has-text("Inference Steps") + input', '100000');
    await page.waitForFunction(() => document.querySelector('#explain-note').textContent.startsWith('Refused'));
    const now = await status();
    for (const count of ['requests', 'failures']) assert.equal(now[count], before[count], count);
    assert.deepEqual(now.errors, before.errors);
  });

  it('gives the code to select from where the page may not write to the clipboard', async () => {
    await open({ at: servers.url.replace('127.0.0.1', 'plain.test') });
    assert.equal(await page.evaluate(() => typeof navigator.clipboard), 'undefined');
    await choose('flux');
    await page.fill('#prompt', "it's a fox");
    for (const [kind, word] of [['curl', 'curl http://plain.test'], ['python', 'from openai import OpenAI'], ['javascript', "from 'openai'"]]) {
      await page.click(`[data-copy=${kind}]`);
      await page.waitForSelector('#code-dialog[open]');
      const code = await page.inputValue('#code');
      assert.ok(code.includes(word), code);
      assert.equal(await page.evaluate(() => getSelection().toString() || document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)), code);
      assert.deepEqual(await faults(), []);
      await page.keyboard.press('Escape');
      await page.waitForSelector('#code-dialog', { state: 'hidden' });
    }
    assert.deepEqual(problems, []);
  });

  it('keeps the pictures already paid for when a later request fails, and when it succeeds', async () => {
    await open();
    await choose('flux');
    const first = async () => page.getAttribute('#results li:last-child img', 'src');
    await page.fill('#prompt', 'the first');
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 1);
    const paidFor = await first();
    await page.fill('#prompt', 'forbidden falsim:content_policy');
    await page.click('#generate');
    await page.waitForSelector('#problem:not([hidden])');
    assert.equal(await first(), paidFor);
    await page.fill('#prompt', 'the second');
    await page.click('#generate');
    await page.waitForFunction(() => document.querySelectorAll('#results img').length === 2);
    assert.equal(await first(), paidFor);
    assert.match(await page.getAttribute('#results li:first-child img', 'alt'), /the second/);
    // The file behind it is still there.
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#results li:last-child a[download]')]);
    assert.equal(await download.failure(), null);
  });

  it('refuses a mask that leaves nothing to change, and pays nothing', async () => {
    await open();
    await choose('gpt-image-1');
    await page.fill('#prompt', 'make it snow');
    await page.click('#edit summary');
    await page.setInputFiles('#images', [await drawn('cat.png', 'teal')]);
    for (const [name, mask] of [['opaque', await drawn('opaque.png', 'teal')], ['nearly opaque', await drawn('nearly.png', 'rgb(0 128 128 / 0.997)')], ['black', await drawn('black.png', 'black')]]) {
      await page.setInputFiles('#mask', [mask]);
      await page.waitForFunction(() => document.querySelector('#mask-problem').textContent);
      assert.match(await page.textContent('#mask-problem'), /leaves nothing to change/, name);
      await page.click('#generate');
      await page.waitForSelector('#problem:not([hidden])');
      assert.match(await page.textContent('#problem'), /leaves nothing to change/, name);
    }
    assert.deepEqual(paid, []);

    // The server refuses what the page would not have sent.
    const { submits } = await sim('stats');
    const form = new FormData();
    form.append('model', 'gpt-image-1');
    form.append('prompt', 'make it snow');
    for (const [field, file] of [['image', await drawn('cat.png', 'teal')], ['mask', await drawn('opaque.png', 'teal')]]) {
      form.append(field, new Blob([file.buffer], { type: file.mimeType }), file.name);
    }
    const answer = await fetch(`${servers.url}/v1/images/edits`, { method: 'POST', body: form, headers: { authorization: `Bearer ${accessKey}` } });
    assert.equal(answer.status, 400);
    const { error } = await answer.json();
    assert.equal(error.param, 'mask');
    assert.match(error.message, /leaves nothing to change/);
    assert.equal((await sim('stats')).submits, submits);

    for (const [name, mask] of [['a hole', await drawn('hole.png', 'teal', '')], ['white on black', await drawn('drawn.png', 'black', 'white')]]) {
      const before = paid.length;
      await page.setInputFiles('#mask', [mask]);
      await page.waitForSelector('#mask-problem', { state: 'hidden' });
      await page.click('#generate');
      await page.waitForFunction(() => document.querySelector('#progress').textContent.startsWith('1 picture'));
      assert.equal(paid.length, before + 1, name);
    }
  });

  it('keeps the key while its dialog is open, and after it was left', async () => {
    await open();
    await choose('flux');
    const key = () => page.evaluate(() => sessionStorage.getItem('falproxy.access_key'));
    for (const leave of [() => page.keyboard.press('Escape'), () => page.click('#key-cancel')]) {
      await page.click('#change-key');
      await page.waitForSelector('#key-dialog[open]');
      assert.equal(await key(), accessKey);
      await leave();
      await page.waitForSelector('#key-dialog', { state: 'hidden' });
      assert.equal(await key(), accessKey);
    }
    await page.fill('#prompt', 'still with a key');
    await explained('still with a key');
    await page.click('#change-key');
    await page.fill('#key', 'another-key');
    await page.click('#key-form button[type=submit]');
    await page.waitForSelector('#key-problem:not([hidden])');
    assert.match(await page.textContent('#key-problem'), /refused/);
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
    for (const file of ['', 'app.js', 'api.js', 'dom.js', 'fields.js', 'jobs.js', 'pictures.js', 'snippets.js', 'status.js', 'try.js', 'usage.js', 'style.css', 'icon.svg']) {
      const answer = await fetch(`${servers.url}/playground/${file}`);
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
