// faults.js: what is wrong, beside the field that it is about. It goes away when the field changes.

import { element } from './dom.js';

const aliases = { input: 'prompt', 'image[]': 'image', image_url: 'image', image_urls: 'image', input_reference: 'image', width: 'size', height: 'size', image_size: 'size' };

function fieldFor(form, param) {
  const names = [param, aliases[param], param.split(/[.[]/)[0]].filter(Boolean);
  for (const name of names) {
    const found = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    if (found?.checkVisibility?.() ?? found) return found;
  }
  return null;
}

function clearFault(field) {
  field.querySelector('.fault')?.remove();
  for (const input of field.querySelectorAll('[aria-invalid]')) {
    input.removeAttribute('aria-invalid');
    if (input.dataset.describedby !== undefined) input.setAttribute('aria-describedby', input.dataset.describedby);
    if (!input.dataset.describedby) input.removeAttribute('aria-describedby');
  }
}

export function clearFaults(form) { for (const fault of form.querySelectorAll('.fault')) clearFault(fault.parentElement); }

/** False: the form shows no field of that name. */
export function showFault(form, param, words) {
  const field = param ? fieldFor(form, param) : null;
  if (!field) return false;
  const shown = field.querySelector('.fault');
  if (shown?.textContent === words) return true;
  clearFault(field);
  const closed = field.closest('details:not([open])');
  if (closed) closed.open = true;
  const input = field.querySelector('input:not(.unseen), select, textarea, button');
  const id = `fault-${param.replace(/\W/g, '-')}`;
  field.append(element('p', { className: 'fault', id, textContent: words, role: 'alert' }));
  if (input) {
    input.dataset.describedby ??= input.getAttribute('aria-describedby') ?? '';
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', `${input.dataset.describedby} ${id}`.trim());
  }
  return true;
}

export function watchFaults(form) {
  form.addEventListener('input', ({ target }) => {
    const field = target.closest('[data-field]');
    if (field) clearFault(field);
  });
}
