// app.js: the access key, the two views and the theme.

import { keepKey, keptKey, onKeyNeeded } from './api.js';
import { byId, say } from './dom.js';
import { showStatus } from './status.js';
import { startTry } from './try.js';

let pending = null;

/** Shows the dialog and waits for a key; calls at the same time share one dialog. */
function askForKey(problem) {
  say(byId('key-problem'), problem.trim());
  pending ??= new Promise((resolve) => {
    const dialog = byId('key-dialog');
    byId('key').value = '';
    byId('key-cancel').hidden = !keptKey();
    dialog.returnValue = '';
    dialog.addEventListener('close', () => {
      pending = null;
      const key = byId('key').value.trim();
      byId('key').value = '';
      if (dialog.returnValue === 'use' && key) keepKey(key);
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return pending;
}
onKeyNeeded(askForKey);
// Without a key there is nothing to go back to.
byId('key-dialog').addEventListener('cancel', (event) => { if (!keptKey()) event.preventDefault(); });
byId('key-cancel').addEventListener('click', () => byId('key-dialog').close());
byId('change-key').addEventListener('click', async () => {
  const before = keptKey();
  await askForKey('');
  if (keptKey() !== before) location.reload();
});

function showView() {
  const status = location.hash === '#status';
  byId('view-try').hidden = status;
  byId('view-status').hidden = !status;
  for (const [id, current] of [['tab-try', !status], ['tab-status', status]]) {
    if (current) byId(id).setAttribute('aria-current', 'page');
    else byId(id).removeAttribute('aria-current');
  }
  showStatus(status);
}
addEventListener('hashchange', showView);
showView();

const root = document.documentElement;
root.dataset.theme = sessionStorage.getItem('falproxy.theme') ?? '';
byId('theme').addEventListener('click', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  sessionStorage.setItem('falproxy.theme', root.dataset.theme);
});

startTry().catch((problem) => say(byId('problem'), problem.message));
