// theme.js: what was chosen last, before anything is drawn.
try { document.documentElement.dataset.theme = localStorage.getItem('falproxy.theme') ?? ''; } catch { /* the browser keeps nothing */ }
