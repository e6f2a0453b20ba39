// usage.js: what was spent in the last thirty days, from /v1/falproxy/usage. The operator's key shows all, another one its own.

import { getJson } from './api.js';
import { byId, element, fill, say } from './dom.js';

const days = 30;
const dollars = (amount) => new Intl.NumberFormat(undefined, { style: 'currency', currency: 'USD', maximumFractionDigits: 4 }).format(amount);
const dayOf = (time) => new Date(time).toISOString().slice(0, 10);

function chart(rows) {
  const costs = new Map(rows.map((row) => [row.day, row.cost_usd]));
  const most = Math.max(...costs.values());
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const bars = [];
  for (let i = 0; i < days; ++i) {
    const day = dayOf(Date.now() - (days - 1 - i) * 86400e3);
    const cost = costs.get(day) ?? 0;
    const height = most > 0 ? Math.max(cost / most * 60, cost > 0 ? 1 : 0) : 0;
    bars.push(svg('rect', { class: 'inference', x: i * 10 + 1, y: 60 - height, width: 8, height }, svg('title', {}, `${day}: ${dollars(cost)}`)));
  }
  return svg('svg', { class: 'chart', viewBox: `0 0 ${days * 10} 60`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `Cost of each of the last ${days} days; the most on one day is ${dollars(most)}` }, ...bars);
}

export async function showUsage() {
  try {
    const start = dayOf(Date.now() - (days - 1) * 86400e3);
    const [byDay, byModel] = await Promise.all(['day', 'model'].map(async (group) => (await getJson(`/v1/falproxy/usage?start=${start}&group_by=${group}`)).data));
    const all = byDay.reduce((sum, row) => sum + row.cost_usd, 0);
    byId('usage-sum').replaceChildren(byDay.length
      ? element('p', { className: 'hint', textContent: `${dollars(all)} in the last ${days} days` }) : '', byDay.length ? chart(byDay) : '');
    fill(byId('usage'), ['Model', 'Requests', 'Failed', 'Files', 'Units', 'Cost'],
      byModel.map((row) => [row.model, `${row.requests}`, `${row.failures}`, `${row.artifacts}`, `${row.units}`,
        dollars(row.cost_usd) + (row.unpriced_jobs ? `, and ${row.unpriced_jobs} jobs without a price` : '')]), 'Nothing was made yet.');
    say(byId('usage-problem'), '');
  } catch (problem) {
    say(byId('usage-problem'), problem.message);
  }
}
