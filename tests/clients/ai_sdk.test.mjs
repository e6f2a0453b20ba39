// Vercel's AI SDK, with its OpenAI provider and with the one for servers like OpenAI's.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateImage, generateSpeech, transcribe } from 'ai';
import { accessKey, counting, png, pngSize, start, wav } from './support.mjs';

// Both take only base64 from servers at private addresses. The first asks for it, except in edits; the second never does.
const providers = {
  '@ai-sdk/openai': { create: (options) => createOpenAI({ apiKey: accessKey, ...options }), env: {} },
  '@ai-sdk/openai-compatible': {
    create: (options) => createOpenAICompatible({ name: 'falproxy', apiKey: accessKey, ...options }),
    env: { DEFAULT_RESPONSE_FORMAT: 'b64_json' },
  },
};

for (const [name, { create, env }] of Object.entries(providers)) {
  describe(name, () => {
    let servers;
    before(async () => { servers = await start({ env }); });
    after(async () => { await servers?.stop(); });
    const model = (id, options = {}) => create({ baseURL: `${servers.url}/v1`, ...options }).imageModel(id);

    it('gets a picture of the size that it asked for', async () => {
      const { image } = await generateImage({ model: model('flux'), prompt: 'a lighthouse', size: '640x480', providerOptions: { openai: { outputFormat: 'png' }, falproxy: { output_format: 'png' } } });
      assert.deepEqual(pngSize(image.uint8Array), [640, 480]);
    });

    it('gets three', async () => {
      const { images } = await generateImage({ model: model('flux'), prompt: 'a lighthouse', n: 3 });
      assert.equal(images.length, 3);
      for (const image of images) assert.ok(image.uint8Array.length > 100);
    });

    it('gets one from a gpt-image name, for which it asks no format', async () => {
      const { image } = await generateImage({ model: model('gpt-image-1'), prompt: 'a lighthouse' });
      assert.ok(image.uint8Array.length > 100);
    });

    it('edits a picture', async () => {
      const { image } = await generateImage({ model: model('gpt-image-1'), prompt: { text: 'add a hat', images: [png(32, 32)] } });
      assert.ok(image.uint8Array.length > 100);
      assert.equal((await servers.submits()).at(-1).endpoint, 'fal-ai/gpt-image-1/edit-image');
    });

    it('does not repeat what was refused, nor a job that brought no picture or failed', async () => {
      for (const [prompt, status] of [['falsim:content_policy', 400], ['falsim:no_media', 400], ['falsim:job_error', 400]]) {
        const { fetch, calls } = counting();
        const error = await generateImage({ model: model('flux', { fetch }), prompt }).catch((caught) => caught);
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        assert.equal(error.isRetryable, false);
        assert.equal(calls.length, 1);
      }
    });

    it('hears which field was wrong', async () => {
      const error = await generateImage({ model: model('nope'), prompt: 'a lighthouse' }).catch((caught) => caught);
      assert.ok(APICallError.isInstance(error), String(error));
      assert.match(error.message, /The model 'nope' does not exist/);
    });
  });
}

describe('@ai-sdk/openai, speech and transcripts', () => {
  let servers;
  let openai;
  before(async () => {
    servers = await start();
    openai = createOpenAI({ apiKey: accessKey, baseURL: `${servers.url}/v1` });
  });
  after(async () => { await servers?.stop(); });

  it('speaks, and knows what came', async () => {
    const { audio } = await generateSpeech({ model: openai.speech('gpt-4o-mini-tts'), text: 'Good morning, harbour.', instructions: 'slowly' });
    assert.equal(audio.mediaType, 'audio/mpeg');
    assert.ok(audio.uint8Array.length > 1000);
    assert.deepEqual((await servers.submits()).at(-1).input.prompt, 'slowly');
    const other = await generateSpeech({ model: openai.speech('tts-1'), text: 'Good morning, harbour.', voice: 'alloy' });
    // The model makes WAV alone; it comes as mp3 where sounds are converted.
    const begin = other.audio.mediaType === 'audio/mpeg' ? '\xff' : 'RIFF';
    assert.ok(Buffer.from(other.audio.uint8Array).subarray(0, 4).toString('latin1').startsWith(begin));
    assert.equal((await servers.submits()).at(-1).input.voice, 'af_alloy');
  });

  for (const name of ['whisper-1', 'gpt-4o-transcribe']) {
    it(`listens as ${name}`, async () => {
      const heard = await transcribe({ model: openai.transcription(name), audio: wav() });
      assert.equal(heard.text, 'Good morning, harbour. The lamp is lit.');
      if (name === 'whisper-1') {
        assert.equal(heard.segments.length, 2);
        assert.equal(heard.language, 'en');
        assert.equal(heard.durationInSeconds, 3.2);
      }
    });
  }
});
