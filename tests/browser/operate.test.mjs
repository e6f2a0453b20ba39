// The view Operate: how the server stands, and where it is looked after.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { accessKey, startServers } from '../support/servers.mjs';
import { adminKey, folder, onPage } from './page.mjs';

describe('Operate', () => {
  const on = onPage({ env: { ADMIN_KEY: adminKey } });
  const asOperator = { admin: adminKey, view: '#operate' };
  const begin = (prompt, key) => on.ask('/v1/images/generations', { key, method: 'POST', headers: { prefer: 'respond-async', 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt }) });

  it('shows the operator accounts without keys, models, and where the time goes', async () => {
    await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'a fox' }) });
    const page = await on.open(asOperator);
    await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4);
    assert.match(await page.textContent('#accounts'), /ready/);
    assert.match(await page.textContent('#whose'), /All keys .* state in memory/);
    assert.match(await page.textContent('#time'), /inference/);
    assert.ok(await page.isHidden('#status-problem'));
    const content = await page.content();
    for (const secret of [accessKey, adminKey, 'key-secret']) assert.ok(!content.includes(secret), secret);
    assert.deepEqual(on.problems, []);
  });

  it('shows an access key its own things alone, and takes the operator’s key', async () => {
    const page = await on.open({ view: '#operate' });
    await page.waitForFunction(() => /Your own key, default/.test(document.querySelector('#whose').textContent));
    assert.match(await page.textContent('#accounts'), /operator’s key only/);
    assert.ok(await page.isHidden('#keys-panel'));
    await page.click('#operator-key');
    await page.fill('#key', adminKey);
    await page.click('#key-form button[type=submit]');
    await page.waitForSelector('#keys-panel:not([hidden])');
    await page.waitForFunction(() => /ready/.test(document.querySelector('#accounts').textContent));
    // Pictures are still made with the access key.
    assert.equal(await page.evaluate(() => sessionStorage.getItem('falproxy.access_key')), accessKey);
    assert.deepEqual(on.problems, []);
  });

  it('makes a key with a budget, shows it once, changes and revokes it', async () => {
    const page = await on.open(asOperator);
    await page.click('#key-new');
    await page.fill('#row-name', 'team b');
    await page.click('#row-save');
    await page.waitForSelector('#row-form .fault, #row-problem:not([hidden])');
    await page.fill('#row-name', 'team-b');
    await page.fill('#row-budget', '0.05');
    await page.selectOption('#row-window', 'day');
    await page.fill('#row-models', 'flux, sdx*');
    assert.deepEqual(await on.faults(), []);
    await page.click('#row-save');
    await page.waitForSelector('#code-dialog[open]');
    const key = await page.inputValue('#code');
    assert.match(key, /^fp-[0-9a-f]+$/);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => /\$0\.00 of \$0\.05 a day/.test(document.querySelector('#keys').textContent));
    await page.waitForSelector('#code-dialog', { state: 'hidden' });
    assert.equal(await page.inputValue('#code'), '');
    assert.ok(!(await page.content()).includes(key));
    // The next text to copy comes with words of its own.
    await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); });
    await page.click('#tab-create');
    await on.choose('flux');
    await page.click('[data-copy=curl]');
    await page.waitForSelector('#code-dialog[open]');
    assert.match(await page.textContent('#code-words'), /may not write to the clipboard/);
    await page.keyboard.press('Escape');
    await page.click('#tab-operate');

    const spend = () => on.ask('/v1/images/generations', { key, method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'paid', n: 2, size: '1024x1024' }) });
    assert.equal((await spend()).status, 200);
    assert.equal((await spend()).status, 429);
    await page.waitForFunction(() => /\$0\.05 of \$0\.05 a day/.test(document.querySelector('#keys').textContent));

    await page.click('[aria-label="Change team-b"]');
    assert.equal(await page.inputValue('#row-models'), 'flux, sdx*');
    await page.fill('#row-budget', '9');
    await page.click('#row-save');
    await page.waitForFunction(() => /of \$9\.00 a day/.test(document.querySelector('#keys').textContent));
    assert.equal((await spend()).status, 200);

    await page.click('[aria-label="Revoke team-b"]');
    await page.click('#sure-yes');
    await page.waitForFunction(() => !/team-b/.test(document.querySelector('#keys').textContent));
    assert.equal((await spend()).status, 401);
    assert.deepEqual(on.problems.filter((problem) => !problem.includes('400')), []);
  });

  it('shows the jobs of all keys, and cancels them', async () => {
    const made = await on.ask('/v1/falproxy/keys', { key: adminKey, method: 'POST', body: JSON.stringify({ name: 'team-c' }) });
    const { key } = await made.json();
    const ids = [];
    for (const [prompt, owner] of [['mine falsim:job_time=60000', accessKey], ['theirs falsim:job_time=60000', key]]) {
      const begun = await begin(prompt, owner);
      assert.equal(begun.status, 202);
      ids.push((await begun.json()).id);
    }
    const page = await on.open(asOperator);
    for (const id of ids) {
      await page.waitForSelector(`[aria-label="Cancel ${id}"]`);
    }
    assert.match(await page.textContent('#jobs'), /team-c/);
    // One list, however many keys there are.
    const asked = [];
    page.on('request', (request) => { if (request.url().includes('key=')) asked.push(new URL(request.url()).search); });
    await page.waitForResponse((response) => response.url().includes('key='));
    assert.deepEqual([...new Set(asked)], ['?limit=100&key=*']);
    await page.selectOption('#jobs-whose', 'team-c');
    await page.waitForFunction(() => document.querySelectorAll('#jobs tbody tr').length === 1);
    await page.waitForSelector(`[aria-label="Cancel ${ids[1]}"]`);
    await page.selectOption('#jobs-whose', '*');
    await page.waitForSelector(`[aria-label="Cancel ${ids[0]}"]`);
    assert.deepEqual(await on.faults(), []);
    await page.click(`[aria-label="Cancel ${ids[1]}"]`);
    await page.waitForSelector(`[aria-label="Cancel ${ids[1]}"]`, { state: 'detached' });
    assert.equal((await (await on.ask(`/v1/falproxy/jobs/${ids[1]}`, { key })).json()).status, 'cancelled');
    assert.equal((await (await on.ask(`/v1/falproxy/jobs/${ids[0]}`)).json()).status, 'in_progress');
    // No access key sees another one's jobs by naming it.
    assert.equal((await on.ask(`/v1/falproxy/jobs/${ids[0]}?key=default`, { key })).status, 404);
    assert.equal((await (await on.ask('/v1/falproxy/jobs?key=default', { key })).json()).data.length, 1);
    await page.click(`[aria-label="Cancel ${ids[0]}"]`);
    await page.waitForSelector(`[aria-label="Cancel ${ids[0]}"]`, { state: 'detached' });
    await on.ask('/v1/falproxy/keys/team-c', { key: adminKey, method: 'DELETE' });
    assert.deepEqual(on.problems, []);
  });

  it('shows what changed in a model’s document, and the documents of its edits', async () => {
    const page = await on.open(asOperator);
    await page.waitForFunction(() => /gpt-image-1, with files/.test(document.querySelector('#documents').textContent));
    assert.equal(await page.locator('#documents details').count(), 0);
    const document = await (await fetch(`${on.servers.fal.FAL_SCHEMA_URL}?endpoint_id=fal-ai/flux/dev`)).json();
    const input = Object.entries(document.components.schemas).find(([name]) => /Input$/.test(name))[1];
    input.properties.mood = { type: 'string', enum: ['calm', 'wild'] };
    input.properties.num_images.maximum = 2;
    const faults = `${on.servers.sim}/_falsim/faults`;
    await fetch(faults, { method: 'POST', body: JSON.stringify([{ name: 'another', step: 'document', endpoint: 'fal-ai/flux/dev', answer: { status: 200, body: JSON.stringify(document) } }]) });
    try {
      // What fal refuses though the document allows it has the document read again.
      await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'falsim:job_invalid' }) });
      await page.waitForSelector('#documents details');
      assert.match(await page.textContent('#documents summary'), /2 changes/);
      await page.click('#documents summary');
      assert.match(await page.textContent('#documents details ul'), /added input 'mood' \(string\).*'num_images': maximum 4 became 2/);
      assert.deepEqual(await on.faults(), []);
    } finally {
      await fetch(faults, { method: 'DELETE' });
    }
    assert.deepEqual(on.problems, []);
  });

  it('shows what was spent by day and by model, and recent errors with their request ids', async () => {
    const refused = await on.ask('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'forbidden falsim:content_policy' }) });
    assert.ok(refused.status >= 400);
    const id = refused.headers.get('x-request-id');
    const page = await on.open(asOperator);
    await page.waitForFunction((wanted) => document.querySelector('#errors').textContent.includes(wanted), id);
    await page.waitForFunction(() => /flux/.test(document.querySelector('#usage').textContent));
    assert.match(await page.textContent('#usage-sum'), /in the last 30 days/);
    assert.match(await page.getAttribute('#usage-sum .chart', 'aria-label'), /\$/);
    await page.click('[data-days="7"]');
    await page.waitForFunction(() => document.querySelectorAll('#usage-sum .chart rect').length === 7);
    // Who comes back sees figures and sums of one moment.
    await page.click('#tab-create');
    let sums = 0;
    page.on('request', (request) => { if (request.url().includes('/falproxy/usage?')) ++sums; });
    await page.click('#tab-operate');
    for (let rounds = 0; rounds < 2; ++rounds) await page.waitForResponse((response) => response.url().includes('/falproxy/jobs?'));
    assert.equal(sums, 2);
    assert.deepEqual(await on.faults(), []);
    assert.deepEqual(on.problems, []);
  });

  it('writes times, money and days as the reader does', async () => {
    const json = (body) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.equal((await on.ask('/v1/images/generations', json({ model: 'flux', prompt: 'ein Fuchs' }))).status, 200);
    await on.ask('/v1/falproxy/keys', { key: adminKey, ...json({ name: 'bis-silvester', budget: '1234.50/month', expires: '2099-12-31' }) });
    const running = await (await begin('langsam falsim:job_time=60000', accessKey)).json();
    const page = await on.open({ ...asOperator, locale: 'de-DE' });
    await page.waitForFunction(() => /bis-silvester/.test(document.querySelector('#keys').textContent) && document.querySelectorAll('#time li').length === 3 && document.querySelector('#usage-sum .sum'));
    assert.match(await page.textContent('#time'), /inference: \d+,\d\d s on average \(\d+\s%\)/);
    assert.match(await page.textContent('#keys'), /bis-silvester.*0,00\s\$ of 1\.234,50\s\$ a month.*until 31\.12\.2099/);
    assert.match(await page.textContent('#usage-sum .sum'), /^\d+,\d{2,4}\s\$$/);
    assert.match(await page.textContent('#usage-sum .axis'), /^\d+\. \p{L}+/u);
    await page.waitForFunction((id) => document.querySelector('#jobs').textContent.includes(id), running.id);
    assert.match(await page.textContent('#jobs'), /in progress, \d+\s%/);
    // None of it as it is in English, or on the wire.
    for (const view of ['#time', '#keys', '#jobs']) assert.doesNotMatch(await page.textContent(view), /\d\.\d\d(?![\d.])|\d%|\d{4}-\d\d|[$]\d/, view);
    await on.ask(`/v1/falproxy/jobs/${running.id}`, { method: 'DELETE' });
    await on.ask('/v1/falproxy/keys/bis-silvester', { key: adminKey, method: 'DELETE' });
    assert.deepEqual(on.problems, []);
  });

  it('serves by keyboard alone, and takes no button away while the tables change', async () => {
    const { id } = await (await begin('by keyboard falsim:job_time=20000', accessKey)).json();
    const page = await on.open(asOperator);
    const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
    await page.waitForSelector(`[aria-label="Cancel ${id}"]`);
    await page.focus('[data-days="30"]');
    await press('Shift+Tab', ' ');
    await page.waitForSelector('[data-days="7"][aria-pressed=true]:focus');
    await page.focus('#key-new');
    await press('Enter');
    await page.waitForSelector('#row-name:focus');
    await page.keyboard.type('by-keyboard');
    await press('Enter');
    await page.waitForSelector('#code-dialog[open]');
    await press('Escape');
    await page.waitForSelector('[aria-label="Revoke by-keyboard"]');
    await page.focus('[aria-label="Change by-keyboard"]');
    await press('Tab', 'Enter');
    await page.waitForSelector('#sure-dialog[open]');
    await press('Enter');
    await page.waitForSelector('[aria-label="Revoke by-keyboard"]', { state: 'detached' });
    // The list is drawn anew as the job goes on.
    const cancel = page.locator(`[aria-label="Cancel ${id}"]`);
    await cancel.focus();
    const before = await page.textContent('#jobs');
    await page.waitForFunction((text) => document.querySelector('#jobs').textContent !== text, before);
    assert.ok(await cancel.evaluate((button) => button === document.activeElement));
    await press('Enter');
    await cancel.waitFor({ state: 'detached' });
    assert.equal((await (await on.ask(`/v1/falproxy/jobs/${id}`)).json()).status, 'cancelled');
    assert.deepEqual(on.problems, []);
  });

  it('shows how many replicas there are, if there are several', async () => {
    const page = await on.open(asOperator);
    const replicas = () => page.locator('#figures div').evaluateAll((all) => all.find((one) => one.querySelector('dt').textContent === 'replicas')?.querySelector('dd').textContent);
    await page.waitForSelector('#figures div');
    assert.equal(await replicas(), undefined);
    await page.route('**/v1/falproxy/status', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...await answer.json(), replicas: 3 } });
    });
    await page.waitForFunction(() => /replicas/.test(document.querySelector('#figures').textContent));
    assert.equal(await replicas(), '3');
  });

  it('asks in one loop, however often the view is shown', async () => {
    const page = await on.open({ admin: adminKey });
    await page.waitForSelector('#empty-kinds button');
    const held = [];
    await page.route('**/v1/falproxy/status', (route) => {
      held.push(route);
      if (held.length >= 3) for (const one of held.splice(0)) one.continue();
    });
    for (const view of ['operate', 'gallery', 'operate', 'create', 'operate']) await page.click(`#tab-${view}`);
    await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4);
    await page.unroute('**/v1/falproxy/status');
    // One at the start of the page, and three at once; then one after the other.
    const times = await (await page.waitForFunction(() => {
      const asked = performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/falproxy/status'));
      return asked.length >= 7 && asked.map(({ startTime }) => startTime);
    })).jsonValue();
    for (let i = 4; i < 7; ++i) assert.ok(times[i] - times[i - 1] >= 2000, times.join());
    assert.deepEqual(on.problems, []);
  });

  it('says why runs cannot be noted', async () => {
    const without = await startServers({ env: { STATE_DIR: '/dev/null/state' } });
    try {
      const page = await on.open({ at: without.url, view: '#operate' });
      await page.waitForFunction(() => document.querySelector('#status-problem').textContent.startsWith('STATE_DIR: '));
      assert.ok(await page.isVisible('#status-problem'));
      assert.deepEqual(await on.faults(), []);
      assert.deepEqual(on.problems, []);
    } finally {
      await without.stop();
    }
  });

  for (const [name, options] of [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['360 px wide', { viewport: { width: 360, height: 740 } }]]) {
    it(`has no serious accessibility fault and no sideways scroll, ${name}`, async () => {
      const page = await on.open({ ...asOperator, ...options });
      await page.waitForFunction(() => document.querySelectorAll('#documents tbody tr').length >= 4 && document.querySelector('#usage-sum .chart') && document.querySelectorAll('#keys tbody tr').length);
      assert.deepEqual(await on.faults(), []);
      assert.ok(await on.sidewaysScroll() <= 0);
      await on.shot(`operate-${name.replaceAll(' ', '-')}`, { fullPage: true });
      assert.deepEqual(on.problems, []);
    });
  }
});

describe('Operate, over a restart of the server', () => {
  const on = onPage({ env: { ADMIN_KEY: adminKey, STATE_DIR: folder() } });

  it('shows what goes on, and what began before, and cancels it', async () => {
    const begun = await on.ask('/v1/images/generations', { method: 'POST', headers: { prefer: 'respond-async', 'content-type': 'application/json' }, body: JSON.stringify({ model: 'flux', prompt: 'slow falsim:job_time=60000' }) });
    const { id } = await begun.json();
    const page = await on.open({ admin: adminKey, view: '#operate' });
    const state = (words) => page.waitForFunction(([job, wanted]) => {
      const row = [...document.querySelectorAll('#jobs tbody tr')].find(({ textContent }) => textContent.includes(job));
      return row?.querySelector('.tag')?.textContent.includes(wanted);
    }, [id, words]);
    await state('in progress');
    assert.doesNotMatch(await page.textContent('#jobs'), /before the restart/);
    await on.servers.restart();
    // The page was not loaded anew: it asks on.
    await state('since before the restart');
    assert.ok(await page.isHidden('#status-problem') && await page.isHidden('#jobs-problem'));
    await page.click(`[aria-label="Cancel ${id}"]`);
    await page.waitForSelector(`[aria-label="Cancel ${id}"]`, { state: 'detached' });
    for (let tries = 0; tries < 200 && !(await on.sim('stats')).cancelled; ++tries) await pause(50);
    assert.equal((await on.sim('stats')).cancelled, 1);
    assert.deepEqual(on.problems.filter((problem) => !/ERR_|Failed to load/.test(problem)), []);
  });
});
