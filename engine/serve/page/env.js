// SPDX-License-Identifier: MIT
// One environment: who holds the lock, what each node runs and whether that is what was released, what the balancers say,
// who waits, what you can order, what happened last.

import { announce, el, fill, refill, throttled } from './dom.js';
import { envPath, get, page, stream } from './api.js';
import { ASK, WISH, ago, clock, envTitle, plural, result, short, when } from './words.js';
import { buttons } from './actions.js';
import { releaseTable } from './history.js';

const MOST_ROWS = 100;
// What somebody is asked to say yes to.
function asked(p) {
  const words = ['plan', 'stages', 'window', 'only', 'exclude'].filter((key) => p[key]).map((key) => `, ${key} ${p[key]}`).join('');
  const name = (rev) => (/^[0-9a-f]{40}$/.test(rev) ? short(rev) : rev);
  const to = p.to ? ` to ${name(p.to)}` : p.before ? ` to before release ${p.before}` : '';
  return `${p.verb}${p.rev ? ` of ${name(p.rev)}` : ''}${p.release ? ` of release ${p.release}` : ''}${to}${words}`;
}

const VERBS = [WISH.RESUME, WISH.RUN, WISH.ROLLBACK, WISH.PAUSE, WISH.ABORT, WISH.LOCK, WISH.UNLOCK];

class EnvView {
  constructor(main) {
    this.lbRows = null;
    this.drift = null;
    this.shown = MOST_ROWS;
    this.head = el('header', { class: 'release-head' });
    this.nodes = el('div', {});
    this.balancers = el('p', { class: 'quiet' }, 'Asking the balancers …');
    this.driftText = el('p', { class: 'quiet' });
    this.past = el('div', {});
    this.asked = el('button', { type: 'button', class: 'button', onclick: () => this.askDrift() }, 'Ask the nodes');
    fill(main, this.head,
      el('section', { class: 'panel', 'aria-labelledby': 'nodes-title' },
        el('header', { class: 'panel-head' }, el('h2', { id: 'nodes-title' }, 'Nodes'), this.asked),
        this.driftText, this.nodes, this.balancers),
      el('section', { class: 'panel', 'aria-labelledby': 'past-title' },
        el('header', { class: 'panel-head' }, el('h2', { id: 'past-title' }, 'Releases'),
          el('a', { href: `/history?env=${encodeURIComponent(page.env)}` }, 'all'), ' ',
          el('a', { href: `/env/${encodeURIComponent(page.env)}/stats` }, 'figures')), this.past));
  }

  async load() {
    const env = await get(envPath(page.env));
    const text = JSON.stringify(env);
    if (text === this.shownText) return;
    this.shownText = text;
    this.env = env;
    this.showHead();
    this.showNodes();
    this.showReleases();
  }

  showHead() {
    const e = this.env;
    const held = e.lock && el('div', { class: `banner${e.running ? ' is-busy' : ' is-warn'}`, role: 'status' },
      el('span', { class: 'sign', 'aria-hidden': 'true' }, '■'), el('span', {}, el('b', {}, 'Lock: '), e.lock.text));
    const elsewhere = e.env.includes(':') && el('p', { class: 'quiet' },
      'Of another tree than this server\'s: what changes its nodes is ordered there.');
    const queue = e.queue && e.queue.length > 0 && el('p', {}, el('b', {}, 'Waiting: '),
      e.queue.map((q, i) => `${i + 1}. ${q.who}${q.until ? ` (next, until ${clock(q.until)})` : ''}`).join(', '));
    const pending = (e.pending || []).map((p) => el('p', { class: 'banner is-warn' },
      p.state === ASK.APPROVE ? `! ${asked(p)} by ${p.who} waits for a second person until ${clock(p.until)}: approve ${p.code}`
        : p.state === ASK.PLAN ? `! ${asked(p)} by ${p.who} is being looked at`
          : `! ${asked(p)} by ${p.who} is not confirmed yet (until ${clock(p.until)})`));
    refill(this.head, el('div', { class: 'title' }, el('h1', {}, envTitle(e.env, e.app)), this.pill()), elsewhere, held, pending, queue, this.lastLine(),
      el('div', { class: 'actions' }, buttons(e, VERBS)));
  }

  pill() {
    const e = this.env;
    if (e.running) {
      return el('a', { class: 'pill is-busy', href: `/release/${Number(e.running.release)}` },
        `▶ watch ${e.running.what} ${e.running.release}`);
    }
    if (e.unfinished) return el('p', { class: 'pill is-warn' }, `! ${e.unfinished.what} ${e.unfinished.release} unfinished`);
    return el('p', { class: `pill is-${e.lock ? 'warn' : 'good'}` }, e.lock ? '■ lock held' : '✓ free');
  }

  lastLine() {
    const last = this.env.last;
    if (!last) return el('p', { class: 'quiet' }, 'No release yet.');
    const done = result(last.exit, last.what, last.result);
    return el('p', {}, 'Last: ', el('a', { href: `/release/${Number(last.release)}` }, `${last.what} ${last.release}`), ' to ',
      el('span', { class: 'mono' }, short(last.rev)), `, ${ago(last.started)}, by ${last.who}: `,
      el('span', { class: `is-${done.kind}` }, `${done.sign} ${done.word}`));
  }

  // ---- nodes, with what the balancers and the nodes themselves say

  showNodes() {
    const rows = this.env.nodes || [];
    if (!rows.length) {
      fill(this.nodes, el('p', { class: 'quiet' }, 'No node is known yet: the first release makes them known.'));
      return;
    }
    const names = [...new Set((this.lbRows || []).map((s) => s.balancer))];
    const by = new Map((this.lbRows || []).map((s) => [`${s.balancer} ${s.server}`, s]));
    const table = el('table', { class: 'stack' }, el('thead', {}, el('tr', {}, ['node', 'revision', 'since', 'now'].map((h) => el('th', { scope: 'col' }, h)),
      names.map((b) => el('th', { scope: 'col' }, b.replace(/^tcp:\/\//, ''))))),
    el('tbody', {}, rows.slice(0, this.shown).map((n) => this.nodeRow(n, names, by))));
    const gone = this.env.gone || [];
    const revs = new Map();
    for (const n of rows) revs.set(n.rev, (revs.get(n.rev) || 0) + 1);
    refill(this.nodes, el('p', { class: 'sums' }, plural(rows.length, 'node'), ': ',
      [...revs].map(([rev, n], i) => el('span', {}, i ? ', ' : '', `${n} on `, el('span', { class: 'mono' }, short(rev))))),
    gone.length > 0 && el('p', { class: 'quiet' }, `No nodes of ${this.env.env} any more: ${gone.join(', ')}.`),
    el('div', { class: 'scroll' }, table),
    rows.length > this.shown && el('button', { type: 'button', class: 'button', onclick: () => {
      this.shown += 500;
      this.showNodes();
    } }, `Show more (${rows.length - this.shown} hidden)`));
  }

  nodeRow(n, names, by) {
    const now = this.drift && this.drift.get(n.node);
    return el('tr', {}, el('th', { scope: 'row' }, n.node),
      el('td', { class: 'mono', 'data-label': 'revision' }, short(n.rev)),
      el('td', { 'data-label': 'since' }, n.release ? el('a', { href: `/release/${Number(n.release)}` }, `release ${n.release}`) : '',
        n.at ? ` ${when(n.at)}` : ''),
      el('td', { 'data-label': 'now' }, n.owed ? el('span', { class: 'is-bad' }, `! owed: ${n.owed}${n.gone ? `; no node of ${this.env.env} any more` : ''}`) : this.driftWord(n, now)),
      names.map((b) => this.serverCell(b, by.get(`${b} ${n.lb_server || n.node}`))));
  }

  driftWord(n, now) {
    if (!now) return el('span', { class: 'quiet' }, this.drift ? 'not asked' : '–');
    if (now.drift === 'none') return el('span', { class: 'is-good' }, '✓ as released');
    if (now.drift === 'new') return el('span', {}, 'never released from here: ', el('span', { class: 'mono' }, short(now.running)));
    if (now.drift !== 'drift') return el('span', { class: 'is-warn' }, `? ${now.text || 'not known'}`);
    return el('span', { class: 'is-bad' }, '≠ drift: runs ', el('span', { class: 'mono' }, short(now.running)));
  }

  serverCell(balancer, s) {
    const name = balancer.replace(/^tcp:\/\//, '');
    if (!s) return el('td', { class: 'quiet', 'data-label': name }, '–');
    const sign = s.serving ? '✓' : '–';
    const state = s.admin && s.admin !== 'ready' ? `${s.state}, ${s.admin}` : s.state;
    return el('td', { 'data-label': name }, el('span', { class: s.serving ? 'is-good' : 'is-warn' }, `${sign} ${state}`),
      s.sessions === undefined ? '' : ` · ${plural(s.sessions, 'session')}`);
  }

  // ---- what takes asking

  async askBalancers() {
    try {
      const answer = await get(envPath(page.env, '/lb'));
      this.lbRows = answer.servers;
      this.balancers.hidden = true;
      this.showNodes();
    } catch (error) {
      this.balancers.hidden = false;
      this.balancers.textContent = `Balancers: ${error.message}`;
    }
  }

  async askDrift() {
    this.asked.disabled = true;
    this.driftText.textContent = 'Asking every node what it runs …';
    try {
      const answer = await get(envPath(page.env, '/drift'));
      this.drift = new Map(answer.nodes.map((n) => [n.node, n]));
      const off = [...this.drift.values()].filter((n) => n.drift !== 'none').length;
      this.driftText.textContent = off ? `${plural(off, 'node')} not as released, or not known.` : 'Every node runs what was released.';
      announce(this.driftText.textContent);
      this.showNodes();
    } catch (error) {
      this.driftText.textContent = `Drift: ${error.message}`;
    }
    this.asked.disabled = false;
  }

  async showPast() {
    const list = await get(`/api/v1/releases?env=${encodeURIComponent(page.env)}&limit=10`);
    this.list = list;
    this.showReleases();
  }

  showReleases() {
    if (this.list) refill(this.past, releaseTable(this.list, false, this.env));
  }
}

export async function start(main) {
  const view = new EnvView(main);
  await view.load();
  main.dataset.ready = 'yes';
  view.showPast().catch(() => {});
  view.askBalancers();
  const again = throttled(700, () => {
    view.load().catch(() => {});
    view.showPast().catch(() => {});
  });
  const lb = throttled(5000, () => view.askBalancers());
  stream({ env: page.env, on: { row: lb, release: again, lock: again, queue: again, order: again } });
  document.addEventListener('ordered', again);
  setInterval(lb, 30000);
  setInterval(again, 30000);
}
