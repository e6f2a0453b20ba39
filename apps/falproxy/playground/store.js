// store.js: what this browser keeps: the runs that go on, and what was made, with the form that made it. Bounded: the oldest go first.

import { keptAs } from './api.js';

const mostItems = 1500;
const mostBytes = 1_000_000_000;

let owner = '';
let opened;
// If the browser keeps nothing (a private window, no room), the tab does.
const memory = { runs: new Map(), items: new Map() };

/** Whose things are meant from now on: the name of the access key. */
export function belongTo(name) { owner = name; }

function open() {
  opened ??= new Promise((resolve) => {
    let request;
    try { request = indexedDB.open(keptAs, 1); } catch { return resolve(null); }
    request.onupgradeneeded = () => {
      request.result.createObjectStore('runs', { keyPath: 'id' });
      request.result.createObjectStore('items', { keyPath: 'id' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
    request.onblocked = () => resolve(null);
  });
  return opened;
}

async function within(name, mode, act) {
  const database = await open();
  if (!database) return undefined;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(name, mode);
    const request = act(transaction.objectStore(name));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

async function keep(name, value) {
  memory[name].set(value.id, value);
  try {
    if (await open()) {
      await within(name, 'readwrite', (store) => store.put(value));
      memory[name].delete(value.id);
    }
  } catch { /* no room: it stays in the tab */ }
}

async function all(name) {
  let kept = [];
  try { kept = await within(name, 'readonly', (store) => store.getAll()) ?? []; } catch { /* what the tab has */ }
  const ids = new Set(kept.map(({ id }) => id));
  return [...kept, ...[...memory[name].values()].filter(({ id }) => !ids.has(id))].filter((value) => value.owner === owner);
}

async function drop(name, id) {
  memory[name].delete(id);
  try { await within(name, 'readwrite', (store) => store.delete(id)); } catch { /* it is gone from the tab */ }
}

/** All that this browser keeps, of every key. */
export async function forgetAll() {
  for (const name of ['runs', 'items']) {
    memory[name].clear();
    await within(name, 'readwrite', (store) => store.clear());
  }
}

export const keepRun = (run) => keep('runs', { ...run, owner });
export const dropRun = (id) => drop('runs', id);
export const keptRuns = () => all('runs');

/** What is kept already, with something more. */
export const keepItem = (item) => keep('items', { ...item, owner });
export async function keepItems(items) {
  for (const item of items) await keepItem(item);
  const kept = await keptItems();
  let bytes = 0;
  for (const [index, item] of kept.entries()) {
    for (const blob of [item.blob, ...(item.wish?.files ?? []), item.wish?.mask, item.wish?.sound]) bytes += blob?.size ?? 0;
    if (index >= mostItems || bytes > mostBytes) await drop('items', item.id);
  }
}
export const dropItem = (id) => drop('items', id);
/** The newest first. */
export const keptItems = async () => (await all('items')).sort((a, b) => b.created - a.created || (a.id < b.id ? -1 : 1));

/** The form that made an item, with its files. Null: it was not made by this browser, or its files are gone. */
export async function wishOf(item) {
  if (!item.wish || item.id === `${item.run}-0`) return item.wish ?? null;
  const first = (await keptItems()).find(({ id }) => id === `${item.run}-0`);
  return first?.wish ?? null;
}

/** How long models took in this browser: a Map from a model's name to the seconds in the middle. */
export async function typicalSeconds() {
  const times = new Map();
  for (const { model, seconds } of await keptItems()) if (seconds) times.set(model, [...(times.get(model) ?? []), seconds]);
  return new Map([...times].map(([model, all]) => [model, all.sort((a, b) => a - b)[Math.floor(all.length / 2)]]));
}
