// SPDX-License-Identifier: MIT
// What a step printed, as it comes: one node and one step, or all of either. Bytes of nodes are shown, never obeyed.

import { announce, el, fill, put, visible } from './dom.js';
import { get, releasePath } from './api.js';

const MOST_LINES = 5000; // older ones leave the page; the store has them

export class Log {
  constructor(release, model) {
    Object.assign(this, { release, model, node: '', step: -1, after: 0, lines: 0, asking: false, again: false });
    this.nodes = el('select', { id: 'log-node', onchange: () => this.show(this.nodes.value, Number(this.steps.value)) },
      el('option', { value: '' }, 'every node'), release.nodes.map((id) => el('option', { value: id }, id)));
    this.steps = el('select', { id: 'log-step', onchange: () => this.show(this.nodes.value, Number(this.steps.value)) },
      el('option', { value: -1 }, 'every step'),
      release.steps.map((s, i) => el('option', { value: i }, `${s.phase}: ${s.label}`)));
    this.follow = el('input', { type: 'checkbox', id: 'log-follow', checked: true });
    this.text = el('pre', { class: 'log', tabindex: 0, role: 'log', 'aria-label': 'Output', 'aria-live': 'off' });
    this.none = el('p', { class: 'quiet' });
    this.root = el('section', { class: 'panel log-panel', 'aria-labelledby': 'log-title' },
      el('header', { class: 'panel-head' }, el('h2', { id: 'log-title' }, 'Output'),
        el('label', { for: 'log-node' }, 'node'), this.nodes, el('label', { for: 'log-step' }, 'step'), this.steps,
        el('label', { class: 'check', for: 'log-follow' }, this.follow, 'follow')),
      this.text, this.none);
  }

  show(node, step) {
    this.node = node;
    this.step = step;
    this.after = 0;
    this.lines = 0;
    this.open = new Map();
    this.nodes.value = node;
    this.steps.value = String(step);
    fill(this.text);
    this.turn = (this.turn || 0) + 1;
    this.more();
    announce(`Output of ${node || 'every node'}`);
  }

  // What has come since; a row of the stream says that there may be something.
  async more() {
    if (!this.turn) return;
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    const turn = this.turn;
    const query = new URLSearchParams({ after: this.after, limit: 500 });
    if (this.node) query.set('node', this.node);
    if (this.step >= 0) query.set('step', this.step);
    let full = false;
    try {
      const answer = await get(releasePath(this.release.release, `/output?${query}`));
      if (turn === this.turn) {
        for (const piece of answer.output) this.add(piece);
        this.after = answer.next ?? this.after;
        full = answer.output.length >= 500;
        this.none.textContent = this.lines ? '' : 'Nothing was printed here yet.';
      }
    } catch (error) {
      this.none.textContent = error.message;
    }
    this.asking = false;
    if (full || this.again || turn !== this.turn) {
      this.again = false;
      this.more();
    }
  }

  // Pieces end anywhere: what has no line end yet waits for its rest, by node, step and stream.
  add(piece) {
    const key = `${piece.node} ${piece.step} ${piece.stream}`;
    const lines = ((this.open.get(key) || '') + piece.data).split('\n');
    this.open.set(key, lines.pop());
    const stuck = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 40;
    for (const line of lines) this.addLine(piece, line);
    const rest = this.open.get(key);
    if (rest.length > 4000) {
      this.addLine(piece, rest);
      this.open.set(key, '');
    }
    if (this.follow.checked && (stuck || this.lines < 100)) this.text.scrollTop = this.text.scrollHeight;
  }

  addLine(piece, line) {
    const mark = piece.stream === 'stderr' ? '!' : piece.stream === 'log' ? '·' : '|';
    const row = el('div', { class: `line is-${piece.stream}` });
    if (!this.node) put(row, el('b', {}, `${piece.node} `));
    if (this.step < 0) put(row, el('i', {}, `${piece.label || ''} `));
    put(row, el('span', { class: 'mark' }, `${mark} `), visible(line.replace(/\r$/, '')).replace(/\t/g, '    '));
    this.text.append(row);
    this.lines++;
    while (this.text.childElementCount > MOST_LINES) this.text.firstElementChild.remove();
  }
}
