// dom.js: the few words for building elements, and how money and time are written where the reader is.

export const byId = (id) => document.getElementById(id);
export const onClick = (id, act) => byId(id).addEventListener('click', act);

function put(made, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
}

/** element('td', {className: 'x'}, 'text', child, ...) */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  put(made, properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** One of the drawings at the end of index.html. It says nothing by itself. */
export const icon = (name) => svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));

/** button('Delete', act, {icon: 'bin', bare: true}): with `bare` the words are for screen readers and the tooltip. */
export function button(words, act, { icon: drawing, bare = false, className = 'quiet', ...rest } = {}) {
  const made = element('button', { type: 'button', className: bare ? `${className} bare` : className, ...rest }, drawing ? icon(drawing) : null);
  if (bare) put(made, { 'aria-label': words, title: words });
  else made.append(words);
  made.addEventListener('click', act);
  return made;
}

export function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => element('option', { value, textContent: text })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** fill(table, ['Head', ...], [[cell, ...], ...], 'what to say if there is no row'); the focus stays on the button of its name. */
export function fill(table, heads, rows, none) {
  const text = JSON.stringify([heads, rows.map((row) => row.map((cell) => (cell instanceof Node ? cell.outerHTML : cell)))]);
  if (table.dataset.shown === text) return;
  table.dataset.shown = text;
  const head = element('thead', {}, element('tr', {}, ...heads.map((words) => element('th', { scope: 'col', textContent: words }))));
  const cells = (row) => element('tr', {}, ...row.map((cell) => element('td', {}, cell ?? '')));
  const body = rows.length
    ? rows.map(cells)
    : [element('tr', {}, element('td', { className: 'none', colSpan: heads.length, textContent: none }))];
  const held = table.contains(document.activeElement) && document.activeElement.ariaLabel;
  table.replaceChildren(head, element('tbody', {}, ...body));
  if (held) table.querySelector(`[aria-label="${CSS.escape(held)}"]`)?.focus();
}

export function say(target, text) {
  // What is said again is not read out again.
  if (target.textContent !== text) target.textContent = text;
  target.hidden = !text;
}

/** What went wrong, with the id by which the operator finds it. */
export const wordsOf = (problem) => (problem.requestId ? `${problem.message} (request ${problem.requestId})` : problem.message);

export function later(milliseconds, action) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...args), milliseconds);
  };
}

export const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** 32 hex digits; crypto.randomUUID() is not there over plain http. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

export const dollars = (amount) => new Intl.NumberFormat(undefined, {
  style: 'currency', currency: 'USD', minimumFractionDigits: 2, maximumFractionDigits: Number(amount) < 0.1 ? 4 : 2,
}).format(Number(amount));

/** "3.4 s" */
export const secondsText = (seconds, digits = 1) => `${seconds.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits })} s`;

/** "45%" */
export const percent = (share) => share.toLocaleString(undefined, { style: 'percent' });

/** `day`: "2026-01-31", as the server counts days: in UTC. */
export const dayText = (day, style = { dateStyle: 'medium' }) => new Date(`${day}T12:00:00Z`).toLocaleDateString(undefined, { ...style, timeZone: 'UTC' });

export const when = (milliseconds) => new Date(milliseconds).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function duration(seconds) {
  if (seconds === undefined || seconds === null) return '';
  const unit = (value, name) => new Intl.NumberFormat(undefined, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: value < 10 && name === 'second' ? 1 : 0 }).format(value);
  if (seconds < 90) return unit(seconds, 'second');
  if (seconds < 5400) return unit(seconds / 60, 'minute');
  if (seconds < 129600) return unit(seconds / 3600, 'hour');
  return unit(seconds / 86400, 'day');
}

export const bytesText = (bytes) => new Intl.NumberFormat(undefined, { style: 'unit', unit: bytes < 1e6 ? 'kilobyte' : 'megabyte', maximumFractionDigits: 1 }).format(bytes < 1e6 ? Math.ceil(bytes / 1e3) : bytes / 1e6);

/** Opens a dialog and waits until it is closed: its returnValue. A click beside it closes it, unless it holds work. */
export function ask(dialog, { holdsWork = false } = {}) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    // The padding of a dialog is not beside it, and what was pressed within (a selection) may end outside.
    let pressed = false;
    const isBeside = ({ target, clientX, clientY }) => {
      const box = dialog.getBoundingClientRect();
      return target === dialog && (clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom);
    };
    dialog.onpointerdown = (event) => { pressed = isBeside(event); };
    dialog.onclick = (event) => { if (!holdsWork && pressed && isBeside(event)) dialog.close(); };
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue);
    }, { once: true });
  });
}

/** Text to copy by hand, in a sheet of its own. Nothing of it stays in the document when that is closed. */
export function showCode(title, words, text, rows = 12) {
  const [dialog, code] = [byId('code-dialog'), byId('code')];
  byId('code-title').textContent = title;
  byId('code-words').textContent = words;
  Object.assign(code, { value: text, rows });
  dialog.onclose = () => { code.value = ''; };
  dialog.showModal();
  code.select();
  code.scroll(0, 0);
}

export function toast(text) {
  const place = byId('toast');
  say(place, text);
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => say(place, ''), 4000);
}
