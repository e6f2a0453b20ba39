// Programs in which people put steps together: n8n's OpenAI node, and Genkit.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openAICompatible } from '@genkit-ai/compat-oai';
import { openAI } from '@genkit-ai/compat-oai/openai';
import { genkit } from 'genkit';
import { accessKey, png, pngSize, start } from '../clients/support.mjs';
import { listedModels, runNode } from './n8n.mjs';

const prompt = 'a lighthouse';
let servers;
before(async () => { servers = await start({ env: { LLM_MODELS: 'writer:openai/gpt-4.1-mini' } }); });
after(async () => { await servers?.stop(); });
const base = () => `${servers.url}/v1`;
const isMarkdown = (text) => assert.match(String(text), /!\[image\]\(http/);
const jobs = async () => (await servers.stats()).submits;

describe('n8n', () => {
  const message = (model, content, more = {}) => runNode(base(), {
    resource: 'text', operation: 'response', modelId: { mode: 'id', value: model }, responses: { values: [{ role: 'user', type: 'text', content }] },
    hideTools: 'hide', simplify: true, options: {}, ...more,
  });
  const image = (model, words, options = {}) => runNode(base(), { resource: 'image', operation: 'generate', model, prompt: words, options });

  it('shows a picture by *Message a model*, of any model that is named by its id', async () => {
    for (const model of ['flux', 'nano', 'fal-ai/fast-sdxl']) isMarkdown((await message(model, prompt)).json.output[0].content[0].text);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/fast-sdxl');
  });

  it('goes on with a picture by the id of the response', async () => {
    const first = await message('nano', prompt, { simplify: false });
    assert.ok(first.json.output[0].result.length > 100);
    await message('nano', 'make it blue', { options: { previousResponseId: first.json.id } });
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('writes with a chat model by the same node', async () => {
    assert.equal((await message('writer', 'good morning')).json.output[0].content[0].text, 'You said: good morning ');
  });

  it('has a file by *Generate an image*, or an address', async () => {
    for (const model of ['dall-e-3', 'gpt-image-1', 'flux']) {
      const { binary } = await image(model, prompt);
      assert.ok(Buffer.from(binary.data.data, 'base64').length > 100);
    }
    assert.match((await image('dall-e-3', prompt, { returnImageUrls: true })).json.url, /^http/);
  });

  it('has a file by *Edit image*', async () => {
    const { binary } = await runNode(base(), {
      resource: 'image', operation: 'edit', model: 'gpt-image-1', prompt: 'blue', images: { values: [{ binaryPropertyName: 'data' }] }, options: {},
    }, { data: png(64, 64) });
    assert.ok(pngSize(Buffer.from(binary.data.data, 'base64'))[0] > 0);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/gpt-image-1/edit-image');
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await assert.rejects(message('flux', 'falsim:job_error message'));
    await assert.rejects(image('dall-e-3', 'falsim:job_error image'));
    assert.equal(await jobs(), before + 2);
  });

  it('lists every name', async () => {
    assert.ok((await listedModels(base())).includes('flux'));
  });
});

describe('Genkit', () => {
  const chat = () => genkit({ plugins: [openAICompatible({ name: 'falproxy', apiKey: accessKey, baseURL: base() })] });
  const pictures = () => genkit({ plugins: [openAI({ apiKey: accessKey, baseURL: base() })] });

  it('shows the picture of a chat, generated and streamed', async () => {
    const ai = chat();
    isMarkdown((await ai.generate({ model: 'falproxy/flux', prompt })).text);
    const { stream, response } = ai.generateStream({ model: 'falproxy/flux', prompt: `${prompt} falsim:job_time=200` });
    let text = '';
    for await (const chunk of stream) text += chunk.text;
    isMarkdown(text);
    isMarkdown((await response).text);
  });

  it('has media of the names of pictures that it knows', async () => {
    for (const model of ['openai/gpt-image-1', 'openai/dall-e-3']) assert.match((await pictures().generate({ model, prompt })).media.url, /^(data:image\/|http)/);
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await assert.rejects(chat().generate({ model: 'falproxy/flux', prompt: 'falsim:job_error chat' }));
    await assert.rejects(pictures().generate({ model: 'openai/gpt-image-1', prompt: 'falsim:job_error picture' }));
    assert.equal(await jobs(), before + 2);
  });
});
