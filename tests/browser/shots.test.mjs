// The pictures of README.md: FALPROXY_SHOTS=docs/images sh tests/browser/run.sh makes them anew.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { adminKey, onPage, shots } from './page.mjs';

const wishes = [
  ['flux', 'A lighthouse at dusk, seen from the sea'], ['sdxl', 'Red mountains under two moons, wide'], ['nano', 'A quiet valley in spring'],
  ['flux', 'Dunes in the last light'], ['sdxl', 'A lake in the hills, mist'], ['gpt-image-1', 'A paper landscape, soft colours'],
  ['nano', 'The coast of Norway from above'], ['flux', 'Hills like waves, poster'], ['sdxl', 'A desert planet'],
];

describe('what the page looks like', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-shots-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const on = onPage({ simArgs: ['--job-time', '1800'], env: { ADMIN_KEY: adminKey, STATE_DIR: path.join(folder, 'state'), MEDIA_STORE: `dir:${path.join(folder, 'media')}?access=key` } });
  async function fill(page) {
    for (const [name, budget] of [['website', '20.00/month'], ['research', '5.00/day']]) {
      const made = await on.ask('/v1/falproxy/keys', { key: adminKey, method: 'POST', body: JSON.stringify({ name, budget }) });
      const { key } = await made.json();
      await on.ask('/v1/images/generations', { key, method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'for a budget', n: name === 'website' ? 8 : 3 }) });
    }
    await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'forbidden falsim:content_policy' }) });
    for (const [index, [model, prompt]] of wishes.entries()) {
      await on.choose(model);
      await page.fill('#prompt', prompt);
      await page.fill('#n', '2');
      await on.explained(prompt);
      await page.click('#generate');
      await on.done(index + 1);
    }
    await on.choose('clip');
    await page.fill('#prompt', 'Waves break at a lighthouse, slow camera');
    await on.explained('slow camera');
    await page.click('#generate');
    await on.done(wishes.length + 1);
    await on.choose('flux');
    await page.fill('#prompt', 'A lighthouse at dusk, seen from the sea, long exposure');
    await page.selectOption('#size', 'native:image_size:landscape_4_3');
    await page.fill('#n', '3');
    await on.explained('long exposure');
    await page.click('#generate');
    await on.done(wishes.length + 2);
  }

  async function show(page, scheme) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.click('#tab-create');
    await page.fill('#prompt', 'A lighthouse at dusk, in heavy rain');
    await page.click('#generate');
    await page.waitForFunction(() => /in progress/.test(document.querySelector('#progress').textContent));
    await page.waitForFunction(() => [...document.querySelectorAll('#results img')].filter(({ complete, naturalWidth }) => complete && naturalWidth).length > 3);
    await page.evaluate(() => scrollTo(0, 0));
    await on.shot(`create-${scheme}`);
    await page.click('#tab-gallery');
    await page.waitForFunction(() => document.querySelectorAll('#gallery img').length > 12 && [...document.querySelectorAll('#gallery img')].every(({ naturalWidth }) => naturalWidth));
    await on.shot(`gallery-${scheme}`);
    await page.click('#tab-operate');
    await page.waitForFunction(() => /research/.test(document.querySelector('#keys').textContent) && document.querySelector('#usage-sum .chart'));
    await on.shot(`operate-${scheme}`);
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  }

  // All six in one picture, for where there is room for one.
  async function gather(views) {
    const sheet = await on.browser.newPage({ viewport: { width: 1680, height: 820 } });
    const picture = (view, scheme) => `<img src="data:image/png;base64,${readFileSync(path.join(shots, `${view}-${scheme}.png`), 'base64')}">`;
    await sheet.setContent(`<style>
      body { margin: 0; padding: 8px; display: grid; grid-template-columns: repeat(3, 1fr); gap: 14px; }
      img { width: 100%; border-radius: 8px; outline: 1px solid #8886; }
    </style>${['light', 'dark'].flatMap((scheme) => views.map((view) => picture(view, scheme))).join('')}`);
    await sheet.locator('img').last().evaluate((image) => image.decode());
    await sheet.screenshot({ path: path.join(shots, 'views.png'), fullPage: true, omitBackground: true });
    await sheet.close();
  }

  it('has three views, by day and by night', async () => {
    const page = await on.open({ colorScheme: 'light', admin: adminKey });
    await fill(page);
    await show(page, 'light');
    await show(page, 'dark');
    await gather(['create', 'gallery', 'operate']);
  });
});
