// SPDX-License-Identifier: MIT
// Talking to the server: JSON both ways, the CSRF token with every POST, the event stream with its cursor.

export const page = document.body.dataset; // view, env, release, who, role: written by the server

export class ApiError extends Error {
  constructor(status, code, text) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

async function read(response) {
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 401) location.assign('/login');
  const error = (body && body.error) || {};
  throw new ApiError(response.status, error.code || String(response.status),
    error.text || `the server answered ${response.status}`);
}

export async function get(path) {
  return read(await fetch(path, { headers: { Accept: 'application/json' }, credentials: 'same-origin' }));
}

export async function post(path, body) {
  const token = document.querySelector('meta[name=csrf]');
  return read(await fetch(path, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': token ? token.content : '' },
    body: JSON.stringify(body || {}),
  }));
}

export const envPath = (env, rest = '') => `/api/v1/envs/${encodeURIComponent(env)}${rest}`;
export const releasePath = (n, rest = '') => `/api/v1/releases/${Number(n)}${rest}`;

function connection(state) {
  const node = document.getElementById('connection');
  if (!node) return;
  const words = { live: 'live', lost: 'reconnecting', idle: 'not connected' };
  node.className = `connection is-${state}`;
  node.lastElementChild.textContent = words[state];
}

// Server-sent events. The browser itself comes again with Last-Event-ID after a break; `after` is for the first
// time. When the server refuses for good (a restart, too many) it is asked again a little later. A tab that nobody sees gives
// its stream back: a browser has six connections to one server, and a seventh tab would otherwise hang.
export function stream({ env, release, after, on }) {
  let source = null;
  let cursor = after || 0;
  let timer = null;

  function open() {
    const query = new URLSearchParams();
    if (env) query.set('env', env);
    if (release) query.set('release', String(release));
    if (cursor) query.set('after', String(cursor));
    source = new EventSource(`/events?${query}`);
    source.onopen = () => connection('live');
    source.onerror = () => {
      connection('lost');
      if (!source || source.readyState !== EventSource.CLOSED) return;
      source = null;
      timer = setTimeout(resume, 3000);
    };
    for (const kind of ['row', 'release', 'lock', 'queue', 'order']) {
      source.addEventListener(kind, (event) => {
        const id = Number(event.lastEventId);
        if (id > cursor) cursor = id;
        let data = null;
        try {
          data = JSON.parse(event.data);
        } catch {
          return; // half an event is none; the next one or a reload brings the state
        }
        if (on[kind]) on[kind](data, id);
        if (on.any) on.any(kind, data);
      });
    }
  }

  function resume() {
    clearTimeout(timer);
    if (!source && !document.hidden) open();
  }

  function pause() {
    source?.close();
    source = null;
    connection('idle');
  }

  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(pause, 5000);
    else resume();
  });
  resume();
}
