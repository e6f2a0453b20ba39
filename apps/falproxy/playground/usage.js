// usage.js: what was spent, by day and by model, from /v1/falproxy/usage. The operator's key shows all, another one its own.

import { operatorJson } from './api.js';
import { byId, count, dayText, dollars, element, fill, say, svg } from './dom.js';

let days = 30;
const dayOf = (time) => new Date(time).toISOString().slice(0, 10);
const shownDay = (day) => dayText(day, { month: 'short', day: 'numeric' });

function chart(rows) {
  const costs = new Map(rows.map((row) => [row.day, row.cost_usd]));
  const most = Math.max(...costs.values(), 0);
  const bars = [];
  const dates = Array.from({ length: days }, (_, index) => dayOf(Date.now() - (days - 1 - index) * 86400e3));
  for (const [index, day] of dates.entries()) {
    const cost = costs.get(day) ?? 0;
    const height = most > 0 && cost > 0 ? Math.max(cost / most * 96, 2) : 1;
    bars.push(svg('rect', { class: cost > 0 ? 'inference' : 'none', x: index * 10 + 1.5, y: 100 - height, width: 7, height }, svg('title', {}, `${shownDay(day)}: ${dollars(cost)}`)));
  }
  const drawing = svg('svg', { class: 'chart', viewBox: `0 0 ${days * 10} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `Cost of each of the last ${days} days; the most on one day is ${dollars(most)}` }, ...bars);
  return [drawing, element('p', { className: 'axis' }, element('span', {}, shownDay(dates[0])), element('span', {}, 'today'))];
}

export async function showUsage() {
  try {
    const start = dayOf(Date.now() - (days - 1) * 86400e3);
    const [byDay, byModel] = await Promise.all(['day', 'model'].map(async (group) => (await operatorJson(`/v1/falproxy/usage?start=${start}&group_by=${group}`)).data));
    const all = byDay.reduce((sum, row) => sum + row.cost_usd, 0);
    const requests = byDay.reduce((sum, row) => sum + row.requests, 0);
    const sum = JSON.stringify([days, byDay]);
    if (byId('usage-sum').dataset.shown !== sum) {
      byId('usage-sum').dataset.shown = sum;
      byId('usage-sum').replaceChildren(element('p', { className: 'sum', textContent: dollars(all) }),
        element('p', { className: 'hint', textContent: `in the last ${days} days, for ${count(requests, 'request')}; most on one day: ${dollars(Math.max(0, ...byDay.map((row) => row.cost_usd)))}` }), ...chart(byDay));
    }
    fill(byId('usage'), ['Model', 'Requests', 'Failed', 'Files', 'Cost'],
      byModel.toSorted((a, b) => b.cost_usd - a.cost_usd).map((row) => [row.model || '(no model)', row.requests.toLocaleString(), row.failures.toLocaleString(), row.artifacts.toLocaleString(),
        element('span', {}, dollars(row.cost_usd), row.unpriced_jobs ? element('span', { className: 'hint', textContent: `and ${count(row.unpriced_jobs, 'job')} without a price` }) : null)]), 'Nothing was made yet.');
    say(byId('usage-problem'), '');
  } catch (problem) {
    say(byId('usage-problem'), problem.message);
  }
}

export function startUsage() {
  const buttons = [...document.querySelectorAll('[data-days]')];
  for (const one of buttons) {
    one.addEventListener('click', () => {
      days = Number(one.dataset.days);
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === one));
      showUsage();
    });
  }
}
