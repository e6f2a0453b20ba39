// page.mjs: the real page of the built server in headless Chromium, with falsim behind it, for the tests of its views.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { accessKey, models, startServers } from '../support/servers.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const shots = process.env.FALPROXY_SHOTS ?? path.join(here, '../../build/screenshots');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// By hand, e.g. SLOW=300: each answer comes about so many milliseconds later. It finds what relies on a near server.
const slow = Number(process.env.SLOW ?? 0);

export const adminKey = 'test-admin-key';
export const allModels = {
  ...models, clip: 'falsim/clip/text-to-video+falsim/clip/image-to-video', announcer: 'falsim/announcer', listener: 'falsim/listener',
};
export const listOf = (list) => Object.entries(list).map(([name, endpoint]) => `${name}:${endpoint}`).join(',');

/** One pixel, so that no file is needed. */
export const picture = { name: 'cat.png', mimeType: 'image/png', buffer: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64') };

/** A folder that is gone after the test. */
export function folder() {
  const made = mkdtempSync(path.join(tmpdir(), 'falproxy-page-'));
  after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Servers and a browser for the tests of one file, within a describe(). `options` as startServers() has them. */
export function onPage(options = {}) {
  const on = { servers: null, browser: null, context: null, page: null, problems: [], paid: [] };

  before(async () => {
    mkdirSync(shots, { recursive: true });
    on.servers = await startServers({ simArgs: ['--job-time', '300'], ...options, env: { SUPPORTED_MODELS: listOf(allModels), ...options.env } });
    on.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        // A name is no secure origin over plain http, as 127.0.0.1 is: it stands for a server in one's own network.
        '--host-resolver-rules=MAP plain.test 127.0.0.1'],
    });
  });
  after(async () => {
    await on.browser?.close();
    await on.servers?.stop();
  });
  afterEach(async () => {
    await on.context?.close();
    on.context = null;
  });

  const watched = (page, at) => {
    page.on('console', (message) => { if (message.type() === 'error') on.problems.push(`console: ${message.text()}`); });
    page.on('pageerror', (error) => on.problems.push(`error: ${error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && !url.href.startsWith(`${at}/`)) on.problems.push(`request to ${url}`);
      if (request.method() === 'POST' && !url.pathname.includes('/falproxy/') && request.headers()['x-falproxy-explain'] !== '1') on.paid.push(url.pathname);
    });
  };

  return Object.assign(on, {
    /** `view`: the hash. */
    async open({ key = accessKey, admin = '', at = on.servers.url, view = '', ...settings } = {}) {
      on.context = await on.browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'], ...settings });
      on.page = await on.context.newPage();
      if (slow) await on.context.route('**/*', async (route) => { await setTimeout(slow * (0.5 + Math.random())); await route.continue().catch(() => {}); });
      on.problems = [];
      on.paid = [];
      watched(on.page, at);
      await on.context.addInitScript(([access, operator, kept]) => {
        if (access && !sessionStorage.getItem(`${kept}.access_key`)) sessionStorage.setItem(`${kept}.access_key`, access);
        if (operator) sessionStorage.setItem(`${kept}.admin_key`, operator);
      }, [key, admin, `falproxy${new URL(at).pathname.replace(/\/$/, '')}`]);
      await on.page.goto(`${at}/${view}`);
      return on.page;
    },
    /** Chooses a model in the browser of models, and waits until the form explains itself. */
    async choose(model) {
      await on.page.click('#model-button');
      await on.page.click(`#model-list [data-model="${model}"]`);
      await on.page.waitForFunction((name) => document.querySelector('#model-name').textContent === name, model);
    },
    explained: (text) => on.page.waitForFunction((wanted) => document.querySelector('#bodies').textContent.includes(wanted), text),
    done: (runs = 1) => on.page.waitForFunction((wanted) => document.querySelectorAll('.run[data-state=done]').length === wanted, runs),
    pictures: (number) => on.page.waitForFunction((wanted) => document.querySelectorAll('#results img').length === wanted, number),
    sim: async (what) => (await fetch(`${on.servers.sim}/_falsim/${what}`)).json(),
    ask: (route, init = {}) => fetch(on.servers.url + route, { ...init, headers: { authorization: `Bearer ${init.key ?? accessKey}`, ...init.headers } }),
    /** What axe-core finds that is serious. */
    async faults() {
      await on.page.evaluate(axeSource);
      const { violations } = await on.page.evaluate(() => globalThis.axe.run());
      return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    },
    sidewaysScroll: () => on.page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    shot: (name, settings) => on.page.screenshot({ path: path.join(shots, `${name}.png`), ...settings }),
    /** A PNG of `size` pixels square, in one colour, with a square of another in it: `hole` '' makes that transparent. */
    async drawn(name, colour, hole = colour, size = 16) {
      const base64 = await on.page.evaluate(([outside, inside, pixels]) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: pixels, height: pixels });
        const pen = canvas.getContext('2d');
        pen.fillStyle = outside;
        pen.fillRect(0, 0, pixels, pixels);
        pen.clearRect(pixels / 4, pixels / 4, pixels / 2, pixels / 2);
        if (inside) pen.fillStyle = inside;
        if (inside) pen.fillRect(pixels / 4, pixels / 4, pixels / 2, pixels / 2);
        return canvas.toDataURL('image/png').split(',')[1];
      }, [colour, hole, size]);
      return { name, mimeType: 'image/png', buffer: Buffer.from(base64, 'base64') };
    },
  });
}
