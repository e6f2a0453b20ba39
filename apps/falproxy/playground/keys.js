// keys.js: access keys and their budgets, from /v1/falproxy/keys, as the operator makes, changes and takes them away.

import { operatorCall, operatorJson } from './api.js';
import { ask, button, byId, dayText, dollars, element, fill, onClick, say, showCode, when, wordsOf } from './dom.js';
import { clearFaults, showFault, watchFaults } from './faults.js';
import { sure } from './gallery.js';

const inputs = { rate_limit: 'row-rate', max_job_cost: 'row-cost', expires: 'row-expires' };
let edited = null;  // the key whose row is open; null: a new one
let names = [];

/** Of all keys that are known. */
export const keyNames = () => names;

function spentOf(key) {
  if (!key.budget) return key.spent_usd ? dollars(key.spent_usd) : 'no limit';
  const [limit, window] = key.budget.split('/');
  const words = `${dollars(key.spent_usd ?? 0)} of ${dollars(limit)} a ${window}`.replace('a total', 'in all');
  const share = Math.min(Number(key.spent_usd ?? 0) / Number(limit), 1);
  const bar = element('span');
  bar.style.transform = `scaleX(${share})`;
  return element('div', { className: 'spent' }, words, element('div', { className: 'track', 'aria-hidden': 'true' }, bar));
}

function stateOf(key) {
  if (key.blocked) return element('span', { className: 'tag bad', textContent: key.blocked_until ? `blocked until ${when(key.blocked_until * 1000)}` : 'blocked' });
  return key.expires ? `until ${dayText(key.expires)}` : element('span', { className: 'tag good', textContent: 'active' });
}

function actionsOf(key) {
  const made = element('span', { className: 'buttons' });
  if (key.place === 'stored') {
    made.append(button('Change', () => openRow(key), { className: 'quiet small', 'aria-label': `Change ${key.name}` }),
      button('Revoke', () => revoke(key), { className: 'quiet small', 'aria-label': `Revoke ${key.name}` }));
  }
  if (key.blocked) made.append(button('Unblock', () => change(key.name, { blocked: false }).catch(complain), { className: 'quiet small', 'aria-label': `Unblock ${key.name}` }));
  return made;
}

const complain = (problem) => say(byId('keys-problem'), wordsOf(problem));

export async function showKeys(allowed) {
  byId('keys-panel').hidden = !allowed;
  if (!allowed) {
    names = [];
    return;
  }
  try {
    const { data } = await operatorJson('/v1/falproxy/keys');
    names = data.map(({ name }) => name).filter((name) => name !== '*');
    fill(byId('keys'), ['Key', 'Begins with', 'Budget', 'Models', 'State', ''], data.map((key) => [
      key.name === '*' ? 'all keys together' : key.name, key.prefix ? `${key.prefix}…` : `set in ${key.place}`, spentOf(key), (key.models ?? []).join(', ') || 'all', stateOf(key), actionsOf(key)]), 'No key.');
  } catch (problem) {
    complain(problem);
  }
}

function openRow(key) {
  edited = key;
  clearFaults(byId('row-form'));
  say(byId('row-problem'), '');
  byId('row-title').textContent = key ? `Change ${key.name}` : 'New key';
  byId('row-name').value = key?.name ?? '';
  byId('row-name').disabled = Boolean(key);
  const [limit, window] = (key?.budget ?? '').split('/');
  byId('row-budget').value = limit ?? '';
  byId('row-window').value = window ?? 'month';
  byId('row-models').value = (key?.models ?? []).join(', ');
  for (const [member, id] of Object.entries(inputs)) byId(id).value = key?.[member] ?? '';
  byId('row-save').textContent = key ? 'Save' : 'Make the key';
  ask(byId('row-dialog'), { holdsWork: true });
}

function membersOfRow() {
  const members = {};
  const budget = byId('row-budget').value.trim();
  members.budget = budget ? `${budget}/${byId('row-window').value}` : null;
  const models = byId('row-models').value.split(',').map((name) => name.trim()).filter(Boolean);
  members.models = models.length ? models : null;
  for (const [member, id] of Object.entries(inputs)) members[member] = byId(id).value.trim() || null;
  return members;
}

async function change(name, members) {
  await operatorJson(`/v1/falproxy/keys/${encodeURIComponent(name)}`, { method: 'PATCH', json: members });
  await showKeys(true);
}

async function save() {
  const members = membersOfRow();
  try {
    if (edited) {
      await change(edited.name, members);
      byId('row-dialog').close();
      return;
    }
    const set = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
    const made = await operatorJson('/v1/falproxy/keys', { method: 'POST', json: { name: byId('row-name').value.trim(), ...set } });
    byId('row-dialog').close();
    await showKeys(true);
    showCode(`The key of ${made.name}`, 'It is shown this once: copy it now.', made.key, 2);
  } catch (problem) {
    if (!showFault(byId('row-form'), problem.param, wordsOf(problem))) say(byId('row-problem'), wordsOf(problem));
  }
}

async function revoke(key) {
  if (await sure(`Revoke ${key.name}?`, 'Programs that use this key are refused from now on. What it made and spent stays.', 'Revoke') !== 'yes') return;
  try {
    await operatorCall(`/v1/falproxy/keys/${encodeURIComponent(key.name)}`, { method: 'DELETE' });
    await showKeys(true);
    say(byId('keys-problem'), '');
  } catch (problem) {
    complain(problem);
  }
}

export function startKeys() {
  watchFaults(byId('row-form'));
  onClick('key-new', () => openRow(null));
  onClick('row-cancel', () => byId('row-dialog').close());
  byId('row-form').addEventListener('submit', (event) => {
    event.preventDefault();
    save();
  });
}
