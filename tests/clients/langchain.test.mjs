// LangChain.js's wrapper of DALL-E.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DallEAPIWrapper } from '@langchain/openai';
import { accessKey, pngSize, start } from './support.mjs';

describe('LangChain.js', () => {
  let servers;
  before(async () => { servers = await start(); });
  after(async () => { await servers?.stop(); });
  const tool = (options = {}) => new DallEAPIWrapper({ apiKey: accessKey, baseUrl: `${servers.url}/v1`, model: 'dall-e-3', ...options });

  it('gets an address', async () => {
    const url = await tool().invoke('a lighthouse');
    assert.match(url, /^http/);
    assert.equal((await fetch(url)).status, 200);
  });

  it('gets base64 where it asks for it', async () => {
    const content = await tool({ dallEResponseFormat: 'b64_json', size: '1024x1024' }).invoke('a lighthouse');
    const text = typeof content === 'string' ? content : content[0].image_url;
    const bytes = Buffer.from(text.replace(/^data:[^,]*,/, ''), 'base64');
    assert.ok(bytes.length > 100);
    if (bytes.subarray(1, 4).toString('latin1') === 'PNG') assert.deepEqual(pngSize(bytes), [1024, 1024]);
  });

  it('gets two, by calls of its own', async () => {
    const pictures = await tool({ n: 2 }).invoke('a lighthouse');
    assert.equal(pictures.length, 2);
  });

  it('hears of a wrong key', async () => {
    await assert.rejects(tool({ apiKey: 'wrong-access-key', maxRetries: 0 }).invoke('a lighthouse'), /401|API key/);
  });
});
