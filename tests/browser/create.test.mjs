// The view Create: from a model and a wish to files.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey } from '../support/servers.mjs';
import { allModels, onPage, picture } from './page.mjs';

describe('Create', () => {
  const on = onPage();
  const { choose, explained, pictures, sim } = on;
  const last = async () => JSON.parse((await sim('submits')).at(-1).input);
  const field = (name) => `[data-field="${name}"]`;

  it('pays nothing without a chosen model', async () => {
    const page = await on.open();
    await page.waitForSelector('#empty-kinds button');
    await page.fill('#prompt', 'a red fox');
    await page.click('#generate');
    await page.waitForSelector(`${field('model')} .fault`);
    assert.match(await page.textContent(`${field('model')} .fault`), /Choose a model/);
    await page.click('[data-copy=curl]');
    assert.deepEqual(on.paid, []);
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  });

  it('finds models by words and by what they make, with their prices', async () => {
    const page = await on.open();
    await page.click('#model-button');
    await page.waitForSelector('#model-dialog[open]');
    const shown = () => page.locator('#model-list button').evaluateAll((all) => all.map(({ dataset }) => dataset.model));
    assert.deepEqual((await shown()).sort(), Object.keys(allModels).sort());
    await page.click('#model-kinds [data-kind=video]');
    assert.deepEqual(await shown(), ['clip']);
    await page.click('#model-kinds [data-kind=audio]');
    assert.deepEqual(await shown(), ['announcer']);
    await page.click('#model-kinds [data-kind=edit]');
    assert.deepEqual((await shown()).sort(), ['gpt-image-1', 'nano']);
    await page.click('#model-kinds [data-kind=""]');
    await page.fill('#model-search', 'banana');
    assert.deepEqual(await shown(), ['nano']);
    assert.match(await page.textContent('#model-list'), /\$0\.05/);
    assert.deepEqual(await on.faults(), []);
    await page.press('#model-search', 'Enter');
    await page.waitForFunction(() => document.querySelector('#model-name').textContent === 'nano');
    assert.deepEqual(on.paid, []);
    assert.deepEqual(on.problems, []);
  });

  it('opens the list once the models are there, if it was asked for before', async () => {
    const page = await on.open();
    let answer;
    const asked = new Promise((resolve) => { answer = resolve; });
    await page.route('**/v1/models', async (route) => {
      await asked;
      await route.continue();
    });
    await page.reload();
    await page.fill('#prompt', 'typed before');
    await page.click('#model-button');
    answer();
    await page.click('#model-list [data-model="flux"]');
    await page.waitForFunction(() => document.querySelector('#model-name').textContent === 'flux');
    assert.equal(await page.inputValue('#prompt'), 'typed before');
  });

  it('shows the sample picture of each model on the screen, from this server, once', async () => {
    const page = await on.open();
    const asked = [];
    page.on('request', (request) => { if (request.url().includes('/thumbnails/')) asked.push(new URL(request.url()).pathname.split('/').at(-1)); });
    await page.click('#model-button');
    const shown = () => page.locator('#model-list .kind img').evaluateAll((all) => all.filter(({ naturalWidth }) => naturalWidth === 320).length);
    const all = Object.keys(allModels).length;
    await page.waitForFunction((wanted) => [...document.querySelectorAll('#model-list .kind img')].filter(({ naturalWidth }) => naturalWidth === 320).length === wanted, all);
    assert.deepEqual(await on.faults(), []);
    await on.shot('models');
    await page.fill('#model-search', 'flux');
    await page.fill('#model-search', '');
    await page.waitForFunction((wanted) => document.querySelectorAll('#model-list .kind img').length === wanted, all);
    assert.equal(await shown(), all);
    assert.deepEqual(asked.sort(), Object.keys(allModels).sort());
    // fal's own host is asked by the server, without a key.
    assert.deepEqual((await sim('stats')).misplaced_keys ?? [], []);
    assert.deepEqual(on.problems, []);
  });

  it('generates two pictures, says the price before, and shows the time while it waits', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'A lighthouse at dusk, seen from the sea');
    await page.selectOption('#size', 'native:image_size:square_hd');
    assert.equal(await page.getAttribute('#n', 'max'), '4');
    await page.fill('#n', '2');
    await page.waitForFunction(() => document.querySelector('#price').textContent === 'about $0.05');
    await page.click('#generate');
    await page.waitForFunction(() => /\d\.\d s$/.test(document.querySelector('#progress').textContent));
    assert.equal(await page.locator('.run .wait').count(), 2);
    await pictures(2);
    await page.waitForFunction(() => document.querySelector('#progress').textContent.startsWith('2 pictures'));
    await page.waitForFunction(() => [...document.querySelectorAll('#results img')].every(({ naturalWidth, naturalHeight }) => naturalWidth === 1024 && naturalHeight === 1024));
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('[aria-label="Download picture 1"]')]);
    assert.match(download.suggestedFilename(), /a-lighthouse-at-dusk.*\.(png|jpg)$/);
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  });

  it('makes several things side by side, and one that fails takes nothing away', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'the slow one falsim:job_time=2500');
    await page.click('#generate');
    await page.fill('#prompt', 'forbidden falsim:content_policy');
    await page.click('#generate');
    await page.waitForSelector('.run[data-state=failed] .problem');
    assert.match(await page.textContent('.run[data-state=failed] .problem'), /safety|policy|rejected/i);
    assert.equal(await page.locator('.run .wait').count(), 1);
    await on.done(1);
    await pictures(1);
    await page.fill('#prompt', 'the third');
    await page.click('#generate');
    await on.done(2);
    assert.match(await page.textContent('#results > li:first-child'), /the third/);
    assert.match(await page.textContent('#results > li:last-child'), /the slow one/);
    assert.deepEqual(on.problems.filter((problem) => !problem.includes('status of')), []);
  });

  it('explains what fal would receive, and it is the very body that is sent', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'the very body');
    await page.selectOption('#size', 'custom');
    await page.fill('#width', '1280');
    await page.fill('#height', '720');
    await explained('1280');
    assert.match(await page.textContent('#explain'), /image_size/);
    const { submits } = await sim('stats');
    await page.fill('#width', '640');
    await explained('640');
    assert.equal((await sim('stats')).submits, submits);
    const body = JSON.parse(await page.textContent('#bodies'));
    await page.click('#generate');
    await on.done();
    assert.deepEqual(await last(), body);

    // A model that is told the picture's own size: the same pixels are planned as are sent.
    await choose('gpt-image-1');
    await page.setInputFiles('#images', [await on.drawn('cat.png', 'teal')]);
    await page.setInputFiles('#mask', [await on.drawn('mask.png', 'black', '')]);
    await explained('(mask)');
    const edit = JSON.parse(await page.textContent('#bodies'));
    await page.click('#generate');
    await on.done(2);
    const { image_urls: images, mask_image_url: mask, ...rest } = await last();
    assert.deepEqual({ ...rest, image_urls: ['(image 1)'], mask_image_url: '(mask)' }, edit);
    assert.ok(images[0].startsWith('http') && mask.startsWith('http'));
    assert.deepEqual(on.problems, []);
  });

  it('counts no dry run as traffic, and no refused one as an error', async () => {
    const page = await on.open();
    const status = async () => (await on.ask('/v1/falproxy/status')).json();
    const before = await status();
    await choose('sdxl');
    await page.fill('#prompt', 'a dry run');
    await explained('a dry run');
    await page.click('#own summary');
    await page.fill(`${field('num_inference_steps')} input`, '100000');
    await page.waitForSelector(`${field('num_inference_steps')} .fault`);
    const now = await status();
    for (const count of ['requests', 'failures']) assert.equal(now[count], before[count], count);
    assert.deepEqual(now.errors, before.errors);
  });

  it('says what is wrong beside the field, until the field changes', async () => {
    const page = await on.open();
    await choose('sdxl');
    await page.click('#own summary');
    await page.fill(`${field('negative_prompt')} input`, 'blurry');
    await explained('blurry');
    const steps = `${field('num_inference_steps')} input`;
    await page.fill(steps, '100000');
    await page.waitForSelector(`${field('num_inference_steps')} .fault`);
    assert.equal(await page.getAttribute(steps, 'aria-invalid'), 'true');
    assert.deepEqual(await on.faults(), []);
    await page.fill(steps, '20');
    assert.equal(await page.locator('.fault').count(), 0);
    assert.equal(await page.getAttribute(steps, 'aria-invalid'), null);
    await explained('"num_inference_steps": 20');
    assert.deepEqual(on.paid, []);
  });

  it('keeps the card of a refused run, with its error, if the form is about another model by then', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'a fox');
    await page.click('#generate');
    await on.done();
    await choose('nano');
    await page.route('**/v1/images/generations', (route) => (route.request().headers()['x-falproxy-explain'] ? route.continue()
      : route.fulfill({ status: 403, json: { error: { message: 'This key may not use flux.', param: 'model', code: 'model_not_allowed' } } })));
    await page.click('.run >> text=Again');
    await page.waitForSelector('.run[data-state=failed] .problem');
    assert.match(await page.textContent('.run[data-state=failed]'), /may not use flux/);
    // Beside its field it is enough.
    await page.fill('#prompt', 'a hare');
    await page.click('#generate');
    await page.waitForSelector(`${field('model')} .fault`);
    assert.equal(await page.locator('.run[data-state=failed]').count(), 1);
    // A model whose description cannot be had is complained of, too.
    await page.route('**/v1/models/flux', (route) => route.fulfill({ status: 404, json: { error: { message: 'There is no flux any more.' } } }));
    await page.evaluate(() => { sessionStorage.removeItem('falproxy.form'); });
    await page.reload();
    await page.waitForSelector('.run');
    await page.click('.run[data-state=done] >> text=Vary');
    await page.waitForFunction(() => /no flux any more/.test(document.querySelector('#problem').textContent));
  });

  it('asks for a run without an answer by its own key, and never by itself', async () => {
    const page = await on.open();
    const keys = [];
    let answers = false;
    await page.route('**/v1/audio/speech', (route) => {
      if (route.request().headers()['x-falproxy-explain']) return route.continue();
      keys.push(route.request().headers()['idempotency-key']);
      return answers ? route.continue() : route.abort();
    });
    await choose('announcer');
    await page.fill('#prompt', 'The train is late.');
    await page.click('#generate');
    await page.waitForSelector('.run[data-state=failed]');
    assert.match(await page.textContent('.run .problem'), /not known/);
    await page.reload();
    await page.waitForSelector('.run[data-state=failed]');
    assert.equal(keys.length, 1);
    answers = true;
    await page.click('button:text-is("Again")');
    await on.done();
    assert.deepEqual(keys, [keys[0], keys[0]]);
    await page.click('button:text-is("Again")');
    await on.done(2);
    assert.notEqual(keys[2], keys[0]);
    await page.reload();
    await on.done(2);
    assert.equal(await page.locator('.run').count(), 2);
    assert.equal(keys.length, 3);
  });

  it('keeps the own fields over a change of model', async () => {
    const page = await on.open();
    await choose('flux');
    await page.click('#own summary');
    await page.fill(`${field('seed')} input`, '42');
    await page.fill(`${field('guidance_scale')} input`, '3.25');
    await choose('nano');
    await choose('sdxl');
    assert.equal(await page.inputValue(`${field('seed')} input`), '42');
    assert.equal(await page.inputValue(`${field('guidance_scale')} input`), '3.25');
    await page.fill('#prompt', 'still there');
    await explained('"seed": 42');
  });

  it('keeps values, not their spelling, over models that have a field as a choice, as text or as JSON', async () => {
    const page = await on.open();
    const mood = { flux: { enum: ['calm', 'wild'], type: 'string' }, sdxl: { type: 'string' }, nano: { type: 'object' } };
    for (const [id, about] of Object.entries(mood)) {
      await page.route(`**/v1/models/${id}`, async (route) => {
        const answer = await route.fetch();
        const json = await answer.json();
        json.falproxy.inputs.push({ name: 'mood', ...about });
        await route.fulfill({ response: answer, json });
      });
    }
    const input = (tag) => `${field('mood')} ${tag}`;
    await choose('flux');
    await page.click('#own summary');
    await page.selectOption(input('select'), { label: 'wild' });
    await choose('sdxl');
    assert.equal(await page.inputValue(input('input')), 'wild');
    await choose('nano');
    assert.equal(await page.inputValue(input('textarea')), '"wild"');
    await choose('flux');
    assert.equal(await page.inputValue(input('select')), '"wild"');
    await choose('sdxl');
    await page.fill(input('input'), 'gloomy');
    await choose('flux');
    assert.equal(await page.inputValue(input('select')), '');
    await choose('nano');
    await page.fill(input('textarea'), '{"a": 1}');
    await choose('sdxl');
    assert.equal(await page.inputValue(input('input')), '{"a":1}');
  });

  it('pays with no Enter but Ctrl+Enter, by keyboard alone', async () => {
    const page = await on.open();
    await page.waitForSelector('#empty-kinds button');
    await page.focus('#model-button');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#model-search:focus');
    await page.keyboard.type('flux');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#model-name').textContent === 'flux');
    await page.fill('#n', '2');
    await page.press('#n', 'Enter');
    assert.deepEqual(on.paid, []);
    await page.focus('#prompt');
    await page.keyboard.type('a red fox');
    await page.keyboard.press('Control+Enter');
    await pictures(2);
  });

  it('says how many are before a run in fal’s queue', async () => {
    const page = await on.open();
    await choose('flux');
    for (const prompt of ['the one before', 'the one behind']) {
      await page.fill('#prompt', `${prompt} falsim:queue_time=3000`);
      await page.click('#generate');
      await page.waitForFunction((wanted) => [...document.querySelectorAll('.run')].some(({ textContent }) => textContent.includes(wanted) && /queued, \d+ before it/.test(textContent)), prompt);
    }
    const state = (place) => page.textContent(`.run:${place}-child .state`);
    assert.match(await state('first'), /^queued, 1 before it · \d+\.\d s/);
    assert.match(await state('last'), /^queued, 0 before it/);
    assert.match(await page.textContent('#progress'), /^queued, 1 before it/);
    await on.done(2);
    assert.doesNotMatch(await state('first'), /queued/);
    assert.deepEqual(on.problems, []);
  });

  it('has the controls that a model has, and sends what they say', async () => {
    const page = await on.open();
    const choices = (selector) => page.locator(`${selector} option`).evaluateAll((all) => all.map(({ value }) => value));
    const shown = async () => {
      const there = [];
      for (const name of ['size', 'n', 'output_format', 'quality', 'aspect_ratio', 'resolution', 'duration', 'voice']) if (await page.locator(field(name)).isVisible().catch(() => false)) there.push(name);
      return there;
    };
    await choose('gpt-image-1');
    assert.deepEqual(await shown(), ['size', 'n', 'output_format', 'quality']);
    assert.deepEqual(await choices('#quality'), ['', 'auto', 'low', 'medium', 'high']);
    assert.deepEqual(await choices('#size'), ['', ...['1024x1024', '1536x1024', '1024x1536'].map((size) => `native:image_size:${size}`)]);
    await page.fill('#prompt', 'a fox');
    await page.selectOption('#quality', 'high');
    await page.selectOption('#format', 'webp');
    await explained('webp');
    const { quality, output_format: format } = JSON.parse(await page.textContent('#bodies'));
    assert.deepEqual([quality, format], ['high', 'webp']);

    await choose('flux');
    assert.deepEqual(await shown(), ['size', 'n', 'output_format']);
    assert.deepEqual(await choices('#format'), ['', 'jpeg', 'png']);
    assert.ok((await choices('#size')).includes('custom'));
    await choose('sdxl');
    assert.equal(await page.getAttribute('#n', 'max'), '8');

    await choose('nano');
    assert.ok(!(await choices('#size')).includes('custom'));
    await page.selectOption('#size', 'native:aspect_ratio:21:9');
    await explained('"aspect_ratio": "21:9"');

    // A video's tiers and lengths.
    await choose('clip');
    assert.deepEqual(await shown(), ['aspect_ratio', 'resolution', 'duration']);
    assert.deepEqual(await choices(field('resolution')), ['', '"360p"', '"720p"', '"1080p"']);
    await page.selectOption(`${field('resolution')} select`, { label: '1080p' });
    await explained('"resolution": "1080p"');
    await choose('announcer');
    assert.deepEqual(await shown(), ['output_format', 'voice']);
    assert.deepEqual(on.paid, []);
    assert.deepEqual(on.problems, []);
  });

  it('shows on a phone what it does, from the press on', async () => {
    const page = await on.open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await choose('gpt-image-1');
    await page.setInputFiles('#images', [picture]);
    await page.click('#own summary');
    await page.fill('#prompt', 'on a phone falsim:job_time=3000');
    await explained('on a phone');
    await page.tap('#generate');
    const seen = () => page.locator('.run .state').evaluate((state) => {
      const { top, bottom } = state.getBoundingClientRect();
      return top >= document.querySelector('.bar').getBoundingClientRect().bottom && bottom <= innerHeight;
    });
    await page.waitForFunction(() => /in progress/.test(document.querySelector('.run .state')?.textContent));
    assert.ok(await seen());
    await on.done();
    assert.ok(await seen());
    assert.ok(await on.sidewaysScroll() <= 0);
  });

  it('cancels at fal', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'slow falsim:job_time=20000');
    const before = await sim('stats');
    await page.click('#generate');
    await page.waitForFunction(() => /in progress|queued/.test(document.querySelector('#progress').textContent));
    await page.click('.run [data-act=cancel]');
    await page.waitForSelector('.run[data-state=cancelled]');
    for (let tries = 0; tries < 200 && (await sim('stats')).cancelled === before.cancelled; ++tries) await pause(50);
    assert.ok((await sim('stats')).cancelled > before.cancelled);
    assert.deepEqual(on.problems, []);
  });

  it('goes on with a job over a reload, and finds one that another program has begun', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', 'over a reload falsim:job_time=3000');
    await page.click('#generate');
    await page.waitForFunction(() => /in progress|queued/.test(document.querySelector('#progress').textContent));
    const { submits } = await sim('stats');
    await page.reload();
    await page.waitForSelector('.run .wait');
    assert.match(await page.textContent('.run'), /over a reload/);
    await on.done();
    await pictures(1);
    assert.equal((await sim('stats')).submits, submits);

    await on.ask('/v1/images/generations', { method: 'POST', body: JSON.stringify({ model: 'sdxl', prompt: 'elsewhere falsim:job_time=3000' }), headers: { prefer: 'respond-async', 'content-type': 'application/json' } });
    await page.reload();
    await page.waitForSelector('.run .wait');
    await on.done(2);
    // What was made is still shown, and the form is as it was.
    assert.equal(await page.textContent('#model-name'), 'flux');
    assert.match(await page.inputValue('#prompt'), /over a reload/);
    assert.deepEqual(on.problems, []);
  });

  it('makes it again, varies it with another seed, and takes over its settings', async () => {
    const page = await on.open();
    await choose('flux');
    await page.click('#own summary');
    await page.fill(`${field('seed')} input`, '7');
    await page.fill('#prompt', 'a fox');
    await page.click('#generate');
    await on.done(1);
    await page.click('.run >> text=Again');
    await on.done(2);
    assert.equal((await last()).seed, 7);
    await page.click('.run:last-child >> text=Vary');
    await on.done(3);
    assert.notEqual((await last()).seed, 7);
    await page.fill('#prompt', 'something else');
    await page.fill(`${field('seed')} input`, '8');
    await page.click('.run:last-child >> text=Reuse');
    await page.waitForFunction(() => document.querySelector('#prompt').value === 'a fox');
    assert.equal(await page.inputValue(`${field('seed')} input`), '7');
    assert.equal(on.paid.length, 3);
  });

  it('edits a picture that was made, on a model that takes pictures: the very file goes to fal', async () => {
    const page = await on.open();
    const newest = async () => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('.run:first-child [aria-label="Download picture 1"]')]);
      return readFileSync(await download.path()).toString('base64');
    };
    const received = async () => Buffer.from(await (await fetch((await last()).image_urls[0])).arrayBuffer()).toString('base64');
    const send = async (prompt, runs) => {
      await page.waitForSelector('#image-list img');
      await page.fill('#prompt', prompt);
      await page.click('#generate');
      await on.done(runs);
    };
    await choose('flux');
    await page.fill('#prompt', 'a fox');
    await page.click('#generate');
    await pictures(1);
    const fox = await newest();
    // flux makes pictures and takes none: a model that does is asked for.
    await page.click('.run [aria-label="Edit this picture"]');
    assert.deepEqual(await page.locator('#model-list button').evaluateAll((all) => all.map(({ dataset }) => dataset.model).sort()), ['gpt-image-1', 'nano']);
    await page.click('#model-list [data-model=nano]');
    await send('the fox in snow', 2);
    assert.match((await sim('submits')).at(-1).endpoint, /nano-banana\/edit/);
    assert.ok(await received() === fox);

    // From the gallery, onto the model that is chosen; it takes the place of the picture that was there.
    await pictures(2);
    const snow = await newest();
    assert.ok(snow !== fox);
    await page.click('#tab-gallery');
    await page.click('#gallery .tile');
    await page.click('#viewer >> text=Edit this');
    await page.waitForSelector('#view-create:not([hidden])');
    assert.equal(await page.textContent('#model-name'), 'nano');
    assert.equal(await page.locator('#image-list img').count(), 1);
    await send('the fox at night', 3);
    assert.ok(await received() === snow);
    assert.equal(on.paid.length, 3);
    assert.deepEqual(on.problems, []);
  });

  it('restores a form from a link, and pays nothing for it', async () => {
    const page = await on.open();
    await choose('sdxl');
    await page.fill('#prompt', 'a fox & a “hare”, 50 % snow');
    await page.fill('#n', '3');
    await page.selectOption('#size', 'native:image_size:portrait_4_3');
    await page.click('#own summary');
    await page.fill(`${field('num_inference_steps')} input`, '12');
    await page.click('#copy-link');
    await page.waitForSelector('#toast:not([hidden])');
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(!link.includes(accessKey));
    await on.context.close();
    const other = await on.open();
    await other.goto(link);
    await other.waitForFunction(() => document.querySelector('#model-name').textContent === 'sdxl');
    await explained('"num_inference_steps": 12');
    assert.equal(await other.inputValue('#prompt'), 'a fox & a “hare”, 50 % snow');
    assert.equal(await other.inputValue('#n'), '3');
    assert.equal(await other.inputValue('#size'), 'native:image_size:portrait_4_3');
    assert.deepEqual(on.paid, []);
    assert.deepEqual(on.problems, []);
  });

  it('copies the request as curl, Python and JavaScript without the key', async () => {
    const page = await on.open();
    await choose('flux');
    await page.fill('#prompt', "it's a fox");
    for (const [kind, word] of [['curl', 'curl http'], ['python', 'from openai import OpenAI'], ['javascript', "from 'openai'"]]) {
      await page.click(`[data-copy=${kind}]`);
      await page.waitForSelector('#toast:not([hidden])');
      const code = await page.evaluate(() => navigator.clipboard.readText());
      assert.ok(code.includes(word), code);
      assert.ok(!code.includes(accessKey));
      await page.evaluate(() => { document.querySelector('#toast').hidden = true; });
    }
  });

  it('gives the code to select from if the page may not write to the clipboard', async () => {
    const page = await on.open({ at: on.servers.url.replace('127.0.0.1', 'plain.test') });
    assert.equal(await page.evaluate(() => typeof navigator.clipboard), 'undefined');
    await choose('flux');
    await page.fill('#prompt', "it's a fox");
    for (const [kind, word] of [['curl', 'curl http://plain.test'], ['python', 'from openai import OpenAI'], ['javascript', "from 'openai'"]]) {
      await page.click(`[data-copy=${kind}]`);
      await page.waitForSelector('#code-dialog[open]');
      const code = await page.inputValue('#code');
      assert.ok(code.includes(word), code);
      assert.equal(await page.evaluate(() => getSelection().toString() || document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)), code);
      assert.deepEqual(await on.faults(), []);
      await page.keyboard.press('Escape');
      await page.waitForSelector('#code-dialog', { state: 'hidden' });
    }
    // There is no randomUUID() there either, and a run needs an id.
    await page.click('#generate');
    await on.done();
    assert.deepEqual(on.problems, []);
  });

  it('makes a video, and plays it', async () => {
    const page = await on.open();
    await choose('clip');
    await page.fill('#prompt', 'waves at a lighthouse');
    await page.selectOption(`${field('duration')} select`, { index: 1 });
    await page.click('#generate');
    await on.done();
    await page.waitForFunction(() => document.querySelector('.run video')?.readyState >= 1);
    const [width, height] = await page.evaluate(() => { const { videoWidth, videoHeight } = document.querySelector('.run video'); return [videoWidth, videoHeight]; });
    assert.ok(width > 0);
    await page.waitForFunction((size) => document.querySelector('.run .caption > span').textContent === size, `${width} × ${height}`);
    // What it cost, and no estimate.
    assert.match(await page.textContent('.run .state'), /s\$\d+\.\d+$/);
    assert.deepEqual(await on.faults(), []);
    // A picture that it begins with makes it the other endpoint's.
    await page.setInputFiles('#images', [picture]);
    await page.click('#generate');
    await on.done(2);
    assert.match((await sim('submits')).at(-1).endpoint, /image-to-video/);
    assert.deepEqual(on.problems, []);
  });

  it('speaks, and writes down what is spoken', async () => {
    const page = await on.open();
    await choose('announcer');
    await page.fill('#prompt', 'The train is late.');
    await page.click('#generate');
    await on.done();
    await page.waitForFunction(() => document.querySelector('.run audio')?.readyState >= 1);
    assert.equal((await last()).text, 'The train is late.');
    await choose('listener');
    await page.click('#generate');
    await page.waitForSelector(`${field('file')} .fault`);
    await page.setInputFiles('#sound', [{ name: 'said.wav', mimeType: 'audio/wav', buffer: Buffer.from('RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0', 'latin1') }]);
    await page.click('#generate');
    await on.done(2);
    assert.ok((await page.textContent('.run .plain')).length > 3);
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  });

  it('refuses a mask that leaves nothing to change, and pays nothing', async () => {
    const page = await on.open();
    await choose('gpt-image-1');
    await page.fill('#prompt', 'make it snow');
    await page.setInputFiles('#images', [await on.drawn('cat.png', 'teal')]);
    for (const [name, mask] of [['opaque', await on.drawn('opaque.png', 'teal')], ['nearly opaque', await on.drawn('nearly.png', 'rgb(0 128 128 / 0.997)')], ['black', await on.drawn('black.png', 'black')]]) {
      await page.setInputFiles('#mask', [mask]);
      await page.waitForSelector(`${field('mask')} .fault`);
      assert.match(await page.textContent(`${field('mask')} .fault`), /leaves nothing to change/, name);
      await page.click('#generate');
    }
    assert.deepEqual(on.paid, []);
    for (const [name, mask] of [['a hole', await on.drawn('hole.png', 'teal', '')], ['white on black', await on.drawn('drawn.png', 'black', 'white')]]) {
      const before = on.paid.length;
      await page.setInputFiles('#mask', [mask]);
      await page.waitForFunction(() => !document.querySelector('[data-field=mask] .fault'));
      await page.click('#generate');
      await page.waitForFunction((wanted) => document.querySelectorAll('.run[data-state=done]').length === wanted, before + 1);
      assert.equal(on.paid.length, before + 1, name);
    }
  });

  for (const [name, options] of [
    ['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['360 px wide', { viewport: { width: 360, height: 740 } }],
  ]) {
    it(`has no serious accessibility fault and no sideways scroll, ${name}`, async () => {
      const page = await on.open(options);
      await choose('gpt-image-1');
      await page.setInputFiles('#images', [picture]);
      await page.click('#own summary');
      await page.click('#explain-shown summary');
      await page.fill('#prompt', 'a small cat');
      await page.click('#generate');
      await on.done();
      assert.deepEqual(await on.faults(), []);
      assert.ok(await on.sidewaysScroll() <= 0);
      await on.shot(`create-${name.replaceAll(' ', '-')}`, { fullPage: true });
      assert.deepEqual(on.problems, []);
    });
  }

  for (const [name, size, settings] of [['of the model’s own size', ''], ['of a chosen size', 'native:image_size:landscape_16_9'], ['on a phone', '', { viewport: { width: 360, height: 740 } }]]) {
    it(`moves nothing while pictures ${name} load, nor if they are shown again after a reload`, async () => {
      const page = await on.open(settings);
      const places = () => page.locator('#results .frame, #results .caption').evaluateAll((all) => all.map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return [x, y + scrollY, width, height].map(Math.round);
      }));
      const loaded = (number) => page.waitForFunction((wanted) => [...document.querySelectorAll('#results img')].filter(({ naturalWidth }) => naturalWidth).length === wanted, number);
      await choose('flux');
      await page.selectOption('#size', size);
      await page.fill('#prompt', 'the one below');
      await page.click('#generate');
      await on.done(1);
      await loaded(1);
      await page.fill('#n', '4');
      await page.fill('#prompt', 'still falsim:job_time=1500');
      await explained('job_time');
      await page.click('#generate');
      await page.waitForFunction(() => document.querySelectorAll('.run .wait').length === 4);
      const before = await places();
      assert.equal(before.length, 10);
      await on.done(2);
      await loaded(5);
      assert.deepEqual(await places(), before);

      // What is put in is measured before any picture is decoded.
      await page.addInitScript(() => {
        globalThis.first = [];
        new MutationObserver((changes) => {
          for (const { addedNodes } of changes) for (const node of addedNodes) for (const frame of node.querySelectorAll?.('#results .frame') ?? []) globalThis.first.push([frame, frame.clientHeight]);
        }).observe(document, { childList: true, subtree: true });
      });
      await page.reload();
      await loaded(5);
      const heights = await page.evaluate(() => globalThis.first.map(([frame, height]) => [height, frame.clientHeight]));
      assert.ok(heights.length >= 5 && heights.every(([first]) => first > 0), JSON.stringify(heights));
      for (const [first, now] of heights) assert.equal(now, first);
    });
  }
});
