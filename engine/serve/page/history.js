// SPDX-License-Identifier: MIT
// Past releases: how long they took, who ordered them, how they ended, and what differs between two plans.

import { el, fill, refill, throttled } from './dom.js';
import { envPath, get, page, releasePath, stream } from './api.js';
import { backButtons, waysBack } from './actions.js';
import { duration, envTitle, plural, result, short, when } from './words.js';

const PAGE = 50;

// choice: of plans to compare, {has(n), choose(n, on)}; env: the one that all are of, when its ways back are offered, too.
export function releaseTable(list, choice, env) {
  if (!list.length) return el('p', { class: 'quiet' }, 'No releases yet.');
  const ways = env && list.some((r) => waysBack(env, r).length > 0) ? env : null;
  const heads = [choice && 'diff', 'release', 'env', 'what', 'revision', 'started', 'took', 'by', 'result', ways && 'go back'].filter(Boolean);
  return el('div', { class: 'scroll' }, el('table', { class: 'stack' },
    el('thead', {}, el('tr', {}, heads.map((h) => el('th', { scope: 'col' }, h)))),
    el('tbody', {}, list.map((r) => releaseRow(r, choice, ways)))));
}

function releaseRow(r, choice, ways) {
  const done = result(r.exit, r.what, r.result);
  return el('tr', {},
    choice && el('td', { 'data-label': 'diff' }, el('input', { type: 'checkbox', 'aria-label': `compare the plan of ${r.release}`,
      'data-release': r.release, checked: choice.has(r.release), onchange: (event) => choice.choose(r.release, event.target.checked) })),
    el('th', { scope: 'row' }, el('a', { href: `/release/${Number(r.release)}` }, `${r.release}`)),
    el('td', { 'data-label': 'env' }, envTitle(r.env, r.app)),
    el('td', { 'data-label': 'what' }, r.of ? `${r.what} of ${r.of}` : r.what),
    el('td', { class: 'mono', 'data-label': 'revision' }, short(r.rev)),
    el('td', { 'data-label': 'started' }, when(r.at)),
    el('td', { 'data-label': 'took' }, r.ended ? duration(r.ended - r.at) : '–'),
    el('td', { 'data-label': 'by' }, `${r.who}@${r.host}`),
    el('td', { 'data-label': 'result' }, el('span', { class: `is-${done.kind}` }, `${done.sign} ${done.word}`),
      r.resumable ? ' (can be resumed)' : ''),
    ways && el('td', { 'data-label': 'go back', class: 'ways' }, backButtons(ways, r, true)));
}

// A bar per release, oldest left: its height is the time it took, its sign how it ended.
function chart(list) {
  const done = list.filter((r) => r.ended).slice(0, PAGE).reverse();
  if (done.length < 2) return null;
  const most = Math.max(...done.map((r) => r.ended - r.at));
  const sorted = done.map((r) => r.ended - r.at).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const bars = done.map((r) => {
    const end = result(r.exit, r.what, r.result);
    const took = r.ended - r.at;
    const bar = el('span', { class: `column is-${end.kind}` });
    bar.style.height = `${Math.max(3, Math.round((took / most) * 72))}px`;
    return el('li', {}, el('a', { href: `/release/${Number(r.release)}`, title: `${r.what} ${r.release}: ${duration(took)}, ${end.word}`,
      'aria-label': `${r.what} ${r.release}, ${duration(took)}, ${end.word}` },
    el('span', { class: `is-${end.kind}`, 'aria-hidden': 'true' }, end.sign), bar, el('span', { class: 'n', 'aria-hidden': 'true' }, `${r.release}`)));
  });
  return el('section', { class: 'panel', 'aria-labelledby': 'chart-title' },
    el('header', { class: 'panel-head' }, el('h2', { id: 'chart-title' }, 'How long they took'),
      el('p', { class: 'quiet' }, `median ${duration(middle)}, longest ${duration(most)}`)),
    el('ol', { class: 'chart' }, bars));
}

function diffTable(a, b, list) {
  if (!list.length) return el('p', {}, `The plans of ${a} and ${b} are the same.`);
  // What was observed before the release (free space and the like) differs each time; what was wanted comes first.
  const seen = list.filter((d) => /^nodes\/[^/]+\/facts\//.test(d.path));
  const wanted = list.filter((d) => !seen.includes(d));
  return el('div', {}, el('p', {}, `${plural(wanted.length, 'difference')} from ${a} to ${b}:`), diffRows(wanted),
    seen.length > 0 && el('details', {}, el('summary', {}, `and ${seen.length} in what was observed before`), diffRows(seen)));
}

function diffRows(list) {
  const cell = (v) => (v === undefined || v === null ? '–' : typeof v === 'string' ? v : JSON.stringify(v));
  return el('div', { class: 'scroll' }, el('table', { class: 'stack diff' },
    el('thead', {}, el('tr', {}, ['where', 'was', 'is'].map((h) => el('th', { scope: 'col' }, h)))),
    el('tbody', {}, list.slice(0, 500).map((d) => el('tr', {}, el('th', { scope: 'row', class: 'mono' }, d.path),
      el('td', { class: 'mono', 'data-label': 'was' }, el('del', {}, cell(d.was))),
      el('td', { class: 'mono', 'data-label': 'is' }, el('ins', {}, cell(d.is))))))));
}

class HistoryView {
  constructor(main, env) {
    this.env = env;
    this.list = [];
    this.chosen = []; // numbers, oldest choice first
    this.chart = el('div', {});
    this.table = el('div', {});
    this.diff = el('section', { class: 'panel', hidden: true, 'aria-live': 'polite', 'aria-label': 'Differences' });
    this.compare = el('button', { type: 'button', class: 'button', disabled: true, onclick: () => this.showDiff() }, 'Compare two plans');
    this.more = el('button', { type: 'button', class: 'button', onclick: () => this.load() }, 'Older');
    fill(main, el('header', { class: 'release-head' }, el('div', { class: 'title' }, el('h1', {}, 'History'),
      env && el('p', { class: 'pill' }, envTitle(env, page.app))), env && el('p', {}, el('a', { href: '/history' }, 'of all environments'))),
    this.chart, this.diff, el('section', { class: 'panel', 'aria-labelledby': 'list-title' },
      el('header', { class: 'panel-head' }, el('h2', { id: 'list-title' }, 'Releases'), this.compare), this.table, this.more));
  }

  async load() {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.env) query.set('env', this.env);
    if (this.list.length) query.set('before', this.list[this.list.length - 1].release);
    const got = await get(`/api/v1/releases?${query}`);
    this.list.push(...got);
    this.more.hidden = got.length < PAGE;
    this.show();
  }

  show() {
    refill(this.table, releaseTable(this.list, this, this.state));
    this.compare.disabled = this.chosen.length !== 2;
    fill(this.chart, chart(this.list));
  }

  // What may be gone back to depends on what holds and runs now.
  async loadState() {
    const state = await get(envPath(this.env));
    const ways = (s) => JSON.stringify(s && [s.can, s.running, s.unfinished, s.lock, s.nodes]);
    if (ways(state) === ways(this.state)) return;
    this.state = state;
    this.show();
  }

  has(n) {
    return this.chosen.includes(n);
  }

  // A third one takes the place of the first.
  choose(n, on) {
    this.chosen = [...this.chosen.filter((c) => c !== n), ...(on ? [n] : [])].slice(-2);
    for (const box of this.table.querySelectorAll('input[data-release]')) box.checked = this.has(Number(box.dataset.release));
    this.compare.disabled = this.chosen.length !== 2;
  }

  async showDiff() {
    const [a, b] = [...this.chosen].sort((x, y) => x - y);
    this.diff.hidden = false;
    try {
      const answer = await get(releasePath(a, `/diff?with=${b}`));
      fill(this.diff, el('header', { class: 'panel-head' }, el('h2', {}, 'Differences')), diffTable(a, b, answer));
    } catch (error) {
      fill(this.diff, el('p', { class: 'error' }, error.message));
    }
    this.diff.scrollIntoView({ block: 'nearest' });
  }
}

export async function start(main) {
  const view = new HistoryView(main, new URLSearchParams(location.search).get('env') || page.env || '');
  await view.load();
  if (view.env) await view.loadState().catch(() => {});
  main.dataset.ready = 'yes';
  if (!view.env) return;
  const again = throttled(1000, () => view.loadState().catch(() => {}));
  stream({ env: view.env, on: { release: again, lock: again } });
  document.addEventListener('ordered', again);
}
