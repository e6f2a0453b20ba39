// api.js: calls to the server, with the access key that the person typed in.

/** Where the server's paths begin: the page may stand below the prefix of a reverse proxy. Without a slash at the end. */
export const base = new URL('..', import.meta.url).href.replace(/\/(v1\/)?$/, '');

const storageKey = 'falproxy.access_key';
let askForKey = async () => '';

export function onKeyNeeded(ask) { askForKey = ask; }
export function forgetKey() { sessionStorage.removeItem(storageKey); }
export function keepKey(key) { sessionStorage.setItem(storageKey, key); }
export function keptKey() { return sessionStorage.getItem(storageKey) ?? ''; }

/** An answer that says no, in the server's own words. */
export class ApiError extends Error {
  constructor(status, error, requestId) {
    super(error?.message || `The server answered with status ${status}.`);
    this.status = status;
    this.code = error?.code ?? '';
    this.param = error?.param ?? '';
    this.requestId = requestId ?? '';
  }
}

async function failure(response) {
  const text = await response.text();
  let error;
  try { error = JSON.parse(text).error; } catch { error = { message: text.slice(0, 300) }; }
  return new ApiError(response.status, error, response.headers.get('x-request-id'));
}

/** fetch() of a path of the server with the key; asks for one, and tries again, as long as the server refuses it. */
export async function call(path, options = {}) {
  for (let problem = ''; ;) {
    if (!keptKey()) await askForKey(problem);
    const headers = new Headers(options.headers);
    if (keptKey()) headers.set('authorization', `Bearer ${keptKey()}`);
    const response = await fetch(base + path, { ...options, headers, credentials: 'omit', cache: 'no-store' });
    if (response.status === 401) {
      problem = keptKey() ? 'The server refused this key.' : ' ';
      forgetKey();
      continue;
    }
    if (!response.ok) throw await failure(response);
    return response;
  }
}

export async function getJson(path, options) { return (await call(path, options)).json(); }

/** Reads a stream of server-sent events: onEvent(name, data) for each, onComment(text) for each comment line. */
export async function readEvents(response, onEvent, onComment) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let name = '';
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    let end;
    while ((end = rest.indexOf('\n')) >= 0) {
      const line = rest.slice(0, end).replace(/\r$/, '');
      rest = rest.slice(end + 1);
      if (line === '') {
        if (data.length) onEvent(name, JSON.parse(data.join('\n')));
        name = '';
        data = [];
      } else if (line.startsWith(':')) onComment(line.slice(1).trim());
      else if (line.startsWith('event:')) name = line.slice(6).trim();
      else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
    }
    if (done) return;
  }
}
