// The pictures of README.md: FALPROXY_SHOTS=$PWD/docs/images sh tests/browser/run.sh build/release/bin build/release makes them anew.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { adminKey, onPage } from './page.mjs';

const prices = { 'fal-ai/flux/dev': '0.025', 'fal-ai/fast-sdxl': '0.01', 'fal-ai/nano-banana': '0.039', 'falsim/clip/text-to-video': '0.28' };
const wishes = [
  ['sdxl', 'A desert planet'], ['flux-dev', 'Dunes in the last light'], ['nano-banana', 'The coast of Norway from above'], ['flux-dev', 'Hills like waves, poster'],
  ['sdxl', 'A lake in the hills, mist'], ['nano-banana', 'A paper landscape, soft colours'], ['sdxl', 'Red mountains under two moons, wide'], ['nano-banana', 'A quiet valley in spring'],
  ['announcer', 'Welcome aboard the evening ferry to Bergen.'], ['kling-video', 'Waves break at a lighthouse, slow camera'],
];
// A month that a program has behind it: days of more and of less, and a few failures.
const month = `
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=10)
today = int(time.time() // 86400)
for i, busy in enumerate([3, 5, 4, 6, 2, 1, 4, 7, 6, 8, 5, 2, 3, 6, 9, 7, 8, 3, 2, 7, 10, 8, 9, 6, 4, 3, 8, 11, 9]):
    for model, millis, often in ('flux-dev', 25, 3), ('kling-video', 280, .5), ('nano-banana', 39, 1.5), ('sdxl', 10, 2):
        n = int(busy * often)
        db.execute('insert into totals (day, client, model, requests, failures, artifacts, unpriced, units, cost, corrected) values (?, ?, ?, ?, ?, ?, 0, ?, ?, 0)',
                   (today - 29 + i, 'website', model, n, int(i % 9 == 4 and model == 'flux-dev'), n, n * 10**9, n * millis * 10**6))
db.commit()
`;

describe('what the page looks like', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-shots-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'prices.json'), JSON.stringify(Object.fromEntries(Object.entries(prices).map(([id, price]) => [id, { unit_price: price, unit: id.includes('video') ? 'videos' : 'images' }]))));
  const on = onPage({ simArgs: ['--job-time', '1200'], env: {
    ADMIN_KEY: adminKey, STATE_DIR: path.join(folder, 'state'), PRICES_FILE: path.join(folder, 'prices.json'), MEDIA_STORE: `dir:${path.join(folder, 'media')}?access=key`,
    SUPPORTED_MODELS: 'flux-dev:fal-ai/flux/dev,sdxl:fal-ai/fast-sdxl,nano-banana:fal-ai/nano-banana+fal-ai/nano-banana/edit,kling-video:falsim/clip/text-to-video+falsim/clip/image-to-video,announcer:falsim/announcer',
  } });
  const ask = (key, prompt, n = 1) => on.ask('/v1/images/generations', { key, method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux-dev', prompt, n, size: '1024x1024' }) });

  async function fillServer() {
    for (const [name, budget, requests, n] of [['website', '5.00/month', 10, 8], ['research', '1.00/day', 5, 6]]) {
      const { key } = await (await on.ask('/v1/falproxy/keys', { key: adminKey, method: 'POST', body: JSON.stringify({ name, budget }) })).json();
      for (const answer of await Promise.all(Array.from({ length: requests }, (_, index) => ask(key, `for a budget, ${index}`, n)))) assert.equal(answer.status, 200, await answer.text());
    }
    const { status, stderr } = spawnSync('python3', ['-c', month, path.join(folder, 'state', 'falproxy.db')], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }

  async function fillGallery(page) {
    const make = async (model, prompt, run) => {
      await on.choose(model);
      await page.fill('#prompt', prompt);
      await on.explained(prompt);
      await page.click('#generate');
      await on.done(run);
    };
    for (const [index, [model, prompt]] of wishes.entries()) await make(model, prompt, index + 1);
    await on.choose('flux-dev');
    await page.selectOption('#size', 'native:image_size:landscape_4_3');
    await page.fill('#n', '3');
    await make('flux-dev', 'A lighthouse at dusk, seen from the sea, long exposure', wishes.length + 1);
  }

  // What is under way in all the pictures.
  async function beginSlowly(page) {
    await page.fill('#prompt', 'A lighthouse at dusk, in heavy rain');
    await on.explained('heavy rain');
    await page.route('**/v1/images/generations', (route) => {
      const body = route.request().postDataJSON();
      return route.continue({ postData: JSON.stringify({ ...body, prompt: `${body.prompt} falsim:job_time=60000` }) });
    });
    await page.click('#generate');
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForFunction(() => /in progress, [3-6]\d%/.test(document.querySelector('#progress').textContent)
      && [...document.querySelectorAll('#results img')].filter(({ complete, naturalWidth }) => complete && naturalWidth).length > 3);
    // By day and by night it is as far.
    await page.route('**/v1/falproxy/jobs/*', () => {});
  }

  /** One moment of a view, by day and by night. */
  async function shoot(page, view) {
    await page.evaluate(() => Promise.all([...document.images].filter(({ src }) => src).map((image) => image.decode().catch(() => {}))));
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      await on.shot(`${view}-${scheme}`);
    }
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  }

  it('has three views, by day and by night', async () => {
    const page = await on.open({ colorScheme: 'light', reducedMotion: 'reduce', admin: adminKey });
    await fillServer();
    await fillGallery(page);
    await beginSlowly(page);
    await shoot(page, 'create');
    await page.click('#tab-gallery');
    await page.mouse.move(0, 0);
    await page.waitForFunction(() => {
      const frames = [...document.querySelectorAll('#gallery .frame')].filter((frame) => frame.getBoundingClientRect().top < innerHeight);
      return frames.length > 9 && frames.every((frame) => (frame.querySelector('img') ? frame.querySelector('img').naturalWidth : frame.querySelector('.icon')));
    });
    await shoot(page, 'gallery');
    await page.click('#tab-operate');
    await page.mouse.move(0, 0);
    await page.waitForFunction(() => /research/.test(document.querySelector('#keys').textContent) && document.querySelector('#usage-sum .chart') && document.querySelector('#jobs .busy'));
    await shoot(page, 'operate');
  });
});
