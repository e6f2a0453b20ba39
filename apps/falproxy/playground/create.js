// create.js: the view where a wish is put together, explained, priced and sent.

import { base, keptAs } from './api.js';
import { button, byId, dollars, element, later, onClick, options, say, showCode, toast, wordsOf } from './dom.js';
import { clearFaults, showFault, watchFaults } from './faults.js';
import { buildFields } from './fields.js';
import { hashOf, linkTo, wishIn } from './links.js';
import { fileOf } from './media.js';
import { paint } from './mask.js';
import { aboutText, chooseModel, describe, findModel, iconOf, kindIcon, kindsThere } from './models.js';
import { faultOfMask, shortSound, standIn } from './pictures.js';
import { partsOf, send } from './request.js';
import { begin, startRuns } from './runs.js';
import { snippets } from './snippets.js';

const presets = {
  square_hd: ['Square', '1024×1024'], square: ['Small square', '512×512'], portrait_4_3: ['Portrait 3:4', '768×1024'], portrait_16_9: ['Portrait 9:16', '576×1024'],
  landscape_4_3: ['Landscape 4:3', '1024×768'], landscape_16_9: ['Landscape 16:9', '1024×576'],
};
const words = {
  image: { prompt: 'Prompt', generate: 'Generate', example: 'A lighthouse at dusk, seen from the sea' },
  video: { prompt: 'Prompt', generate: 'Make the video', example: 'Waves break at a lighthouse, slow camera' },
  audio: { prompt: 'What is to be said or heard', generate: 'Make the sound', example: 'The quick brown fox jumps over the lazy dog.' },
  text: { prompt: 'Hints for the transcript', generate: 'Transcribe', example: 'Names and words that are spoken' },
};

let model = null;  // as describe() tells it; null: none is chosen
let own = { read: () => ({}), set() {}, more: 0 };
let files = [];
let mask = null;
let sound = null;
let drawn = null;  // ends when a drawn mask is written, which takes a while if it is large
let maskFault = Promise.resolve('');
let estimate;
let planned = '';  // the size of what would be made, if explain() knows it
let openItem = () => {};
let before = '';  // the form as this tab had it when it was left

const kind = () => model?.kind ?? 'image';
const takesPictures = () => Boolean(model && ['image', 'video'].includes(kind()) && model.takesPictures);
const formatRole = () => model?.inputs.find((field) => field.role === 'format')?.enum ?? [];

// The form for a model

function sizeChoices(about) {
  const choices = [['', 'the model’s own']];
  for (const size of about.sizes ?? []) if (!size.startsWith('auto')) choices.push([`native:image_size:${size}`, presets[size]?.join(' · ') ?? size]);
  for (const ratio of about.ratios ?? []) if (ratio !== 'auto') choices.push([`native:aspect_ratio:${ratio}`, ratio]);
  if (about.free_size) choices.push(['custom', 'exact pixels…']);
  return choices;
}

const fieldOf = (name) => byId('main-fields').querySelector(`[data-field="${name}"]`);

function showModel() {
  const now = kind();
  const about = model?.about ?? {};
  byId('model-name').textContent = model?.id ?? 'Choose a model';
  byId('model-about').textContent = model ? aboutText(model) : 'Nothing is paid before that';
  byId('model-kind').className = `kind ${now}`;
  byId('model-kind').replaceChildren(kindIcon(model ? now : ''));
  byId('prompt-label').textContent = words[now].prompt;
  byId('prompt').placeholder = words[now].example;
  byId('generate-words').textContent = words[now].generate;
  byId('prompt-field').hidden = now === 'text' && !model.inputs.some((field) => field.role === 'text' || field.role === 'guide');
  byId('edit').hidden = !takesPictures();
  byId('images').multiple = now === 'image';
  byId('images-words').textContent = now === 'video' ? 'Add the picture that it begins with' : about.requires_image ? 'Add a picture, which this model needs' : 'Add pictures to edit, or drop them here';
  byId('sound-field').hidden = now !== 'text';
  options(byId('size'), sizeChoices(about), byId('size').value);
  const quality = model?.inputs.find((field) => field.role === 'quality')?.enum ?? [];
  options(byId('quality'), [['', 'default'], ...quality.map((value) => [value, value])], byId('quality').value);
  const formats = now === 'image' ? about.formats ?? [] : now === 'audio' ? formatRole() : [];
  options(byId('format'), [['', 'default'], ...formats.map((name) => [name, name])], byId('format').value);
  fieldOf('size').hidden = now !== 'image' || byId('size').options.length < 2;
  // More than that are several jobs: they may be typed.
  byId('n').max = model?.inputs.find((field) => field.role === 'count')?.max ?? 10;
  fieldOf('n').hidden = !model || now !== 'image';
  fieldOf('output_format').hidden = !formats.length;
  fieldOf('quality').hidden = now !== 'image' || !quality.length;
  byId('main-fields').hidden = ![...byId('main-fields').children].some(({ hidden }) => !hidden);
  showCustomSize();
  own = buildFields(byId('first-fields'), byId('own-fields'), now, model?.inputs ?? []);
  byId('own').hidden = !own.more;
  byId('own-count').textContent = String(own.more || '');
  byId('generate').disabled = false;
  clearFaults(byId('form'));
  say(byId('problem'), '');
  showFiles();
}

function showCustomSize() { byId('custom-size').hidden = byId('size').value !== 'custom' || fieldOf('size').hidden; }

async function use(id) {
  try {
    model = id ? await describe(id) : null;
    showModel();
  } catch (problem) {
    complain(problem);
  }
}

async function pickModel(only = '') {
  const id = await chooseModel(model?.id ?? '', only);
  byId('model-button').focus();
  if (!id || id === model?.id) return Boolean(id);
  await use(id);
  return true;
}

// The wish

/** The wish as the form stands; throws if there is none to make of it. */
function wish() {
  if (!model) throw Object.assign(new Error('Choose a model first.'), { param: 'model' });
  const made = { kind: kind(), model: model.id, prompt: byId('prompt').value, own: own.read() };
  if (byId('prompt-field').hidden) made.prompt = '';
  if (byId('format').value) made.format = byId('format').value;
  if (made.kind === 'text') {
    made.sound = sound;
    return made;
  }
  if (takesPictures()) made.files = files;
  if (made.kind !== 'image') return made;
  made.n = Number(byId('n').value || 1);
  if (byId('quality').value) made.quality = byId('quality').value;
  const size = byId('size').value;
  if (size === 'custom') made.size = `${byId('width').value}x${byId('height').value}`;
  else if (size.startsWith('native:')) {
    const [, name, value] = size.match(/^native:([^:]*):(.*)$/);
    made.native = [name, value];
    made.shape = presets[value]?.[1] ?? value;
  }
  if (mask && made.files?.length) made.mask = mask;
  return made;
}

/** What is missing before it can be sent, and would be paid for. */
function faultOf(made) {
  if (made.kind === 'text' && !made.sound) return ['file', 'Add a recording first.'];
  if (made.kind !== 'text' && !made.prompt && model.inputs.some((field) => field.role === 'text' && field.required)) return ['prompt', 'Say what you want first.'];
  if (model.about.requires_image && takesPictures() && !files.length) return ['image', 'This model needs a picture.'];
  return null;
}

/** Puts a wish into the form. */
async function fillForm(made, { keepFiles = false } = {}) {
  if (!findModel(made.model)) return complain(new Error(`The model “${made.model}” is not offered any more.`));
  if (!keepFiles) {
    files = made.files ? [...made.files] : [];
    mask = made.mask ?? null;
    sound = made.sound ?? null;
  }
  await use(made.model);
  byId('prompt').value = made.prompt ?? '';
  byId('n').value = made.n ?? 1;
  byId('format').value = made.format ?? '';
  byId('quality').value = made.quality ?? '';
  byId('size').value = made.native ? `native:${made.native[0]}:${made.native[1]}` : made.size ? 'custom' : '';
  if (made.size) [byId('width').value, byId('height').value] = made.size.split('x');
  for (const name of ['format', 'quality', 'size']) if (byId(name).selectedIndex < 0) byId(name).value = '';
  own.set(made.own ?? {});
  showCustomSize();
  showMask();
  changed();
  return undefined;
}

// Links and copies

/** What the address says is put into the form; nothing is sent. */
export async function restore(hash) {
  const made = hash.includes('?') ? wishIn(hash) : null;
  if (made) await fillForm(made);
}

async function copyText(text, what, title) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {  // There is no clipboard over plain http.
    showCode(title, 'This page may not write to the clipboard. The text is selected: copy it with Ctrl+C, ⌘C or the menu.', text);
  }
}

// Explain

let explaining = null;
const explainSoon = later(250, explain);
/** The form says something else than before. */
const changed = (from) => {
  if (from !== byId('prompt')) planned = '';
  sessionStorage.setItem(`${keptAs}.form`, model ? hashOf(quietWish()) : '');
  explainSoon();
};
const quietWish = () => { try { return wish(); } catch { return { model: model.id, prompt: byId('prompt').value }; } };

async function explain() {
  explaining?.abort();
  explaining = new AbortController();
  const { signal } = explaining;
  try {
    if (!model) return showExplanation({ refused: 'Choose a model first.', quiet: true });
    const made = wish();
    if (faultOf(made)?.[0] === 'image') return showExplanation({ refused: 'Add a picture first.', quiet: true });
    if (made.kind !== 'text') made.prompt ||= '(your prompt)';
    if (made.files) made.files = await Promise.all(made.files.map((file) => standIn(file)));
    if (made.mask) made.mask = await standIn(made.mask, true);
    if (made.kind === 'text') made.sound = shortSound();
    const answer = await (await send(made, { signal, headers: { 'x-falproxy-explain': '1' } })).json();
    if (!signal.aborted) showExplanation(answer);
  } catch (problem) {
    if (problem.name !== 'AbortError' && !signal.aborted) showExplanation({ refused: problem.message, param: problem.param });
  }
  return undefined;
}

function showExplanation({ refused, param, quiet, mappings = [], notes = [], jobs = [], size, estimate_usd: price }) {
  const code = (value) => element('code', { textContent: typeof value === 'string' ? value : JSON.stringify(value) });
  byId('explain').tBodies[0].replaceChildren(...mappings.map(({ field, property, value, why }) => element('tr', {},
    element('td', {}, field || '—'), element('td', {}, property ? code(property) : 'nothing'),
    element('td', {}, value === undefined || value === null ? '' : code(value)), element('td', {}, why ?? ''))));
  byId('explain-note').className = refused && !quiet ? 'problem' : 'hint';
  for (const id of ['explain', 'bodies']) byId(id).hidden = Boolean(refused);
  byId('explain-note').textContent = refused ? (quiet ? refused : `Refused: ${refused}`) : 'Nothing is paid for this view.';
  byId('explain-state').textContent = refused ? '' : [jobs.length > 1 ? `${jobs.length} jobs` : '', notes.length ? `${notes.length} changed` : ''].filter(Boolean).join(', ');
  byId('notes').replaceChildren(...notes.map((note) => element('li', { textContent: note.field ? `${note.field}: ${note.text}` : note.text })));
  byId('bodies').textContent = jobs.map(({ body }) => JSON.stringify(body, null, 2)).join('\n\n');
  estimate = refused ? undefined : price ?? undefined;
  planned = size ?? '';
  byId('price').className = price ? 'price' : 'price hint';
  byId('price').textContent = refused || !model ? '' : price ? `about ${dollars(price)}` : 'price not known';
  if (refused && !quiet && param) showFault(byId('form'), param, refused);
}

// Sending

/** Whether the form shows it beside the field that it is about. */
function isBesideField(problem) {
  if (!showFault(byId('form'), problem.param, wordsOf(problem))) return false;
  byId('form').querySelector('.fault').scrollIntoView({ block: 'nearest' });
  say(byId('problem'), '');
  return true;
}

export function complain(problem) {
  if (problem.name === 'AbortError') return;
  if (isBesideField(problem)) return;
  say(byId('problem'), wordsOf(problem));
  byId('problem').scrollIntoView({ block: 'nearest' });
}

async function generate() {
  say(byId('problem'), '');
  await drawn;
  try {
    const made = wish();
    const missing = faultOf(made);
    if (missing) throw Object.assign(new Error(missing[1]), { param: missing[0] });
    if (planned) made.shape = planned;
    const fault = made.mask ? await maskFault : '';
    if (fault) throw Object.assign(new Error(fault), { param: 'mask' });
    begin(made, estimate);
  } catch (problem) {
    complain(problem);
    if (!model) byId('model-button').focus();
  }
}

/** The same with another seed, if the model has one; else the model draws one itself. */
async function vary(made, price) {
  let about;
  try { about = await describe(made.model); } catch (problem) { return complain(problem); }
  const seed = about.inputs.find((field) => field.role === 'seed');
  const other = { ...made, own: { ...made.own } };
  if (seed) other.own[seed.name] = Math.floor(Math.random() * Math.min(seed.max ?? 2147483647, 2147483647));
  return begin(other, price);
}

async function editThis(item) {
  try {
    const file = await fileOf(item);
    location.hash = '#create';
    if (!model || kind() !== 'image' || !model.takesPictures) {
      if (item.wish && findModel(item.model)?.takesPictures) await use(item.model);
      else if (!(await pickModel('edit')) || !takesPictures()) return;
    }
    mask = null;
    setFiles([file]);
    byId('edit').scrollIntoView({ block: 'nearest' });
    byId('mask-draw').focus();
  } catch (problem) {
    complain(problem);
  }
}

// Files

let thumbnails = [];

function setFiles(chosen) {
  if (chosen[0] !== files[0]) mask = null;
  files = kind() === 'video' ? chosen.slice(0, 1) : chosen;
  showFiles();
}

function showFiles() {
  for (const url of thumbnails) URL.revokeObjectURL(url);
  thumbnails = files.map((file) => URL.createObjectURL(file));
  byId('image-list').replaceChildren(...files.map((file, index) => element('li', {},
    element('img', { src: thumbnails[index], alt: file.name, width: 80, height: 80 }),
    button(`Remove ${file.name}`, () => setFiles(files.filter((_, other) => other !== index)), { icon: 'close', bare: true }))));
  say(byId('sound-name'), sound ? sound.name : '');
  showMask();
}

function showMask() {
  byId('mask-field').hidden = kind() !== 'image' || !files.length;
  byId('mask-remove').hidden = !mask;
  byId('mask-name').textContent = mask ? 'A mask says what is to change.' : 'A mask can say what is to change.';
  const checked = maskFault = mask ? faultOfMask(mask) : Promise.resolve('');
  checked.then((fault) => { if (checked === maskFault && fault) showFault(byId('form'), 'mask', fault); });
  changed();
}

function setMask(file) {
  mask = file;
  byId('mask-field').dispatchEvent(new Event('input', { bubbles: true }));
  showMask();
}

async function drawMask() {
  try {
    const made = await paint(files[0]);
    if (!made) return;
    if (made.picture) files = [made.picture, ...files.slice(1)];
    if (made.picture && model.about.free_size && made.width <= 14142) {
      byId('size').value = 'custom';
      byId('width').value = made.width;
      byId('height').value = made.height;
      showCustomSize();
    }
    mask = made.mask;
    showFiles();
  } catch (problem) {
    complain(problem);
  }
}

function watchDrops(place, take) {
  for (const name of ['dragenter', 'dragover']) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.add('over');
    });
  }
  for (const name of ['dragleave', 'drop']) place.addEventListener(name, () => place.classList.remove('over'));
  place.addEventListener('drop', (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}

function watchFiles() {
  byId('images').addEventListener('change', () => {
    const chosen = [...byId('images').files];
    byId('images').value = '';
    setFiles([...files, ...chosen]);
  });
  byId('mask').addEventListener('change', () => {
    setMask(byId('mask').files[0] ?? null);
    byId('mask').value = '';
  });
  onClick('mask-remove', () => setMask(null));
  onClick('mask-draw', () => { drawn = drawMask(); });
  byId('sound').addEventListener('change', () => {
    sound = byId('sound').files[0] ?? sound;
    showFiles();
  });
  watchDrops(byId('edit'), (dropped) => setFiles([...files, ...dropped.filter(({ type }) => type.startsWith('image/'))]));
  watchDrops(byId('sound-field'), ([first]) => {
    sound = first ?? sound;
    showFiles();
  });
}

function watchForm() {
  const form = byId('form');
  watchFaults(form);
  onClick('model-button', () => pickModel());
  form.addEventListener('input', ({ target }) => {
    showCustomSize();
    say(byId('problem'), '');
    changed(target);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    generate();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    if (event.ctrlKey || event.metaKey) form.requestSubmit();
    // A browser takes Enter in any line for the form's button, and that one pays.
    else if (event.target.tagName === 'INPUT' && event.target.type !== 'file') event.preventDefault();
  });
  for (const one of document.querySelectorAll('[data-copy]')) {
    one.addEventListener('click', () => {
      try { copyText(snippets[one.dataset.copy](partsOf(wish()), base), one.textContent, 'The request as code'); } catch (problem) { complain(problem); }
    });
  }
  onClick('copy-link', () => {
    try { copyText(linkTo(hashOf(wish())), 'Link', 'A link to this form'); } catch (problem) { complain(problem); }
  });
}

/** What the gallery may ask of this view. */
export const actions = {
  edit: editThis,
  async use(made) {
    location.hash = '#create';
    await fillForm(made);
    byId('prompt').focus();
  },
  vary,
  again: (made) => begin({ ...made }, undefined),
  copyLink: (made) => copyText(linkTo(hashOf(made)), 'Link', 'A link to this form'),
};

/** From the page’s first moment on, so that no click is lost while the models are asked for. */
export function watchCreate() {
  before = sessionStorage.getItem(`${keptAs}.form`);
  watchForm();
  watchFiles();
}

/** `open`: shows an item large; `ended`: a run has brought something. */
export async function startCreate({ open, ended }) {
  openItem = open;
  showModel();
  byId('empty-kinds').replaceChildren(...kindsThere().map(([name, shown]) => button(shown, () => pickModel(name), { icon: iconOf(name), className: 'quiet' })));
  await startRuns({
    ...actions, open: openItem, ended, complain,
    failed: (run, problem) => run.wish.model === model?.id && isBesideField(problem),
  });
  const hash = location.hash.includes('?') ? location.hash : before;
  if (hash) await restore(hash);
}
