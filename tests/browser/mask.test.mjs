// The mask that is painted on the picture: what is painted is what fal gets.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { onPage } from './page.mjs';

const size = 256;

describe('a mask drawn on the picture', () => {
  const on = onPage();

  /** The painted file as fal received it: { width, height, at(x, y), alpha(x, y) }. `spots`: the only places of a large one. */
  async function received(name, spots) {
    const { [name]: url } = JSON.parse((await on.sim('submits')).at(-1).input);
    const file = await fetch(Array.isArray(url) ? url[0] : url);
    assert.equal(file.status, 200);
    const base64 = Buffer.from(await file.arrayBuffer()).toString('base64');
    const { pixels, width, height } = await on.page.evaluate(async ([text, places]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes]), { premultiplyAlpha: 'none' });
      const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      pen.drawImage(bitmap, 0, 0);
      return { width: bitmap.width, height: bitmap.height, pixels: (places ?? [[0, 0, bitmap.width, bitmap.height]]).flatMap(([x, y, across = 1, down = 1]) => [...pen.getImageData(x, y, across, down).data]) };
    }, [base64, spots]);
    if (spots) return { width, height, alphas: pixels.filter((_, index) => index % 4 === 3) };
    const at = (x, y) => pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 4);
    return { width, height, at, alpha: (x, y) => at(x, y)[3] };
  }

  async function begin(settings) {
    const page = await on.open(settings);
    await on.choose('gpt-image-1');
    await page.fill('#prompt', 'make it snow');
    await page.setInputFiles('#images', [await on.drawn('cat.png', 'teal', 'orange', size)]);
    await page.click('#mask-draw');
    await page.waitForSelector('#mask-dialog[open]');
    await page.waitForFunction(() => /256 × 256/.test(document.querySelector('#mask-figures').textContent));
    return page;
  }

  /** Where a pixel of the picture is on the screen. */
  async function place(x, y) {
    const box = await on.page.locator('#mask-canvas').boundingBox();
    return [box.x + x / size * box.width, box.y + y / size * box.height];
  }

  async function mouseStroke(points) {
    const { mouse } = on.page;
    const [[x, y], ...others] = await Promise.all(points.map((point) => place(...point)));
    await mouse.move(x, y);
    await mouse.down();
    for (const [toX, toY] of others) await mouse.move(toX, toY, { steps: 6 });
    await mouse.up();
  }

  async function touchStroke(points) {
    const session = await on.context.newCDPSession(on.page);
    const places = await Promise.all(points.map((point) => place(...point)));
    const touch = (type, at) => session.send('Input.dispatchTouchEvent', { type, touchPoints: at ? [{ x: at[0], y: at[1], id: 1 }] : [] });
    await touch('touchStart', places[0]);
    for (let i = 1; i < places.length; ++i) {
      for (let step = 1; step <= 6; ++step) await touch('touchMove', [0, 1].map((axis) => places[i - 1][axis] + (places[i][axis] - places[i - 1][axis]) * step / 6));
    }
    await touch('touchEnd');
  }

  for (const [how, stroke, settings] of [['by mouse', mouseStroke, {}], ['by touch on a phone', touchStroke, { hasTouch: true, isMobile: true, viewport: { width: 360, height: 740 } }]]) {
    it(`arrives at fal as it was painted ${how}, with brush, eraser and undo`, async () => {
      const page = await begin(settings);
      await stroke([[64, 64], [192, 64]]);
      await stroke([[64, 200], [192, 200]]);
      await page.click('#mask-undo');
      await page.click('#tool-eraser');
      await stroke([[128, 30], [128, 100]]);
      assert.deepEqual(await on.faults(), []);
      await page.click('#mask-use');
      await page.waitForSelector('#mask-dialog', { state: 'hidden' });
      await page.click('#generate');
      await on.done();
      const mask = await received('mask_image_url');
      assert.deepEqual([mask.width, mask.height], [size, size]);
      // The brush is 38 pixels wide: it begins at 45 and ends at 83.
      for (const [x, y] of [[64, 64], [80, 50], [180, 78], [192, 64]]) assert.equal(mask.alpha(x, y), 0, `painted at ${x}, ${y}`);
      for (const [x, y] of [[64, 40], [64, 88], [20, 64], [230, 64]]) assert.equal(mask.alpha(x, y), 255, `not painted at ${x}, ${y}`);
      for (const [x, y] of [[128, 64], [120, 80]]) assert.equal(mask.alpha(x, y), 255, `erased at ${x}, ${y}`);
      for (const [x, y] of [[64, 200], [128, 200]]) assert.equal(mask.alpha(x, y), 255, `undone at ${x}, ${y}`);
      assert.deepEqual(on.problems, []);
    });
  }

  it('can be painted with the keyboard', async () => {
    const page = await begin();
    await page.focus('#mask-canvas');
    await page.keyboard.press(' ');
    await page.click('#mask-use');
    await page.waitForSelector('#mask-dialog', { state: 'hidden' });
    await page.click('#generate');
    await on.done();
    const mask = await received('mask_image_url');
    assert.equal(mask.alpha(128, 128), 0);
    assert.equal(mask.alpha(128, 160), 255);
  });

  it('goes over a border that was dragged out, on a larger picture', async () => {
    const page = await begin();
    const handle = await page.locator('[data-edge=right]').boundingBox();
    const scale = (await page.locator('#mask-canvas').boundingBox()).width / size;
    await page.mouse.move(handle.x + 5, handle.y + 10);
    await page.mouse.down();
    await page.mouse.move(handle.x + 5 + 64 * scale, handle.y + 10, { steps: 5 });
    await page.mouse.up();
    await page.focus('[data-edge=bottom]');
    for (let i = 0; i < 2; ++i) await page.keyboard.press('ArrowDown');
    assert.match(await page.textContent('#mask-figures'), /extended to 320 × 288/);
    await page.click('#mask-use');
    await page.waitForSelector('#mask-dialog', { state: 'hidden' });
    await page.click('#generate');
    await on.done();
    const mask = await received('mask_image_url');
    assert.deepEqual([mask.width, mask.height], [320, 288]);
    for (const [x, y, alpha] of [[10, 10, 255], [250, 250, 255], [262, 100, 0], [100, 270, 0], [318, 286, 0]]) assert.equal(mask.alpha(x, y), alpha, `at ${x}, ${y}`);
    const whole = await received('image_urls');
    assert.deepEqual([whole.width, whole.height], [320, 288]);
    assert.deepEqual(whole.at(10, 10), [0, 128, 128, 255]);
    assert.deepEqual(whole.at(128, 128), [255, 165, 0, 255]);
    assert.equal(whole.at(310, 280)[3], 255);
    assert.deepEqual(on.problems, []);
  });

  it('is painted on no more pixels than a screen has, and is as large as the picture, up to 16 million pixels', async () => {
    const page = await on.open();
    await on.choose('gpt-image-1');
    await page.fill('#prompt', 'a large one');
    await page.setInputFiles('#images', [await on.drawn('large.png', 'teal', 'orange', 3900)]);
    await page.click('#mask-draw');
    await page.waitForFunction(() => /3900 × 3900/.test(document.querySelector('#mask-figures').textContent));
    assert.equal(await page.evaluate(() => document.querySelector('#mask-canvas').width), 1600);
    await page.focus('#mask-canvas');
    await page.keyboard.press(' ');
    await page.focus('[data-edge=right]');
    for (let i = 0; i < 14; ++i) await page.keyboard.press('ArrowRight');
    assert.match(await page.textContent('#mask-figures'), /extended to 4102 × 3900, which is the most/);
    await page.click('#mask-use');
    await page.waitForSelector('#mask-dialog', { state: 'hidden' });
    await page.click('#generate');
    await on.done();
    // The brush is 585 pixels wide.
    const mask = await received('mask_image_url', [[1950, 1950], [2220, 1950], [2270, 1950], [10, 10], [4000, 10]]);
    assert.deepEqual(mask, { width: 4102, height: 3900, alphas: [0, 0, 255, 255, 0] });
    assert.deepEqual(on.problems, []);
  });

  it('stays if somebody clicks between the tools, or beside the sheet', async () => {
    const page = await begin();
    await mouseStroke([[64, 64], [100, 64]]);
    const sheet = await page.locator('#mask-dialog').boundingBox();
    for (const [x, y] of [[sheet.x + sheet.width / 2, sheet.y + 4], [sheet.x + 4, sheet.y + sheet.height / 2], [2, 2]]) await page.mouse.click(x, y);
    assert.ok(await page.isEnabled('#mask-undo'));
    assert.ok(await page.isVisible('#mask-dialog'));
    await page.click('#mask-use');
    await page.waitForSelector('#mask-remove:not([hidden])');
    // A sheet without work: its own padding keeps it open, a click beside it closes it.
    await page.click('#model-button');
    await page.waitForSelector('#model-dialog[open]');
    const list = await page.locator('#model-dialog').boundingBox();
    await page.mouse.click(list.x + 4, list.y + list.height / 2);
    assert.ok(await page.isVisible('#model-dialog'));
    await page.mouse.click(2, 2);
    await page.waitForSelector('#model-dialog', { state: 'hidden' });
  });

  it('is let go if nothing was painted, and if its sheet is closed', async () => {
    const page = await begin();
    await page.click('#mask-use');
    assert.match(await page.textContent('#mask-figures'), /Nothing is painted/);
    await mouseStroke([[64, 64], [100, 64]]);
    await page.keyboard.press('Escape');
    await page.waitForSelector('#mask-dialog', { state: 'hidden' });
    assert.ok(await page.isHidden('#mask-remove'));
    await page.click('#generate');
    await on.done();
    assert.ok(!('mask_image_url' in JSON.parse((await on.sim('submits')).at(-1).input)));
  });
});
