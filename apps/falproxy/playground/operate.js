// operate.js: the view that shows how the server stands, from /v1/falproxy/status, and where it is looked after.

import { keptKey, operatorCall, operatorJson } from './api.js';
import { button, byId, bytesText, duration, element, fill, say, svg, when } from './dom.js';
import { keyNames, showKeys, startKeys } from './keys.js';
import { showUsage, startUsage } from './usage.js';

const everyMilliseconds = 2000;
const usageEveryMilliseconds = 30_000;
const shownJobs = 20;
const mostOwners = 25;
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
    `${text}: ${value.toFixed(2)} s on average (${Math.round(value / all * 100)} %)`));
  byId('time').replaceChildren(bar, element('ul', { className: 'key' }, ...lines));
}

const tag = (words, kind = '') => element('span', { className: `tag ${kind}`, textContent: words });

function showFigures(status) {
  const figures = {
    'in flight': status.in_flight, answered: status.requests, failed: status.failures, 'files made': status.images,
    'jobs under way': status.state?.open, 'runs noted': status.state?.records, 'kept files': status.media?.files,
    'kept bytes': status.media && bytesText(status.media.bytes),
  };
  byId('figures').replaceChildren(...Object.entries(figures).filter(([, value]) => value !== undefined).map(([name, value]) => element('div', {},
    element('dt', { textContent: name }), element('dd', { textContent: typeof value === 'number' ? value.toLocaleString() : value }))));
}

function show(status) {
  const isOperator = Boolean(status.accounts);
  const server = [`falproxy ${status.version}`, `up for ${duration(status.uptime_seconds)}`, status.state && `runs noted in ${status.state.store}`].filter(Boolean).join(' · ');
  byId('whose').textContent = `${isOperator ? 'All keys' : `Your own key${status.caller?.name ? `, ${status.caller.name}` : ''}; the operator’s key shows more`} · ${server}`;
  byId('operator-key-words').textContent = keptKey('operator') ? 'Change the operator’s key' : 'Operator’s key';
  byId('operator-key').hidden = isOperator && !keptKey('operator') && !status.caller?.makes_keys;
  showFigures(status);
  showTime(status.time);
  fill(byId('accounts'), ['Account', 'State', 'Jobs', 'Keys', 'Back in'], (status.accounts ?? []).map((account, index) => [`${index + 1}`,
    tag(account.state, account.state === 'ready' ? 'good' : 'bad'), `${account.leases}`, `${account.keys}`, duration(account.back_in_seconds)]), status.accounts ? 'No account.' : 'Shown to the operator’s key only.');
  fill(byId('documents'), ['Model', 'Endpoint', 'Document', 'Read', 'Fault'], (status.models ?? []).map((model) => [model.id, model.endpoint,
    model.pinned ? tag('pinned') : model.available ? tag('there', 'good') : tag('missing', 'bad'),
    // In whole minutes, so that the table does not change all the time.
    model.age_seconds === undefined ? '' : model.age_seconds < 60 ? 'just now' : `${duration(Math.floor(model.age_seconds / 60) * 60)} ago`, model.fault ?? '']), 'No model.');
  fill(byId('errors'), ['When', 'Request', 'Model', 'Status', 'Error'], (status.errors ?? []).map((error) => [when(error.time * 1000),
    element('code', { textContent: error.request_id }), error.model, `${error.status}`, `${error.code}: ${error.message}`]), 'None.');
}

// Jobs: the operator sees those of all keys

const goesOn = (job) => job.status === 'queued' || job.status === 'in_progress';

function stateOf(job) {
  if (job.status === 'in_progress') return tag(`in progress, ${job.progress} %`, 'busy');
  if (job.status === 'queued') return tag(job.queue_position === undefined ? 'queued' : `queued, ${job.queue_position} before it`, 'busy');
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

async function showJobs(isOperator = keyNames().length > 0) {
  try {
    const owners = isOperator && keyNames().length ? keyNames().slice(0, mostOwners) : [''];
    const lists = await Promise.all(owners.map(async (owner) => (await operatorJson(`/v1/falproxy/jobs?limit=${shownJobs}${owner && `&key=${encodeURIComponent(owner)}`}`)).data.map((job) => ({ ...job, owner }))));
    const jobs = lists.flat().sort((a, b) => goesOn(b) - goesOn(a) || b.created_at - a.created_at).slice(0, 2 * shownJobs);
    const whose = owners.length > 1;
    fill(byId('jobs'), ['Begun', 'Job', ...(whose ? ['Key'] : []), 'Request', 'Model', 'State', ''],
      jobs.map((job) => [when(job.created_at * 1000), element('code', { textContent: job.id }), ...(whose ? [job.owner] : []), job.request || 'waiting request', job.model, stateOf(job), cancelButton(job)]),
      'None. What this page makes, requests with “Prefer: respond-async” and videos stand here.');
    say(byId('jobs-problem'), '');
    say(byId('jobs-left'), isOperator && keyNames().length > mostOwners ? `Of ${keyNames().length} keys the jobs of ${mostOwners} are shown.` : '');
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
  startUsage();
  startKeys();
  byId('operator-key').addEventListener('click', async () => {
    await askForKey('', 'operator');
    usageShown = -Infinity;
    ask();
  });
}

export function showOperate(visible) {
  clearTimeout(timer);
  shownSince = visible ? Symbol() : null;
  if (visible) refresh();
}
