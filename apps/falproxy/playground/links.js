// links.js: addresses that restore a form.

import { base } from './api.js';

const plain = ['model', 'prompt', 'n', 'format', 'quality', 'size'];

/** The address, from # on, that restores a wish but for its files. */
export function hashOf(made) {
  const query = new URLSearchParams();
  for (const name of plain) if (made[name] && !(name === 'n' && made.n === 1)) query.set(name, made[name]);
  if (made.native) query.set(`native.${made.native[0]}`, made.native[1]);
  for (const [name, value] of Object.entries(made.own ?? {})) query.set(`own.${name}`, JSON.stringify(value));
  return `#create?${query}`;
}

/** The wish in such an address; null: there is none. */
export function wishIn(hash) {
  const query = new URLSearchParams(hash.slice(hash.indexOf('?') + 1));
  const made = { own: {} };
  for (const [name, value] of query) {
    if (plain.includes(name)) made[name] = name === 'n' ? Number(value) : value;
    else if (name.startsWith('native.')) made.native = [name.slice(7), value];
    else if (name.startsWith('own.')) {
      try { made.own[name.slice(4)] = JSON.parse(value); } catch { /* no link of this page */ }
    }
  }
  return made.model ? made : null;
}

export const linkTo = (hash) => `${base}/playground/${hash}`;
