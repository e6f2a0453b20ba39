// dom.js: the few words for building elements.

export const byId = (id) => document.getElementById(id);

/** element('td', {className: 'x'}, 'text', child, ...) */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => element('option', { value, textContent: text })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** fill(table, ['Head', ...], [[cell, ...], ...], 'what to say where there is no row') */
export function fill(table, heads, rows, none) {
  const head = element('thead', {}, element('tr', {}, ...heads.map((text) => element('th', { scope: 'col', textContent: text }))));
  const cells = (row) => element('tr', {}, ...row.map((cell) => element('td', {}, cell ?? '')));
  const body = rows.length
    ? rows.map(cells)
    : [element('tr', {}, element('td', { colSpan: heads.length, textContent: none }))];
  table.replaceChildren(head, element('tbody', {}, ...body));
}

export function say(target, text) {
  // What is said again is not read out again.
  if (target.textContent !== text) target.textContent = text;
  target.hidden = !text;
}

export function later(milliseconds, action) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...args), milliseconds);
  };
}
