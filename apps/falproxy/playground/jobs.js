// jobs.js: the asynchronous requests and videos of this key, from /v1/falproxy/jobs.

import { call, getJson } from './api.js';
import { byId, element, fill, say } from './dom.js';

const shown = 20;
const goesOn = (job) => job.status === 'queued' || job.status === 'in_progress';

async function cancel(id, button) {
  button.disabled = true;
  try {
    await call(`/v1/falproxy/jobs/${id}`, { method: 'DELETE' });
    await showJobs();
  } catch (problem) {
    say(byId('jobs-problem'), problem.message);
    button.disabled = false;
  }
}

function stateOf(job) {
  if (job.status === 'in_progress') return `in progress, ${job.progress} %`;
  if (job.status === 'queued' && job.queue_position !== undefined) return `queued, ${job.queue_position} before it`;
  return job.error ? `${job.status}: ${job.error.message}` : job.status;
}

function cancelButton(job) {
  if (!goesOn(job)) return '';
  const button = element('button', { type: 'button', className: 'quiet', textContent: 'Cancel', 'aria-label': `Cancel ${job.id}` });
  button.addEventListener('click', () => cancel(job.id, button));
  return button;
}

export async function showJobs() {
  try {
    const jobs = (await getJson(`/v1/falproxy/jobs?limit=${shown}`)).data;
    // A table that did not change keeps its focus.
    const text = JSON.stringify(jobs);
    if (byId('jobs').dataset.shown !== text) {
      byId('jobs').dataset.shown = text;
      fill(byId('jobs'), ['Begun', 'Job', 'Request', 'Model', 'State', ''],
        jobs.map((job) => [new Date(job.created_at * 1000).toLocaleString(), job.id, job.request, job.model, stateOf(job), cancelButton(job)]),
        'None. Requests with “Prefer: respond-async” and videos stand here.');
    }
    say(byId('jobs-problem'), '');
  } catch (problem) {
    say(byId('jobs-problem'), problem.message);
  }
}
