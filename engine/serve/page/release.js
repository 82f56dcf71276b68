// SPDX-License-Identifier: MIT
// A release, live or past: head with progress, a tile per node, the timeline, what happened, what was printed.

import { announce, el, fill, refill, say, throttled } from './dom.js';
import { envPath, get, page, releasePath, stream } from './api.js';
import { LIFE, LIVES, ORDER, STATES, WISH, clock, duration, envTitle, floors, plural, result, short, ticking, when } from './words.js';
import { BACK, DONE, LEFT, Model, OUT, UNDONE } from './model.js';
import { Tiles } from './tiles.js';
import { Track } from './track.js';
import { Timeline } from './timeline.js';
import { Log } from './log.js';
import { backButtons, buttons } from './actions.js';

const ROWS = 40; // of the timeline
const SHOWN_EVENTS = 200;
const SLICE_MS = 25;
const QUIET = new Set(['progress', 'gang-ok', 'proceed']);
const QUIET_OF_MANY = new Set(['admit', 'node-in']); // with thousands of nodes they would be all that one sees

class ReleaseView {
  constructor(main, release, snapshot, timeline) {
    this.release = release;
    this.track = new Track(release, ROWS);
    this.model = new Model(release, null);
    this.model.load(snapshot);
    this.track.load(timeline, this.model);
    this.model.recorder = this.track;
    this.left = snapshot.left_ms ?? -1;
    this.leftAt = Date.now();
    this.rows = []; // of the stream, folded together a few times a second
    this.pokeLog = throttled(500, () => this.log.more());
    this.costs = []; // ms of the last updates: the browser test reads them
    this.build(main);
    this.refresh(this.model.changed);
  }

  build(main) {
    const r = this.release;
    this.state = el('p', { class: 'pill' });
    this.sentence = el('p', { class: 'sentence' });
    this.failure = el('p', { class: 'banner is-bad' });
    this.bar = el('div', { class: 'bar', role: 'img' });
    this.parts = STATES.map((s) => el('span', { class: `b-${s.key}` }));
    this.bar.append(...[4, 6, 3, 5, 7, 8, 2, 1, 0, 9].map((i) => this.parts[i]));
    this.facts = new Map();
    this.actions = el('div', { class: 'actions' });
    this.events = el('ol', { class: 'events' });
    this.tiles = new Tiles(this.model, (i) => this.log.show(this.model.ids[i], -1));
    this.timeline = new Timeline(r, this.track, this.model, (i, step) => {
      this.tiles.choose(i, false);
      this.log.show(this.model.ids[i], step);
    });
    this.log = new Log(r, this.model);
    const head = el('header', { class: 'release-head' },
      el('div', { class: 'title' },
        el('h1', {}, `${r.what} ${r.release}`, ' ', el('a', { href: `/env/${encodeURIComponent(r.env)}`, class: 'env' }, envTitle(r.env, r.app))),
        el('a', { href: `/release/${Number(r.release)}/report` }, 'report'),
        this.state),
      this.failure, this.sentence, this.bar, this.factList(), this.actions);
    fill(main, head,
      el('section', { class: 'panel', 'aria-labelledby': 'nodes-title' },
        el('header', { class: 'panel-head' }, el('h2', { id: 'nodes-title' }, 'Nodes')), this.tiles.root),
      el('section', { class: 'panel', 'aria-labelledby': 'time-title' },
        el('header', { class: 'panel-head' }, el('h2', { id: 'time-title' }, 'Timeline'), this.phaseLegend()),
        this.timeline.root),
      el('div', { class: 'columns' },
        el('section', { class: 'panel', 'aria-labelledby': 'events-title' },
          el('header', { class: 'panel-head' }, el('h2', { id: 'events-title' }, 'What happened')), this.events),
        this.log.root));
    main.dataset.ready = 'yes';
  }

  factList() {
    const r = this.release;
    const add = (name, value, mono) => {
      const node = el('dd', { class: mono ? 'mono' : null }, value);
      this.facts.set(name, node);
      return el('div', {}, el('dt', {}, name), node);
    };
    const typed = r.rev_typed && !r.rev.startsWith(r.rev_typed) ? ` (${r.rev_typed})` : '';
    return el('dl', { class: 'facts' },
      add('revision', `${short(r.rev)}${typed}`, true), add('plan', r.plan), add('by', `${r.who}@${r.host}`),
      add('started', when(r.at)), add('took', ''), add('remaining', ''), add('in rotation', ''),
      add('window', plural(r.window, 'node')), add('stage', ''));
  }

  phaseLegend() {
    const used = new Set(this.release.steps.map((s) => s.phase));
    const shown = this.track.banded
      ? STATES.filter((s) => s.key !== 'waiting' && s.key !== 'untouched').map((s) => [`state s-${s.key}`, s.sign, s.word])
      : [['p-prepare', 'P', 'prepare'], ['p-drain', 'D', 'drain'], ['p-change', 'C', 'change'], ['p-check', 'H', 'check'],
        ['p-enable', 'E', 'enable'], ['p-verify', 'V', 'verify']].filter(([, , name]) => used.has(name));
    return el('ul', { class: 'phase-legend' }, shown.map(([key, letter, name]) => el('li', {},
      el('span', { class: `swatch ${key}`, 'aria-hidden': 'true' }, letter), name)));
  }

  // ---- what comes in

  row(row) {
    this.rows.push(row);
    // With thousands of nodes a few updates a second are enough, and the page stays free between them.
    this.foldSoon(this.tiles.dense ? 200 : 30);
  }

  foldSoon(ms) {
    if (this.frame) return;
    this.frame = true;
    setTimeout(() => this.foldRows(), ms);
  }

  foldRows() {
    const began = performance.now();
    this.frame = false;
    const wasEnded = this.model.ended;
    // A burst is folded in slices, so that the page answers between them.
    let n = 0;
    for (; n < this.rows.length && (n % 100 || performance.now() < began + SLICE_MS); n++) {
      const row = this.rows[n];
      if (row.seq > this.model.seq) this.addEvent(row);
      this.model.apply(row);
    }
    const rows = this.rows.splice(0, n);
    if (this.rows.length) this.foldSoon(0);
    this.refresh(this.model.changed);
    this.model.changed = new Set();
    this.costs.push(performance.now() - began);
    if (this.costs.length > 500) this.costs.shift();
    if (rows.some((r) => !this.log.node || r.node === this.log.node)) this.pokeLog();
    if (this.model.ended && !wasEnded) this.onEnd();
  }

  async onEnd() {
    this.log.more();
    await this.reload();
    announce(`${this.release.what} ${this.release.release}: ${this.lifeWord().word}`);
  }

  // The release's own row: its end, its summary.
  async reload() {
    try {
      Object.assign(this.release, await get(releasePath(this.release.release)));
      this.refresh([]);
      this.showActions();
    } catch (error) {
      say(this.sentence, error.message);
    }
  }

  async askLeft() {
    if (this.model.ended) return;
    const s = await get(releasePath(this.release.release, '/model?summary=1')).catch(() => null);
    if (!s) return;
    this.left = s.left_ms ?? -1;
    this.leftAt = Date.now();
  }

  // Orders are for the environment: an older release, which they would not be about, has only the ways back to it.
  async showActions() {
    try {
      const env = await get(envPath(this.release.env));
      const about = [env.running, env.unfinished, env.last].find(Boolean);
      const ours = about && about.release === this.release.release;
      refill(this.actions, ours ? buttons(env, [WISH.PAUSE, WISH.ABORT, WISH.RESUME, WISH.ROLLBACK]) : backButtons(env, this.release, false));
    } catch (error) {
      fill(this.actions, el('p', { class: 'quiet' }, error.message));
    }
  }

  // ---- what is shown

  refresh(changed, now = Date.now()) {
    this.tiles.update(changed, now);
    this.showHead(now);
    this.drawTimeline(now);
  }

  // Drawing thousands of moments takes its time: at most a tenth of all time goes there.
  drawTimeline(now) {
    if (performance.now() < (this.drawAgain || 0) && !this.model.ended) return;
    const began = performance.now();
    this.timeline.draw(now);
    this.drawAgain = performance.now() + 9 * (performance.now() - began);
  }

  lifeWord() {
    const m = this.model;
    if (m.ended || this.release.ended) {
      return result(m.exit ?? this.release.exit, this.release.what, this.release.ended && this.release.result);
    }
    let word = m.started ? LIVES[m.life] : 'starting';
    if (m.life === LIFE.ROLL && this.release.stage_end.length > 1) word += `, stage ${m.stage + 1} of ${this.release.stage_end.length}`;
    if (m.soakUntil > Date.now()) word += `, judging for ${ticking(m.soakUntil - Date.now())}`;
    if (m.stopping) word += ', stopping';
    return { word, kind: m.life >= LIFE.BACK ? 'warn' : 'busy', sign: m.life >= LIFE.BACK ? '◀' : '▶' };
  }

  // An order to stop is acknowledged at once, with what it waits for.
  stoppingText() {
    const m = this.model;
    if (!m.told || m.ended) return '';
    if (m.told === ORDER.ABORT) return 'Stopping now: nothing more is sent; nodes that are out stay out until resume or rollback.';
    const held = m.ids.filter((_, i) => [OUT, BACK].includes(m.nodes[i].state));
    const names = held.slice(0, 4).join(', ') + (held.length > 4 ? ` and ${held.length - 4} more` : '');
    return held.length ? `Stopping: finishing ${names}, nothing else starts.` : 'Stopping: nothing else starts.';
  }

  showHead(now) {
    const m = this.model;
    const r = this.release;
    const life = this.lifeWord();
    this.state.className = `pill is-${life.kind}`;
    say(this.state, `${life.sign} ${life.word}`);
    const over = m.counts[DONE] + m.counts[UNDONE];
    document.title = `${life.sign} ${over}/${m.ids.length} ${r.what} ${r.release}, ${envTitle(r.env, r.app)}`;
    const failed = m.failedNode >= 0 ? `${m.ids[m.failedNode]}${m.failedStep >= 0 ? ` at ${m.steps[m.failedStep].label}` : ''}`
      + `${m.failedText ? `: ${m.failedText}` : ' failed'}` : '';
    say(this.failure, failed && `✕ ${failed}`);
    this.failure.hidden = !failed;
    say(this.sentence, (m.ended && r.summary) || this.stoppingText() || m.text);
    m.counts.forEach((n, i) => {
      this.parts[i].hidden = n === 0;
      this.parts[i].style.flexGrow = n;
    });
    this.bar.setAttribute('aria-label', STATES.map((s, i) => (m.counts[i] ? `${m.counts[i]} ${s.word}` : ''))
      .filter(Boolean).join(', '));
    this.showFacts(now);
  }

  showFacts(now) {
    const m = this.model;
    const r = this.release;
    const n = m.ids.length;
    const over = m.ended || r.ended;
    const end = over ? r.ended || m.last : now;
    say(this.facts.get('took'), over ? duration(end - r.at) : ticking(end - r.at));
    const left = over || this.left < 0 ? '–' : `≈ ${ticking(this.left - (now - this.leftAt))}`;
    say(this.facts.get('remaining'), left);
    say(this.facts.get('in rotation'), `${n - m.counts[OUT] - m.counts[BACK] - m.counts[LEFT]} of ${n}, floor ${floors(r)}`);
    const goal = r.stage_end[m.stage];
    say(this.facts.get('stage'), r.stage_end.length > 1 && goal
      ? `${m.stage + 1} of ${r.stage_end.length} (${m.counts[DONE] + m.counts[UNDONE]} of ${goal})` : 'one');
  }

  tick() {
    const now = Date.now();
    if (this.model.ended || this.release.ended) return;
    this.tiles.tick(now);
    this.showHead(now);
    this.drawTimeline(now);
  }

  addEvent(row) {
    const bad = row.code === 'failed' || row.code === 'unknown' || /node-failed|node-left|gang-bad|deadline|soak-failed|floor-stop/.test(row.code) || (row.code === 'judged' && row.b !== 1);
    if (row.kind === 'intent' || (row.kind === 'outcome' && !bad) || (row.kind === 'note' && QUIET.has(row.code))) return;
    if (this.tiles.dense && QUIET_OF_MANY.has(row.code)) return;
    if (row.kind === 'outcome' && row.role === 'observe' && row.code === 'failed') return;
    const text = row.kind === 'order' ? `ordered: ${row.code}${row.text ? ` (${row.text})` : ''}`
      : row.text || row.sentence || `${row.node || ''} ${row.label || ''} ${row.code}`;
    const item = el('li', { class: bad ? 'has-bad' : null }, el('time', {}, clock(row.at)),
      el('span', {}, bad ? '✕ ' : '', text));
    this.events.prepend(item);
    while (this.events.childElementCount > SHOWN_EVENTS) this.events.lastElementChild.remove();
  }

  // Rows of the past, for "what happened": the newest of them.
  async loadEvents(until) {
    const answer = await get(releasePath(this.release.release, `/rows?after=${Math.max(0, until - 2000)}&limit=2000`));
    const newer = [...this.events.children];
    for (const row of answer.rows) if (row.seq <= until) this.addEvent(row);
    this.events.prepend(...newer); // what the stream brought meanwhile
  }
}

export async function start(main) {
  const n = page.release;
  const [release, snapshot, timeline] = await Promise.all([
    get(releasePath(n)), get(releasePath(n, '/model')), get(releasePath(n, `/timeline?rows=${ROWS}`)),
  ]);
  const view = new ReleaseView(main, release, snapshot, timeline);
  window.releaseView = view; // for the browser test and for a person with a console
  view.timeline.describe();
  view.loadEvents(view.model.seq).catch(() => {});
  view.showActions();
  const first = view.model.failedNode >= 0 ? view.model.failedNode : view.model.nodes.findIndex((x) => x.state === OUT);
  if (first >= 0) view.tiles.choose(first);
  else view.log.show('', -1);
  const orders = throttled(700, () => view.showActions());
  stream({ release: n, env: release.env, after: view.model.seq,
    on: { row: (row) => view.row(row), release: () => view.reload(), lock: orders, queue: orders, order: orders } });
  setInterval(() => view.tick(), 1000);
  setInterval(() => view.askLeft(), 5000);
  setInterval(() => view.timeline.describe(), 15000);
}
