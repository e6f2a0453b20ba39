// Providers made for other vendors' gateways (Azure, OpenRouter, Together, xAI), fal's own clients and their frameworks, and image
// tools of Responses: each gets a picture, and pays once for a job that fails, whatever it repeats by itself.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createAzure } from '@ai-sdk/azure';
import { createFal } from '@ai-sdk/fal';
import { createOpenAI } from '@ai-sdk/openai';
import { createTogetherAI } from '@ai-sdk/togetherai';
import { createXai } from '@ai-sdk/xai';
import { createFalClient } from '@fal-ai/client';
import { ChatOpenAI, tools as langChainTools } from '@langchain/openai';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { OpenRouter } from '@openrouter/sdk';
import { generateImage as tanstackImage } from '@tanstack/ai';
import { falImage } from '@tanstack/ai-fal';
import { generateImage, generateText, streamText } from 'ai';
import { AzureOpenAI } from 'openai';
import { accessKey, eventually, png, start } from './support.mjs';

const prompt = 'a lighthouse';
let servers;
before(async () => { servers = await start({ env: { LLM_MODELS: 'gpt:openai/gpt-4.1-mini' } }); });
after(async () => { await servers?.stop(); });
const base = () => `${servers.url}/v1`;
const jobs = async () => (await servers.stats()).submits;
const last = async () => (await servers.submits()).at(-1);
const isMarkdown = (text) => assert.match(text, /!\[image\]\(http/);

let number = 0;
/** `ask(prompt)` fails for a job that fails, and fal has seen one. */
async function paysOnce(ask) {
  const before = await jobs();
  await assert.rejects(async () => ask(`falsim:job_error once ${++number}`));
  assert.equal(await jobs(), before + 1);
}

describe('Azure', () => {
  const client = (deployment) => new AzureOpenAI({ endpoint: servers.url, apiKey: accessKey, apiVersion: '2025-04-01-preview', deployment });
  const provider = (more) => createAzure({ baseURL: `${servers.url}/openai`, apiKey: accessKey, ...more });

  it('serves AzureOpenAI also by Responses, embeddings and edits', async () => {
    const { output } = await client('flux').responses.create({ model: 'gpt-5', input: prompt, tools: [{ type: 'image_generation', model: 'nano' }] });
    assert.ok(output.find((item) => item.type === 'image_generation_call').result.length > 100);
    assert.deepEqual((await client('gpt').embeddings.create({ model: 'gpt', input: 'a', encoding_format: 'float' })).data[0].embedding, [0.25, -0.5]);
    await client('nano').images.edit({ prompt: 'blue', image: new File([png(64, 64)], 'a.png', { type: 'image/png' }) });
    assert.equal((await last()).endpoint, 'fal-ai/nano-banana/edit');
    const stream = await client('flux').chat.completions.create({ stream: true, messages: [{ role: 'user', content: `${prompt} falsim:job_time=200` }] });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    isMarkdown(text);
  });

  it('serves @ai-sdk/azure, with deployments in the address and without', async () => {
    for (const more of [{}, { useDeploymentBasedUrls: true }]) {
      const { image } = await generateImage({ model: provider(more).image('gpt-image-1'), prompt });
      assert.ok(image.uint8Array.length > 100);
      isMarkdown((await generateText({ model: provider(more).chat('flux'), prompt })).text);
      isMarkdown(await streamText({ model: provider(more).chat('flux'), prompt: `${prompt} falsim:job_time=200` }).text);
    }
  });

  it('pays once', async () => {
    for (const stream of [false, true]) {
      await paysOnce(async (words) => {
        const answer = await client('flux').chat.completions.create({ messages: [{ role: 'user', content: words }], stream });
        if (stream) for await (const chunk of answer) assert.ok(chunk);
      });
    }
    await paysOnce((words) => generateText({ model: provider({}).chat('flux'), prompt: words }));
    await paysOnce((words) => generateImage({ model: provider({}).image('gpt-image-1'), prompt: words }));
  });
});

describe('OpenRouter', () => {
  const sdk = () => new OpenRouter({ apiKey: accessKey, serverURL: `${servers.url}/api/v1` });
  const chat = (content, more = {}) => sdk().chat.send({ chatRequest: { model: 'flux', messages: [{ role: 'user', content }], ...more } });

  it('reads every chunk of a stream, in which its SDK knows text alone', async () => {
    let text = '';
    for await (const chunk of await chat(`${prompt} falsim:job_time=200`, { stream: true, streamOptions: { includeUsage: true } }))
      text += chunk.choices.map(({ delta }) => delta.content ?? '').join('');
    isMarkdown(text);
  });

  it('makes and lists pictures by its own addresses', async () => {
    const { data } = await sdk().images.generate({ imageGenerationRequest: { model: 'flux', prompt } });
    assert.ok(data[0].b64Json.length > 100);
    assert.ok((await sdk().images.listModels()).data.some(({ id }) => id === 'flux'));
    const seen = [];
    for await (const event of await sdk().images.generate({ imageGenerationRequest: { model: 'flux', prompt: `${prompt} falsim:job_time=200`, stream: true } })) seen.push(event.data ?? event);
    assert.ok(seen.at(-1).b64Json.length > 100, JSON.stringify(seen).slice(0, 400));
  });

  it('takes an aspect ratio and a tier', async () => {
    await chat(prompt, { model: 'nano', imageConfig: { aspect_ratio: '16:9' } });
    assert.equal((await last()).input.aspect_ratio, '16:9');
  });

  it('pays once, though its SDK repeats every 5xx for an hour', async () => {
    await paysOnce((words) => chat(words));
    await paysOnce((words) => sdk().images.generate({ imageGenerationRequest: { model: 'flux', prompt: words } }));
    const provider = createOpenRouter({ apiKey: accessKey, baseURL: `${servers.url}/api/v1` });
    await paysOnce((words) => generateText({ model: provider.chat('flux'), prompt: words }));
    await paysOnce((words) => generateImage({ model: provider.imageModel('flux'), prompt: words }));
  });
});

describe('Together and xAI', () => {
  it('gets base64 by Together\'s word for it', async () => {
    const model = createTogetherAI({ apiKey: accessKey, baseURL: base() }).image('flux');
    assert.ok((await generateImage({ model, prompt })).image.uint8Array.length > 100);
    await paysOnce((words) => generateImage({ model, prompt: words }));
  });

  it('makes the shape that xAI\'s provider asks for by aspect_ratio', async () => {
    const provider = createXai({ apiKey: accessKey, baseURL: base() });
    const { image } = await generateImage({ model: provider.image('nano'), prompt, aspectRatio: '16:9' });
    assert.ok(image.uint8Array.length > 100);
    assert.equal((await last()).input.aspect_ratio, '16:9');
    await generateImage({ model: provider.image('flux'), prompt, aspectRatio: '16:9' });
    assert.ok(JSON.stringify((await last()).input.image_size).length > 2);
    await paysOnce((words) => generateImage({ model: provider.image('flux'), prompt: words, aspectRatio: '16:9' }));
  });
});

describe('Image tools of Responses', () => {
  it('is what LangChain binds, plain and streamed', async () => {
    const model = new ChatOpenAI({ model: 'gpt-5', apiKey: accessKey, useResponsesApi: true, configuration: { baseURL: base() } })
      .bindTools([langChainTools.imageGeneration({ model: 'nano' })]);
    const { additional_kwargs: { tool_outputs: outputs } } = await model.invoke(prompt);
    assert.ok(outputs.find((one) => one.type === 'image_generation_call').result.length > 100);
    let pictures = 0;
    for await (const chunk of await model.stream(`${prompt} falsim:job_time=200`))
      pictures += (chunk.additional_kwargs.tool_outputs ?? []).filter((one) => one.type === 'image_generation_call' && one.result?.length > 100).length;
    assert.equal(pictures, 1);
    await paysOnce((words) => model.invoke(words));
  });

  it('is what the AI SDK streams', async () => {
    const provider = createOpenAI({ apiKey: accessKey, baseURL: base() });
    const ask = (words) => streamText({ model: provider.responses('gpt-5'), prompt: words, tools: { image_generation: provider.tools.imageGeneration({ model: 'nano' }) }, onError: () => {} });
    const results = await ask(`${prompt} falsim:job_time=200`).staticToolResults;
    assert.ok(results[0].output.result.length > 100);
    await paysOnce(async (words) => {
      for await (const part of ask(`${words} falsim:job_time=200`).fullStream) if (part.type === 'error') throw part.error;
    });
  });
});

describe('fal\'s own clients', () => {
  const fal = () => createFalClient({ credentials: accessKey, proxyUrl: { url: `${servers.url}/fal/proxy`, when: 'always' } });

  it('uploads what is in an input, and edits it', async () => {
    const { data } = await fal().subscribe('fal-ai/nano-banana/edit', { input: { prompt: 'blue', image_urls: [new Blob([png(64, 64)], { type: 'image/png' })] }, pollInterval: 50 });
    assert.equal(data.images.length, 1);
    assert.match((await last()).input.image_urls[0], /^http/);
  });

  it('streams what a model streams', async () => {
    const stream = await fal().stream('fal-ai/flux/dev', { input: { prompt } });
    let events = 0;
    for await (const event of stream) events += event ? 1 : 0;
    assert.ok(events > 0);
    assert.equal((await stream.done()).images.length, 1);
  });

  it('pays once', async () => {
    await paysOnce((words) => fal().subscribe('fal-ai/flux/dev', { input: { prompt: words }, pollInterval: 50 }));
    const before = (await servers.stats()).runs;
    const provider = createFal({ apiKey: accessKey, baseURL: `${servers.url}/fal/run` });
    await assert.rejects(generateImage({ model: provider.image('fal-ai/flux/dev'), prompt: 'falsim:job_error run', maxRetries: 0 }));
    assert.equal((await servers.stats()).runs, before + 1);
  });

  it('serves @tanstack/ai-fal, which reads what was billed', async () => {
    const adapter = falImage('fal-ai/flux/dev', { apiKey: accessKey, proxyUrl: { url: `${servers.url}/fal/proxy`, when: 'always' } });
    const result = await tanstackImage({ adapter, prompt });
    assert.match(result.images[0].url, /^http/);
    assert.ok(JSON.stringify(result.usage ?? {}).length > 2, JSON.stringify(result));
    await paysOnce((words) => tanstackImage({ adapter, prompt: words }));
  });

  // By their recorded wire: npm has the one not, and the other is a whole assistant.
  it('leads Python\'s fal_client back here, which follows the addresses of the answer', async () => {
    const headers = { authorization: `Key ${accessKey}`, 'content-type': 'application/json', 'user-agent': 'fal-client/0.9 (python)' };
    const submitted = await (await fetch(`${servers.url}/fal/queue/fal-ai/flux/dev`, { method: 'POST', headers, body: JSON.stringify({ prompt }) })).json();
    for (const address of [submitted.status_url, submitted.response_url, submitted.cancel_url]) assert.ok(address.startsWith(`${servers.url}/fal/queue/`), address);
    await eventually(async () => (await (await fetch(`${submitted.status_url}?logs=false`, { headers })).json()).status === 'COMPLETED');
    const result = await fetch(submitted.response_url, { headers });
    assert.equal((await result.json()).images.length, 1);
  });

  it('serves OpenClaw\'s fal provider below /fal/run', async () => {
    const headers = { authorization: `Key ${accessKey}`, 'content-type': 'application/json' };
    for (const [endpoint, input] of [['fal-ai/flux/dev', { prompt, num_images: 1, image_size: { width: 1024, height: 1024 }, output_format: 'png' }], ['fal-ai/flux/dev/image-to-image', { prompt: 'blue', image_url: `${servers.sim}/files/a.png`, num_images: 1 }]]) {
      const answer = await fetch(`${servers.url}/fal/run/${endpoint}`, { method: 'POST', headers, body: JSON.stringify(input) });
      assert.equal(answer.status, 200);
      assert.match((await answer.json()).images[0].url, /^http/);
    }
    const before = (await servers.stats()).runs;
    const failed = await fetch(`${servers.url}/fal/run/fal-ai/flux/dev`, { method: 'POST', headers, body: JSON.stringify({ prompt: 'falsim:job_error claw' }) });
    assert.ok(failed.status >= 400);
    assert.equal((await servers.stats()).runs, before + 1);
  });

  it('is followed to its end though nobody asks for it', async () => {
    const before = (await servers.stats()).results_fetched;
    await fal().queue.submit('fal-ai/flux/dev', { input: { prompt } });
    await eventually(async () => (await servers.stats()).results_fetched > before);
  });
});
