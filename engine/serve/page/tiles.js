// SPDX-License-Identifier: MIT
// A tile per node. Up to MANY nodes a tile says what its node does; above that it is a small square with the node's
// sign, and a line beneath says the rest of the one that has the focus. One tab stop: arrows move within (roving
// tabindex), Enter or Space chooses.

import { el, fill, say, visible } from './dom.js';
import { STATES, duration, plural, ticking } from './words.js';

export const MANY = 80;

export class Tiles {
  constructor(model, onChoose) {
    this.model = model;
    this.onChoose = onChoose;
    this.dense = model.ids.length > MANY;
    this.focus = 0;
    this.chosen = -1;
    this.only = -1; // a state: the others are dimmed and skipped by the arrows
    this.detail = el('p', { class: 'tile-detail', hidden: !this.dense });
    this.list = el('ul', { class: this.dense ? 'tiles is-dense' : 'tiles', role: 'listbox',
      'aria-label': `${plural(model.ids.length, 'node')}, arrows move, Enter shows the log` });
    this.tiles = model.ids.map((id, i) => this.make(id, i));
    this.list.append(...this.tiles.map((t) => t.node));
    this.legend = el('div', { class: 'legend', role: 'group', 'aria-label': 'Show only nodes that are' });
    this.buttons = STATES.map((s, i) => this.makeFilter(s, i));
    this.legend.append(...this.buttons.map((b) => b.node));
    this.list.addEventListener('keydown', (event) => this.onKey(event));
    this.list.addEventListener('click', (event) => this.onClick(event));
    this.list.addEventListener('focusin', (event) => this.onFocus(event));
    this.list.addEventListener('mouseover', (event) => this.onHover(event));
    this.root = el('div', { class: 'tiles-box' }, this.legend, this.list, this.detail);
    this.update(model.changed);
  }

  make(id, i) {
    const node = el('li', { role: 'option', tabindex: i === 0 ? 0 : -1, 'aria-selected': 'false' });
    node.dataset.i = i;
    const sign = el('span', { class: 'sign', 'aria-hidden': 'true' });
    node.append(sign);
    if (this.dense) return { node, sign };
    const parts = { node, sign, word: el('span', { class: 'word' }), doing: el('span', { class: 'doing' }),
      time: el('span', { class: 'time' }), note: el('span', { class: 'note' }) };
    node.append(el('b', {}, id), parts.word, parts.time, parts.doing, parts.note);
    return parts;
  }

  makeFilter(state, i) {
    const count = el('span', { class: 'count' });
    const node = el('button', { type: 'button', class: `chip s-${state.key}`, 'aria-pressed': 'false',
      onclick: () => this.filter(this.only === i ? -1 : i) },
    el('span', { class: 'sign', 'aria-hidden': 'true' }, state.sign), el('span', {}, state.word), count);
    return { node, count };
  }

  filter(state) {
    this.only = state;
    this.list.classList.toggle('is-filtered', state >= 0);
    this.buttons.forEach((b, i) => b.node.setAttribute('aria-pressed', String(i === state)));
    this.update(this.model.nodes.keys());
    const first = this.model.nodes.findIndex((n) => n.state === state);
    if (first >= 0) this.rove(first, false);
  }

  // changed: indices. Only what is different is written: at 2,000 nodes this is what keeps an update short.
  update(changed, now = Date.now()) {
    for (const i of changed) this.paint(i, now);
    this.buttons.forEach((b, i) => {
      say(b.count, String(this.model.counts[i]));
      b.node.hidden = this.model.counts[i] === 0 && this.only !== i;
    });
    if (this.dense) this.showDetail(now);
  }

  paint(i, now) {
    const n = this.model.nodes[i];
    const state = STATES[n.state];
    const t = this.tiles[i];
    const off = this.only >= 0 && this.only !== n.state ? ' is-off' : '';
    const wanted = `tile s-${state.key}${off}${n.unknown ? ' is-unknown' : ''}${i === this.chosen ? ' is-chosen' : ''}`;
    if (t.node.className !== wanted) t.node.className = wanted;
    say(t.sign, n.unknown ? '?' : state.sign);
    if (this.dense) {
      t.node.setAttribute('aria-label', `${this.model.ids[i]}, ${state.word}`);
      return;
    }
    say(t.word, n.unknown ? `${state.word}, outcome unknown, looking` : state.word);
    say(t.doing, this.doing(n));
    say(t.note, this.isTrouble(n) ? n.text : '');
    this.tickOne(i, now);
  }

  doing(n) {
    if (n.step < 0) return '';
    const step = this.model.steps[n.step];
    const gauge = n.gauge >= 0 && step.counts ? `, ${n.gauge} ${step.counts}` : '';
    return `${step.label}${gauge}${n.attempt > 1 ? `, attempt ${n.attempt}` : ''}`;
  }

  isTrouble(n) {
    const key = STATES[n.state].key;
    return n.unknown || key === 'failed' || key === 'left' || key === 'back';
  }

  tickOne(i, now) {
    const n = this.model.nodes[i];
    const t = this.tiles[i];
    const out = STATES[n.state].key === 'out' || STATES[n.state].key === 'back';
    if (n.step >= 0 && n.stepAt && !this.model.ended) say(t.time, ticking(now - n.stepAt));
    else if (!out && n.out) say(t.time, `out ${duration(n.out)}`);
    else say(t.time, '');
  }

  // Once a second: clocks of the tiles that are at work.
  tick(now) {
    if (this.dense) return this.showDetail(now);
    this.model.nodes.forEach((n, i) => n.step >= 0 && this.tickOne(i, now));
    return undefined;
  }

  showDetail(now) {
    const n = this.model.nodes[this.focus];
    const state = STATES[n.state];
    const time = n.step >= 0 && n.stepAt && !this.model.ended ? ` · ${ticking(now - n.stepAt)}` : '';
    const doing = this.doing(n);
    const text = `${state.sign} ${this.model.ids[this.focus]} · ${state.word}${doing ? ` · ${doing}` : ''}${time}`
      + `${n.out ? ` · was out ${duration(n.out)}` : ''}${this.isTrouble(n) && n.text ? ` · ${n.text}` : ''}`;
    if (this.detail.textContent !== visible(text)) fill(this.detail, text);
  }

  rove(i, take = true) {
    this.tiles[this.focus].node.tabIndex = -1;
    this.focus = i;
    this.tiles[i].node.tabIndex = 0;
    if (take) this.tiles[i].node.focus({ preventScroll: false });
    if (this.dense) this.showDetail(Date.now());
  }

  columns() {
    const first = this.tiles[0].node.offsetTop;
    let n = 1;
    while (n < this.tiles.length && this.tiles[n].node.offsetTop === first) n++;
    return n;
  }

  step(by) {
    const matches = (i) => this.only < 0 || this.model.nodes[i].state === this.only;
    let i = this.focus + by;
    while (i >= 0 && i < this.tiles.length && !matches(i)) i += Math.sign(by);
    if (i >= 0 && i < this.tiles.length) this.rove(i);
  }

  onKey(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 100, PageUp: -100 };
    if (event.key === 'ArrowDown') this.step(this.columns());
    else if (event.key === 'ArrowUp') this.step(-this.columns());
    else if (moves[event.key]) this.step(moves[event.key]);
    else if (event.key === 'Home') this.rove(0);
    else if (event.key === 'End') this.rove(this.tiles.length - 1);
    else if (event.key === 'Enter' || event.key === ' ') this.choose(this.focus);
    else return;
    event.preventDefault();
  }

  at(event) {
    const node = event.target.closest('li');
    return node ? Number(node.dataset.i) : -1;
  }

  onClick(event) {
    const i = this.at(event);
    if (i >= 0) this.choose(i);
  }

  onFocus(event) {
    const i = this.at(event);
    if (i >= 0 && i !== this.focus) this.rove(i, false);
  }

  onHover(event) {
    const i = this.at(event);
    if (this.dense && i >= 0) this.tiles[i].node.title = this.tiles[i].node.getAttribute('aria-label');
  }

  choose(i, tell = true) {
    const before = this.chosen;
    this.chosen = i;
    if (before >= 0) {
      this.tiles[before].node.setAttribute('aria-selected', 'false');
      this.paint(before, Date.now());
    }
    this.rove(i, false);
    this.tiles[i].node.setAttribute('aria-selected', 'true');
    this.paint(i, Date.now());
    if (tell) this.onChoose(i);
  }
}
