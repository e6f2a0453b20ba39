// Chats, Responses, OpenRouter's and Azure's addresses, chat models and fal's own API, with the clients that use them.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createFal } from '@ai-sdk/fal';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createFalClient } from '@fal-ai/client';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { OpenRouter } from '@openrouter/sdk';
import { generateImage, generateText, streamText } from 'ai';
import OpenAI, { AzureOpenAI } from 'openai';
import { accessKey, counting, pngSize, start } from './support.mjs';

const prompt = 'a lighthouse';
const env = { LLM_MODELS: 'gpt:openai/gpt-4.1-mini' };
let servers;
before(async () => { servers = await start({ env }); });
after(async () => { await servers?.stop(); });
const base = () => `${servers.url}/v1`;
const openai = (more = {}) => new OpenAI({ apiKey: accessKey, baseURL: base(), ...more });
const isData = (url) => assert.match(url, /^data:image\/(png|jpeg|webp);base64,/);
const isMarkdown = (text) => assert.match(text, /^!\[image\]\(http/);
const jobs = async () => (await servers.stats()).submits;

describe('openai, chat', () => {
  it('gets the picture in both forms', async () => {
    const { choices, usage } = await openai().chat.completions.create({ model: 'flux', messages: [{ role: 'system', content: 'You help.' }, { role: 'user', content: prompt }] });
    isMarkdown(choices[0].message.content);
    isData(choices[0].message.images[0].image_url.url);
    assert.equal(usage.total_tokens, 0);
  });

  it('gets it in a stream, and its helper puts it together', async () => {
    const runner = openai().chat.completions.stream({ model: 'flux', messages: [{ role: 'user', content: `${prompt} falsim:job_time=300` }] });
    const { choices } = await runner.finalChatCompletion();
    isMarkdown(choices[0].message.content);
    assert.equal(choices[0].finish_reason, 'stop');
  });

  it('edits the picture of the answer before', async () => {
    const messages = [{ role: 'user', content: prompt }];
    const first = await openai().chat.completions.create({ model: 'nano', messages });
    messages.push(first.choices[0].message, { role: 'user', content: 'make it blue' });
    await openai().chat.completions.create({ model: 'nano', messages });
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('pays once for a job that fails', async () => {
    for (const stream of [false, true]) {
      const { fetch, calls } = counting();
      const before = await jobs();
      const call = async () => {
        const answer = await openai({ fetch }).chat.completions.create({ model: 'flux', stream, messages: [{ role: 'user', content: `falsim:job_error ${stream}` }] });
        if (stream) for await (const chunk of answer) assert.ok(chunk);
      };
      await assert.rejects(call(), (error) => error.code === 'image_generation_failed');
      assert.equal(calls.length, 1);
      assert.equal(await jobs(), before + 1);
    }
  });

  it('writes with a chat model, plain and streamed, and embeds', async () => {
    const messages = [{ role: 'user', content: 'good morning' }];
    const { choices } = await openai().chat.completions.create({ model: 'gpt', messages });
    assert.equal(choices[0].message.content, 'You said: good morning ');
    let text = '';
    for await (const chunk of await openai().chat.completions.create({ model: 'gpt', messages, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
    assert.equal(text, 'You said: good morning ');
    const { data } = await openai().embeddings.create({ model: 'gpt', input: 'a', encoding_format: 'float' });
    assert.deepEqual(data[0].embedding, [0.25, -0.5]);
  });
});

describe('openai, Responses', () => {
  const tools = [{ type: 'image_generation', model: 'nano', output_format: 'png' }];
  const call = (response) => response.output.find((item) => item.type === 'image_generation_call');

  it('gets the picture, and goes on with it by the id', async () => {
    const first = await openai().responses.create({ model: 'gpt-5', input: prompt, tools });
    assert.ok(pngSize(Buffer.from(call(first).result, 'base64'))[0] > 0);
    assert.equal(first.output_text, '');
    const second = await openai().responses.create({ model: 'gpt-5', input: 'make it blue', previous_response_id: first.id, tools });
    assert.equal(call(second).action, 'edit');
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('reads a stream that its own checks of order take', async () => {
    const stream = openai().responses.stream({ model: 'gpt-5', input: `${prompt} falsim:job_time=300`, tools });
    const seen = [];
    for await (const event of stream) seen.push(event.type);
    const final = await stream.finalResponse();
    assert.ok(call(final).result.length > 100);
    assert.equal(seen[0], 'response.created');
    assert.equal(seen.at(-1), 'response.completed');
  });

  it('hears of a failure in a stream, and pays once', async () => {
    const before = await jobs();
    const stream = openai().responses.stream({ model: 'gpt-5', input: 'falsim:job_error falsim:job_time=300', tools });
    const seen = [];
    try { for await (const event of stream) seen.push(event.type); } catch { /* some versions throw */ }
    assert.ok(seen.includes('response.failed'), String(seen));
    assert.equal(await jobs(), before + 1);
  });

  it('passes a chat model', async () => {
    const response = await openai().responses.create({ model: 'gpt', input: 'good morning' });
    assert.equal(response.output_text, 'You said: good morning ');
    const stream = openai().responses.stream({ model: 'gpt', input: 'good morning' });
    assert.equal((await stream.finalResponse()).output_text, 'You said: good morning ');
  });
});

describe('AzureOpenAI', () => {
  const azure = (deployment) => new AzureOpenAI({ endpoint: servers.url, apiKey: accessKey, apiVersion: '2025-04-01-preview', deployment });

  it('makes and edits pictures, and chats, by the deployment in the address', async () => {
    const { data } = await azure('flux').images.generate({ prompt, response_format: 'b64_json' });
    assert.ok(data[0].b64_json.length > 100);
    const { choices } = await azure('nano').chat.completions.create({ model: 'ignored', messages: [{ role: 'user', content: prompt }] });
    isMarkdown(choices[0].message.content);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana');
    await assert.rejects(azure('nope').images.generate({ prompt }), (error) => error.status === 404 && error.code === 'DeploymentNotFound');
  });
});

describe('AI SDK', () => {
  it('shows Markdown in a chat, generated and streamed', async () => {
    const providers = [createOpenAI({ apiKey: accessKey, baseURL: base() }).chat, createOpenAICompatible({ name: 'falproxy', apiKey: accessKey, baseURL: base() }).chatModel];
    for (const model of providers) {
      isMarkdown((await generateText({ model: model('flux'), prompt })).text);
      isMarkdown(await streamText({ model: model('flux'), prompt: `${prompt} falsim:job_time=200` }).text);
    }
  });

  it('gets a file from Responses, and a second turn by its reference', async () => {
    const provider = createOpenAI({ apiKey: accessKey, baseURL: base() });
    const ask = (messages) => generateText({ model: provider.responses('gpt-5'), messages, tools: { image_generation: provider.tools.imageGeneration({ model: 'nano' }) } });
    const messages = [{ role: 'user', content: prompt }];
    const first = await ask(messages);
    assert.ok(first.staticToolResults[0].output.result.length > 100);
    await ask([...messages, ...first.response.messages, { role: 'user', content: 'make it blue' }]);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('pays once for a job that fails, by chat and by Responses', async () => {
    const provider = createOpenAI({ apiKey: accessKey, baseURL: base() });
    for (const model of [provider.chat('flux'), provider.responses('flux')]) {
      const before = await jobs();
      await assert.rejects(generateText({ model, prompt: `falsim:job_error ${before}` }), (error) => error.statusCode === 400);
      assert.equal(await jobs(), before + 1);
    }
  });

  it('is served by fal.run below /fal/run', async () => {
    const fal = createFal({ apiKey: accessKey, baseURL: `${servers.url}/fal/run` });
    const { image } = await generateImage({ model: fal.image('fal-ai/flux/dev'), prompt, providerOptions: { fal: { syncMode: true } } });
    assert.ok(image.uint8Array.length > 100);
  });
});

describe('OpenRouter', () => {
  it('gets a file from the AI SDK provider, generated and streamed', async () => {
    const model = createOpenRouter({ apiKey: accessKey, baseURL: base() }).chat('flux');
    const { files } = await generateText({ model, prompt });
    assert.match(files[0].mediaType, /^image\//);
    assert.ok(files[0].uint8Array.length > 100);
    const stream = streamText({ model, prompt: `${prompt} falsim:job_time=200` });
    assert.equal((await stream.files).length, 1);
  });

  it('gets pictures from the provider of images', async () => {
    const provider = createOpenRouter({ apiKey: accessKey, baseURL: `${servers.url}/api/v1` });
    const { image } = await generateImage({ model: provider.imageModel('flux'), prompt });
    assert.ok(image.uint8Array.length > 100);
  });

  it('serves its own SDK, which checks every member of a chat', async () => {
    const client = new OpenRouter({ apiKey: accessKey, serverURL: `${servers.url}/api/v1` });
    const answer = await client.chat.send({ chatRequest: { model: 'flux', messages: [{ role: 'user', content: prompt }], modalities: ['image'] } });
    isData(answer.choices[0].message.images[0].imageUrl.url);
  });
});

describe('LangChain', () => {
  it('shows the picture, invoked and streamed, and pays once for a job that fails', async () => {
    const model = new ChatOpenAI({ model: 'flux', apiKey: accessKey, configuration: { baseURL: base() } });
    const { content } = await model.invoke([new HumanMessage(prompt)]);
    assert.ok(JSON.stringify(content).includes('![image](http'));
    let text = '';
    for await (const chunk of await model.stream([new HumanMessage(`${prompt} falsim:job_time=200`)])) text += typeof chunk.content === 'string' ? chunk.content : '';
    isMarkdown(text);
    const before = await jobs();
    await assert.rejects(model.invoke([new HumanMessage('falsim:job_error chain')]));
    assert.equal(await jobs(), before + 1);
  });
});

describe('@fal-ai/client', () => {
  const fal = () => createFalClient({ credentials: accessKey, proxyUrl: { url: `${servers.url}/fal/proxy`, when: 'always' } });

  it('subscribes, and gets the raw output', async () => {
    const seen = [];
    const { data, requestId } = await fal().subscribe('fal-ai/flux/dev', { input: { prompt }, pollInterval: 50, onQueueUpdate: ({ status }) => seen.push(status) });
    assert.equal(data.images.length, 1);
    assert.ok(requestId);
    assert.ok(seen.includes('COMPLETED'));
    const streamed = await fal().subscribe('fal-ai/flux/dev', { input: { prompt }, mode: 'streaming' });
    assert.equal(streamed.data.images.length, 1);
  });

  it('runs, streams, submits and cancels', async () => {
    assert.equal((await fal().run('fal-ai/flux/dev', { input: { prompt } })).data.images.length, 1);
    const { request_id: requestId } = await fal().queue.submit('fal-ai/flux/dev', { input: { prompt: 'falsim:job_time=60000' } });
    assert.match((await fal().queue.status('fal-ai/flux/dev', { requestId })).status, /IN_/);
    await fal().queue.cancel('fal-ai/flux/dev', { requestId });
  });

  it('hears what is wrong, and of endpoints that are not served', async () => {
    await assert.rejects(fal().run('fal-ai/flux/dev', { input: { prompt: 7 } }), (error) => error.status === 422);
    await assert.rejects(fal().run('fal-ai/other', { input: { prompt } }), (error) => error.status === 403);
  });
});
