// SPDX-License-Identifier: MIT
// What the timeline draws: which step ran when on which node, who was in which state since when, stages, capacity.
// The server's /timeline is the beginning, the model's fold adds the rest as it happens.

import { PHASE_OF, STATES } from './words.js';
import { BACK, FAILED, LEFT, OUT, WAITING } from './model.js';

const isOut = (state) => state === OUT || state === BACK || state === LEFT;

export class Track {
  // rows: how many rows there is room for; more nodes than that are put into bands.
  constructor(release, rows) {
    const n = release.nodes.length;
    this.n = n;
    this.steps = release.steps;
    this.perBand = Math.max(1, Math.ceil(n / rows));
    this.banded = this.perBand > 1;
    this.bands = Array.from({ length: Math.ceil(n / this.perBand) }, (_, b) => ({
      first: b * this.perBand,
      n: Math.min(this.perBand, n - b * this.perBand),
      spans: [], // not banded: {step, from, to, outcome, back}
      moments: [], // banded: {at, counts}: how many nodes of the band are in each state from then on
    }));
    this.stages = [];
    this.capacity = [];
    this.state = new Uint8Array(n).fill(WAITING);
    this.up = n;
    this.version = 0; // rises with every change, so that nothing is drawn twice
  }

  phase(step) {
    return this.steps[step] ? PHASE_OF.get(this.steps[step].phase) ?? -1 : -1;
  }

  // ---- the recorder of a Model

  span(i, step, from, to, outcome, back) {
    if (!this.banded) this.bands[i].spans.push({ step, from, to, outcome, back });
    this.version++;
  }

  stage(stage, at) {
    this.stages.push({ stage, at });
    this.version++;
  }

  enter(i, state, at) {
    const before = this.state[i];
    this.state[i] = state;
    this.version++;
    if (isOut(before) !== isOut(state)) this.setUp(at, this.up + (isOut(before) ? 1 : -1));
    if (this.banded) this.count(Math.floor(i / this.perBand), before, state, at);
  }

  count(b, before, state, at) {
    const { moments, n } = this.bands[b];
    let last = moments[moments.length - 1];
    if (!last || last.at !== at) {
      const counts = last ? last.counts.slice() : STATES.map((_, s) => (s === WAITING ? n : 0));
      last = { at, counts };
      moments.push(last);
    }
    last.counts[before]--;
    last.counts[state]++;
  }

  setUp(at, up) {
    this.up = up;
    const last = this.capacity[this.capacity.length - 1];
    if (last && last.at === at) last.up = up;
    else this.capacity.push({ at, up });
  }

  // ---- what the server knows already: /releases/N/timeline

  load(timeline, model) {
    for (const [i, n] of model.nodes.entries()) this.state[i] = n.state;
    if (this.banded) this.loadBands(timeline.bands || [], model);
    else this.loadSpans(timeline.spans || [], model);
    this.stages = (timeline.stages || []).map((s) => ({ stage: s.stage, at: s.at }));
    this.capacity = (timeline.capacity || []).map((c) => ({ at: c.at, up: c.up }));
    const last = this.capacity[this.capacity.length - 1];
    this.up = last ? last.up : model.nodes.filter((n) => !isOut(n.state)).length;
    this.version++;
  }

  loadSpans(spans, model) {
    for (const s of spans) {
      const i = model.index.get(s.node);
      // A span without an end is the one the model's node is in: the fold will close it.
      if (i === undefined || !s.to) continue;
      this.bands[i].spans.push({ step: s.step, from: s.from, to: s.to, outcome: s.outcome, back: Boolean(s.back) });
    }
    // The step that a node failed in has its end there, though the node still stands in it.
    model.nodes.forEach((n, i) => {
      if (n.closed && n.step >= 0 && n.stepAt) this.span(i, n.step, n.stepAt, n.since, 'failed', false);
    });
  }

  loadBands(bands, model) {
    this.bands.forEach((band, b) => {
      const from = bands[b];
      if (from && from.first === band.first && from.moments) {
        band.moments = from.moments.map((m) => ({ at: m.at, counts: m.counts.slice() }));
      }
      const counts = STATES.map(() => 0);
      for (let i = band.first; i < band.first + band.n; i++) counts[model.nodes[i].state]++;
      if (!band.moments.length) band.moments.push({ at: model.started || model.last, counts });
    });
  }

  hasTrouble(b) {
    const band = this.bands[b];
    for (let i = band.first; i < band.first + band.n; i++) {
      if (this.state[i] === FAILED || this.state[i] === LEFT) return true;
    }
    return false;
  }
}
