// SPDX-License-Identifier: MIT
// The timeline: nodes down, time across, a bar per step; under it the stages, and how many nodes are in rotation over the
// floor that must not be crossed. With more nodes than rows every row is a band of nodes, its height shared by state.
// Canvas, because thousands of bars are. Who does not see it has the same in words: its label, the tiles, what happened.

import { el, say } from './dom.js';
import { PHASES, STATES, clock, duration, floors } from './words.js';
import { BACK, DONE, FAILED, LEFT, OUT, PREPARED, PREPARING, UNDONE } from './model.js';

const AXIS = 22, STAGES = 18, CAPACITY = 56, GAP = 6, RIGHT = 10;
const PAINT_ORDER = [DONE, UNDONE, OUT, BACK, FAILED, LEFT, PREPARED, PREPARING]; // from the bottom of a band

export class Timeline {
  constructor(release, track, model, onPick) {
    Object.assign(this, { release, track, model, onPick, chosen: -1, drawn: '', palette: null });
    this.canvas = el('canvas', { class: 'timeline', role: 'img', 'aria-label': 'Timeline' });
    this.hint = el('p', { class: 'timeline-hint', 'aria-hidden': 'true' });
    this.root = el('div', { class: 'timeline-box' }, this.canvas, this.hint);
    this.canvas.addEventListener('mousemove', (e) => this.onMove(e));
    this.canvas.addEventListener('mouseleave', () => say(this.hint, ''));
    this.canvas.addEventListener('click', (e) => this.onClick(e));
    const anew = () => {
      this.palette = null;
      this.drawn = '';
      this.draw();
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', anew);
    new ResizeObserver(anew).observe(this.root);
  }

  rowHeight() {
    const n = this.track.bands.length;
    return n <= 8 ? 28 : n <= 24 ? 20 : 11;
  }

  colours() {
    if (this.palette) return this.palette;
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    this.palette = {
      text: of('--text'), dim: of('--text-dim'), line: of('--line'), faint: of('--line-faint'), accent: of('--accent'),
      bad: of('--bad'), good: of('--good'), surface: of('--surface'), select: of('--select'),
      ink: of('--bar-ink'), badInk: of('--bad-ink'),
      phases: PHASES.map((p) => of(`--p-${p.key}`)),
      states: STATES.map((s) => of(`--b-${s.key}`)),
    };
    return this.palette;
  }

  frame(now) {
    const width = Math.max(240, this.root.clientWidth);
    const gutter = width < 520 ? 62 : 104;
    const from = this.model.started || this.release.at;
    const end = this.model.ended ? Math.max(this.model.last, this.release.ended || 0) : Math.max(now, this.model.last);
    const to = Math.max(end, from + 4000) + (this.model.ended ? 0 : Math.max(1500, (end - from) * 0.04));
    const rows = this.track.bands.length * this.rowHeight();
    return { width, gutter, from, to, end, rows, left: gutter, right: width - RIGHT,
      height: AXIS + rows + GAP + STAGES + CAPACITY + 6,
      x: (at) => gutter + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (width - RIGHT - gutter) };
  }

  // Draws when there is something new; `now` is part of it while the release lives.
  draw(now = Date.now()) {
    const f = this.frame(now);
    const key = `${this.track.version} ${f.width} ${this.chosen} ${this.model.ended ? 0 : Math.floor(now / 250)}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(f.width * ratio) || this.canvas.height !== Math.round(f.height * ratio)) {
      this.canvas.width = Math.round(f.width * ratio);
      this.canvas.height = Math.round(f.height * ratio);
      this.canvas.style.height = `${f.height}px`;
    }
    const g = this.canvas.getContext('2d');
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, f.width, f.height);
    this.drawAxis(g, f);
    for (let b = 0; b < this.track.bands.length; b++) this.drawRow(g, f, b, now);
    this.drawStages(g, f);
    this.drawCapacity(g, f);
    this.frameDrawn = f;
  }

  font(g, size, colour, align = 'left', weight = '') {
    g.font = `${weight} ${size}px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif`;
    g.fillStyle = colour;
    g.textAlign = align;
    g.textBaseline = 'middle';
  }

  drawAxis(g, f) {
    const c = this.colours();
    const span = f.to - f.from;
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
    const most = Math.max(2, Math.floor((f.right - f.left) / 80));
    const every = 1000 * (steps.find((s) => span / (s * 1000) <= most) || 86400);
    this.font(g, 11, c.dim, 'center');
    for (let at = 0; at <= span; at += every) {
      const x = Math.round(f.x(f.from + at)) + 0.5;
      g.fillStyle = c.faint;
      g.fillRect(x - 0.5, AXIS - 2, 1, f.rows + 2);
      if (x < f.right - 14) {
        this.font(g, 11, c.dim, at === 0 ? 'left' : 'center');
        g.fillText(at === 0 ? clock(f.from) : `+${duration(at).replace('.0s', 's').replace(/00s$/, '')}`, x, 9);
      }
    }
  }

  drawRow(g, f, b, now) {
    const c = this.colours();
    const h = this.rowHeight();
    const y = AXIS + b * h;
    const band = this.track.bands[b];
    if (this.chosen >= band.first && this.chosen < band.first + band.n) {
      g.fillStyle = c.select;
      g.fillRect(0, y, f.width, h);
    }
    const trouble = this.track.hasTrouble(b);
    const every = h < 14 ? 4 : 1;
    if (b % every === 0 || trouble) {
      this.font(g, h < 14 ? 10 : 12, trouble ? c.bad : c.text, 'left');
      g.fillText(this.label(band, trouble, f.gutter), 2, y + h / 2);
    }
    g.fillStyle = c.faint;
    g.fillRect(f.left, y + h - 1, f.right - f.left, 1);
    if (this.track.banded) this.drawBand(g, f, band, y, h);
    else this.drawSpans(g, f, band, y, h, now);
  }

  label(band, trouble, gutter) {
    const room = Math.floor((gutter - 8) / 6.6);
    const name = this.track.banded ? this.model.ids[band.first] : this.model.ids[band.first];
    const text = `${trouble ? '✕ ' : ''}${name}${this.track.banded ? ' …' : ''}`;
    return text.length > room ? `${text.slice(0, room - 1)}…` : text;
  }

  drawSpans(g, f, band, y, h, now) {
    const c = this.colours();
    const bar = (s, open) => {
      const x = f.x(s.from);
      const w = Math.max(1.5, f.x(s.to) - x);
      const phase = this.track.phase(s.step);
      g.fillStyle = s.outcome === 'failed' ? c.bad : c.phases[phase] || c.line;
      g.globalAlpha = open ? 0.75 : 1;
      g.fillRect(x, y + 3, Math.max(1, w - 0.75), h - 7);
      g.globalAlpha = 1;
      if (s.back) { // the way back is hatched from below, so that it does not rest on colour
        g.fillStyle = c.surface;
        for (let i = x + 2; i < x + w - 2; i += 5) g.fillRect(i, y + h - 7, 2, 3);
      }
      if (w < 12) return;
      this.font(g, 10, s.outcome === 'failed' ? c.badInk : c.ink, 'left', '600');
      const label = this.track.steps[s.step].label;
      const room = Math.floor((w - 6) / 5.8);
      const text = s.outcome === 'failed' ? `✕ ${label}` : label;
      g.fillText(text.length <= room ? text : PHASES[phase].letter, x + 3, y + h / 2);
    };
    for (const s of band.spans) bar(s, false);
    const n = this.model.nodes[band.first];
    if (n.step >= 0 && n.barAt && !n.closed && !this.model.ended) {
      bar({ step: n.step, from: n.barAt, to: Math.max(now, n.barAt), outcome: 'ok', back: n.state === BACK }, true);
    }
  }

  drawBand(g, f, band, y, h) {
    const c = this.colours();
    for (let m = 0; m < band.moments.length; m++) {
      const { at, counts } = band.moments[m];
      const x = f.x(at);
      const next = m + 1 < band.moments.length ? f.x(band.moments[m + 1].at) : f.x(f.end);
      if (next - x < 0.3 && m + 1 < band.moments.length) continue;
      let bottom = y + h - 1;
      for (const s of PAINT_ORDER) {
        if (!counts[s]) continue;
        const part = (counts[s] / band.n) * (h - 2);
        g.fillStyle = c.states[s];
        g.fillRect(x, bottom - part, Math.max(0.5, next - x), part);
        bottom -= part;
      }
    }
  }

  drawStages(g, f) {
    const c = this.colours();
    const top = AXIS + f.rows + GAP;
    let labelled = -100;
    for (const s of this.track.stages) {
      const x = Math.round(f.x(s.at));
      g.fillStyle = c.accent;
      g.globalAlpha = 0.55;
      for (let y = AXIS; y < top + STAGES + CAPACITY; y += 6) g.fillRect(x, y, 1, 3);
      g.globalAlpha = 1;
      if (x - labelled < 54) continue;
      labelled = x;
      this.font(g, 11, c.dim, x > f.right - 50 ? 'right' : 'left');
      g.fillText(`stage ${s.stage + 1}`, x > f.right - 50 ? x - 3 : x + 4, top + STAGES / 2);
    }
  }

  drawCapacity(g, f) {
    const c = this.colours();
    const top = AXIS + f.rows + GAP + STAGES;
    const most = Math.max(1, this.track.n);
    const y = (up) => top + CAPACITY - 2 - (up / most) * (CAPACITY - 8);
    this.font(g, 11, c.dim, 'left');
    g.fillText(f.gutter < 80 ? 'up' : 'in rotation', 2, top + 8);
    const points = this.track.capacity;
    let x = f.left;
    let up = points.length && points[0].at <= f.from ? points[0].up : this.track.n;
    g.beginPath();
    g.moveTo(x, y(0));
    g.lineTo(x, y(up));
    for (const p of points) {
      x = f.x(p.at);
      g.lineTo(x, y(up));
      up = p.up;
      g.lineTo(x, y(up));
    }
    g.lineTo(f.x(f.end), y(up));
    g.lineTo(f.x(f.end), y(0));
    g.closePath();
    g.fillStyle = c.good;
    g.globalAlpha = 0.28;
    g.fill();
    g.globalAlpha = 1;
    this.font(g, f.gutter < 80 ? 10 : 12, c.text, 'left', '600');
    g.fillText(f.gutter < 80 ? `${up}/${this.track.n}` : `${up} of ${this.track.n}`, 2, top + 23);
    if (!this.release.roles.length) this.drawFloor(g, f, y(this.release.min_up)); // else no one line is the floor
  }

  drawFloor(g, f, y) {
    const c = this.colours();
    g.fillStyle = c.bad;
    for (let x = f.left; x < f.right; x += 8) g.fillRect(x, Math.round(y), 5, 1.5);
    this.font(g, 11, c.bad, 'right', '600');
    g.fillText(`floor ${floors(this.release)}`, f.right, y + 9);
  }

  // ---- pointing

  bandAt(event) {
    const y = event.offsetY - AXIS;
    const b = Math.floor(y / this.rowHeight());
    return y >= 0 && b < this.track.bands.length ? b : -1;
  }

  spanAt(event, b) {
    const f = this.frameDrawn;
    const at = f.from + ((event.offsetX - f.left) / (f.right - f.left)) * (f.to - f.from);
    return this.track.bands[b].spans.find((s) => s.from <= at && at <= s.to);
  }

  onMove(event) {
    const b = this.frameDrawn ? this.bandAt(event) : -1;
    if (b < 0) return say(this.hint, '');
    const band = this.track.bands[b];
    const id = this.model.ids[band.first];
    if (this.track.banded) return say(this.hint, `${id} to ${this.model.ids[band.first + band.n - 1]}`);
    const s = this.spanAt(event, b);
    const step = s && this.track.steps[s.step];
    return say(this.hint, s ? `${id} · ${step.phase} · ${step.label} · ${duration(s.to - s.from)} · ${s.outcome}`
      + `${s.back ? ' · on the way back' : ''}` : id);
  }

  onClick(event) {
    const b = this.frameDrawn ? this.bandAt(event) : -1;
    if (b < 0) return;
    const s = this.track.banded ? null : this.spanAt(event, b);
    this.onPick(this.track.bands[b].first, s ? s.step : -1);
  }

  // For those who do not see the picture.
  describe() {
    const c = this.model.counts;
    const parts = STATES.map((s, i) => (c[i] ? `${c[i]} ${s.word}` : '')).filter(Boolean);
    this.canvas.setAttribute('aria-label', `Timeline of ${this.track.n} nodes: ${parts.join(', ')}; `
      + `${this.track.up} in rotation, must stay: ${floors(this.release)}`);
  }
}
