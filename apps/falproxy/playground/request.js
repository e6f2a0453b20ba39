// request.js: what the form says (a wish) as a request to the server.
//
// A wish: {kind, model, prompt, size, native: [name, value], n, format, quality, own: {}, files: [File], mask, sound}; all but
// the first three may be absent.

import { call, getJson } from './api.js';

let keepsFiles = false;

/** Whether the server keeps files, so that an answer need not bring their bytes. */
export function serverKeepsFiles(value) { keepsFiles = value; }

const setOnly = (members) => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined && value !== '' && value !== null));

function fieldsOf(wish) {
  const own = wish.own ?? {};
  switch (wish.kind) {
    case 'video':
      return { ...setOnly({ model: wish.model, prompt: wish.prompt }), ...own };
    case 'audio':
      return { ...setOnly({ model: wish.model, input: wish.prompt, response_format: wish.format }), ...own };
    case 'text':
      return { ...setOnly({ model: wish.model, prompt: wish.prompt, response_format: 'json' }), ...own };
    default:
      return {
        ...setOnly({ model: wish.model, n: wish.n > 1 ? wish.n : undefined, size: wish.size, output_format: wish.format, quality: wish.quality }),
        prompt: wish.prompt ?? '', ...(wish.native ? { [wish.native[0]]: wish.native[1] } : {}), ...own,
      };
  }
}

/** {path, fields, files: [[name, file]]}: what the request is, for snippets, too. */
export function partsOf(wish) {
  const fields = fieldsOf(wish);
  const files = [];
  if (wish.kind === 'video' && wish.files?.length) files.push(['input_reference', wish.files[0]]);
  if (wish.kind === 'text' && wish.sound) files.push(['file', wish.sound]);
  if (wish.kind === 'image') {
    for (const file of wish.files ?? []) files.push(['image[]', file]);
    if (wish.mask) files.push(['mask', wish.mask]);
  }
  const path = { image: files.length ? '/v1/images/edits' : '/v1/images/generations', video: '/v1/videos', audio: '/v1/audio/speech', text: '/v1/audio/transcriptions' }[wish.kind];
  return { path, fields, files };
}

function formOf(fields, files) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  for (const [name, file] of files) form.append(name, file, file.name ?? `${name}.png`);
  return form;
}

/** Sends it. `headers`: `x-falproxy-explain` makes it a dry run, in which everything but the files is as it will be. */
export function send(wish, { signal, headers = {} } = {}) {
  const { path, fields, files } = partsOf(wish);
  if (wish.kind === 'image') fields.response_format = keepsFiles ? 'url' : 'b64_json';
  const all = { ...(wish.kind === 'image' ? { prefer: 'respond-async' } : {}), ...headers };
  if (files.length || wish.kind === 'text') return call(path, { method: 'POST', signal, headers: all, body: formOf(fields, files) });
  return call(path, { method: 'POST', signal, headers: { ...all, 'content-type': 'application/json' }, body: JSON.stringify(fields) });
}

/** Where a run that has begun is asked for, and ended. */
const jobPath = (job) => (job.startsWith('video_') ? `/v1/videos/${job}` : `/v1/falproxy/jobs/${job}`);
export const askFor = (job, options) => getJson(jobPath(job), options);
/** Videos are ended where all jobs are: to delete one would also forget it. */
export const endJob = (job) => call(`/v1/falproxy/jobs/${job.replace(/^video_/, 'job_')}`, { method: 'DELETE' });
