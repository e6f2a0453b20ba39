// models.js: the models of the server, and the sheet in which one is chosen.

import { call, getJson } from './api.js';
import { ask, byId, button, count, dollars, duration, element, icon } from './dom.js';
import { typicalSeconds } from './store.js';

const mostSamples = 300;
const icons = { image: 'picture', video: 'video', audio: 'sound', text: 'text' };
export const iconOf = (kind) => icons[kind] ?? (kind === 'edit' ? 'brush' : 'spark');
export const kindIcon = (kind) => icon(iconOf(kind));
const kinds = [
  ['', 'All', () => true],
  ['image', 'Pictures', (model) => model.kind === 'image'],
  ['edit', 'Edits', (model) => model.kind === 'image' && model.takesPictures],
  ['video', 'Videos', (model) => model.kind === 'video'],
  ['audio', 'Speech and sound', (model) => model.kind === 'audio'],
  ['text', 'Transcripts', (model) => model.kind === 'text'],
];

let models = [];
let tellLoaded;
const loaded = new Promise((resolve) => { tellLoaded = resolve; });
const described = new Map();

/** What a model makes; undefined: its document is not there yet, or it makes nothing that this page can ask for. */
function kindOf({ makes, category = '' }) {
  if (makes) return makes in icons ? makes : undefined;
  return Object.keys(icons).find((kind) => category.endsWith(`to-${kind}`));
}

function modelOf({ id, falproxy: about }) {
  const takesPictures = Boolean(about.takes_images || about.edit_endpoint);
  return { id, about, kind: kindOf(about), takesPictures, text: [id, about.endpoint, about.edit_endpoint, about.category].join(' ').toLowerCase() };
}

export async function loadModels() {
  models = (await getJson('/v1/models')).data.filter(({ falproxy }) => falproxy).map(modelOf).filter(({ kind }) => kind);
  tellLoaded();
}

export const findModel = (id) => models.find((model) => model.id === id);
export const anyModels = () => models.length > 0;

/** What there are models for: [kind, words]. */
export const kindsThere = () => kinds.filter(([name, , fits]) => name && models.some(fits)).map(([name, words]) => [name, words]);

/** A model with its `inputs`, each as the server describes it. */
export async function describe(id) {
  if (!described.has(id)) {
    const asked = getJson(`/v1/models/${encodeURIComponent(id)}`).then((model) => ({ ...modelOf(model), inputs: model.falproxy.inputs ?? [] }));
    described.set(id, asked);
    asked.catch(() => described.delete(id));
  }
  return described.get(id);
}

export function aboutText({ about }) {
  return [about.category, about.estimate_usd ? `about ${dollars(about.estimate_usd)} each` : about.unit_price_usd ? `${dollars(about.unit_price_usd)} for ${about.unit}` : ''].filter(Boolean).join(' · ');
}

function priceOf({ about }) {
  if (about.estimate_usd) return [dollars(about.estimate_usd), 'each'];
  return about.unit_price_usd ? [dollars(about.unit_price_usd), about.unit] : ['', ''];
}

// Samples: the picture that fal shows of a model, from this server, once it is on the screen

const samples = new Map();  // addresses of the bytes, by model

function sampleOf(id) {
  if (!samples.has(id)) {
    samples.set(id, call(`/v1/falproxy/thumbnails/${encodeURIComponent(id)}`, { cache: 'default' }).then(async (answer) => URL.createObjectURL(await answer.blob())));
    if (samples.size > mostSamples) {
      const [[oldest, address]] = samples;
      samples.delete(oldest);
      address.then((url) => URL.revokeObjectURL(url), () => {});
    }
  }
  return samples.get(id);
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    sampleOf(target.dataset.sample).then((src) => target.replaceChildren(element('img', { src, alt: 'Sample' })), () => { /* the drawing stays */ });
  }
});

function kindOrSample(model) {
  const place = element('span', { className: `kind ${model.kind}` }, kindIcon(model.kind));
  if (model.about.thumbnail) {
    place.dataset.sample = model.id;
    seen.observe(place);
  }
  return place;
}

function row(model, chosen, seconds, choose) {
  const [price, unit] = priceOf(model);
  const made = button('', () => choose(model.id), { className: 'pick', 'data-model': model.id, 'aria-pressed': String(model.id === chosen) });
  made.append(
    kindOrSample(model),
    element('span', { className: 'about' }, element('strong', { textContent: model.id }), element('span', { className: 'hint', textContent: model.about.endpoint ?? '' })),
    element('span', { className: 'cost' }, price, element('span', { className: 'hint', textContent: [unit, seconds ? duration(seconds) : ''].filter(Boolean).join(' · ') })));
  return element('li', {}, made);
}

let choosing = null;

/** Shows the sheet; the id of the model that was chosen, or '' if none was. `only`: a kind of `kinds` to begin with. */
export function chooseModel(chosen, only = '') {
  choosing ??= askForModel(chosen, only).finally(() => { choosing = null; });
  return choosing;
}

async function askForModel(chosen, only) {
  const dialog = byId('model-dialog');
  const search = byId('model-search');
  await loaded;
  const speeds = await typicalSeconds();
  let kind = only;
  const found = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = kinds.find(([name]) => name === kind)[2];
    return models.filter((model) => fits(model) && words.every((word) => model.text.includes(word)));
  };
  const show = () => {
    const shown = found();
    byId('model-count').textContent = `${shown.length} of ${count(models.length, 'model')}`;
    byId('model-list').replaceChildren(...shown.slice(0, 200).map((model) => row(model, chosen, speeds.get(model.id), (id) => dialog.close(id))));
    for (const chip of byId('model-kinds').children) chip.setAttribute('aria-pressed', String(chip.dataset.kind === kind));
  };
  byId('model-kinds').replaceChildren(...[kinds[0], ...kindsThere()].map(([name, words]) => button(words, () => {
    kind = name;
    show();
  }, { className: '', 'data-kind': name })));
  search.value = '';
  search.oninput = show;
  search.onkeydown = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    const [first] = found();
    if (first) dialog.close(first.id);
  };
  show();
  const closed = ask(dialog);
  search.focus();
  const id = await closed;
  return findModel(id) ? id : '';
}
