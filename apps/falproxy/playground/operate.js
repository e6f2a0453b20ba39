// operate.js: the view that shows how the server stands, from /v1/falproxy/status, and where it is looked after.

import { keptKey, operatorCall, operatorJson } from './api.js';
import { button, byId, bytesText, count, duration, element, fill, onClick, options, percent, say, secondsText, svg, when } from './dom.js';
import { keyNames, showKeys, startKeys } from './keys.js';
import { showUsage, startUsage } from './usage.js';

const everyMilliseconds = 2000;
const usageEveryMilliseconds = 30_000;
const shownJobs = 20;
const shownOfAll = 100;
let usageShown = -Infinity;
let timer;
let shownSince = null;  // whose loop goes on: each time that the view is shown has its own; null: it is not shown

function showTime(time) {
  const shares = [['queue', 'in fal’s queue', time?.queue_seconds ?? 0], ['inference', 'inference', time?.inference_seconds ?? 0], ['ours', 'falproxy and the network', time?.other_seconds ?? 0]];
  const all = shares.reduce((sum, [, , value]) => sum + value, 0);
  if (!all) {
    byId('time').replaceChildren(element('p', { className: 'hint', textContent: 'No request has been answered yet.' }));
    return;
  }
  const bar = svg('svg', { class: 'bar-of-time', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  let x = 0;
  for (const [kind, , value] of shares) {
    const width = value / all * 100;
    bar.append(svg('rect', { class: kind, x, y: 0, width, height: 10 }));
    x += width;
  }
  const lines = shares.map(([kind, text, value]) => element('li', {}, svg('svg', { viewBox: '0 0 1 1', 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 1, height: 1 })),
    `${text}: ${secondsText(value, 2)} on average (${percent(value / all)})`));
  byId('time').replaceChildren(bar, element('ul', { className: 'key' }, ...lines));
}

const tag = (words, kind = '') => element('span', { className: `tag ${kind}`, textContent: words });

function showFigures(status) {
  const figures = {
    'in flight': status.in_flight, 'answered since start': status.requests, 'failed since start': status.failures,
    [status.media ? 'files kept' : 'files made']: status.media?.files ?? status.images, 'storage used': status.media && bytesText(status.media.bytes), replicas: status.replicas,
  };
  byId('figures').replaceChildren(...Object.entries(figures).filter(([, value]) => value !== undefined).map(([name, value]) => element('div', {},
    element('dt', { textContent: name }), element('dd', { textContent: typeof value === 'number' ? value.toLocaleString() : value }))));
}

function documentRow(name, { endpoint, pinned, available, age_seconds: age, fault, changes = [] }) {
  const state = pinned ? tag('pinned') : available ? tag('there', 'good') : tag('missing', 'bad');
  return [name, endpoint, fault ? element('span', {}, state, ` ${fault}`) : state,
    // In whole minutes, so that the table does not change all the time.
    age === undefined ? '' : age < 60 ? 'just now' : `${duration(Math.floor(age / 60) * 60)} ago`,
    changes.length ? element('details', {}, element('summary', {}, `${count(changes.length, 'change')}, ${when(changes[0].time * 1000)}`),
      element('ul', {}, ...changes.map(({ text }) => element('li', { textContent: text })))) : ''];
}

function show(status) {
  const isOperator = Boolean(status.accounts);
  const server = [`falproxy ${status.version}`, status.uptime_seconds > 600 && `up for ${duration(status.uptime_seconds)}`, status.state && `state in ${status.state.store}`].filter(Boolean).join(' · ');
  byId('whose').textContent = `${isOperator ? 'All keys' : `Your own key${status.caller?.name ? `, ${status.caller.name}` : ''}; the operator’s key shows more`} · ${server}`;
  byId('operator-key').hidden = isOperator && !keptKey('operator') && !status.caller?.makes_keys;
  showFigures(status);
  showTime(status.time);
  fill(byId('accounts'), ['Account', 'State', 'Jobs', 'Keys', 'Back in'], (status.accounts ?? []).map((account, index) => [`${index + 1}`,
    tag(account.state, account.state === 'ready' ? 'good' : 'bad'), `${account.leases}`, `${account.keys}`, duration(account.back_in_seconds)]), status.accounts ? 'No account.' : 'Shown to the operator’s key only.');
  fill(byId('documents'), ['Model', 'Endpoint', 'Document', 'Read', 'What changed'], (status.models ?? []).flatMap((model) => [
    documentRow(model.id, model), ...(model.beside ?? []).map((document) => documentRow(`${model.id}, with files`, document))]), 'No model.');
  fill(byId('errors'), ['When', 'Request', 'Model', 'Status', 'Error'], (status.errors ?? []).map((error) => [when(error.time * 1000),
    element('code', { textContent: error.request_id }), error.model, `${error.status}`, `${error.code}: ${error.message}`]), 'None.');
}

// Jobs: the operator sees what is under way of all keys, and the last ones of one of them

const goesOn = (job) => job.status === 'queued' || job.status === 'in_progress';

function stateOf(job) {
  const since = job.recovered ? ', since before the restart' : '';
  if (job.status === 'in_progress') return tag(`in progress, ${percent(job.progress / 100)}${since}`, 'busy');
  if (job.status === 'queued') return tag(`queued${job.queue_position === undefined ? '' : `, ${job.queue_position} before it`}${since}`, 'busy');
  const state = tag(job.status, job.status === 'completed' ? 'good' : job.status === 'failed' ? 'bad' : '');
  return job.error ? element('span', {}, state, ` ${job.error.message}`) : state;
}

function cancelButton(job) {
  if (!goesOn(job)) return '';
  const stop = button('Cancel', async () => {
    stop.disabled = true;
    try {
      await operatorCall(`/v1/falproxy/jobs/${job.id}${job.owner ? `?key=${encodeURIComponent(job.owner)}` : ''}`, { method: 'DELETE' });
      await showJobs();
    } catch (problem) {
      say(byId('jobs-problem'), problem.message);
      stop.disabled = false;
    }
  }, { className: 'quiet small', 'aria-label': `Cancel ${job.id}` });
  return stop;
}

function whoseJobs() {
  const names = keyNames();
  const choice = byId('jobs-whose');
  choice.hidden = !names.length;
  if (choice.dataset.shown !== names.join()) {
    choice.dataset.shown = names.join();
    options(choice, [['*', 'All keys: under way'], ...names.map((name) => [name, `${name}: the last ${shownJobs}`])], choice.value);
  }
  return names.length ? choice.value : '';
}

async function showJobs() {
  try {
    const whose = whoseJobs();
    const all = whose === '*';
    const { data, has_more: more } = await operatorJson(`/v1/falproxy/jobs?limit=${all ? shownOfAll : shownJobs}${whose && `&key=${encodeURIComponent(whose)}`}`);
    const jobs = data.map((job) => ({ ...job, owner: job.key ?? whose }));
    fill(byId('jobs'), ['Begun', 'Job', ...(all ? ['Key'] : []), 'Request', 'Model', 'State', ''],
      jobs.map((job) => [when(job.created_at * 1000), element('code', { textContent: job.id }), ...(all ? [job.owner] : []), job.request || 'waiting request', job.model, stateOf(job), cancelButton(job)]),
      'None. What this page makes, requests with “Prefer: respond-async” and videos stand here.');
    say(byId('jobs-problem'), '');
    say(byId('jobs-left'), all && more ? `More are under way: these are the newest ${shownOfAll}.` : '');
  } catch (problem) {
    say(byId('jobs-problem'), problem.message);
  }
}

async function refresh(since = shownSince) {
  clearTimeout(timer);
  if (!document.hidden) await ask();
  if (since !== null && since === shownSince) timer = setTimeout(refresh, everyMilliseconds, since);
}

async function ask() {
  try {
    const status = await operatorJson('/v1/falproxy/status');
    show(status);
    say(byId('status-problem'), status.state?.degraded || status.media?.degraded || '');
    await showKeys(status.caller?.makes_keys);
  } catch (problem) {
    say(byId('status-problem'), problem.message);
  }
  await showJobs();
  if (performance.now() - usageShown > usageEveryMilliseconds) {
    usageShown = performance.now();
    await showUsage();
  }
}

export function startOperate(askForKey) {
  for (const table of document.querySelectorAll('#view-operate table')) {
    const scroll = element('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-labelledby': table.closest('section').getAttribute('aria-labelledby') });
    table.replaceWith(scroll);
    scroll.append(table);
  }
  startUsage();
  startKeys();
  byId('jobs-whose').addEventListener('change', showJobs);
  onClick('operator-key', async () => {
    await askForKey('', 'operator');
    usageShown = -Infinity;
    ask();
  });
}

export function showOperate(visible) {
  clearTimeout(timer);
  shownSince = visible ? Symbol() : null;
  if (!visible) return;
  usageShown = -Infinity;
  refresh();
}
