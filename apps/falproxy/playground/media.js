// media.js: the bytes of what was made, wherever they lie, and how they are shown.

import { base, call, getJson } from './api.js';
import { element } from './dom.js';
import { kindIcon } from './models.js';
import { keepItem } from './store.js';

const endings = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp', 'image/gif': 'gif', 'image/svg+xml': 'svg', 'video/mp4': 'mp4', 'video/webm': 'webm', 'video/quicktime': 'mov', 'audio/mpeg': 'mp3', 'audio/wav': 'wav', 'audio/ogg': 'ogg', 'audio/flac': 'flac', 'audio/aac': 'aac', 'text/plain': 'txt' };
let inBucket = false;
/** The server keeps files in a bucket: this page may not follow its redirect there. */
export function filesLieInBucket(is) { inBucket = is; }
/** Whether this page can have the bytes; else there is a link at most. */
export const canFetch = (item) => Boolean(item.blob || item.text !== undefined || item.job || (item.media && !inBucket));

const bare = (type) => (type ?? '').split(';')[0].trim();

function typeOfBytes(bytes) {
  const starts = (...prefix) => prefix.every((value, index) => bytes[index] === value);
  if (starts(0x89, 0x50)) return 'image/png';
  if (starts(0xff, 0xd8)) return 'image/jpeg';
  if (starts(0x47, 0x49)) return 'image/gif';
  if (starts(0x52, 0x49)) return 'image/webp';
  return 'image/svg+xml';
}

/** `base64`: alone, or at the end of a data: address. */
export function blobOf(text) {
  const base64 = text.slice(text.indexOf(',') + 1);
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: typeOfBytes(bytes) });
}

/** The server's own kept file behind an address, {id, path}; null: the address is another's. */
export function keptFile(url) {
  const found = /\/media\/(([0-9a-f]{32})(?:\.\w+)?(?:\?.*)?)$/.exec(url ?? '');
  return found ? { id: found[2], path: `/media/${found[1]}` } : null;
}

export const kindOfType = (type) => ['image', 'video', 'audio', 'text'].find((kind) => (type ?? '').startsWith(kind)) ?? 'image';

export function nameOf(item) {
  const words = (item.prompt ?? '').toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 40);
  const time = new Date(item.created).toISOString().replace(/[-:]/g, '').slice(0, 15);
  return `${[time, words || item.model, item.id.slice(-4)].join('-').replace(/[^\p{L}\p{N}-]/gu, '-')}.${endings[bare(item.type)] ?? 'bin'}`;
}

/** The file itself. Links that ended are asked for anew. */
export async function blobFor(item, signal) {
  if (item.blob) return item.blob;
  if (item.text !== undefined) return new Blob([item.text], { type: 'text/plain' });
  try {
    if (item.media && !inBucket) return await keptBlob(item, signal);
  } catch (problem) {
    if (problem.name === 'AbortError' || !item.job) throw problem;
  }
  if (!item.job) throw new Error(item.media ? 'This page cannot fetch the file from where it lies.' : 'The file is not kept.');
  return (await call(`/v1/falproxy/jobs/${item.job}/content?index=${item.index ?? 0}`, { signal })).blob();
}

async function keptBlob(item, signal) {
  try {
    return await (await call(item.media.path, { cache: 'default', signal })).blob();
  } catch (problem) {
    if (problem.status !== 403) throw problem;
    const fresh = keptFile((await getJson(`/v1/falproxy/media/${item.media.id}`)).url);
    return (await call(fresh.path, { cache: 'default', signal })).blob();
  }
}

/** An address of the file for this document, until release() is called. */
async function addressOf(item, signal) {
  const url = URL.createObjectURL(await blobFor(item, signal));
  return { url, release: () => URL.revokeObjectURL(url) };
}

/** A small picture of a video, for the gallery. */
async function keepPoster(item, video) {
  if (item.poster || !video.videoWidth) return;
  const canvas = Object.assign(document.createElement('canvas'), { width: 480, height: Math.round(480 * video.videoHeight / video.videoWidth) });
  canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
  item.poster = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/jpeg', 0.8); });
  if (item.poster && item.run) await keepItem(item);
}

export const titleOf = (item) => item.prompt || (item.kind === 'text' && item.text) || `${item.model || 'A file'} without a prompt`;

/** The element that shows an item: a picture, a player or words. It fills itself. `release` of it lets go of the bytes. */
export function showing(item) {
  const frame = element('div', { className: 'frame' });
  if (item.kind === 'text') {
    frame.classList.add('plain');
    frame.tabIndex = 0;
    frame.textContent = item.text ?? '';
    return Object.assign(frame, { release() {} });
  }
  const stop = new AbortController();
  let held;
  addressOf(item, stop.signal).then((address) => {
    held = address;
    if (stop.signal.aborted) return held.release();
    if (item.kind === 'image') {
      frame.prepend(element('img', { alt: titleOf(item), decoding: 'async', src: held.url }));
    } else {
      const player = element(item.kind, { src: held.url, controls: true, preload: 'auto', 'aria-label': titleOf(item) });
      if (item.kind === 'video') player.addEventListener('loadeddata', () => keepPoster(item, player), { once: true });
      frame.replaceChildren(player);
    }
    return undefined;
  }).catch((problem) => {
    if (problem.name === 'AbortError') return;
    const href = /^https?:/.test(item.url) ? item.url : item.media && base + item.media.path;
    frame.replaceChildren(kindIcon(item.kind), href && !frame.closest('button')
      ? element('a', { href, target: '_blank', rel: 'noreferrer', textContent: 'Open the file where it lies' })
      : element('span', { className: 'hint', textContent: problem.message }));
  });
  frame.release = () => {
    stop.abort();
    held?.release();
  };
  return frame;
}

export async function download(item) {
  const { url, release } = await addressOf(item);
  element('a', { href: url, download: nameOf(item) }).click();
  setTimeout(release, 10_000);
}

export const fileOf = async (item) => new File([await blobFor(item)], nameOf(item), { type: bare(item.type) });
