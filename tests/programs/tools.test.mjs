// Programs that draw by themselves: promptfoo, mcp-image and Activepieces.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { accessKey, models, png, pngSize, start } from '../clients/support.mjs';

const prompt = 'a lighthouse';
const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-tools-'));
let servers;
before(async () => {
  servers = await start({
    env: {
      LLM_MODELS: 'writer:openai/gpt-4.1-mini,gpt-5.4-nano:openai/gpt-4.1-mini',
      SUPPORTED_MODELS: [...Object.entries(models).map(([name, endpoint]) => `${name}:${endpoint}`), 'gpt-image-*:fal-ai/nano-banana+fal-ai/nano-banana/edit'].join(','),
    },
  });
});
after(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});
const base = () => `${servers.url}/v1`;
const jobs = async () => (await servers.stats()).submits;
const last = async () => (await servers.submits()).at(-1);

describe('promptfoo', () => {
  let promptfoo;
  before(async () => {
    Object.assign(process.env, { PROMPTFOO_DISABLE_TELEMETRY: '1', PROMPTFOO_DISABLE_UPDATE: '1', PROMPTFOO_INLINE_MEDIA: 'true', PROMPTFOO_CONFIG_DIR: folder, LOG_LEVEL: 'error' });
    promptfoo = (await import('promptfoo')).default;
  });
  const run = async (id, words, config = {}, tests = {}) => {
    const providers = [{ id, config: { apiBaseUrl: base(), apiKey: accessKey, ...config } }];
    const { results } = await promptfoo.evaluate({ providers, prompts: ['{{words}}'], tests: [{ vars: { words }, ...tests }], writeLatestResults: false }, { cache: false, showProgressBar: false });
    assert.equal(results.length, 1);
    return results[0];
  };

  it('is shown a picture by chat, by Responses, and by its provider of images', async () => {
    const markdown = '^!\\[[^\\]]*\\]\\(http';
    for (const [id, value] of [['openai:chat:flux', markdown], ['openai:responses:flux', markdown], ['openai:image:dall-e-3', markdown], ['openai:image:gpt-image-1', '^data:image/']]) {
      const { success, error } = await run(id, prompt, {}, { assert: [{ type: 'regex', value }] });
      assert.ok(success, `${id}: ${error}`);
    }
  });

  it('keeps what the image tool of Responses draws, though it shows no text', async () => {
    const { response } = await run('openai:responses:gpt-5', prompt, { tools: [{ type: 'image_generation', model: 'nano' }] });
    assert.equal(response.output, '');
    assert.ok(response.raw.output.find(({ type }) => type === 'image_generation_call').result.length > 100);
    assert.equal((await last()).endpoint, 'fal-ai/nano-banana');
  });

  it('pays once for a job that fails', async () => {
    for (const id of ['openai:chat:flux', 'openai:responses:flux', 'openai:image:dall-e-3']) {
      const before = await jobs();
      assert.ok((await run(id, `falsim:job_error ${id}`)).error, id);
      assert.equal(await jobs(), before + 1, id);
    }
  });
});

describe('mcp-image', () => {
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/mcp-image/dist/index.js');

  /** Draws as an assistant does: by lines of JSON over the program's input and output. */
  function connect(env) {
    const child = spawn(process.execPath, [program], {
      env: { PATH: process.env.PATH, HOME: folder, IMAGE_PROVIDER: 'openai', OPENAI_BASE_URL: base(), OPENAI_API_KEY: accessKey, IMAGE_OUTPUT_DIR: folder, ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const answer = async (id) => {
      for (;;) {
        const { value, done } = await lines.next();
        assert.ok(!done, 'it ended before it answered');
        const message = JSON.parse(value);
        if (message.id === id) return message.result;
      }
    };
    let id = 0;
    const call = (method, params) => {
      send({ id: ++id, method, params });
      return answer(id);
    };
    const ready = call('initialize', { protocolVersion: '2025-03-26', capabilities: {}, clientInfo: { name: 'test', version: '1' } }).then(() => send({ method: 'notifications/initialized' }));
    return {
      draw: async (parameters) => { await ready; return call('tools/call', { name: 'generate_image', arguments: parameters }); },
      end: () => child.kill(),
    };
  }
  let plain, better;
  before(() => {
    plain = connect({ SKIP_PROMPT_ENHANCEMENT: 'true' });
    better = connect({});
  });
  after(() => { plain?.end(); better?.end(); });
  const fileOf = ({ content, isError }) => {
    assert.ok(!isError, JSON.stringify(content).slice(0, 400));
    return readFileSync(fileURLToPath(JSON.parse(content[0].text).resource.uri));
  };

  it('writes a picture of the shape that was asked for', async () => {
    const [width, height] = pngSize(fileOf(await plain.draw({ prompt, fileName: 'wide.png', aspectRatio: '16:9' })));
    assert.ok(width > height);
    assert.equal((await last()).input.output_format, 'png');
  });

  it('edits a picture', async () => {
    const inputImagePath = path.join(folder, 'input.png');
    writeFileSync(inputImagePath, png(64, 64));
    fileOf(await plain.draw({ prompt: 'blue', fileName: 'blue.png', inputImagePath }));
    assert.equal((await last()).endpoint, 'fal-ai/nano-banana/edit');
  });

  it('has its prompt made better by a chat model', async () => {
    fileOf(await better.draw({ prompt, fileName: 'better.png' }));
    assert.match((await last()).input.prompt, /^You said: /);
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    assert.ok((await plain.draw({ prompt: 'falsim:job_error mcp' })).isError);
    assert.equal(await jobs(), before + 1);
  });
});

describe('Activepieces', () => {
  const { openai } = createRequire(import.meta.url)('@activepieces/piece-openai');
  const auth = () => ({ apiKey: accessKey, baseUrl: base() });
  const run = (propsValue) => openai.getAction('generate_image').run({ auth: auth(), propsValue: { quality: 'standard', resolution: '1024x1024', ...propsValue } });

  it('has an address by *Generate Image*, of any model that an expression names', async () => {
    assert.deepEqual(await openai.auth.validate({ auth: auth() }), { valid: true });
    for (const model of ['dall-e-3', 'flux']) assert.match((await run({ model, prompt })).data[0].url, /^http/);
  });

  it('pays once for a job that fails', async () => {
    const before = await jobs();
    await assert.rejects(run({ model: 'dall-e-3', prompt: 'falsim:job_error pieces' }));
    assert.equal(await jobs(), before + 1);
  });
});
