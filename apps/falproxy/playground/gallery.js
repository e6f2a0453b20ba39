// gallery.js: what this key made: from the server's kept files if it keeps any, and from this browser. However much there is, only
// what is on the screen is in the document.

import { call, getJson } from './api.js';
import { ask, button, byId, count, dollars, element, later, onClick, options, say, secondsText, when, wordsOf } from './dom.js';
import { blobFor, canFetch, download, keptFile, kindOfType, nameOf, showing, titleOf } from './media.js';
import { kindIcon } from './models.js';
import { dropItem, keptItems, wishOf } from './store.js';
import { zipOf } from './zip.js';

const mostShown = 56;
const mostAtOnce = 10;
const pageSize = 100;
const mostPages = 50;
const wordsHeight = 75;
const leastWidth = 200;
const gap = 12;

let keepsFiles = false;
let actions = {};
let items = [];
let cut = false;  // the server keeps more than is listed
let found = [];
const chosen = new Set();
const tiles = new Map();  // of the items in the document: id -> {tile, release}
let grid = { width: 0, columns: 1, height: 1 };

const visible = () => !byId('view-gallery').hidden;

// What there is

function fromServer(file, local) {
  const kind = kindOfType(file.type || 'image');
  return { ...local, id: local?.id ?? `media-${file.id}`, media: keptFile(file.url), kind, type: file.type, created: local?.created ?? file.created_at * 1000,
    model: local?.model ?? file.model, prompt: local?.prompt || file.prompt || '', cost: file.cost_usd === null ? local?.cost : Number(file.cost_usd),
    estimated: file.cost_usd === null && local?.estimated, requestId: file.request_id, bytes: file.size, expires: file.expires_at };
}

async function keptByServer() {
  const files = [];
  let after = '';
  let more = true;
  for (let page = 0; more && page < mostPages; ++page) {
    const { data, has_more: goesOn } = await getJson(`/v1/falproxy/media?limit=${pageSize}${after && `&after=${after}`}`);
    files.push(...data.filter(({ status }) => status !== 'lost'));
    more = goesOn && data.length > 0;
    after = data.at(-1)?.id;
  }
  cut = more;
  return files;
}

async function load() {
  const local = await keptItems();
  if (!keepsFiles) return local;
  const files = await keptByServer();
  const byFile = new Map(local.filter(({ media }) => media).map((item) => [item.media.id, item]));
  const server = files.map((file) => fromServer(file, byFile.get(file.id)));
  return [...server, ...local.filter(({ media }) => !media)].sort((a, b) => b.created - a.created);
}

// What of it is found

function search() {
  const words = byId('gallery-search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = byId('gallery-kind').value;
  const model = byId('gallery-model').value;
  found = items.filter((item) => (!kind || item.kind === kind) && (!model || item.model === model)
    && words.every((word) => `${item.prompt} ${item.model} ${item.text ?? ''}`.toLowerCase().includes(word)));
  const cost = found.reduce((sum, item) => sum + (item.cost ?? 0), 0);
  byId('gallery-count').textContent = found.length ? `${count(found.length, 'file')}${cost ? ` · ${found.some(({ estimated }) => estimated) ? 'about ' : ''}${dollars(cost)}` : ''}${cut ? ' · older files are not listed' : ''}` : '';
  byId('gallery-empty').hidden = found.length > 0;
  byId('gallery-empty-words').textContent = items.length ? 'Nothing fits these filters.' : 'Nothing was made yet.';
  for (const id of [...chosen]) if (!found.some((item) => item.id === id)) chosen.delete(id);
  showChosen();
  lay();
}

const wanted = () => (chosen.size ? found.filter(({ id }) => chosen.has(id)) : found);

function showChosen() {
  byId('gallery-compare').disabled = chosen.size !== 2;
  byId('gallery-delete').disabled = chosen.size === 0;
  const none = !wanted().some(canFetch);
  byId('gallery-zip').disabled = none;
  byId('gallery-zip').title = none && found.length ? 'This page can fetch none of these files.' : '';
  byId('gallery-zip-words').textContent = chosen.size ? `Download ${chosen.size}` : 'Download all';
}

// The grid: rows of one height, of which those near the screen are in the document

function tileOf(item, index) {
  const still = item.kind === 'video' && item.poster ? { ...item, kind: 'image', blob: item.poster } : item;
  const frame = still.kind === 'image' || still.kind === 'text' ? showing(still) : element('span', { className: `frame kind ${item.kind}` }, kindIcon(item.kind));
  if (still !== item) frame.append(kindIcon('video'));
  frame.removeAttribute('tabindex');
  if (item.kind === 'text') frame.removeAttribute('role');
  const tile = element('button', { type: 'button', className: 'tile' }, frame,
    element('span', { className: 'words' }, element('span', { textContent: titleOf(item), 'aria-hidden': String(still.kind === 'image') }),
      element('span', { className: 'hint', textContent: [item.model, item.cost ? `${item.estimated ? 'about ' : ''}${dollars(item.cost)}` : ''].filter(Boolean).join(' · ') })));
  tile.addEventListener('click', () => open(item));
  const box = element('input', { type: 'checkbox', checked: chosen.has(item.id), ariaLabel: `Choose ${titleOf(item)}` });
  box.addEventListener('change', () => {
    if (box.checked) chosen.add(item.id);
    else chosen.delete(item.id);
    showChosen();
  });
  const made = element('li', { 'aria-posinset': index + 1, 'aria-setsize': found.length }, tile, box);
  made.dataset.item = item.id;
  return { tile: made, release: () => frame.release?.() };
}

function draw() {
  if (!visible()) return undefined;
  const space = byId('gallery-space');
  const list = byId('gallery');
  const rows = Math.ceil(found.length / grid.columns);
  const top = -space.getBoundingClientRect().top;
  const fit = Math.max(Math.floor(mostShown / grid.columns), 1);
  const near = Math.min(Math.ceil(innerHeight / grid.height) + 3, fit);
  const first = Math.min(Math.max(Math.floor(top / grid.height) - 1, 0), Math.max(rows - near, 0));
  const shown = found.slice(first * grid.columns, (first + near) * grid.columns);
  const ids = new Set(shown.map(({ id }) => id));
  for (const [id, { tile, release }] of tiles) {
    if (ids.has(id)) continue;
    release();
    tile.remove();
    tiles.delete(id);
  }
  list.style.transform = `translateY(${first * grid.height}px)`;
  let before = null;
  let added = 0;
  for (const [index, item] of shown.entries()) {
    // The others come with the next frame.
    if (!tiles.has(item.id) && ++added > mostAtOnce) return drawSoon();
    if (!tiles.has(item.id)) tiles.set(item.id, tileOf(item, first * grid.columns + index));
    const { tile } = tiles.get(item.id);
    const place = before ? before.nextSibling : list.firstChild;
    if (place !== tile) list.insertBefore(tile, place);
    before = tile;
  }
  return undefined;
}

function lay() {
  const width = byId('gallery-space').clientWidth;
  if (!width) return;
  const columns = Math.max(Math.floor((width + gap) / (leastWidth + gap)), 2);
  const tile = Math.floor((width - gap * (columns - 1)) / columns);
  grid = { width, columns, height: tile + wordsHeight + gap };
  const list = byId('gallery');
  list.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  list.style.gridAutoRows = `${tile + wordsHeight}px`;
  byId('gallery-space').style.height = `${Math.max(Math.ceil(found.length / columns) * grid.height - gap, 0)}px`;
  const { tagName, parentElement } = document.activeElement;
  const held = list.contains(parentElement) && parentElement.dataset.item;
  for (const { release, tile: made } of tiles.values()) {
    release();
    made.remove();
  }
  tiles.clear();
  draw();
  tiles.get(held)?.tile.querySelector(tagName).focus({ preventScroll: true });
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

// One of them, and two

const facts = (item) => [
  ['Made', when(item.created)], ['Model', item.model],
  ['Cost', item.cost ? `${item.estimated ? 'about ' : ''}${dollars(item.cost)}` : 'not known'],
  ['Took', item.seconds ? secondsText(item.seconds) : ''],
  ['Size', item.width ? `${item.width} × ${item.height}` : item.wish?.shape ?? item.wish?.size ?? ''], ['Quality', item.wish?.quality ?? ''],
  ...Object.entries(item.wish?.own ?? {}).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  ['Kept until', item.expires ? when(item.expires * 1000) : ''], ['Request', item.requestId ?? ''],
].filter(([, value]) => value);

function factList(item, other) {
  const others = new Map(other ? facts(other) : []);
  return element('dl', { className: 'facts' }, ...facts(item).flatMap(([name, value]) => [element('dt', { textContent: name }),
    element('dd', { textContent: value, className: other && name !== 'Request' && others.get(name) !== value ? 'differs' : '' })]));
}

async function showViewer(title, ...bodies) {
  byId('viewer-title').textContent = title;
  byId('viewer-body').replaceChildren(...bodies);
  await ask(byId('viewer'));
  for (const frame of byId('viewer-body').querySelectorAll('.frame')) frame.release?.();
  byId('viewer-body').replaceChildren();
}

async function close() { byId('viewer').close(); }

/** Shows an item large, with what can be done with it. */
export async function open(item) {
  const wish = await wishOf(item);
  const act = (words, drawing, what) => button(words, async () => {
    await close();
    await what();
  }, { icon: drawing, className: 'quiet small' });
  const buttons = [button('Download', () => download(item).catch(complain), { icon: 'download', className: 'quiet small' })];
  if (item.kind === 'image') buttons.push(act('Edit this', 'brush', () => actions.edit(item)));
  if (wish) {
    buttons.push(act('Reuse', 'form', () => actions.use(wish)));
    if (item.kind !== 'text') buttons.push(act('Vary', 'vary', () => { location.hash = '#create'; actions.vary(wish); }));
    buttons.push(button('Copy link', () => actions.copyLink(wish), { icon: 'link', className: 'quiet small' }));
  }
  buttons.push(act('Delete', 'bin', () => remove([item])));
  await showViewer(titleOf(item), element('div', { className: 'viewed' }, showing(item),
    element('div', {}, factList(item), element('div', { className: 'buttons' }, ...buttons))));
  // Its tile may have been drawn anew meanwhile.
  tiles.get(item.id)?.tile.firstChild.focus();
}

async function compare() {
  const two = found.filter(({ id }) => chosen.has(id));
  if (two.length !== 2) return;
  await showViewer('Two side by side', element('div', { className: 'compared' }, ...two.map((item, index) => element('div', {},
    showing(item), element('h3', { textContent: titleOf(item) }), factList(item, two[1 - index])))));
}

function complain(problem) {
  if (problem.name !== 'AbortError') say(byId('gallery-problem'), wordsOf(problem));
}

// All of them, and none of them

async function zip() {
  const all = wanted();
  let missing = 0;
  const shown = byId('gallery-zip-words');
  byId('gallery-zip').disabled = true;
  try {
    const files = all.map((item) => ({ name: nameOf(item), time: item.created, read: () => blobFor(item).catch(() => { ++missing; }) }));
    const blob = await zipOf(files, (done) => { shown.textContent = `${done} of ${all.length}`; });
    if (missing < all.length) {
      const url = URL.createObjectURL(blob);
      element('a', { href: url, download: `falproxy-${new Date().toISOString().slice(0, 10)}.zip` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    }
    say(byId('gallery-problem'), missing ? `${count(missing, 'file')} could not be fetched.` : '');
  } catch (problem) {
    complain(problem);
  } finally {
    showChosen();
  }
}

/** 'yes' if the person is sure. */
export function sure(title, words, yes) {
  byId('sure-title').textContent = title;
  byId('sure-words').textContent = words;
  byId('sure-yes').textContent = yes;
  return ask(byId('sure-dialog'));
}

async function remove(unwanted) {
  if (!unwanted.length || await sure(`Delete ${count(unwanted.length, 'file')}?`, 'This cannot be taken back.', 'Delete') !== 'yes') return;
  try {
    for (const item of unwanted) {
      if (item.media) {
        await call(`/v1/falproxy/media/${item.media.id}`, { method: 'DELETE' }).catch((problem) => { if (problem.status !== 404) throw problem; });
      }
      await dropItem(item.id);
      chosen.delete(item.id);
      items = items.filter(({ id }) => id !== item.id);
    }
    say(byId('gallery-problem'), '');
  } catch (problem) {
    complain(problem);
  }
  search();
}

export async function refreshGallery() {
  if (!visible()) return;
  try {
    items = await load();
    say(byId('gallery-problem'), '');
  } catch (problem) {
    complain(problem);
    items = await keptItems();
  }
  const names = [...new Set(items.map(({ model }) => model).filter(Boolean))].sort();
  options(byId('gallery-model'), [['', 'All models'], ...names.map((name) => [name, name])], byId('gallery-model').value);
  search();
}

export function startGallery(handlers, serverKeeps) {
  actions = handlers;
  keepsFiles = serverKeeps;
  const searchSoon = later(120, search);
  for (const id of ['gallery-search', 'gallery-kind', 'gallery-model']) byId(id).addEventListener('input', searchSoon);
  addEventListener('scroll', drawSoon, { passive: true });
  // Its height is lay()'s own doing.
  new ResizeObserver(later(80, () => { if (byId('gallery-space').clientWidth !== grid.width) lay(); })).observe(byId('gallery-space'));
  onClick('gallery-compare', compare);
  onClick('gallery-zip', zip);
  onClick('gallery-delete', () => remove(wanted()));
}

