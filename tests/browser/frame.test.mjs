// The page as a whole: its key, its views, its weight, and where it works.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { haveNginx, startNginx } from '../support/nginx.mjs';
import { accessKey, startServers } from '../support/servers.mjs';
import { adminKey, onPage } from './page.mjs';

// As a whole: each part of it is there for a reason, and a new one would let something in.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const sources = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../apps/falproxy/playground');

describe('the page', () => {
  const on = onPage();
  const key = () => on.page.evaluate(() => sessionStorage.getItem('falproxy.access_key'));

  it('asks for the access key on the first visit, keeps it for the tab only, and never puts it into the address', async () => {
    const page = await on.open({ key: '' });
    await page.waitForSelector('#key-dialog[open]');
    await page.fill('#key', accessKey);
    await page.click('#key-form button[type=submit]');
    await page.waitForSelector('#empty-kinds button');
    assert.equal(await key(), accessKey);
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), '{}');
    assert.ok(!page.url().includes(accessKey));
    // The 401 of the first try is shown on Chromium's console by the browser itself.
    assert.deepEqual(on.problems.filter((problem) => !problem.includes('401')), []);
  });

  it('says so when the key is wrong, and asks again', async () => {
    const page = await on.open({ key: '' });
    await page.waitForSelector('#key-dialog[open]');
    await page.fill('#key', 'not-the-key');
    await page.click('#key-form button[type=submit]');
    await page.waitForSelector('#key-problem:not([hidden])');
    assert.match(await page.textContent('#key-problem'), /refused/);
    assert.ok(await page.isVisible('#key-dialog'));
  });

  it('keeps the key while its dialog is open, and after it was left', async () => {
    const page = await on.open();
    await on.choose('flux');
    for (const leave of [() => page.keyboard.press('Escape'), () => page.click('#key-cancel')]) {
      await page.click('#change-key');
      await page.waitForSelector('#key-dialog[open]');
      assert.equal(await key(), accessKey);
      await leave();
      await page.waitForSelector('#key-dialog', { state: 'hidden' });
      assert.equal(await key(), accessKey);
    }
    await page.click('#change-key');
    await page.fill('#key', 'another-key');
    await page.click('#key-form button[type=submit]');
    await page.waitForSelector('#key-problem:not([hidden])');
    assert.match(await page.textContent('#key-problem'), /refused/);
  });

  it('takes the operator’s key for what it is, and asks for an access key in Create', async () => {
    const guarded = await startServers({ env: { ADMIN_KEY: adminKey } });
    try {
      const page = await on.open({ key: adminKey, at: guarded.url });
      await page.waitForSelector('#view-operate:not([hidden]) #key-new');
      await page.waitForFunction(() => /All keys/.test(document.querySelector('#whose').textContent));
    } finally {
      await guarded.stop();
    }
  });

  it('has three views, in the address, that go back and forth', async () => {
    const page = await on.open();
    const shown = () => page.evaluate(() => [...document.querySelectorAll('main > div')].filter(({ hidden }) => !hidden).map(({ id }) => id).join());
    for (const [tab, view] of [['gallery', 'view-gallery'], ['operate', 'view-operate'], ['create', 'view-create']]) {
      await page.click(`#tab-${tab}`);
      await page.waitForSelector(`#${view}:not([hidden])`);
      assert.equal(await shown(), view);
      assert.equal(await page.getAttribute(`#tab-${tab}`, 'aria-current'), 'page');
    }
    await page.goBack();
    await page.waitForSelector('#view-operate:not([hidden])');
    await page.reload();
    await page.waitForSelector('#view-operate:not([hidden]) #figures div');
    assert.deepEqual(on.problems, []);
  });

  it('remembers light and dark', async () => {
    const page = await on.open({ colorScheme: 'light' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.click('#theme');
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    assert.equal(await ground(), dark);
  });

  it('works below a prefix of a reverse proxy, without a setting', { skip: haveNginx ? false : 'no nginx (sh cmake/deps.sh --for browser)' }, async () => {
    const nginx = await startNginx('/img/', on.servers.url);
    try {
      for (const entry of ['/img', '/img/', '/img/playground', '/img/playground/', '/img/v1', '/img/v1/playground']) {
        const answer = await fetch(nginx.url + entry);
        assert.equal(answer.status, 200, entry);
        assert.match(await answer.text(), /<title>falproxy/, entry);
      }
      const page = await on.open({ at: `${nginx.url}/img` });
      await on.choose('nano');
      await page.fill('#prompt', 'below a prefix');
      await on.explained('below a prefix');
      await page.click('#generate');
      await on.pictures(1);
      await page.click('[data-copy=curl]');
      await page.waitForSelector('#toast:not([hidden])');
      assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`^curl ${nginx.url}/img/v1/images/generations `));
      await page.click('#tab-gallery');
      await page.waitForSelector('#gallery li');
      await page.click('#tab-operate');
      await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4);
      await page.goto(`${nginx.url}/img/v1/`);
      await on.choose('flux');
      assert.deepEqual(on.problems, []);
    } finally {
      await nginx.stop();
    }
  });

  it('is under 150 kB in all, compressed, with tags, and switched off by PLAYGROUND=false', async () => {
    let bytes = 0;
    for (const file of ['', ...readdirSync(sources).filter((name) => name !== 'index.html')]) {
      const answer = await fetch(`${on.servers.url}/playground/${file}`);
      assert.equal(answer.status, 200, file);
      assert.equal(answer.headers.get('content-encoding'), 'gzip');
      assert.equal(answer.headers.get('content-security-policy'), policy);
      const plain = await fetch(answer.url, { headers: { 'accept-encoding': 'identity' } });
      assert.equal(plain.headers.get('content-encoding'), null);
      bytes += (await plain.arrayBuffer()).byteLength;
      const again = await fetch(answer.url, { headers: { 'if-none-match': answer.headers.get('etag') } });
      assert.equal(again.status, 304);
    }
    assert.ok(bytes < 150_000, `${bytes} bytes`);
    const without = await startServers({ env: { PLAYGROUND: 'false' } });
    try {
      assert.equal((await fetch(`${without.url}/`, { redirect: 'manual' })).status, 404);
      assert.equal((await fetch(`${without.url}/playground`)).status, 404);
    } finally {
      await without.stop();
    }
  });
});
