// The view Gallery: what this key made, from the server's kept files or from the browser's own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startBucket } from '../s3/bucket.mjs';
import { accessKey, startServers } from '../support/servers.mjs';
import { allModels, listOf, onPage } from './page.mjs';

/** Makes `number` pictures by the form, each of its own prompt. */
async function make(on, model, prompts) {
  await on.choose(model);
  for (const [index, prompt] of prompts.entries()) {
    await on.page.fill('#prompt', prompt);
    await on.page.click('#generate');
    await on.done(index + 1);
  }
}

const tiles = (on) => on.page.locator('#gallery li .words > span:first-child').allTextContents();

/** The names and bytes in a zip, as another program reads them. */
function inZip(file) {
  const code = 'import sys,json,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(json.dumps([[i.filename,i.file_size] for i in z.infolist()]))';
  const { stdout, stderr, status } = spawnSync('python3', ['-c', code, file], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** The tasks of the page's own thread, in milliseconds of the processor's time: other programs of this machine do not count. */
function tasksIn(trace) {
  const { traceEvents: events } = JSON.parse(trace);
  const threads = new Set(events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(({ pid, tid }) => `${pid}:${tid}`));
  const tasks = events.filter(({ name, ph, tdur, pid, tid }) => name.endsWith('RunTask') && ph === 'X' && tdur && threads.has(`${pid}:${tid}`)).map(({ tdur }) => tdur / 1000);
  return { count: tasks.length, longest: Math.max(...tasks) };
}

function galleryOf(on, keptBy) {
  it(`shows what was made, finds it by words, kind and model, and opens it, ${keptBy}`, async () => {
    const page = await on.open();
    await make(on, 'flux', ['a red fox', 'a blue hare']);
    await page.click('#tab-gallery');
    await page.waitForFunction(() => document.querySelectorAll('#gallery img').length >= 2);
    assert.deepEqual((await tiles(on)).slice(0, 2), ['a blue hare', 'a red fox']);
    assert.match(await page.textContent('#gallery-count'), /\$0\.0/);
    await page.fill('#gallery-search', 'hare');
    await page.waitForFunction(() => document.querySelectorAll('#gallery li').length === 1);
    assert.deepEqual(await tiles(on), ['a blue hare']);
    await page.selectOption('#gallery-kind', 'video');
    await page.waitForSelector('#gallery-empty:not([hidden])');
    await page.selectOption('#gallery-kind', '');
    await page.waitForSelector('#gallery li');
    await page.click('#gallery .tile');
    await page.waitForFunction(() => document.querySelector('#viewer img')?.naturalWidth > 0);
    assert.match(await page.textContent('#viewer'), /flux/);
    assert.deepEqual(await on.faults(), []);
    await page.click('#viewer >> text=Reuse');
    await page.waitForFunction(() => document.querySelector('#prompt').value === 'a blue hare');
    assert.equal(await page.textContent('#model-name'), 'flux');
    assert.equal(on.paid.length, 2);
    assert.deepEqual(on.problems, []);
  });

  it(`compares two, and gives all as a zip, ${keptBy}`, async () => {
    const page = await on.open();
    await make(on, 'sdxl', ['the first', 'the second']);
    await page.click('#tab-gallery');
    await page.waitForFunction(() => document.querySelectorAll('#gallery img').length >= 2);
    assert.ok(await page.isDisabled('#gallery-compare'));
    await page.locator('#gallery input').nth(0).check();
    await page.locator('#gallery input').nth(1).check();
    await page.click('#gallery-compare');
    await page.waitForFunction(() => [...document.querySelectorAll('#viewer img')].filter(({ naturalWidth }) => naturalWidth).length === 2);
    assert.deepEqual(await on.faults(), []);
    await page.keyboard.press('Escape');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#gallery-zip')]);
    const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-zip-'));
    try {
      const file = path.join(folder, download.suggestedFilename());
      await download.saveAs(file);
      const files = inZip(file);
      assert.equal(files.length, 2);
      for (const [name, bytes] of files) {
        assert.match(name, /the-(first|second).*\.(png|jpg)$/);
        assert.ok(bytes > 100);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.deepEqual(on.problems, []);
  });

  it(`serves by keyboard alone, ${keptBy}`, async () => {
    const page = await on.open();
    const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
    await make(on, 'flux', ['by keyboard one', 'by keyboard two', 'by keyboard three']);
    await page.focus('#tab-gallery');
    await press('Enter');
    await page.waitForSelector('#gallery li');
    await page.focus('#gallery-search');
    await page.keyboard.type('by keyboard');
    await page.waitForFunction(() => document.querySelectorAll('#gallery li').length === 3);
    await page.focus('#gallery-zip');
    // Each tile, and the box that chooses it.
    await press('Tab', 'Enter');
    await page.waitForSelector('#viewer[open]');
    assert.equal(await page.textContent('#viewer-title'), 'by keyboard three');
    await press('Escape');
    await page.waitForSelector('#gallery li:nth-child(1) .tile:focus');
    // A list that is drawn anew, here by a window of another size, keeps the focus.
    await page.setViewportSize({ width: 800, height: 900 });
    await page.waitForFunction(() => !document.querySelector('#gallery').style.gridTemplateColumns.includes('repeat(5'));
    assert.equal(await page.evaluate(() => document.activeElement.parentElement.dataset.item), await page.getAttribute('#gallery li', 'data-item'));
    await press('Tab', ' ', 'Tab', 'Tab', ' ');
    await page.waitForSelector('#gallery li:nth-child(2) input:focus:checked');
    await page.focus('#gallery-compare');
    await press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('#viewer .compared h3').length === 2);
    await press('Escape');
    await page.waitForSelector('#gallery-compare:focus');
    await press('Tab', 'Tab', 'Enter');
    await page.waitForSelector('#sure-dialog[open]');
    await press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('#gallery li').length === 1);
    assert.deepEqual(await tiles(on), ['by keyboard one']);
    assert.deepEqual(on.problems, []);
  });

  it(`deletes what is chosen, once the person is sure, ${keptBy}`, async () => {
    const page = await on.open();
    await make(on, 'nano', ['to be kept', 'to be deleted']);
    await page.click('#tab-gallery');
    await page.fill('#gallery-search', 'to be deleted');
    await page.waitForFunction(() => document.querySelectorAll('#gallery li').length === 1);
    await page.locator('#gallery input').first().check();
    await page.click('#gallery-delete');
    await page.waitForSelector('#sure-dialog[open]');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#gallery li').count(), 1);
    await page.click('#gallery-delete');
    await page.click('#sure-yes');
    await page.waitForFunction(() => document.querySelectorAll('#gallery li').length === 0);
    await page.reload();
    await page.waitForSelector('#gallery li');
    const shown = await tiles(on);
    assert.ok(shown.includes('to be kept') && !shown.includes('to be deleted'), shown.join());
    assert.deepEqual(on.problems, []);
  });
}

describe('the gallery of a browser', () => {
  const on = onPage();
  galleryOf(on, 'kept by the browser');

  it('has what the server could not keep', async () => {
    const state = mkdtempSync(path.join(tmpdir(), 'falproxy-full-'));
    const full = await startServers({ env: { SUPPORTED_MODELS: listOf(allModels), STATE_DIR: state, MEDIA_STORE: 'dir:/dev/null/media' } });
    try {
      const models = async () => (await (await fetch(`${full.url}/v1/models`, { headers: { authorization: `Bearer ${accessKey}` } })).json()).data;
      while ((await models()).some(({ falproxy }) => !falproxy.category)) await pause(50);
      const page = await on.open({ at: full.url });
      await make(on, 'flux', ['no room']);
      await page.waitForFunction(() => document.querySelector('.run img')?.naturalWidth > 0);
      await page.click('#tab-gallery');
      await page.waitForFunction(() => document.querySelector('#gallery img')?.naturalWidth > 0);
      assert.deepEqual(on.problems, []);
    } finally {
      await full.stop();
      rmSync(state, { recursive: true, force: true });
    }
  });

  it('forgets what the browser keeps if it is told to', async () => {
    const page = await on.open();
    await make(on, 'flux', ['not for ever']);
    await page.click('#change-key');
    assert.match(await page.textContent('#key-words'), /stays in this browser/);
    assert.deepEqual(await on.faults(), []);
    await page.click('#forget');
    await page.click('#sure-yes');
    await page.waitForSelector('#empty:not([hidden])');
    await page.waitForSelector('#empty-kinds button');
    assert.equal(await page.inputValue('#prompt'), '');
    assert.equal(await page.locator('.run').count(), 0);
    await page.click('#tab-gallery');
    await page.waitForSelector('#gallery-empty:not([hidden])');
  });

  it('shows another key’s pictures to nobody', async () => {
    const page = await on.open();
    await make(on, 'flux', ['mine alone']);
    await page.evaluate(async () => {
      const database = await new Promise((resolve) => { indexedDB.open('falproxy').onsuccess = ({ target }) => resolve(target.result); });
      const store = database.transaction('items', 'readwrite').objectStore('items');
      const all = await new Promise((resolve) => { store.getAll().onsuccess = ({ target }) => resolve(target.result); });
      for (const item of all) store.put({ ...item, owner: 'another' });
    });
    await page.reload();
    await page.click('#tab-gallery');
    await page.waitForSelector('#gallery-empty:not([hidden])');
  });

  it('scrolls through 500 pictures without a long task, and has at most 60 in the document', async () => {
    const page = await on.open();
    await page.waitForSelector('#empty-kinds button');
    await page.evaluate(async () => {
      const database = await new Promise((resolve) => { indexedDB.open('falproxy').onsuccess = ({ target }) => resolve(target.result); });
      const canvas = new OffscreenCanvas(1024, 1024);
      const pen = canvas.getContext('2d');
      const items = [];
      for (let i = 0; i < 500; ++i) {
        pen.fillStyle = `hsl(${i * 7 % 360} 70% 55%)`;
        pen.fillRect(0, 0, 1024, 1024);
        pen.fillStyle = '#fff';
        pen.fillRect(i, 300, 200, 200);
        const blob = await canvas.convertToBlob({ type: 'image/jpeg' });
        items.push({ id: `run${i}-0`, run: `run${i}`, owner: 'default', created: Date.now() - i * 60_000, kind: 'image', type: 'image/jpeg', model: i % 2 ? 'flux' : 'sdxl', prompt: `picture ${i}`, cost: 0.025, blob });
      }
      const store = database.transaction('items', 'readwrite').objectStore('items');
      for (const item of items) store.put(item);
      await new Promise((resolve) => { store.transaction.oncomplete = resolve; });
    });
    await page.reload();
    await page.click('#tab-gallery');
    await page.waitForFunction(() => document.querySelectorAll('#gallery img').length > 5);
    assert.match(await page.textContent('#gallery-count'), /500 files/);
    await page.evaluate(() => {
      globalThis.most = 0;
      new MutationObserver(() => { globalThis.most = Math.max(globalThis.most, document.querySelectorAll('#gallery li').length, document.querySelectorAll('#view-gallery img').length); }).observe(document.querySelector('#gallery'), { childList: true, subtree: true });
    });
    await page.mouse.move(640, 600);
    await on.browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] });
    for (let i = 0; i < 80; ++i) {
      await page.mouse.wheel(0, 400);
      await page.evaluate(() => new Promise(requestAnimationFrame));
    }
    const { count, longest } = tasksIn(await on.browser.stopTracing());
    assert.ok(count > 80 && longest <= 100, `${count} tasks, the longest of ${longest} ms`);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction(() => [...document.querySelectorAll('#gallery .words')].some(({ textContent }) => textContent.includes('picture 499')));
    const most = await page.evaluate(() => globalThis.most);
    assert.ok(most > 5 && most <= 60, `${most} in the document`);
    assert.equal(await page.getAttribute('#gallery li:last-child', 'aria-setsize'), '500');
    assert.deepEqual(on.problems, []);
  });

  for (const [name, options] of [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['360 px wide', { viewport: { width: 360, height: 740 } }]]) {
    it(`has no serious accessibility fault and no sideways scroll, ${name}`, async () => {
      const page = await on.open({ ...options });
      await make(on, 'flux', ['a red fox', 'a blue hare']);
      await page.click('#tab-gallery');
      await page.waitForFunction(() => document.querySelectorAll('#gallery img').length >= 2);
      assert.deepEqual(await on.faults(), []);
      assert.ok(await on.sidewaysScroll() <= 0);
      await on.shot(`gallery-${name.replaceAll(' ', '-')}`);
    });
  }
});

describe('the gallery of a server that keeps files for keys alone', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-media-'));
  const on = onPage({ env: { STATE_DIR: path.join(folder, 'state'), MEDIA_STORE: `dir:${path.join(folder, 'media')}?access=key` } });
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  galleryOf(on, 'kept by the server');

  it('shows what the page may not fetch where it lies: through the server, or else by a link', async () => {
    const page = await on.open();
    // As a redirect to a bucket, which the page's policy stops.
    await page.route('**/media/*.*', (route) => route.abort());
    await make(on, 'flux', ['in a bucket']);
    await page.waitForFunction(() => document.querySelector('.run img')?.naturalWidth > 0);
    await page.route('**/content?*', (route) => route.fulfill({ status: 410, json: { error: { message: 'fal has it no longer.' } } }));
    await page.click('#tab-gallery');
    await page.waitForSelector('#gallery .frame .hint');
    await page.click('#gallery .tile');
    await page.waitForSelector('#viewer a[href*="/media/"]');
    assert.deepEqual(await on.faults(), []);
  });

  it('has also what another program made with this key, and keeps no bytes in the browser', async () => {
    const made = await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'by curl', response_format: 'url' }) });
    const [{ url }] = (await made.json()).data;
    assert.equal((await fetch(url)).status, 401);
    assert.equal((await fetch(url, { headers: { authorization: `Bearer ${accessKey}` } })).status, 200);
    const page = await on.open({ view: '#gallery' });
    await page.waitForFunction(() => document.querySelectorAll('#gallery img').length >= 1);
    assert.match((await tiles(on))[0], /without a prompt/);
    await page.click('#tab-create');
    await make(on, 'flux', ['by the page']);
    const blobs = await page.evaluate(async () => {
      const database = await new Promise((resolve) => { indexedDB.open('falproxy').onsuccess = ({ target }) => resolve(target.result); });
      const all = await new Promise((resolve) => { database.transaction('items').objectStore('items').getAll().onsuccess = ({ target }) => resolve(target.result); });
      return all.map(({ blob, media }) => [Boolean(blob), Boolean(media)]);
    });
    assert.deepEqual(blobs, [[false, true]]);
    assert.deepEqual(on.problems, []);
  });

  it('lists all that is kept, page after page, and says so if there is more than it lists', async () => {
    const bodies = Array.from({ length: 11 }, (_, index) => JSON.stringify({ model: 'flux', prompt: `many ${index}`, n: 10, response_format: 'url' }));
    for (const made of await Promise.all(bodies.map((body) => on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body })))) assert.equal(made.status, 200);
    const page = await on.open();
    const asked = [];
    page.on('request', (request) => { if (request.url().includes('/falproxy/media?')) asked.push(new URL(request.url()).searchParams.get('after')); });
    await page.click('#tab-gallery');
    await page.waitForSelector('#gallery li');
    const { media } = await (await on.ask('/v1/falproxy/status')).json();
    assert.ok(media.files >= 110 && media.files < 200, String(media.files));
    assert.match(await page.textContent('#gallery-count'), new RegExp(`^${media.files} files( · \\S+)?$`));
    assert.equal(new Set(asked).size, 2);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction((last) => document.querySelector(`#gallery [aria-posinset="${last}"] img`)?.naturalWidth, media.files);

    // The list goes on as long as it is asked.
    let pages = 0;
    await page.route('**/falproxy/media?*', (route) => {
      const data = [{ id: String(++pages).padStart(32, '0'), url: `${on.servers.url}/media/${String(pages).padStart(32, '0')}.png`, type: 'image/png', status: 'kept', created_at: 1e9 - pages, model: 'flux', cost_usd: null, size: 1 }];
      return route.fulfill({ json: { object: 'list', data, has_more: true } });
    });
    await page.click('#tab-create');
    await page.click('#tab-gallery');
    await page.waitForFunction(() => /^50 files.* · older files are not listed$/.test(document.querySelector('#gallery-count').textContent));
    assert.equal(pages, 50);
  });
});

describe('the gallery of a server that keeps files in a bucket', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-bucket-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  let bucket;
  before(async () => { bucket = await startBucket(path.join(folder, 's3')); });
  after(() => bucket?.close());
  // The server begins once the bucket is there.
  const env = {
    STATE_DIR: path.join(folder, 'state'), AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER',
    get MEDIA_STORE() { return `s3://pictures/made?endpoint=${encodeURIComponent(bucket.endpoint)}`; },
  };
  const on = onPage({ env });
  const kept = async () => (await (await on.ask('/v1/falproxy/media')).json()).data.filter(({ status }) => status === 'kept');
  const until = async (holds) => {
    for (let tries = 0; tries < 400; ++tries) {
      const value = await holds();
      if (value) return value;
      await pause(25);
    }
    return assert.fail('it takes too long');
  };

  it('shows what it made through the server, and asks the bucket for nothing', async () => {
    const page = await on.open();
    await make(on, 'flux', ['a red fox', 'a blue hare']);
    const files = await until(async () => (await kept()).length === 2 && kept());
    await page.reload();
    await page.click('#tab-gallery');
    await page.waitForFunction(() => [...document.querySelectorAll('#gallery img')].filter(({ naturalWidth }) => naturalWidth).length === 2);
    assert.deepEqual(await tiles(on), ['a blue hare', 'a red fox']);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#gallery-zip')]);
    const zip = path.join(folder, 'all.zip');
    await download.saveAs(zip);
    assert.deepEqual(inZip(zip).map(([, bytes]) => bytes).sort(), files.map(({ size }) => size).sort());
    assert.deepEqual(on.problems, []);
  });

  it('says how many files a zip is without, and offers none of nothing', async () => {
    const made = await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'by curl', n: 2, response_format: 'url' }) });
    const urls = (await made.json()).data.map(({ url }) => url);
    await until(async () => { const ids = (await kept()).map(({ id }) => id); return urls.every((url) => ids.some((id) => url.includes(id))); });
    const page = await on.open({ view: '#gallery' });
    await page.waitForSelector('#gallery li');
    assert.ok(await page.isDisabled('#gallery-zip'));
    assert.match(await page.getAttribute('#gallery-zip', 'title'), /can fetch none/);
    await page.click('#tab-create');
    await make(on, 'flux', ['mine']);
    await page.click('#tab-gallery');
    await page.waitForFunction(() => !document.querySelector('#gallery-zip').disabled);
    const others = await page.locator('#gallery li').count() - 1;
    assert.ok(others >= 2);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#gallery-zip')]);
    const zip = path.join(folder, 'some.zip');
    await download.saveAs(zip);
    assert.equal(inZip(zip).length, 1);
    await page.waitForSelector('#gallery-problem:not([hidden])');
    assert.equal(await page.textContent('#gallery-problem'), `${others} files could not be fetched.`);
    // Beside the button, however far down the list is.
    assert.ok(await page.locator('.filters #gallery-problem').isVisible());
    await page.locator('#gallery input').nth(1).check();
    assert.ok(await page.isDisabled('#gallery-zip'));
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  });

  it('has a link to what another program made, and deletes it in the bucket', async () => {
    const made = await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'by curl', response_format: 'url' }) });
    const [{ url }] = (await made.json()).data;
    await until(async () => (await kept()).some(({ id }) => url.includes(id)));
    const page = await on.open({ view: '#gallery' });
    await page.waitForSelector('#gallery .frame .hint');
    assert.match((await tiles(on))[0], /without a prompt/);
    await page.click('#gallery .tile');
    const href = await page.getAttribute('#viewer a[href*="/media/"]', 'href');
    const file = await fetch(href);
    assert.ok(file.redirected && file.url.startsWith(`${bucket.endpoint}/pictures/made/`), file.url);
    assert.match(file.headers.get('content-type'), /^image\//);
    const before = await page.locator('#gallery li').count();
    await page.click('#viewer >> text=Delete');
    await page.click('#sure-yes');
    await page.waitForFunction((number) => document.querySelectorAll('#gallery li').length === number, before - 1);
    assert.equal((await fetch(file.url)).status, 404);
    assert.deepEqual(on.problems, []);
  });
});
