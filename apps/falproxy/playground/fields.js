// fields.js: the model's own fields as a form, made from what the server says of the model's document.

import { element } from './dom.js';

// These have inputs of their own in the form, or are filled in by the server.
const handled = new Set(['prompt', 'image_size', 'aspect_ratio', 'width', 'height', 'num_images', 'output_format', 'format', 'sync_mode']);

function control(field, id) {
  const unset = field.default === undefined || field.default === null ? 'model’s default' : `default: ${JSON.stringify(field.default)}`;
  const choices = field.enum ?? (field.type === 'boolean' ? [true, false] : null);
  if (choices && !field.free) {
    const select = element('select', { id });
    select.append(element('option', { value: '', textContent: unset }));
    for (const value of choices) select.append(element('option', { value: JSON.stringify(value), textContent: String(value) }));
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

/** The value typed in, undefined where nothing was; throws where it is not JSON. */
function read(field, input) {
  const text = input.value.trim();
  if (text === '') return undefined;
  if (input.tagName === 'SELECT') return JSON.parse(text);
  if (field.type === 'integer' || field.type === 'number') return Number(text);
  if (field.type === 'string') return input.value;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`“${field.title || field.name}” is not JSON.`);
  }
}

/** Fills `holder` with one input a field and returns a function that reads them all as an object. */
export function buildFields(holder, inputs) {
  const rows = inputs.filter((field) => !handled.has(field.name)).map((field, index) => {
    const id = `own-${index}`;
    const input = control(field, id);
    const about = [field.help, bounds(field)].filter(Boolean).join(' ').replace(/\s+/g, ' ').trim();
    const label = element('label', { htmlFor: id, textContent: field.title || field.name });
    if (field.required) label.append(' (required)');
    const row = element('div', { className: 'field' }, label, input);
    if (about) {
      input.setAttribute('aria-describedby', `${id}-about`);
      row.append(element('p', { className: 'hint', id: `${id}-about`, textContent: about.length > 300 ? `${about.slice(0, 300)}…` : about }));
    }
    return { field, input, row };
  });
  holder.replaceChildren(...rows.map(({ row }) => row));
  return () => {
    const values = {};
    for (const { field, input } of rows) {
      const value = read(field, input);
      if (value !== undefined) values[field.name] = value;
    }
    return values;
  };
}

function bounds({ min, max }) {
  if (min !== undefined && max !== undefined) return `From ${min} to ${max}.`;
  if (min !== undefined) return `At least ${min}.`;
  if (max !== undefined) return `At most ${max}.`;
  return '';
}
