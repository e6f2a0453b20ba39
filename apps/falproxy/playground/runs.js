// runs.js: what was asked for, from the request to the files. Each run has a card; a run that is under way is kept in this
// browser, so that the page finds it again.

import { ApiError, call, getJson } from './api.js';
import { button, byId, count, dollars, element, newId, pause, percent, secondsText, wordsOf } from './dom.js';
import { blobFor, blobOf, download, keptFile, showing, titleOf } from './media.js';
import { kindIcon } from './models.js';
import { askFor, endJob, send } from './request.js';
import { dropRun, keepItem, keepItems, keepRun, keptItems, keptRuns } from './store.js';

const mostCards = 24;
const firstPause = 500;
const longestPause = 3000;
const longestUnknown = 7 * 24 * 3600_000;  // no server knows an Idempotency-Key for longer
const notKnown = 'What became of it is not known: no answer came. “Again” asks for the same run, which is not paid twice while the server knows it.';

let acts = {};
let latest = null;  // the run that the form tells of

const over = (run) => ['done', 'failed', 'cancelled'].includes(run.state);
const ratioOf = ({ wish }) => {
  const [width, height] = String(wish.shape ?? wish.size ?? '').split(/[x×:]/).map(Number);
  return width > 0 && height > 0 ? width / height : wish.kind === 'video' ? 16 / 9 : 1;
};

function stateText(run) {
  const seconds = ((run.ended ?? Date.now()) - run.created) / 1000;
  const time = secondsText(seconds);
  if (run.state === 'done') return `${count(run.items.length, { image: 'picture', video: 'video', audio: 'sound', text: 'transcript' }[run.wish.kind] ?? 'file')} · ${time}`;
  if (over(run)) return `${run.state} · ${time}`;
  return `${run.told || 'sent'} · ${time}`;
}

// Cards

function waiting(run) {
  const box = element('div', { className: 'frame wait' });
  box.style.aspectRatio = ['audio', 'text'].includes(run.wish.kind) ? '6' : String(ratioOf(run));
  return element('figure', {}, box, element('figcaption', { className: 'caption' }));
}

function shown(run, item, index) {
  const body = showing(item);
  const size = element('span');
  const shape = () => {
    body.style.aspectRatio = String(item.width ? item.width / item.height : ratioOf(run));
    if (item.width) size.textContent = `${item.width} × ${item.height}`;
  };
  if (item.kind === 'image' || item.kind === 'video') shape();
  // It is the model that has the last word; the next visit knows it from the start.
  const known = ({ target }) => {
    const [width, height] = [target.videoWidth ?? target.naturalWidth, target.videoHeight ?? target.naturalHeight];
    if (!width || (width === item.width && height === item.height)) return;
    Object.assign(item, { width, height });
    shape();
    keepItem(item);
  };
  for (const name of ['load', 'loadedmetadata']) body.addEventListener(name, known, true);
  const words = item.kind === 'image' ? 'picture' : item.kind;
  const tools = element('span', { className: 'buttons' });
  if (item.kind === 'image') tools.append(button(`Edit this ${words}`, () => acts.edit(item), { icon: 'brush', bare: true }));
  if (item.kind === 'image' || item.kind === 'video') tools.append(button(`Open ${words} ${index + 1}`, () => acts.open(item), { icon: 'open', bare: true }));
  tools.append(button(`Download ${words} ${index + 1}`, () => download(item).catch(acts.complain), { icon: 'download', bare: true }));
  return element('li', {}, element('figure', {}, body, element('figcaption', { className: 'caption' }, size, tools)));
}

function actionsOf(run) {
  if (!over(run)) return [button('Cancel', () => cancel(run), { className: 'quiet small', 'data-act': 'cancel' })];
  const again = [button('Again', () => repeat(run), { icon: 'again', className: 'quiet small' })];
  if (run.wish.kind !== 'text') again.push(button('Vary', () => acts.vary(run.wish, run.estimate), { icon: 'vary', className: 'quiet small' }));
  return [...again, button('Reuse', () => acts.use(run.wish), { icon: 'form', className: 'quiet small' }),
    ...(run.state === 'done' ? [] : [button('Dismiss', () => remove(run), { icon: 'close', className: 'quiet small' })])];
}

function draw(run) {
  const { card } = run;
  for (const frame of card.querySelectorAll('.made .frame')) frame.release?.();
  const prompt = titleOf({ prompt: run.wish.prompt, kind: run.wish.kind, model: run.wish.model });
  const head = element('header', {}, element('span', { className: `kind ${run.wish.kind}` }, kindIcon(run.wish.kind)),
    element('div', { className: 'about' }, element('p', { textContent: prompt, title: prompt }), element('span', { className: 'hint', textContent: run.wish.model })));
  run.line = element('span');
  const cost = run.cost ?? run.estimate;
  const price = cost && run.state !== 'failed' && run.state !== 'cancelled' ? `${run.cost ? '' : 'about '}${dollars(cost)}` : '';
  const told = [head, element('div', { className: 'state' }, run.line, element('span', { textContent: price }))];
  const made = run.items.map((item, index) => shown(run, item, index));
  if (!over(run)) {
    run.track = element('span');
    told.push(element('div', { className: 'track', 'aria-hidden': 'true' }, run.track));
    made.push(...Array.from({ length: run.wish.kind === 'image' ? Math.min(run.wish.n || 1, 10) : 1 }, () => element('li', {}, waiting(run))));
  }
  if (run.notes) told.push(element('p', { className: 'hint', textContent: run.notes }));
  const problem = run.error ? element('p', { className: 'problem', role: 'alert', textContent: wordsOf(run.error) }) : null;
  card.replaceChildren(element('div', { className: 'told' }, ...told, element('footer', {}, ...actionsOf(run))), problem ?? element('ul', { className: 'made' }, ...made));
  card.dataset.state = run.state;
  tick(run);
}

function tick(run) {
  const text = stateText(run);
  run.line.textContent = text;
  if (!over(run) && run.track) run.track.style.transform = `scaleX(${Math.max(run.percent ?? 0, 2) / 100})`;
  if (run === latest) byId('progress').textContent = text;
}

function addCard(run) {
  run.card = element('li', { className: 'panel run' });
  run.card.dataset.run = run.id;
  run.items ??= [];
  byId('results').prepend(run.card);
  byId('empty').hidden = true;
  const cards = [...byId('results').children];
  for (const card of cards.slice(mostCards)) if (!['sending', 'waiting'].includes(card.dataset.state)) card.remove();
  draw(run);
  if (over(run)) return;
  const ticker = setInterval(() => {
    tick(run);
    if (over(run)) clearInterval(ticker);
  }, 100);
}

function remove(run) {
  run.card.remove();
  dropRun(run.id);
  byId('empty').hidden = byId('results').childElementCount > 0;
}

// The way of a run

const headerCost = (response) => response.headers.get('x-falproxy-cost-usd');

async function take(run, files, response) {
  const items = files.map((file, index) => ({
    id: `${run.id}-${index}`, run: run.id, created: run.created + index, kind: run.wish.kind, model: run.wish.model, prompt: run.wish.prompt ?? '',
    // The files that it was made of are kept once.
    wish: index ? { ...run.wish, files: undefined, mask: undefined, sound: undefined } : run.wish, seconds: (Date.now() - run.created) / 1000, ...file,
  }));
  run.cost ??= response && headerCost(response);
  const cost = run.cost ?? run.estimate;
  if (cost) for (const item of items) Object.assign(item, { cost: Number(cost) / items.length, estimated: !run.cost });
  run.items = items;
  await keepItems(items);
  await end(run, 'done');
}

async function end(run, state, error) {
  run.state = state;
  run.error = error;
  run.ended = Date.now();
  if (!run.unanswered) await dropRun(run.id);
  draw(run);
  acts.ended(run);
}

async function takeImages(run, answer) {
  run.cost ??= answer.usage?.cost;
  const [width, height] = (answer.size ?? '').split('x').map(Number);
  const files = await Promise.all(answer.data.map(async (picture, index) => {
    const text = picture.b64_json ?? (picture.url.startsWith('data:') ? picture.url : '');
    const place = run.job && { job: run.job, index };
    const media = keptFile(picture.url);
    // What the server has not kept is kept here.
    const blob = text ? blobOf(text) : media || !place ? null : await blobFor(place).catch(() => null);
    if (blob) return { width, height, blob, type: blob.type };
    return { ...place, width, height, media, url: picture.url, type: `image/${/\.(\w+)(?:\?|$)/.exec(picture.url)?.[1]?.replace('jpg', 'jpeg') ?? 'png'}` };
  }));
  await take(run, files);
}

async function takeVideo(run, job) {
  const media = keptFile(job.url);
  if (media) return take(run, [{ media, job: run.job.replace(/^video_/, 'job_'), type: 'video/mp4' }]);
  const blob = await (await call(`/v1/videos/${run.job}/content`)).blob();
  return take(run, [{ blob, type: blob.type }]);
}

const failureOf = ({ error, status }) => Object.assign(new Error(error?.message ?? `The job ended as ${status}.`), { code: error?.code ?? '', param: error?.param ?? '' });

async function follow(run) {
  let pace = firstPause;
  for (;;) {
    let job;
    try {
      job = await askFor(run.job);
    } catch (problem) {
      if (problem instanceof ApiError && problem.status < 500 && problem.status !== 429) throw problem;
      run.told = 'the server does not answer; asking again';
      await pause(longestPause);
      continue;
    }
    run.percent = job.progress;
    run.cost ??= job.cost_usd ?? job.falproxy?.cost_usd;
    if (job.status === 'completed') return job.response ? takeImages(run, job.response) : takeVideo(run, job);
    if (job.status === 'cancelled') return end(run, 'cancelled');
    if (job.status === 'failed') throw failureOf(job);
    run.told = job.status === 'queued'
      ? `queued${job.queue_position === undefined ? '' : `, ${job.queue_position} before it`}`
      : `in progress${job.progress ? `, ${percent(job.progress / 100)}` : ''}`;
    await pause(pace);
    pace = Math.min(pace * 1.3, longestPause);
  }
}

async function start(run) {
  const response = await send(run.wish, { signal: run.stop.signal, headers: { 'idempotency-key': run.id } });
  run.notes = response.headers.get('x-falproxy-notes') ?? '';
  if (run.wish.kind === 'audio') {
    const blob = await response.blob();
    return take(run, [{ blob, type: blob.type }], response);
  }
  if (run.wish.kind === 'text') return take(run, [{ text: (await response.json()).text ?? '', type: 'text/plain' }], response);
  const answer = await response.json();
  if (answer.data) return takeImages(run, answer);
  run.job = answer.id;
  run.state = 'waiting';
  await keepRun(stored(run));
  return follow(run);
}

const stored = ({ id, created, wish, estimate, job, state }) => ({ id, created, wish, estimate, job, state });

async function go(run) {
  run.stop = new AbortController();
  try {
    await (run.job ? follow(run) : start(run));
  } catch (problem) {
    if (problem.name === 'AbortError') return end(run, 'cancelled');
    // Nobody but the server says what became of a request: not a broken connection, and not a proxy before it.
    run.unanswered = !run.job && (problem instanceof ApiError ? problem.status >= 500 && !problem.code : true);
    if (run.unanswered) return end(run, 'failed', new Error(`${problem.message} ${notKnown}`));
    const refused = !run.job && problem instanceof ApiError && [400, 403, 404, 413, 415, 422].includes(problem.status);
    await end(run, 'failed', problem);
    // It goes only if the form says why; else the card does.
    if (refused && acts.failed(run, problem)) remove(run);
  }
  return undefined;
}

async function cancel(run) {
  for (const stop of run.card.querySelectorAll('[data-act=cancel]')) stop.disabled = true;
  run.told = 'cancelling';
  if (!run.job) return run.stop.abort();
  try {
    await endJob(run.job);
  } catch (problem) {
    acts.complain(problem);
  }
  return undefined;
}

/** What was not answered is asked for by its own key, so that what was made meanwhile is found. */
function repeat(run) {
  if (!run.unanswered) return begin({ ...run.wish }, run.estimate);
  run.card.remove();
  return begin(run.wish, run.estimate, run.id);
}

/** Sends the wish, and shows what becomes of it. */
export async function begin(wish, estimate, id = newId()) {
  const run = { id, created: Date.now(), wish, estimate, state: 'sending' };
  latest = run;
  addCard(run);
  run.card.scrollIntoView({ block: 'nearest' });
  await keepRun(stored(run));
  await go(run);
}

/** `handlers`: edit(item), open(item), use(wish), vary(wish, estimate), ended(run), failed(run, problem): whether the form shows it beside a field, complain(problem). */
export async function startRuns(handlers) {
  acts = handlers;
  const kept = await keptRuns();
  const known = new Set(kept.map(({ job }) => job));
  const groups = new Map();
  for (const item of (await keptItems()).slice(0, 60)) groups.set(item.run, [...(groups.get(item.run) ?? []), item]);
  const past = [...groups.values()].slice(0, 6).map((items) => {
    const [first] = items;
    const cost = items.reduce((sum, item) => sum + (item.cost ?? 0), 0);
    return { id: first.run, created: Math.min(...items.map(({ created }) => created)), ended: Math.min(...items.map(({ created }) => created)) + (first.seconds ?? 0) * 1000,
      wish: first.wish ?? { kind: first.kind, model: first.model, prompt: first.prompt }, state: 'done', items: items.reverse(), ...(first.estimated ? { estimate: cost } : { cost }) };
  });
  const found = await jobsElsewhere(known).catch(() => []);
  const going = [...kept, ...found];
  // It is never sent by itself: the server may have forgotten its key, and would be paid again.
  for (const run of kept) {
    if (run.job) continue;
    if (Date.now() - run.created > longestUnknown) dropRun(run.id);
    Object.assign(run, { unanswered: true, state: 'failed', ended: run.created, error: new Error(notKnown) });
  }
  for (const run of [...past, ...going].sort((a, b) => a.created - b.created)) {
    addCard(run);
    if (!over(run)) go(run);
  }
  latest = null;
}

// Jobs of this key that another tab or program has begun.
async function jobsElsewhere(known) {
  const { data } = await getJson('/v1/falproxy/jobs?limit=20');
  return data.filter((job) => ['queued', 'in_progress'].includes(job.status) && /^(images\.|videos$)/.test(job.request))
    .map((job) => ({ ...job, job: job.request === 'videos' ? job.id.replace(/^job_/, 'video_') : job.id }))
    .filter(({ job }) => !known.has(job))
    .map((job) => ({ id: job.id, created: job.created_at * 1000, job: job.job, state: 'waiting',
      wish: { kind: job.request === 'videos' ? 'video' : 'image', model: job.model, prompt: job.prompt ?? '' } }));
}

