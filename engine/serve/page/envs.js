// SPDX-License-Identifier: MIT
// All environments: a card each.

import { el, fill, refill, throttled } from './dom.js';
import { get, stream } from './api.js';
import { ago, envTitle, plural, result, short } from './words.js';

function stateOf(env) {
  if (env.running) return { kind: 'busy', sign: '▶', word: `${env.running.what} ${env.running.release} is running` };
  if (env.unfinished) return { kind: 'warn', sign: '!', word: `${env.unfinished.what} ${env.unfinished.release} is unfinished` };
  if (env.lock) return { kind: 'warn', sign: '■', word: 'lock held' };
  return { kind: 'good', sign: '✓', word: 'free' };
}

function card(env) {
  const href = `/env/${encodeURIComponent(env.env)}`;
  const state = stateOf(env);
  const n = env.nodes || { total: 0, owed: 0 };
  const up = n.in_rotation === null || n.in_rotation === undefined ? plural(n.total, 'node')
    : `${n.in_rotation} of ${n.total} nodes in rotation`;
  const last = env.last && result(env.last.exit, env.last.what, env.last.result);
  return el('li', { class: 'card' },
    el('div', { class: 'title' }, el('h2', {}, el('a', { href }, envTitle(env.env, env.app))), el('p', { class: `pill is-${state.kind}` }, `${state.sign} ${state.word}`)),
    env.running && el('p', {}, el('a', { href: `/release/${Number(env.running.release)}` }, `Watch ${env.running.what} ${env.running.release}`)),
    env.lock && el('p', { class: 'lock-line' }, env.lock.text),
    el('dl', { class: 'facts' },
      el('div', {}, el('dt', {}, 'nodes'), el('dd', {}, up)),
      env.last && el('div', {}, el('dt', {}, 'last'), el('dd', {}, el('a', { href: `/release/${Number(env.last.release)}` },
        `${env.last.what} ${env.last.release}`), ` ${ago(env.last.started)} by ${env.last.who}`)),
      last && el('div', {}, el('dt', {}, 'result'), el('dd', { class: `is-${last.kind}` }, `${last.sign} ${last.word}`,
        env.last.exit !== 0 && env.last.rev && el('span', { class: 'quiet' }, ' (to ', el('span', { class: 'mono' }, short(env.last.rev)), ')'))),
      n.live && el('div', {}, el('dt', {}, 'live'), el('dd', {}, el('span', { class: 'mono' }, short(n.live)),
        n.on_live === n.total ? ` on all ${n.total}` : ` on ${n.on_live} of ${n.total}`)),
      n.owed > 0 && el('div', {}, el('dt', {}, 'owed'), el('dd', { class: 'is-bad' }, `! ${plural(n.owed, 'node')}`)),
      env.queue && env.queue.length > 0 && el('div', {}, el('dt', {}, 'queue'), el('dd', {}, env.queue.map((q) => q.who).join(', ')))));
}

export async function start(main) {
  const list = el('ul', { class: 'cards' });
  const show = async () => {
    const envs = await get('/api/v1/envs');
    refill(list, envs.length ? envs.map(card) : el('li', { class: 'quiet' }, 'No environment in the pillar and no release yet.'));
    main.dataset.ready = 'yes';
  };
  await show();
  fill(main, el('h1', {}, 'Environments'), list);
  const again = throttled(1000, () => show().catch(() => {}));
  stream({ on: { release: again, lock: again, queue: again, order: again } });
  setInterval(again, 30000);
}
