// support.mjs: what the client tests share: the servers, falsim's books, and pictures.

import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { accessKey, startServers } from '../support/servers.mjs';

export { accessKey };

export const models = {
  flux: 'fal-ai/flux/dev+fal-ai/flux/dev/image-to-image',
  'dall-e-3': 'fal-ai/flux/dev',
  'gpt-image-1': 'fal-ai/gpt-image-1/text-to-image+fal-ai/gpt-image-1/edit-image',
  nano: 'fal-ai/nano-banana+fal-ai/nano-banana/edit',
  'fal-ai/fast-sdxl': 'fal-ai/fast-sdxl+fal-ai/fast-sdxl/inpainting',
  'tts-1': 'falsim/storyteller',
  'gpt-4o-mini-tts': 'falsim/announcer',
  'whisper-1': 'falsim/listener',
  'gpt-4o-transcribe': 'falsim/listener',
  'sora-clip': 'falsim/clip/text-to-video+falsim/clip/image-to-video',
};

/** { url, sim, submits(), stats(), stop() }: falproxy with falsim behind it. */
export async function start({ env = {}, simArgs = ['--job-time', '50'] } = {}) {
  const servers = await startServers({
    simArgs,
    env: {
      SUPPORTED_MODELS: Object.entries(models).map(([name, endpoint]) => `${name}:${endpoint}`).join(','),
      MAX_SUBMIT_ATTEMPTS: '1',
      ...env,
    },
  });
  const ask = async (what) => (await fetch(`${servers.sim}/_falsim/${what}`)).json();
  const submits = async () => (await ask('submits')).map((seen) => ({ ...seen, input: JSON.parse(seen.input) }));
  return { ...servers, submits, stats: () => ask('stats') };
}

/** A fetch that counts its calls and keeps what each answer said of trying again. */
export function counting() {
  const calls = [];
  const counted = async (url, init) => {
    const answer = await fetch(url, init);
    calls.push({ status: answer.status, shouldRetry: answer.headers.get('x-should-retry') });
    return answer;
  };
  return { fetch: counted, calls };
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  let crc = ~0;
  for (const byte of body) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(~crc >>> 0, body.length + 4);
  return whole;
}

/** A PNG of one colour; `alpha` 0 is transparent. */
export function png(width, height, alpha = 255) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const row = Buffer.alloc(1 + width * 4);
  for (let x = 0; x < width; ++x) row.set([200, 80, 40, alpha], 1 + x * 4);
  const pixels = deflateSync(Buffer.concat(Array(height).fill(row)));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

/** A WAV of silence: 8 kHz, 16 bit, one channel. */
export function wav(seconds = 0.5) {
  const samples = Math.round(seconds * 8000) * 2;
  const file = Buffer.alloc(44 + samples);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(8000, 24);
  file.writeUInt32LE(16000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples, 40);
  return file;
}

/** Width and height of the PNG in these bytes. */
export function pngSize(bytes) {
  assert.equal(Buffer.from(bytes).subarray(1, 4).toString('latin1'), 'PNG');
  return [Buffer.from(bytes).readUInt32BE(16), Buffer.from(bytes).readUInt32BE(20)];
}

/** Waits until `look()` gives something true; fails after `ms`. */
export async function eventually(look, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) assert.fail(`not within ${ms} ms: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
