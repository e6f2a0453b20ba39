// A video of the built server, with falsim behind it, plays in headless Chromium on a page that has nothing but a player.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { accessKey, startServers } from '../support/servers.mjs';

describe('a video', () => {
  let servers;
  let browser;
  let host;

  before(async () => {
    servers = await startServers({
      simArgs: ['--job-time', '50'],
      env: { SUPPORTED_MODELS: 'clip:falsim/clip/text-to-video,tale:falsim/storyteller' },
    });
    host = createServer((_, answer) => { answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>player</title><video muted></video><audio></audio>'); });
    await new Promise((resolve) => { host.listen(0, '127.0.0.1', resolve); });
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--autoplay-policy=no-user-gesture-required'],
    });
  });
  after(async () => {
    await browser?.close();
    host?.close();
    await servers?.stop();
  });

  const ask = async (path, body) => {
    const answer = await fetch(`${servers.url}${path}`, {
      method: body ? 'POST' : 'GET', headers: { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    assert.equal(answer.status, 200);
    return answer.json();
  };
  const openPlayer = async () => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`http://127.0.0.1:${host.address().port}/`);
    return page;
  };

  it('plays, as wide and as high as it was asked for', async () => {
    let video = await ask('/v1/videos', { model: 'clip', prompt: 'waves', seconds: '5', size: '1280x720' });
    while (video.status !== 'completed') {
      assert.notEqual(video.status, 'failed');
      await pause(50);
      video = await ask(`/v1/videos/${video.id}`);
    }
    const page = await openPlayer();
    const seen = await page.evaluate(async ({ url, key }) => {
      const player = document.querySelector('video');
      const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
      player.src = URL.createObjectURL(await answer.blob());
      await player.play();
      while (player.currentTime === 0) await new Promise((resolve) => { player.addEventListener('timeupdate', resolve, { once: true }); });
      return { time: player.currentTime, width: player.videoWidth, height: player.videoHeight, duration: player.duration };
    }, { url: `${servers.url}/v1/videos/${video.id}/content`, key: accessKey });
    assert.ok(seen.time > 0);
    assert.deepEqual([`${seen.width}x${seen.height}`, `${Math.round(seen.duration)}`], ['1280x720', video.seconds]);
    assert.equal(video.size, '1280x720');
  });

  it('is not needed to hear speech, in whatever format it comes', async () => {
    const page = await openPlayer();
    for (const format of [undefined, 'mp3', 'wav']) {
      const seconds = await page.evaluate(async ({ url, key, format: wanted }) => {
        const answer = await fetch(url, {
          method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'tale', input: 'Good morning, harbour.', response_format: wanted }),
        });
        const player = document.querySelector('audio');
        player.src = URL.createObjectURL(await answer.blob());
        await player.play();
        while (player.currentTime === 0) await new Promise((resolve) => { player.addEventListener('timeupdate', resolve, { once: true }); });
        return player.currentTime;
      }, { url: `${servers.url}/v1/audio/speech`, key: accessKey, format });
      assert.ok(seconds > 0, `${format}`);
    }
  });
});
