// app.js: the access key, the three views and the theme.

import { getJson, keepKey, keptAs, keptKey, onKeyNeeded } from './api.js';
import { byId, icon, onClick, say, wordsOf } from './dom.js';
import { actions, complain, restore, startCreate, watchCreate } from './create.js';
import { open, refreshGallery, startGallery, sure } from './gallery.js';
import { filesLieInBucket } from './media.js';
import { anyModels, loadModels } from './models.js';
import { showOperate, startOperate } from './operate.js';
import { serverKeepsFiles } from './request.js';
import { belongTo, forgetAll } from './store.js';

const views = ['create', 'gallery', 'operate'];
const words = {
  access: ['Access key', 'The key that this server’s operator gave you. It is forgotten when you close this tab. What you make, with its prompts and files, stays in this browser.'],
  operator: ['Operator’s key', 'The server’s ADMIN_KEY. It is forgotten when you close this tab.'],
};
let pending = null;

/** Shows the dialog and waits for a key; calls at the same time share one dialog. */
function askForKey(problem, whose = 'access') {
  say(byId('key-problem'), problem.trim());
  pending ??= new Promise((resolve) => {
    const dialog = byId('key-dialog');
    [byId('key-title').textContent, byId('key-words').textContent] = words[whose];
    [byId('key-label').textContent] = words[whose];
    byId('key').value = '';
    byId('key-cancel').hidden = whose === 'access' && !keptKey();
    dialog.returnValue = '';
    dialog.addEventListener('close', () => {
      pending = null;
      const key = byId('key').value.trim();
      byId('key').value = '';
      if (dialog.returnValue === 'use' && key) keepKey(key, whose);
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return pending;
}
onKeyNeeded(askForKey);
// Without a key there is nothing to go back to.
byId('key-dialog').addEventListener('cancel', (event) => { if (byId('key-cancel').hidden) event.preventDefault(); });
onClick('key-cancel', () => byId('key-dialog').close());
onClick('forget', async () => {
  if (await sure('Forget what this browser keeps?', 'Runs, results, prompts and the files that were given with them, of all keys of this server. What the server keeps stays.', 'Forget') !== 'yes') return;
  try {
    await forgetAll();
    sessionStorage.removeItem(`${keptAs}.form`);
    location.replace(location.pathname);
  } catch (problem) { say(byId('key-problem'), problem.message); }
});
onClick('change-key', async () => {
  const before = keptKey();
  await askForKey('');
  if (keptKey() !== before) location.reload();
});

function viewInAddress() {
  const name = location.hash.slice(1).split('?')[0];
  if (name === 'status') return 'operate';
  return views.includes(name) ? name : 'create';
}

function showView() {
  const shown = viewInAddress();
  for (const name of views) {
    byId(`view-${name}`).hidden = name !== shown;
    if (name === shown) byId(`tab-${name}`).setAttribute('aria-current', 'page');
    else byId(`tab-${name}`).removeAttribute('aria-current');
  }
  document.title = `${shown[0].toUpperCase()}${shown.slice(1)} · falproxy`;
  showOperate(shown === 'operate');
  showGallery();
}

function showGallery() { if (started && viewInAddress() === 'gallery') refreshGallery(); }

const root = document.documentElement;
onClick('theme', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try { localStorage.setItem('falproxy.theme', root.dataset.theme); } catch { /* the browser keeps nothing */ }
});

let started = false;

async function start() {
  const status = await getJson('/v1/falproxy/status');
  const caller = status.caller ?? {};
  // Who typed the operator's key where an access key was asked for has still to give one.
  if (caller.makes_files === false) {
    keepKey(keptKey(), 'operator');
    if (viewInAddress() === 'create') location.hash = '#operate';
  }
  belongTo(caller.name ?? '');
  serverKeepsFiles(Boolean(status.keeps_files));
  filesLieInBucket(status.keeps_in === 'bucket');
  startGallery(actions, Boolean(status.keeps_files) && caller.makes_files !== false);
  await loadModels();
  started = true;
  await startCreate({ open, ended: refreshGallery });
  if (!anyModels()) complain(new Error('No model is ready yet: fal’s documents are still being read, or cannot be had. The view Operate says more.'));
}

for (const place of document.querySelectorAll('[data-icon]')) place.prepend(icon(place.dataset.icon));
addEventListener('hashchange', () => {
  showView();
  scrollTo(0, 0);
  if (started && viewInAddress() === 'create' && location.hash.includes('?')) restore(location.hash);
});
watchCreate();
startOperate(askForKey);
showView();
start().then(showGallery, (problem) => say(byId('problem'), wordsOf(problem)));
