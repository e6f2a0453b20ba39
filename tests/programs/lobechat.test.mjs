// LobeChat: its own runtime, and its own words for what it asks beside its users.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { accessKey, png, start } from '../clients/support.mjs';
import { loadLobeChat } from './lobechat.mjs';

const prompt = 'a lighthouse';
let servers, lobe;
before(async () => {
  lobe = await loadLobeChat();
  servers = await start({ env: { CHAT_IMAGES: 'images', LLM_MODELS: 'writer:openai/gpt-4.1-mini' } }); // as docs/clients.md sets it up
});
after(async () => { await servers?.stop(); });
const jobs = async () => (await servers.stats()).submits;
const runtime = () => new lobe.LobeOpenAI({ apiKey: accessKey, baseURL: `${servers.url}/v1` });

/** What its page is told, one by one: { type, data }. */
async function told(payload) {
  const text = await (await runtime().chat({ temperature: 1, top_p: 1, presence_penalty: 0, frequency_penalty: 0, ...payload })).text();
  return [...text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, type, data]) => ({ type, data: JSON.parse(data) }));
}
const chat = (content, more = {}) => told({ model: 'nano', messages: [{ role: 'user', content }], ...more });
const textOf = (events) => events.filter(({ type }) => type === 'text').map(({ data }) => data).join('');

describe('LobeChat', () => {
  it('shows a picture once, and no Markdown beside it', async () => {
    const events = await chat(`${prompt} falsim:job_time=200`);
    const pictures = events.filter(({ type }) => type === 'base64_image');
    assert.equal(pictures.length, 1);
    assert.match(pictures[0].data, /^data:image\//);
    assert.equal(textOf(events), '');
    assert.equal(events.find(({ type }) => type === 'stop')?.data, 'stop');
  });

  it('makes pictures, by the images API and by a chat, and edits them', async () => {
    for (const model of ['flux', 'gpt-image-1', 'dall-e-3', 'nano:image']) assert.match((await runtime().createImage({ model, params: { prompt } })).imageUrl, /^(data:image\/|http)/);
    const imageUrl = `data:image/png;base64,${png(64, 64).toString('base64')}`;
    for (const [model, params] of [['nano:image', { imageUrl }], ['nano', { imageUrls: [imageUrl] }]]) {
      assert.match((await runtime().createImage({ model, params: { prompt: 'blue', ...params } })).imageUrl, /^(data:image\/|http)/);
      assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
    }
  });

  it('writes with a chat model', async () => {
    assert.equal(textOf(await chat('good morning', { model: 'writer' })), 'You said: good morning ');
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await assert.rejects(chat('falsim:job_error lobe', { stream: false }));
    await assert.rejects(chat('falsim:job_error falsim:job_time=200 lobe'));
    for (const model of ['flux', 'nano:image']) await assert.rejects(runtime().createImage({ model, params: { prompt: `falsim:job_error ${model}` } }));
    assert.equal(await jobs(), before + 4);
  });

  it('asks for nothing that costs beside its user', async () => {
    const talk = [{ role: 'user', content: prompt }, { role: 'assistant', content: 'here' }];
    const chores = {
      title: lobe.chainSummaryTitle(talk, 'en-US'),
      history: { ...lobe.chainSummaryHistory(talk), stream: false },
      translation: lobe.chainTranslate(prompt, 'de-DE'),
      language: lobe.chainLangDetect(prompt),
      emoji: lobe.chainPickEmoji('a painter of lighthouses'),
      description: lobe.chainSummaryDescription('You paint lighthouses.', 'en-US'),
      tags: lobe.chainSummaryTags('You paint lighthouses.', 'en-US'),
      name: lobe.chainSummaryAgentName('You paint lighthouses.', 'en-US'),
      'title of pictures': lobe.chainSummaryGenerationTitle([prompt], 'image', 'en-US'),
      'what to look up': { ...lobe.chainRewriteQuery('and at dusk?', [`user: ${prompt}`]), stream: false },
      'part of a document': lobe.chainAbstractChunkText('Lighthouses guide ships.'),
    };
    const before = await jobs();
    for (const [what, chore] of Object.entries(chores)) {
      const events = await told({ model: 'nano', ...chore });
      assert.ok(textOf(events), what);
      assert.equal(await jobs(), before, what);
    }
  });
});
