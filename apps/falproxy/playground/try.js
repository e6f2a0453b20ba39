// try.js: the view where a request is put together, explained, sent and its pictures shown.

import { base, call, getJson, readEvents } from './api.js';
import { byId, element, later, options, say } from './dom.js';
import { buildFields } from './fields.js';
import { faultOfMask, standIn } from './pictures.js';
import { snippets } from './snippets.js';

const presets = {
  square_hd: '1024×1024', square: '512×512', portrait_4_3: '768×1024', portrait_16_9: '576×1024',
  landscape_4_3: '1024×768', landscape_16_9: '1024×576',
};

const mostShown = 40;  // pictures; the oldest make room

let models = [];
let picked = '';  // the model that was chosen last, whatever the search finds
let described = null;  // the model that the form is made for
let needsPrompt = true;
let readOwn = () => ({});
let running = null;
let maskFault = Promise.resolve('');

function aboutOf(model) { return model?.falproxy ?? {}; }
function chosen() { return models.find((model) => model.id === byId('model').value); }

function showModels() {
  const words = byId('model-search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (model) => `${model.id} ${aboutOf(model).endpoint ?? ''} ${aboutOf(model).category ?? ''}`.toLowerCase();
  const found = models.filter((model) => words.every((word) => text(model).includes(word)));
  options(byId('model'), found.map((model) => [model.id, model.id]), picked);
  byId('model-count').textContent = `${found.length} of ${models.length} models`;
  if (byId('model').value !== described) showModel();
}

function pick() { picked = byId('model').value || picked; }

function sizeChoices(about) {
  const choices = [['', 'default']];
  for (const size of about.sizes ?? []) {
    if (!size.startsWith('auto')) choices.push([`native:image_size:${size}`, presets[size] ? `${size} (${presets[size]})` : size]);
  }
  for (const ratio of about.ratios ?? []) {
    if (ratio !== 'auto') choices.push([`native:aspect_ratio:${ratio}`, ratio]);
  }
  if (about.free_size) choices.push(['custom', 'exact pixels…']);
  return choices;
}

async function showModel() {
  const model = chosen();
  const about = aboutOf(model);
  described = byId('model').value;
  const kind = [about.endpoint, about.category, about.edit_endpoint ? `edits at ${about.edit_endpoint}` : about.takes_images ? 'takes pictures' : ''].filter(Boolean).join(' · ');
  byId('model-about').textContent = model ? kind : 'No model matches.';
  options(byId('size'), sizeChoices(about), byId('size').value);
  options(byId('format'), [['', 'default'], ...(about.formats ?? []).map((name) => [name, name])], byId('format').value);
  byId('custom-size').hidden = byId('size').value !== 'custom';
  if (!model) return explainSoon();
  let inputs = [];
  try {
    inputs = aboutOf(await getJson(`/v1/models/${encodeURIComponent(model.id)}`)).inputs ?? [];
  } catch (problem) {
    say(byId('problem'), problem.message);
  }
  if (chosen() !== model) return;
  const quality = inputs.find((field) => field.name === 'quality')?.enum ?? ['auto', 'low', 'medium', 'high'];
  options(byId('quality'), [['', 'default'], ...quality.map((value) => [value, value])], byId('quality').value);
  const own = inputs.filter((field) => field.name !== 'quality' && !field.image);
  readOwn = buildFields(byId('own-fields'), own);
  needsPrompt = inputs.some((field) => field.name === 'prompt' && field.required);
  explainSoon();
}

/** The request as the form stands; throws if there is none to make of it. */
function request() {
  if (!chosen()) throw new Error('Choose a model first.');
  const body = { model: byId('model').value, prompt: byId('prompt').value };
  const n = Number(byId('n').value || 1);
  if (n !== 1) body.n = n;
  const size = byId('size').value;
  if (size === 'custom') body.size = `${byId('width').value}x${byId('height').value}`;
  else if (size.startsWith('native:')) {
    const [, name, value] = size.match(/^native:([^:]*):(.*)$/);
    body[name] = value;
  }
  if (byId('format').value) body.output_format = byId('format').value;
  if (byId('quality').value) body.quality = byId('quality').value;
  Object.assign(body, readOwn());
  const files = [...byId('images').files];
  const mask = byId('mask').files[0];
  if (mask && !files.length) throw new Error('The mask needs a picture: choose one, or remove the mask.');
  return { body, files, mask };
}

function formOf({ body, files, mask }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  for (const file of files) form.append('image[]', file, file.name);
  if (mask) form.append('mask', mask, mask.name);
  return form;
}

/** `headers`: `x-falproxy-explain` makes it a dry run, in which everything but the pictures is as it will be. */
function send(wanted, { signal, headers = {} }) {
  const edits = wanted.files.length > 0;
  const whole = { ...wanted, body: { ...wanted.body, stream: true } };
  return call(`/v1/images/${edits ? 'edits' : 'generations'}`, {
    method: 'POST', signal,
    ...(edits ? { body: formOf(whole), headers } : { body: JSON.stringify(whole.body), headers: { ...headers, 'content-type': 'application/json' } }),
  });
}

// Explain

const explainSoon = later(250, explain);
let explaining = null;

async function explain() {
  explaining?.abort();
  explaining = new AbortController();
  const { signal } = explaining;
  try {
    const wanted = request();
    if (needsPrompt) wanted.body.prompt ||= '(your prompt)';
    wanted.files = await Promise.all(wanted.files.map((file) => standIn(file)));
    if (wanted.mask) wanted.mask = await standIn(wanted.mask, true);
    const answer = await (await send(wanted, { signal, headers: { 'x-falproxy-explain': '1' } })).json();
    if (!signal.aborted) showExplanation(answer);
  } catch (problem) {
    if (problem.name !== 'AbortError') showExplanation({ refused: problem.message });
  }
}

function showExplanation({ refused, mappings = [], notes = [], jobs = [] }) {
  const code = (value) => element('code', { textContent: typeof value === 'string' ? value : JSON.stringify(value) });
  byId('explain').tBodies[0].replaceChildren(...mappings.map(({ field, property, value, why }) => element('tr', {},
    element('td', {}, field || '—'), element('td', {}, property ? code(property) : 'nothing'),
    element('td', {}, value === undefined || value === null ? '' : code(value)), element('td', {}, why ?? ''))));
  byId('explain-note').className = refused ? 'problem' : 'hint';
  for (const id of ['explain', 'bodies-shown']) byId(id).hidden = Boolean(refused);
  byId('explain-note').textContent = refused ? `Refused: ${refused}` : 'Nothing is paid for this view.';
  byId('notes').replaceChildren(...notes.map((note) => element('li', { textContent: note.field ? `${note.field}: ${note.text}` : note.text })));
  byId('bodies').textContent = jobs.map(({ body }) => JSON.stringify(body, null, 2)).join('\n\n');
}

// Generate

function bytesOf(base64) { return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)); }

function typeOf(bytes) {
  const starts = (...prefix) => prefix.every((value, index) => bytes[index] === value);
  if (starts(0x89, 0x50)) return 'image/png';
  if (starts(0xff, 0xd8)) return 'image/jpeg';
  if (starts(0x47, 0x49)) return 'image/gif';
  if (starts(0x52, 0x49)) return 'image/webp';
  return 'image/svg+xml';
}

/** `run`: the pictures of one request. Later requests stand above earlier ones. */
function showPicture(run, event, index, prompt, final) {
  const bytes = bytesOf(event.b64_json);
  const type = typeOf(bytes);
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  const name = `falproxy-${Date.now()}-${index + 1}.${type.split('/')[1].replace('svg+xml', 'svg').replace('jpeg', 'jpg')}`;
  const image = element('img', { src: address, alt: prompt ? `Picture ${index + 1}: ${prompt}` : `Picture ${index + 1}` });
  const caption = element('figcaption', {}, element('span', { textContent: final ? event.size ?? '' : 'in the making…' }));
  if (final) {
    caption.append(element('span', {},
      element('a', { href: address, target: '_blank', rel: 'noopener', textContent: 'Open' }), ' ',
      element('a', { href: address, download: name, textContent: 'Download' })));
  }
  const item = element('li', {}, element('figure', {}, image, caption));
  if (run[index]) {
    run[index].replaceWith(item);
    letGo(run[index]);
  } else if (index > 0) run[index - 1].after(item);
  else byId('results').prepend(item);
  run[index] = item;
}

function letGo(item) {
  URL.revokeObjectURL(item.querySelector('img').src);
  item.remove();
}

function count(pictures) { return `${pictures} ${pictures === 1 ? 'picture' : 'pictures'}`; }

function complain(problem) {
  if (problem.name === 'AbortError') return;
  say(byId('problem'), problem.requestId ? `${problem.message} (request ${problem.requestId})` : problem.message);
  byId('problem').scrollIntoView({ block: 'nearest' });
}

async function readyRequest() {
  const wanted = request();
  const fault = wanted.mask ? await maskFault : '';
  if (fault) throw new Error(fault);
  return wanted;
}

/** Shows the pictures as they come; throws where not all came, and leaves those that did. */
async function receive(wanted, signal) {
  const began = performance.now();
  let state = 'sent';
  const show = () => { byId('progress').textContent = `${state} · ${((performance.now() - began) / 1000).toFixed(1)} s`; };
  const ticker = setInterval(show, 100);
  const run = [];
  let done = 0;
  show();
  byId('progress').scrollIntoView({ block: 'nearest' });
  try {
    const response = await send(wanted, { signal });
    await readEvents(response, (name, data) => {
      if (data.error) throw Object.assign(new Error(data.error.message), { code: data.error.code });
      if (data.type.endsWith('.completed')) showPicture(run, data, done++, wanted.body.prompt, true);
      else showPicture(run, data, done, wanted.body.prompt, false);
    }, (comment) => { if (comment) state = comment; });
    if (!done) throw new Error('The answer ended without a picture.');
    const notes = response.headers.get('x-falproxy-notes');
    state = `${count(done)}${notes ? ` · ${notes}` : ''}`;
  } catch (problem) {
    state = problem.name === 'AbortError' ? 'cancelled' : 'failed';
    if (done) state += ` after ${count(done)}`;
    throw problem;
  } finally {
    clearInterval(ticker);
    show();
    for (const unfinished of run.slice(done)) letGo(unfinished);
    while (byId('results').childElementCount > mostShown) letGo(byId('results').lastElementChild);
  }
}

async function generate() {
  running = new AbortController();
  byId('generate').disabled = true;
  byId('cancel').hidden = false;
  byId('progress').textContent = '';
  say(byId('problem'), '');
  try {
    const wanted = await readyRequest();
    pick();
    await receive(wanted, running.signal);
  } catch (problem) {
    complain(problem);
  } finally {
    running = null;
    byId('generate').disabled = false;
    byId('cancel').hidden = true;
  }
}

// Pictures to edit

function setFiles(files) {
  const all = new DataTransfer();
  for (const file of files) all.items.add(file);
  byId('images').files = all.files;
  showFiles();
}

function showFiles() {
  const files = [...byId('images').files];
  byId('image-list').replaceChildren(...files.map((file, index) => element('li', {},
    element('span', { textContent: `${file.name} (${Math.ceil(file.size / 1024)} kB)` }),
    element('button', {
      type: 'button', className: 'quiet', textContent: 'Remove', ariaLabel: `Remove ${file.name}`,
      onclick: () => setFiles(files.filter((_, other) => other !== index)),
    }))));
  explainSoon();
}

function showMask() {
  const mask = byId('mask').files[0];
  byId('mask-remove').hidden = !mask;
  const checked = maskFault = mask ? faultOfMask(mask) : Promise.resolve('');
  checked.then((fault) => { if (checked === maskFault) say(byId('mask-problem'), fault); });
  explainSoon();
}

async function copy(button) {
  let code;
  try {
    code = snippets[button.dataset.copy](request(), base);
  } catch (problem) {
    return complain(problem);
  }
  try {
    await navigator.clipboard.writeText(code);
    byId('progress').textContent = `${button.textContent.replace('Copy as ', '')} copied`;
  } catch {  // There is no clipboard over plain http.
    byId('code').value = code;
    byId('code-dialog').showModal();
    byId('code').select();
    byId('code').scroll(0, 0);
  }
}

export async function startTry() {
  byId('model-search').addEventListener('input', showModels);
  byId('model-search').addEventListener('change', pick);
  byId('model').addEventListener('change', () => {
    pick();
    showModel();
  });
  byId('form').addEventListener('input', (event) => {
    byId('custom-size').hidden = byId('size').value !== 'custom';
    if (event.target.id !== 'model-search' && event.target.id !== 'model') explainSoon();
  });
  byId('form').addEventListener('submit', (event) => {
    event.preventDefault();
    if (!running) generate();
  });
  byId('form').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    if (event.ctrlKey || event.metaKey) byId('form').requestSubmit();
    // A browser takes Enter in any line for the form's button, and that one pays.
    else if (event.target.tagName === 'INPUT' && event.target.type !== 'file') event.preventDefault();
    if (event.target.id === 'model-search') pick();
  });
  byId('cancel').addEventListener('click', () => running?.abort());
  byId('images').addEventListener('change', showFiles);
  byId('mask').addEventListener('change', showMask);
  byId('mask-remove').addEventListener('click', () => {
    byId('mask').value = '';
    showMask();
  });
  for (const button of document.querySelectorAll('[data-copy]')) button.addEventListener('click', () => copy(button));

  const drop = byId('drop');
  for (const name of ['dragenter', 'dragover']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add('over');
    });
  }
  for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    setFiles([...byId('images').files, ...event.dataTransfer.files]);
  });

  models = (await getJson('/v1/models')).data;
  showModels();
}
