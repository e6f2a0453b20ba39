// Frameworks and whole programs whose only way to a picture, or to a model, is another door than /v1/images.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openai as llamaOpenAI, openaiResponses } from '@llamaindex/openai';
import { Agent as MastraAgent } from '@mastra/core/agent';
import { Agent, imageGenerationTool, OpenAIProvider, Runner } from '@openai/agents';
import { accessKey, start } from '../clients/support.mjs';

const prompt = 'a lighthouse';
let servers;
before(async () => { servers = await start({ env: { LLM_MODELS: 'writer:openai/gpt-4.1-mini' } }); });
after(async () => { await servers?.stop(); });
const base = () => `${servers.url}/v1`;
const isMarkdown = (text) => assert.match(String(text), /!\[image\]\(http/);
const jobs = async () => (await servers.stats()).submits;

describe('@openai/agents', () => {
  const runner = () => new Runner({ modelProvider: new OpenAIProvider({ apiKey: accessKey, baseURL: base(), useResponses: true }), tracingDisabled: true });
  const agent = () => new Agent({ name: 'painter', instructions: 'You paint.', model: 'gpt-5', tools: [imageGenerationTool({ model: 'nano', outputFormat: 'png' })] });

  it('gets a picture, and edits it in the next turn', async () => {
    const first = await runner().run(agent(), prompt);
    const item = first.newItems.find((one) => one.type === 'tool_call_item').rawItem;
    assert.ok(item.output.length > 100);
    await runner().run(agent(), [...first.history, { role: 'user', content: 'make it blue' }]);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('gets it in a stream', async () => {
    const stream = await runner().run(agent(), `${prompt} falsim:job_time=200`, { stream: true });
    await stream.completed;
    assert.ok(stream.newItems.some((one) => one.type === 'tool_call_item'));
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await assert.rejects(runner().run(agent(), 'falsim:job_error'));
    await assert.rejects(async () => (await runner().run(agent(), 'falsim:job_error falsim:job_time=200', { stream: true })).completed);
    assert.equal(await jobs(), before + 2);
  });
});

describe('LlamaIndex.TS', () => {
  it('shows the picture of a chat, plain and streamed', async () => {
    const llm = llamaOpenAI({ model: 'flux', apiKey: accessKey, baseURL: base() });
    isMarkdown((await llm.chat({ messages: [{ role: 'user', content: prompt }] })).message.content);
    let text = '';
    for await (const chunk of await llm.chat({ messages: [{ role: 'user', content: `${prompt} falsim:job_time=200` }], stream: true })) text += chunk.delta;
    isMarkdown(text);
  });

  it('gets one by Responses', async () => {
    const llm = openaiResponses({ model: 'gpt-5', apiKey: accessKey, baseURL: base(), builtInTools: [{ type: 'image_generation', model: 'nano' }] });
    const { message } = await llm.chat({ messages: [{ role: 'user', content: prompt }] });
    assert.ok(JSON.stringify(message).length > 500);
    assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/nano-banana');
    let pictures = 0;
    for await (const chunk of await llm.chat({ messages: [{ role: 'user', content: `${prompt} falsim:job_time=200` }], stream: true })) pictures += JSON.stringify(chunk).length > 500 ? 1 : 0;
    assert.ok(pictures > 0);
  });

  it('pays once for a job that fails', async () => {
    const chat = llamaOpenAI({ model: 'flux', apiKey: accessKey, baseURL: base() });
    const responses = openaiResponses({ model: 'flux', apiKey: accessKey, baseURL: base() });
    for (const llm of [chat, responses]) {
      const before = await jobs();
      await assert.rejects(llm.chat({ messages: [{ role: 'user', content: `falsim:job_error llama ${before}` }] }));
      assert.equal(await jobs(), before + 1);
    }
  });
});

describe('Mastra', () => {
  it('pays once for a job that fails', async () => {
    const agent = new MastraAgent({ id: 'painter', name: 'painter', instructions: 'You paint.', model: { id: 'falproxy/flux', url: base(), apiKey: accessKey } });
    const before = await jobs();
    await assert.rejects(agent.generate('falsim:job_error mastra'));
    await assert.rejects(async () => (await agent.stream('falsim:job_error falsim:job_time=200 mastra')).text);
    assert.equal(await jobs(), before + 2);
  });

  it('shows the picture of a chat, generated and streamed', async () => {
    const agent = new MastraAgent({ id: 'painter', name: 'painter', instructions: 'You paint.', model: { id: 'falproxy/flux', url: base(), apiKey: accessKey } });
    isMarkdown((await agent.generate(prompt)).text);
    const stream = await agent.stream(`${prompt} falsim:job_time=200`);
    isMarkdown(await stream.text);
  });
});

describe('Codex', () => {
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/.bin/codex');

  async function ask(model, words) {
    const home = mkdtempSync(path.join(tmpdir(), 'falproxy-codex-'));
    try {
      writeFileSync(path.join(home, 'config.toml'), `model = "${model}"\nmodel_provider = "falproxy"\n[model_providers.falproxy]\nname = "falproxy"\nbase_url = "${base()}"\nenv_key = "FALPROXY_KEY"\nwire_api = "responses"\nrequest_max_retries = 3\nstream_max_retries = 3\n`);
      const running = promisify(execFile)(program, ['exec', '--skip-git-repo-check', '--sandbox', 'read-only', words], {
        cwd: home, env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home, FALPROXY_KEY: accessKey }, timeout: 60_000,
      });
      running.child.stdin.end();
      return await running.catch((error) => error);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  }

  it('talks with a chat model', async () => {
    const { stdout } = await ask('writer', 'good morning');
    assert.match(stdout, /You said: .*good morning/);
  });

  it('ends a turn with a picture model, and shows where the picture is', async () => {
    const { stdout } = await ask('flux', prompt);
    isMarkdown(stdout);
    assert.equal((await servers.submits()).at(-1).input.prompt, prompt);
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await ask('flux', 'falsim:job_error');
    assert.equal(await jobs(), before + 1);
  });
});
