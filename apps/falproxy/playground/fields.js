// fields.js: the model's own fields as a form, made from what the server says of the model's document.

import { element } from './dom.js';

// These have inputs of their own in the form, or are filled in by the server.
const elsewhere = {
  image: { roles: ['text', 'count', 'format', 'delivery', 'quality'], names: ['image_size', 'aspect_ratio', 'width', 'height'] },
  video: { roles: ['text', 'delivery', 'count'], names: [] },
  audio: { roles: ['text', 'delivery', 'format'], names: [] },
  text: { roles: ['delivery'], names: [] },
};
// These are what most people change first.
const firstRoles = ['voice', 'speed', 'language', 'length'];
const firstNames = ['aspect_ratio', 'resolution', 'duration'];

// The values that were typed, by name, also of fields that the model at hand does not have.
const typed = new Map();

function control(field, id) {
  const unset = field.default === undefined || field.default === null ? 'model’s default' : `default: ${typeof field.default === 'string' ? field.default : JSON.stringify(field.default)}`;
  const choices = field.enum ?? (field.type === 'boolean' ? [true, false] : null);
  if (choices && !field.free) {
    const select = element('select', { id });
    select.append(element('option', { value: '', textContent: unset }));
    const words = (value) => (value === true ? 'yes' : value === false ? 'no' : String(value));
    for (const value of choices) select.append(element('option', { value: JSON.stringify(value), textContent: words(value) }));
    return select;
  }
  if (field.type === 'integer' || field.type === 'number') {
    const input = element('input', { id, type: 'number', placeholder: unset, step: field.step ?? (field.type === 'integer' ? 1 : 'any') });
    if (field.min !== undefined) input.min = field.min;
    if (field.max !== undefined) input.max = field.max;
    return input;
  }
  if (field.type === 'string') {
    const input = element('input', { id, type: 'text', placeholder: unset, spellcheck: false });
    if (choices) input.placeholder += `; such as ${choices.slice(0, 3).join(', ')}`;
    return input;
  }
  return element('textarea', { id, rows: 2, placeholder: `JSON; ${unset}`, spellcheck: false });
}

/** The value typed in, undefined if there is none; throws if it is not JSON. */
function read(field, input) {
  const text = input.value.trim();
  if (text === '') return undefined;
  if (input.tagName === 'SELECT') return JSON.parse(text);
  if (field.type === 'integer' || field.type === 'number') return Number(text);
  if (field.type === 'string') return input.value;
  try {
    return JSON.parse(text);
  } catch {
    throw Object.assign(new Error(`“${field.title || field.name}” is not JSON.`), { param: field.name });
  }
}

/** The reverse of read(). What a choice does not have leaves it at the model's default. */
function write(input, value) {
  const isPlain = input.tagName === 'INPUT' && typeof value !== 'object';
  input.value = value === undefined ? '' : isPlain ? String(value) : JSON.stringify(value);
  if (input.selectedIndex < 0) input.value = '';
}

function bounds({ min, max }) {
  if (min !== undefined && max !== undefined) return `From ${min} to ${max}.`;
  if (min !== undefined) return `At least ${min}.`;
  return max === undefined ? '' : `At most ${max}.`;
}

function rowOf(field, index, brief) {
  const id = `own-${index}`;
  const input = control(field, id);
  const label = element('label', { htmlFor: id, textContent: field.title || field.name });
  if (field.required) label.append(' (required)');
  const row = element('div', { className: 'field' }, label, input);
  row.dataset.field = field.name;
  const about = [field.help, bounds(field)].filter(Boolean).join(' ').replace(/\s+/g, ' ').trim();
  if (about && brief) input.title = about;
  else if (about) {
    input.setAttribute('aria-describedby', `${id}-about`);
    row.append(element('p', { className: 'hint', id: `${id}-about`, textContent: about.length > 300 ? `${about.slice(0, 300)}…` : about }));
  }
  write(input, typed.get(field.name));
  input.addEventListener('input', () => {
    try { typed.set(field.name, read(field, input)); } catch { /* it is not JSON yet */ }
  });
  return { field, input, row };
}

/**
 * One input for each field: those that are changed first go to `first`, the others to `more`. What was typed before a change of
 * model is there again. Returns { read(): an object of what is set, set(values), more: how many are in `more` }.
 */
export function buildFields(first, more, kind, inputs) {
  const { roles, names } = elsewhere[kind];
  const own = inputs.filter((field) => !roles.includes(field.role) && !names.includes(field.name) && !field.image && !(kind === 'text' && field.medium));
  const isFirst = (field) => firstRoles.includes(field.role) || firstNames.includes(field.name);
  const rows = own.map((field, index) => rowOf(field, index, isFirst(field)));
  const place = (holder, wanted) => holder.replaceChildren(...rows.filter(({ field }) => isFirst(field) === wanted).map(({ row }) => row));
  place(first, true);
  place(more, false);
  return {
    more: more.childElementCount,
    read() {
      const values = {};
      for (const { field, input } of rows) {
        const value = read(field, input);
        if (value !== undefined) values[field.name] = value;
      }
      return values;
    },
    set(values) {
      typed.clear();
      for (const [name, value] of Object.entries(values)) typed.set(name, value);
      for (const { field, input } of rows) write(input, values[field.name]);
    },
  };
}
