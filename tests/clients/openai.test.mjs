// The official openai package, its current major and major 4, against the built server.

import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as current from 'openai';
import * as four from 'openai-4';
import { accessKey, counting, eventually, models, png, pngSize, start, wav } from './support.mjs';

for (const [version, sdk] of [['7', current], ['4', four]]) {
  const { OpenAI, toFile } = sdk;

  describe(`openai ${version}`, () => {
    let servers;
    let folder;
    const client = (options = {}) => new OpenAI({ baseURL: `${servers.url}/v1`, apiKey: accessKey, ...options });
    const lastSubmit = async () => (await servers.submits()).at(-1);

    before(async () => {
      servers = await start();
      folder = mkdtempSync(path.join(tmpdir(), 'falproxy-'));
    });
    after(async () => {
      await servers?.stop();
      rmSync(folder, { recursive: true });
    });

    it('lists the models and retrieves one whose name has slashes', async () => {
      const listed = await client().models.list();
      assert.deepEqual(listed.data.map(({ id }) => id).sort(), Object.keys(models).sort());
      for (const model of listed.data) {
        assert.equal(model.object, 'model');
        assert.ok(Number.isInteger(model.created));
        assert.equal(typeof model.owned_by, 'string');
      }
      assert.equal((await client().models.retrieve('fal-ai/fast-sdxl')).id, 'fal-ai/fast-sdxl');
    });

    it('gets an address that serves the picture', async () => {
      const answer = await client().images.generate({ model: 'flux', prompt: 'a lighthouse', size: '1024x768' });
      assert.equal(answer.data.length, 1);
      assert.ok(!('b64_json' in answer.data[0]));
      assert.ok(Math.abs(answer.created - Date.now() / 1000) < 60);
      assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
      const picture = await fetch(answer.data[0].url);
      assert.match(picture.headers.get('content-type'), /^image\//);
      assert.equal(answer.size, '1024x768');
      assert.deepEqual((await lastSubmit()).input.image_size, { width: 1024, height: 768 });
    });

    it('gets base64 of a real picture', async () => {
      const answer = await client().images.generate({ model: 'flux', prompt: 'a lighthouse', size: '640x480', response_format: 'b64_json', output_format: 'png' });
      assert.ok(!('url' in answer.data[0]));
      assert.match(answer.data[0].b64_json, /^[A-Za-z0-9+/]+=*$/);
      assert.deepEqual(pngSize(Buffer.from(answer.data[0].b64_json, 'base64')), [640, 480]);
      assert.equal(answer.output_format, 'png');
    });

    it('gets base64 from a gpt-image name that asked for no format, and an address from a dall-e name', async () => {
      assert.equal(typeof (await client().images.generate({ model: 'gpt-image-1', prompt: 'a lighthouse' })).data[0].b64_json, 'string');
      assert.match((await client().images.generate({ model: 'dall-e-3', prompt: 'a lighthouse' })).data[0].url, /^http/);
    });

    it('gets three pictures in both formats', async () => {
      for (const response_format of ['url', 'b64_json']) {
        const { data } = await client().images.generate({ model: 'flux', prompt: 'a lighthouse', n: 3, response_format });
        assert.equal(data.length, 3);
        for (const picture of data) assert.deepEqual(Object.keys(picture), [response_format]);
      }
    });

    it('takes null for every field that it may omit', async () => {
      const nothing = { n: null, size: null, quality: null, response_format: null, style: null, background: null, user: undefined };
      assert.equal((await client().images.generate({ model: 'flux', prompt: 'a lighthouse', ...nothing })).data.length, 1);
    });

    it('hands native fields through', async () => {
      await client().images.generate({ model: 'flux', prompt: 'a lighthouse', seed: 7, num_inference_steps: 12 });
      const { input } = await lastSubmit();
      assert.equal(input.seed, 7);
      assert.equal(input.num_inference_steps, 12);
    });

    describe('speech', () => {
      const input = 'Good morning, harbour.';
      const speak = (body) => client().audio.speech.create({ model: 'tts-1', voice: 'alloy', input, ...body });

      // A falproxy that is built without libsndfile converts nothing.
      const converts = async () => (await speak({ response_format: 'flac' }).catch((error) => error)).status === 200;

      it('comes in each format that can be made, under its true type', async () => {
        const [mp3, begin] = await converts() ? ['audio/mpeg', '\xff'] : ['audio/wav', 'RIFF'];
        const made = await converts() ? [['tts-1', 'flac', 'audio/flac', 'fLaC'], ['tts-1', 'opus', 'audio/ogg; codecs=opus', 'OggS'], ['gpt-4o-mini-tts', 'flac', 'audio/flac', 'fLaC']] : [];
        for (const [model, response_format, type, begins] of [
          ['tts-1', undefined, mp3, begin], ['tts-1', 'mp3', mp3, begin], ['tts-1', 'wav', 'audio/wav', 'RIFF'], ['tts-1', 'pcm', 'audio/pcm; rate=24000', ''],
          ['gpt-4o-mini-tts', undefined, 'audio/mpeg', '\xff\xfb'], ['gpt-4o-mini-tts', 'mp3', 'audio/mpeg', '\xff\xfb'],
          ['gpt-4o-mini-tts', 'pcm', 'audio/pcm; rate=24000', ''], ['gpt-4o-mini-tts', 'wav', 'audio/wav', 'RIFF'], ...made,
        ]) {
          const answer = await speak({ model, response_format });
          assert.equal(answer.headers.get('content-type'), type, `${model} ${response_format}`);
          const bytes = Buffer.from(await answer.arrayBuffer());
          // Silence takes next to nothing as FLAC.
          assert.ok(bytes.length > (response_format === 'flac' ? 200 : 1000));
          assert.ok(bytes.toString('latin1').startsWith(begins));
          if (response_format === 'pcm') assert.equal(bytes.length, 1466 * 48);
        }
      });

      it('is refused unpaid in the others', async () => {
        const refused = await converts() ? ['aac'] : ['opus', 'aac', 'flac'];
        const { submits } = await servers.stats();
        for (const response_format of refused) {
          const error = await speak({ response_format }).catch((caught) => caught);
          assert.ok(error instanceof sdk.BadRequestError);
          assert.equal(error.param, 'response_format');
          assert.equal(error.code, 'unsupported_value');
        }
        assert.equal((await servers.stats()).submits, submits);
      });

      it('comes in events', async () => {
        const text = await (await speak({ stream_format: 'sse' })).text();
        const events = text.split('\r\n\r\n').filter(Boolean).map((line) => JSON.parse(line.replace(/^data: /, '')));
        assert.equal(events.at(-1).type, 'speech.audio.done');
        assert.equal(events.at(-1).usage.total_tokens, 0);
        const sound = Buffer.concat(events.slice(0, -1).map(({ audio }) => Buffer.from(audio, 'base64')));
        assert.deepEqual(sound, Buffer.from(await (await speak({})).arrayBuffer()));
      });
    });

    describe('transcripts', () => {
      const text = 'Good morning, harbour. The lamp is lit.';
      const file = async () => toFile(wav(), 'blob');
      const hear = async (body) => client().audio.transcriptions.create({ model: 'whisper-1', file: await file(), ...body });

      it('come in each format', async () => {
        assert.equal((await hear({})).text, text);
        assert.equal(await hear({ response_format: 'text' }), `${text}\n`);
        assert.match(await hear({ response_format: 'srt' }), /^1\n00:00:00,000 --> 00:00:01,400\nGood morning, harbour\.\n\n2\n/);
        assert.match(await hear({ response_format: 'vtt' }), /^WEBVTT\n\n00:00:00\.000 --> /);
        const verbose = await hear({ response_format: 'verbose_json', language: 'en' });
        assert.equal(verbose.language, 'english');
        assert.equal(verbose.duration, 3.2);
        for (const segment of verbose.segments) assert.ok(Object.values(segment).every((value) => value !== null));
        assert.equal((await servers.submits()).at(-1).input.language, 'en');
        const words = await hear({ response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] });
        assert.equal(words.words.length, 7);
        assert.equal(words.segments.length, 2);
        assert.equal((await servers.submits()).at(-1).input.chunk_level, 'word');
      });

      it('come with speakers, in events, and translated', async () => {
        const diarized = await hear({ response_format: 'diarized_json' });
        assert.deepEqual(diarized.segments.map(({ speaker }) => speaker), ['A', 'B']);
        if (version !== '4') {
          const deltas = [];
          let done;
          for await (const event of await hear({ stream: true })) {
            if (event.type === 'transcript.text.delta') deltas.push(event.delta);
            if (event.type === 'transcript.text.done') done = event.text;
          }
          assert.equal(deltas.join(''), text);
          assert.equal(done, text);
        }
        assert.equal((await client().audio.translations.create({ model: 'whisper-1', file: await file() })).text, text);
        assert.equal((await servers.submits()).at(-1).input.task, 'translate');
      });

      it('are refused for what is no sound', async () => {
        const error = await hear({ file: await toFile(Buffer.from('hello'), 'a.mp3') }).catch((caught) => caught);
        assert.ok(error instanceof sdk.BadRequestError);
        assert.equal(error.param, 'file');
      });
    });

    describe('errors', () => {
      const cases = [
        ['an unknown model', () => ({ model: 'nope', prompt: 'a lighthouse' }), sdk.BadRequestError, { status: 400, code: 'invalid_value', param: 'model', type: 'image_generation_user_error' }],
        ['a bad size', () => ({ model: 'flux', prompt: 'a lighthouse', size: 'banana' }), sdk.BadRequestError, { status: 400, code: 'invalid_value', param: 'size' }],
        ['a missing prompt', () => ({ model: 'flux' }), sdk.BadRequestError, { status: 400, code: 'missing_required_parameter', param: 'prompt' }],
        ['an n that is text', () => ({ model: 'flux', prompt: 'a lighthouse', n: '2' }), sdk.BadRequestError, { status: 400, code: 'invalid_type', param: 'n' }],
        ['refused content', () => ({ model: 'flux', prompt: 'falsim:content_policy' }), sdk.BadRequestError, { status: 400, code: 'moderation_blocked' }],
        ['refused content of a dall-e name', () => ({ model: 'dall-e-3', prompt: 'falsim:content_policy' }), sdk.BadRequestError, { status: 400, code: 'content_policy_violation' }],
        ['no picture', () => ({ model: 'flux', prompt: 'falsim:no_media' }), sdk.BadRequestError, { status: 400, code: 'no_image_generated' }],
        ['a failed job', () => ({ model: 'flux', prompt: 'falsim:job_error' }), sdk.InternalServerError, { status: 502, code: 'image_generation_failed' }],
      ];
      for (const [name, body, type, want] of cases) {
        it(`${name} is a ${type.name} and costs one request`, async () => {
          const { fetch, calls } = counting();
          const error = await client({ fetch }).images.generate(body()).then(() => assert.fail('no error'), (caught) => caught);
          assert.ok(error instanceof type, String(error));
          for (const [key, value] of Object.entries(want)) assert.equal(error[key], value, key);
          assert.ok(error.requestID ?? error.request_id, 'a request id');
          assert.equal(calls.length, 1);
        });
      }

      it('a failure after the submit says that nobody should try again', async () => {
        const { fetch, calls } = counting();
        await assert.rejects(client({ fetch }).images.generate({ model: 'flux', prompt: 'falsim:job_500' }), sdk.InternalServerError);
        assert.deepEqual(calls.map(({ shouldRetry }) => shouldRetry), ['false']);
      });

      it('a failure before any submit is tried again, three times in all', async () => {
        const { fetch, calls } = counting();
        const error = await client({ fetch }).images.generate({ model: 'flux', prompt: 'falsim:ingress_503' }).catch((caught) => caught);
        assert.ok(error instanceof sdk.InternalServerError);
        assert.equal(error.status, 503);
        assert.deepEqual(calls, Array(3).fill({ status: 503, shouldRetry: null }));
      });

      it('a wrong key is an AuthenticationError', async () => {
        const error = await client({ apiKey: 'wrong-access-key' }).models.list().catch((caught) => caught);
        assert.ok(error instanceof sdk.AuthenticationError);
        assert.equal(error.code, 'invalid_api_key');
        assert.ok(!error.message.includes('wrong-access-key'));
      });

      it('a model that is not there is a NotFoundError', async () => {
        const error = await client().models.retrieve('nope').catch((caught) => caught);
        assert.ok(error instanceof sdk.NotFoundError);
        assert.equal(error.code, 'model_not_found');
      });
    });

    it('gives up at its own time limit, and the job is cancelled', async () => {
      const before = (await servers.stats()).cancelled;
      const error = await client({ timeout: 1000, maxRetries: 0 })
        .images.generate({ model: 'flux', prompt: 'falsim:job_time=60000' }).catch((caught) => caught);
      assert.ok(error instanceof sdk.APIConnectionTimeoutError || error.status === 504, String(error));
      await eventually(async () => (await servers.stats()).cancelled > before);
    });

    it('that is told to stop leaves no job behind', async () => {
      const before = (await servers.stats()).cancelled;
      const stop = new AbortController();
      const call = client().images.generate({ model: 'flux', prompt: 'falsim:job_time=60000 stop' }, { signal: stop.signal });
      setTimeout(() => stop.abort(), 500);
      await assert.rejects(call, sdk.APIUserAbortError);
      await eventually(async () => (await servers.stats()).cancelled > before);
    });

    it('edits one picture', async () => {
      const image = await toFile(png(64, 64), 'cat.png', { type: 'image/png' });
      const { data } = await client().images.edit({ model: 'flux', image, prompt: 'add a hat', response_format: 'b64_json' });
      assert.equal(data.length, 1);
      const { endpoint, input } = await lastSubmit();
      assert.equal(endpoint, 'fal-ai/flux/dev/image-to-image');
      assert.match(input.image_url, /^http/);
    });

    it('edits three pictures, in their order', async () => {
      const image = await Promise.all([1, 2, 3].map((i) => toFile(png(i * 16, 16), `${i}.png`)));
      await client().images.edit({ model: 'nano', image, prompt: 'join them' });
      const { input } = await lastSubmit();
      assert.equal(input.image_urls.length, 3);
      const widths = await Promise.all(input.image_urls.map(async (url) => pngSize(await (await fetch(url)).arrayBuffer())[0]));
      assert.deepEqual(widths, [16, 32, 48]);
    });

    it('edits under a mask, which becomes white where it was transparent', async () => {
      const [image, mask] = await Promise.all([toFile(png(32, 32), 'a.png'), toFile(png(32, 32, 0), 'm.png')]);
      await client().images.edit({ model: 'fal-ai/fast-sdxl', image, mask, prompt: 'a door' });
      const { endpoint, input } = await lastSubmit();
      assert.equal(endpoint, 'fal-ai/fast-sdxl/inpainting');
      const bytes = Buffer.from(await (await fetch(input.mask_url)).arrayBuffer());
      assert.deepEqual(pngSize(bytes), [32, 32]);
      assert.equal(bytes[25], 0, 'a gray picture, without alpha');
    });

    it('uploads a file as a stream, without a length', async () => {
      const file = path.join(folder, 'cat.png');
      writeFileSync(file, png(40, 30));
      await client().images.edit({ model: 'flux', image: createReadStream(file), prompt: 'a lighthouse' });
      const { input } = await lastSubmit();
      assert.deepEqual(pngSize(await (await fetch(input.image_url)).arrayBuffer()), [40, 30]);
    });

    it('makes a variation', async () => {
      const { data } = await client().images.createVariation({ model: 'flux', image: await toFile(png(32, 32), 'a.png'), n: 2 });
      assert.equal(data.length, 2);
    });

    it('refuses a file that is no picture', async () => {
      const image = await toFile(Buffer.from('hello'), 'a.png', { type: 'image/png' });
      const error = await client().images.edit({ model: 'flux', image, prompt: 'a lighthouse' }).catch((caught) => caught);
      assert.ok(error instanceof sdk.BadRequestError);
      assert.equal(error.code, 'unsupported_file_mimetype');
    });

    if (version !== '4') {  // major 4 knows no streams of pictures
      it('streams a generation and an edit', async () => {
        const image = await toFile(png(32, 32), 'a.png');
        const calls = [
          ['image_generation', () => client().images.generate({ model: 'flux', prompt: 'a lighthouse', stream: true, partial_images: 2 })],
          ['image_edit', () => client().images.edit({ model: 'flux', image, prompt: 'a lighthouse', stream: true, partial_images: 2 })],
        ];
        for (const [kind, call] of calls) {
          const events = [];
          for await (const event of await call()) events.push(event);
          const completed = events.filter(({ type }) => type === `${kind}.completed`);
          assert.equal(completed.length, 1);
          assert.equal(events.at(-1), completed[0]);
          for (const key of ['b64_json', 'created_at', 'size', 'quality', 'background', 'output_format', 'usage']) {
            assert.ok(completed[0][key] !== undefined, key);
          }
          assert.ok(Buffer.from(completed[0].b64_json, 'base64').length > 100);
        }
      });

      it('hears of a failure in the middle of a stream', async () => {
        const read = async () => {
          for await (const event of await client().images.generate({ model: 'flux', prompt: 'falsim:job_error', stream: true })) assert.ok(!event.b64_json);
        };
        const error = await read().catch((caught) => caught);
        assert.ok(error instanceof sdk.APIError, String(error));
        assert.equal(error.code, 'image_generation_failed');
      });
    }
  });

  describe(`openai ${version} and a key that fal pushes back on`, () => {
    it('gets a RateLimitError that says when to come back', async () => {
      const servers = await start();
      try {
        const client = new OpenAI({ baseURL: `${servers.url}/v1`, apiKey: accessKey, maxRetries: 0 });
        const error = await client.images.generate({ model: 'flux', prompt: 'falsim:rate_limited_retry_after' }).catch((caught) => caught);
        assert.ok(error instanceof sdk.RateLimitError, String(error));
        assert.equal(error.code, 'rate_limit_exceeded');
        const header = (name) => error.headers.get?.(name) ?? error.headers[name];
        assert.ok(Number(header('retry-after')) >= 1);
        assert.ok(Number(header('retry-after-ms')) >= 1);
        // Its own retries, which obey those headers, bring the picture in the end.
        const patient = new OpenAI({ baseURL: `${servers.url}/v1`, apiKey: accessKey, maxRetries: 5 });
        assert.equal((await patient.images.generate({ model: 'flux', prompt: 'falsim:rate_limited_retry_after*1' })).data.length, 1);
      } finally {
        await servers.stop();
      }
    });
  });
}
