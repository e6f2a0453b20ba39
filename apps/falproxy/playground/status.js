// status.js: the view that shows how the server is doing, from /v1/falproxy/status.

import { getJson } from './api.js';
import { byId, element, fill, say } from './dom.js';
import { showJobs } from './jobs.js';
import { showUsage } from './usage.js';

const everyMilliseconds = 2000;
const usageEveryMilliseconds = 30_000;
let usageShown = -Infinity;
let timer = null;

function age(seconds) {
  if (seconds === undefined || seconds === null) return '';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

function showTime(time) {
  const shares = [['queue', 'in fal’s queue', time?.queue_seconds ?? 0], ['inference', 'inference', time?.inference_seconds ?? 0], ['ours', 'falproxy and the network', time?.other_seconds ?? 0]];
  const all = shares.reduce((sum, [, , value]) => sum + value, 0);
  if (!all) {
    byId('time').replaceChildren(element('p', { className: 'hint', textContent: 'No request has been answered yet.' }));
    return;
  }
  const svg = (tag, attributes) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const bar = svg('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  let x = 0;
  for (const [kind, , value] of shares) {
    const width = value / all * 100;
    bar.append(svg('rect', { class: kind, x, y: 0, width, height: 10 }));
    x += width;
  }
  const lines = shares.map(([kind, text, value]) => {
    const patch = svg('svg', { viewBox: '0 0 1 1', 'aria-hidden': 'true' });
    patch.append(svg('rect', { class: kind, width: 1, height: 1 }));
    return element('li', {}, patch, `${text}: ${value.toFixed(2)} s on average (${Math.round(value / all * 100)} %)`);
  });
  byId('time').replaceChildren(bar, element('ul', { className: 'key' }, ...lines));
}

function show(status) {
  const figures = {
    'requests in flight': status.in_flight, answered: status.requests, failed: status.failures,
    pictures: status.images, 'runs noted': status.state?.records, 'of them under way': status.state?.open,
    'runs noted in': status.state?.store, 'up for': age(status.uptime_seconds), version: status.version,
  };
  byId('figures').replaceChildren(...Object.entries(figures).filter(([, value]) => value !== undefined)
    .map(([name, value]) => element('div', {}, element('dt', { textContent: name }), element('dd', { textContent: String(value) }))));
  showTime(status.time);
  fill(byId('accounts'), ['Account', 'State', 'Jobs', 'Keys', 'Back in'],
    (status.accounts ?? []).map((account, index) => [`${index + 1}`, account.state, `${account.leases}`, `${account.keys}`, age(account.back_in_seconds)]), status.accounts ? 'No account.' : 'Shown to the operator’s key only.');
  fill(byId('documents'), ['Model', 'Endpoint', 'Document', 'Age', 'Fault'],
    (status.models ?? []).map((model) => [model.id, model.endpoint, model.pinned ? 'pinned' : model.available ? 'there' : 'missing', age(model.age_seconds), model.fault]), 'No model.');
  fill(byId('errors'), ['When', 'Request', 'Model', 'Status', 'Error'],
    (status.errors ?? []).map((error) => [new Date(error.time * 1000).toLocaleTimeString(), error.request_id, error.model, `${error.status}`, `${error.code}: ${error.message}`]), 'None.');
}

async function refresh() {
  try {
    const status = await getJson('/v1/falproxy/status');
    show(status);
    say(byId('status-problem'), status.state?.degraded ?? '');
  } catch (problem) {
    say(byId('status-problem'), problem.message);
  }
  await showJobs();
  if (performance.now() - usageShown > usageEveryMilliseconds) {
    usageShown = performance.now();
    await showUsage();
  }
  if (timer !== null) timer = setTimeout(refresh, everyMilliseconds);
}

export function showStatus(visible) {
  clearTimeout(timer);
  timer = visible ? 0 : null;
  if (visible) refresh();
}
