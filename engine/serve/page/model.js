// SPDX-License-Identifier: MIT
// What each node does now, folded from journal rows: engine/watch/model.c once more, for the browser. The server's
// snapshot is the beginning, rows from the stream are the rest. tests/browser compares the two folds.
//
// On the way the fold tells a recorder of the timeline which step ran when (span) and which state was entered (enter).

import { LIFE, NOTE, ORDER, OUTCOME, PHASE, PHASE_OF, ROLE, ROW, SHOWN, STATES, STATE_OF } from './words.js';

export const { WAITING, PREPARING, PREPARED, OUT, DONE, BACK, UNDONE, FAILED, LEFT, UNTOUCHED } = SHOWN;

const isOut = (state) => state === OUT || state === BACK;
const isTrouble = (state) => state === FAILED || state === LEFT;
const isGang = (phase) => phase < PHASE.DRAIN || phase > PHASE.ENABLE;

export class Model {
  // release: /api/v1/releases/N; recorder: {span(node, step, from, to, outcome, back), enter(node, state, at)} or null.
  constructor(release, recorder) {
    this.steps = release.steps.map((s) => ({ ...s, phase: PHASE_OF.get(s.phase) ?? -1 }));
    this.ids = release.nodes;
    this.index = new Map(this.ids.map((id, i) => [id, i]));
    this.recorder = recorder;
    this.reset();
  }

  reset() {
    this.nodes = this.ids.map(() => ({
      state: WAITING, step: -1, unknown: false, attempt: 0, since: 0, stepAt: 0, out: 0, gauge: -1, text: '',
      barAt: 0, closed: false, // of the bar in the timeline: its begin, and whether its step failed
    }));
    this.counts = STATES.map(() => 0);
    this.counts[WAITING] = this.nodes.length;
    this.changed = new Set(this.nodes.keys());
    Object.assign(this, { seq: 0, life: 0, stage: 0, soakUntil: 0, started: 0, last: 0, ended: false,
      stopping: false, told: '', exit: null, failedNode: -1, failedStep: -1, failedText: '', text: '' });
  }

  // A snapshot as /releases/N/model gives it.
  load(snapshot) {
    this.reset();
    this.seq = snapshot.seq || 0;
    this.life = snapshot.life_code || 0;
    for (const name of ['stage', 'started', 'ended', 'stopping', 'told', 'exit', 'text']) {
      if (snapshot[name] !== undefined && snapshot[name] !== null) this[name] = snapshot[name];
    }
    this.soakUntil = snapshot.soak_until || 0;
    this.last = snapshot.last || 0;
    if (snapshot.failed) {
      this.failedNode = this.index.get(snapshot.failed.node) ?? -1;
      this.failedStep = snapshot.failed.step;
      this.failedText = snapshot.failed.text;
    }
    for (const one of snapshot.nodes || []) {
      const i = this.index.get(one.node);
      if (i === undefined) continue;
      this.counts[WAITING]--;
      const n = this.nodes[i];
      n.state = STATE_OF.get(one.state) ?? WAITING;
      n.step = one.step ?? -1;
      n.since = one.since || 0;
      n.stepAt = n.barAt = one.step_since || 0;
      n.closed = isTrouble(n.state);
      n.out = one.out_ms || 0;
      n.gauge = one.gauge ?? -1;
      n.unknown = Boolean(one.unknown);
      n.attempt = one.attempt || 0;
      n.text = one.text || '';
      this.counts[n.state]++;
    }
  }

  apply(row) {
    if (row.seq <= this.seq) return;
    this.seq = row.seq;
    this.started ||= row.at;
    this.last = row.at;
    const i = row.node ? this.index.get(row.node) ?? -1 : -1;
    const inPlan = row.step !== undefined && row.step >= 0 && row.step < this.steps.length;
    if (row.kind === ROW.ORDER) this.order(row);
    else if (row.kind === ROW.NOTE && i >= 0) this.nodeNote(i, row);
    else if (row.kind === ROW.NOTE) this.releaseNote(row);
    else if (i >= 0 && inPlan && row.kind === ROW.INTENT) this.intent(i, row);
    else if (i >= 0 && inPlan && row.kind === ROW.OUTCOME) this.outcome(i, row);
    if (i >= 0) this.changed.add(i);
  }

  setState(i, state, at) {
    const n = this.nodes[i];
    if (n.state === state) return;
    this.counts[n.state]--;
    this.counts[state]++;
    if (!(isOut(n.state) && isOut(state))) n.since = at;
    if (isTrouble(state)) {
      this.closeBar(i, at, 'failed');
      n.closed = true;
    } else if (isTrouble(n.state)) { // somebody ordered to go on
      n.barAt = at;
      n.closed = false;
    }
    n.state = state;
    this.changed.add(i);
    if (this.recorder) this.recorder.enter(i, state, at);
  }

  closeBar(i, at, outcome) {
    const n = this.nodes[i];
    if (n.closed || n.step < 0 || !n.barAt || !this.recorder) return;
    this.recorder.span(i, n.step, n.barAt, at, outcome, n.state === BACK);
  }

  begin(i, step, at, outcome = 'ok') {
    const n = this.nodes[i];
    if (n.step === step) return;
    this.closeBar(i, at, outcome);
    n.step = step;
    n.stepAt = n.barAt = at;
    n.closed = false;
    n.gauge = -1;
    n.attempt = 0;
  }

  intent(i, row) {
    const n = this.nodes[i];
    this.begin(i, row.step, row.at);
    n.attempt = row.attempt || 0;
    n.unknown = false;
    if (this.steps[row.step].phase === PHASE.PREPARE && n.state === WAITING) this.setState(i, PREPARING, row.at);
  }

  outcome(i, row) {
    const n = this.nodes[i];
    n.unknown = row.code === OUTCOME.UNKNOWN;
    if (row.text) n.text = this.message(row);
    if (row.role === ROLE.GUARD || row.role === ROLE.SOAK || row.role === ROLE.BEFORE) return;
    this.begin(i, row.step, row.at);
    if (row.b > 0) n.gauge = row.b;
    if (row.code === OUTCOME.OK && row.a) this.done(i, row.step, row.at);
  }

  // The steps of a node's walk follow one another without a word of the journal: reads have no intent rows.
  done(i, step, at) {
    const next = step + 1 < this.steps.length ? this.steps[step + 1].phase : -1;
    const now = this.steps[step].phase;
    const same = next >= 0 && (next === now || (!isGang(next) && !isGang(now)));
    this.begin(i, same ? step + 1 : -1, at);
  }

  nodeFailed(i, row) {
    if (this.failedNode >= 0) return;
    this.failedNode = i;
    this.failedStep = row.step ?? -1;
    this.failedText = this.nodes[i].text;
  }

  // The row's message without the node and step that it may begin with: they stand beside it.
  message(row) {
    let text = row.text || '';
    for (const head of [row.node, row.label, row.verb]) {
      if (head && text.startsWith(`${head}: `)) text = text.slice(head.length + 2);
    }
    return text.slice(0, 200);
  }

  nodeNote(i, row) {
    const n = this.nodes[i];
    switch (row.code) {
      case NOTE.ADMIT: return this.setState(i, this.life === LIFE.BACK ? BACK : OUT, row.at);
      case NOTE.NODE_TURN:
        this.begin(i, -1, row.at, 'failed');
        return this.setState(i, BACK, row.at);
      case NOTE.NODE_IN:
        this.begin(i, -1, row.at);
        n.out = n.since ? row.at - n.since : 0;
        return this.setState(i, n.state === OUT ? DONE : UNDONE, row.at);
      case NOTE.NODE_LEFT:
        this.setState(i, LEFT, row.at);
        return this.nodeFailed(i, row);
      case NOTE.NODE_FAILED: return this.nodeFailed(i, row);
      case NOTE.GANG_OK:
        this.begin(i, -1, row.at);
        if (n.state === WAITING || n.state === PREPARING) this.setState(i, PREPARED, row.at);
        return undefined;
      case NOTE.GANG_BAD:
        if (row.a === PHASE.PREPARE) this.setState(i, FAILED, row.at);
        return this.nodeFailed(i, row);
      case NOTE.PROGRESS: case NOTE.ESCALATE: case NOTE.DEADLINE:
        n.text = this.message(row);
      // fall through
      case NOTE.PROCEED:
        if (row.step >= 0) this.begin(i, row.step, row.at);
        n.gauge = row.a;
        return undefined;
      case NOTE.RETRY: n.attempt = row.a + 1; return undefined;
      default: return undefined;
    }
  }

  releaseNote(row) {
    if (row.code === NOTE.LIFE) {
      this.life = row.a;
      this.text = '';
      return;
    }
    if (row.code === NOTE.STAGE) {
      this.stage = row.a;
      if (this.recorder) this.recorder.stage(row.a, row.at);
    }
    this.soakUntil = row.code === NOTE.SOAK ? row.at + row.b : 0;
    if (row.code === NOTE.STOPPING) this.stopping = true;
    if (row.code === NOTE.END) this.end(row);
    if (row.code !== NOTE.STAGE && !(row.code === NOTE.END && !row.b)) this.text = row.text || row.sentence || '';
  }

  // Nobody works on them any more, and what had not begun will not: until an order to go on.
  end(row) {
    this.ended = true;
    this.exit = row.a;
    this.nodes.forEach((n, i) => {
      if (n.state !== WAITING && n.state !== PREPARING) return;
      this.begin(i, -1, row.at);
      this.setState(i, UNTOUCHED, row.at);
    });
  }

  // An order to go on makes an ended release live again, and takes up the nodes that were given up.
  order(row) {
    if (row.code === ORDER.STOP || row.code === ORDER.ABORT) {
      this.stopping = true; // seen at once: whoever sees nothing orders again, and that is another order
      this.told = row.code;
    }
    if (row.code !== ORDER.RESUME && row.code !== ORDER.ROLLBACK) return;
    if (row.code === ORDER.ROLLBACK) this.life = LIFE.BACK;
    const back = [LIFE.BACK, LIFE.BACK_ONCE, LIFE.BACK_VERIFY].includes(this.life);
    this.nodes.forEach((n, i) => {
      if (n.state === LEFT) this.setState(i, back ? BACK : OUT, row.at);
      else if (n.state === FAILED || n.state === UNTOUCHED || (n.state === UNDONE && !back)) this.setState(i, WAITING, row.at);
    });
    this.ended = this.stopping = false;
    this.told = '';
    this.failedNode = this.failedStep = -1;
    this.text = '';
  }
}
