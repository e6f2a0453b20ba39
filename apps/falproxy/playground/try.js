// try.js: the view where a request is put together, explained, sent and its pictures shown.

import { call, getJson, readEvents } from './api.js';
import { byId, element, later, options, say } from './dom.js';
import { buildFields } from './fields.js';
import { snippets } from './snippets.js';

const presets = {
  square_hd: '1024×1024', square: '512×512', portrait_4_3: '768×1024', portrait_16_9: '576×1024',
  landscape_4_3: '1024×768', landscape_16_9: '1024×576',
};

let models = [];
let readOwn = () => ({});
let running = null;
let pictures = [];

function aboutOf(model) { return model?.falproxy ?? {}; }
function chosen() { return models.find((model) => model.id === byId('model').value); }

function showModels() {
  const words = byId('model-search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (model) => `${model.id} ${aboutOf(model).endpoint ?? ''} ${aboutOf(model).category ?? ''}`.toLowerCase();
  const found = models.filter((model) => words.every((word) => text(model).includes(word)));
  const before = byId('model').value;
  options(byId('model'), found.map((model) => [model.id, model.id]), before);
  byId('model-count').textContent = `${found.length} of ${models.length} models`;
  if (byId('model').value !== before) showModel();
}

function sizeChoices(about) {
  const choices = [['', 'model’s default']];
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
  const kind = [about.endpoint, about.category, about.takes_images ? 'takes pictures' : ''].filter(Boolean).join(' · ');
  byId('model-about').textContent = model ? kind : 'No model matches.';
  options(byId('size'), sizeChoices(about), byId('size').value);
  options(byId('format'), [['', 'default'], ...(about.formats ?? []).map((name) => [name, name])], byId('format').value);
  byId('custom-size').hidden = byId('size').value !== 'custom';
  if (!model) return;
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
  explainSoon();
}

/** The request as the form stands; throws where a field cannot be read. */
function request() {
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
  return { body, files: [...byId('images').files], mask: byId('mask').files[0] };
}

// Explain

const explainSoon = later(250, explain);
let explaining = null;

async function explain() {
  if (!chosen()) return;
  explaining?.abort();
  explaining = new AbortController();
  try {
    const { body, files, mask } = request();
    body.prompt ||= '(your prompt)';
    if (files.length) body.images = files.map((file, index) => ({ image_url: `https://your.picture/${index + 1}` }));
    if (files.length && mask) body.mask = { image_url: 'https://your.picture/mask.png' };
    const answer = await getJson(`/v1/images/${files.length ? 'edits' : 'generations'}`, {
      method: 'POST', signal: explaining.signal, body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', 'x-falproxy-explain': '1' },
    });
    showExplanation(answer);
  } catch (problem) {
    if (problem.name !== 'AbortError') showExplanation({ refused: problem.message });
  }
}

function showExplanation({ refused, mappings = [], notes = [], jobs = [] }) {
  const code = (value) => element('code', { textContent: typeof value === 'string' ? value : JSON.stringify(value) });
  byId('explain').tBodies[0].replaceChildren(...mappings.map(({ field, property, value, why }) => element('tr', {},
    element('td', {}, field || '—'), element('td', {}, property ? code(property) : 'nothing'),
    element('td', {}, value === undefined || value === null ? '' : code(value)), element('td', {}, why ?? ''))));
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

function showPicture(event, index, prompt, final) {
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
  if (pictures[index]) {
    URL.revokeObjectURL(pictures[index].address);
    pictures[index].item.replaceWith(item);
  } else byId('results').append(item);
  pictures[index] = { address, item };
}

function clearPictures() {
  for (const picture of pictures) URL.revokeObjectURL(picture.address);
  pictures = [];
  byId('results').replaceChildren();
}

function formOf({ body, files, mask }) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...body, stream: true })) {
    form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  for (const file of files) form.append('image[]', file, file.name);
  if (mask) form.append('mask', mask, mask.name);
  return form;
}

async function generate() {
  say(byId('problem'), '');
  const began = performance.now();
  let state = 'sent';
  const show = () => { byId('progress').textContent = `${state} · ${((performance.now() - began) / 1000).toFixed(1)} s`; };
  const ticker = setInterval(show, 100);
  running = new AbortController();
  byId('generate').disabled = true;
  byId('cancel').hidden = false;
  try {
    const wanted = request();
    clearPictures();
    show();
    const edits = wanted.files.length > 0;
    const response = await call(`/v1/images/${edits ? 'edits' : 'generations'}`, {
      method: 'POST', signal: running.signal,
      ...(edits ? { body: formOf(wanted) } : { body: JSON.stringify({ ...wanted.body, stream: true }), headers: { 'content-type': 'application/json' } }),
    });
    let done = 0;
    await readEvents(response, (name, data) => {
      if (data.error) throw Object.assign(new Error(data.error.message), { code: data.error.code });
      if (data.type.endsWith('.completed')) showPicture(data, done++, wanted.body.prompt, true);
      else showPicture(data, done, wanted.body.prompt, false);
    }, (comment) => { if (comment) state = comment; });
    if (!done) throw new Error('The answer ended without a picture.');
    const notes = response.headers.get('x-falproxy-notes');
    state = `${done} ${done === 1 ? 'picture' : 'pictures'}${notes ? ` · ${notes}` : ''}`;
  } catch (problem) {
    state = problem.name === 'AbortError' ? 'cancelled' : 'failed';
    if (problem.name !== 'AbortError') {
      say(byId('problem'), problem.requestId ? `${problem.message} (request ${problem.requestId})` : problem.message);
    }
  } finally {
    clearInterval(ticker);
    show();
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

async function copy(button) {
  try {
    const code = snippets[button.dataset.copy](request(), location.origin);
    await navigator.clipboard.writeText(code);
    byId('progress').textContent = `${button.textContent.replace('Copy as ', '')} copied`;
  } catch (problem) {
    say(byId('problem'), `Could not copy: ${problem.message}`);
  }
}

export async function startTry() {
  byId('model-search').addEventListener('input', showModels);
  byId('model').addEventListener('change', showModel);
  byId('form').addEventListener('input', (event) => {
    byId('custom-size').hidden = byId('size').value !== 'custom';
    if (event.target.id !== 'model-search' && event.target.id !== 'model') explainSoon();
  });
  byId('form').addEventListener('submit', (event) => {
    event.preventDefault();
    if (!running) generate();
  });
  byId('prompt').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('form').requestSubmit();
  });
  byId('cancel').addEventListener('click', () => running?.abort());
  byId('images').addEventListener('change', showFiles);
  byId('mask').addEventListener('change', explainSoon);
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
  if (!byId('own-fields').childElementCount) await showModel();
}
