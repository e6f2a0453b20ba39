// api.js: calls to the server, with the access key that the person typed in.

/** Where the server's paths begin: the page may stand below the prefix of a reverse proxy. Without a slash at the end. */
export const base = new URL('..', import.meta.url).href.replace(/\/(v1\/)?$/, '');

/** What the browser keeps for this server begins with this: another one may stand below another prefix of the same host. */
export const keptAs = `falproxy${new URL(base).pathname.replace(/\/$/, '')}`;

const places = { access: `${keptAs}.access_key`, operator: `${keptAs}.admin_key` };
let askForKey = async () => '';

export function onKeyNeeded(ask) { askForKey = ask; }
function forgetKey(whose = 'access') { sessionStorage.removeItem(places[whose]); }
export function keepKey(key, whose = 'access') { sessionStorage.setItem(places[whose], key); }
export function keptKey(whose = 'access') { return sessionStorage.getItem(places[whose]) ?? ''; }

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

function fetchWith(key, path, options) {
  const headers = new Headers(options.headers);
  if (key) headers.set('authorization', `Bearer ${key}`);
  return fetch(base + path, { cache: 'no-store', ...options, headers, credentials: 'omit' });
}

/** fetch() of a path of the server with the key; asks for one, and tries again, as long as the server refuses it. */
export async function call(path, options = {}) {
  for (let problem = ''; ;) {
    if (!keptKey()) await askForKey(problem);
    const response = await fetchWith(keptKey(), path, options);
    if (response.status === 401) {
      problem = keptKey() ? 'The server refused this key.' : ' ';
      forgetKey();
      continue;
    }
    if (!response.ok) throw await failure(response);
    return response;
  }
}

/** The same as the operator: with ADMIN_KEY if it was given, else with the access key. */
export async function operatorCall(path, options = {}) {
  if (!keptKey('operator')) return call(path, options);
  const response = await fetchWith(keptKey('operator'), path, options);
  if (response.ok) return response;
  if (response.status === 401) forgetKey('operator');
  throw await failure(response);
}

const asJson = (options) => (options?.json === undefined ? options
  : { ...options, body: JSON.stringify(options.json), headers: { 'content-type': 'application/json', ...options.headers } });

export async function getJson(path, options) { return (await call(path, asJson(options))).json(); }
export async function operatorJson(path, options) { return (await operatorCall(path, asJson(options))).json(); }
