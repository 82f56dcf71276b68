// SPDX-License-Identifier: MIT
// Orders: each in a dialog that first shows what will happen, then asks for the environment's name where nodes will be
// touched. The server decides whether you may; a button is only shown when it says so.

import { announce, el, fill, put } from './dom.js';
import { envPath, get, post, releasePath } from './api.js';
import { readBrief, summary } from './brief.js';
import { KIND, WISH, envTitle, plural, short } from './words.js';

const TEXTS = {
  run: ['Release', 'Release a revision'],
  rollback: ['Roll back', 'Roll back'],
  resume: ['Resume', 'Go on with what was interrupted'],
  pause: ['Pause', 'Finish the nodes that are out, start no other'],
  abort: ['Abort', 'Stop now'],
  lock: ['Hold the lock', 'Hold the lock'],
  unlock: ['Free the lock', 'Free the lock'],
};
const MOVES = new Set([WISH.RUN, WISH.ROLLBACK, WISH.RESUME]);
const DANGER = new Set([WISH.ABORT, WISH.ROLLBACK]);
const PRIMARY = new Set([WISH.RUN, WISH.RESUME]); // never both at once

// Nothing is released until it is freed.
function heldByHand(env) {
  return Boolean(env.lock) && !env.lock.release && env.lock.holder !== 'dead';
}

// What makes sense now, of what the person may do at all.
function sensible(verb, env) {
  const running = Boolean(env.running);
  const held = Boolean(env.lock);
  const byHand = heldByHand(env);
  switch (verb) {
    case WISH.RUN: return !running && !byHand && !env.unfinished; // first that one is gone on with, or taken back
    case WISH.PAUSE: case WISH.ABORT: return running;
    case WISH.RESUME: return !running && !byHand && Boolean(env.unfinished);
    case WISH.ROLLBACK: return !running && !byHand && Boolean(env.unfinished || env.rollback_of);
    case WISH.LOCK: return !held;
    case WISH.UNLOCK: return held && !running && (!env.lock.release || (env.can || []).includes('force'));
    default: return false;
  }
}

// The last release failed and is back already, was taken back, or never began: another way back is about an older one,
// which was good. The note says which.
function further(verb, env) {
  return verb === WISH.ROLLBACK && Boolean(env.rollback_note);
}

function title(verb, env) {
  return further(verb, env) ? `Go back further: take back release ${env.rollback_of}` : TEXTS[verb][0];
}

export function buttons(env, verbs) {
  return verbs.filter((v) => (env.can || []).includes(v) && sensible(v, env)).map((verb) => el('button', {
    type: 'button',
    class: `button${PRIMARY.has(verb) ? ' is-primary' : ''}${DANGER.has(verb) && !further(verb, env) ? ' is-danger' : ''}`,
    'data-verb': verb, onclick: () => ask(verb, env.env),
  }, title(verb, env)));
}

// ---- ways back to something in the past

// Where a past release leads back to: to before it, whatever became of it; to its revision, when it brought one to the fleet
// that not all nodes run. `key` finds the button again when the list was made anew.
export function waysBack(env, r) {
  const may = (env.can || []).includes(WISH.ROLLBACK) && !env.running && !env.unfinished && !heldByHand(env);
  if (!may || !r.ended || ![KIND.RELEASE, KIND.ROLLBACK].includes(r.what)) return [];
  const name = r.rev_typed && !r.rev.startsWith(r.rev_typed) ? r.rev_typed : short(r.rev);
  const ways = [{ key: `before-${r.release}`, wish: { before: r.release }, text: `before ${r.release}`, title: `Go back to before release ${r.release}` }];
  if (r.what === 'release' && r.exit === 0 && r.rev && !(env.nodes || []).every((n) => n.rev === r.rev)) {
    ways.push({ key: `to-${r.release}`, wish: { to: r.rev }, text: `to ${name}`, title: `Roll back to ${name}` });
  }
  return ways;
}

// Small ones say in a list what the whole title says elsewhere.
export function backButtons(env, r, small) {
  return waysBack(env, r).map((way) => el('button', { type: 'button', class: small ? 'button is-small' : 'button', 'data-verb': way.key,
    'aria-label': way.title, onclick: () => ask(WISH.ROLLBACK, env.env, way) }, small ? way.text : way.title));
}

// ---- the dialog

function field(name, label, props, help) {
  return el('p', { class: 'field' }, el('label', { for: `f-${name}` }, label),
    el('input', { id: `f-${name}`, name, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', ...props }),
    help && el('small', {}, help));
}

// Asks anew what the environment looks like: what the page shows may be older than what will happen.
async function ask(verb, name, way) {
  let env;
  try {
    env = await get(envPath(name));
  } catch (error) {
    announce(error.message);
    return;
  }
  const d = new Dialog(verb, env, way);
  document.body.append(d.node);
  d.node.showModal();
  await d.prepare();
}

class Dialog {
  constructor(verb, env, way) {
    this.verb = verb;
    this.env = env;
    this.way = way; // of a rollback to something in the past
    this.looks = verb === WISH.RUN || Boolean(way); // it shows a plan, and only that one is done
    this.fields = el('div', { class: 'fields' });
    this.preview = el('div', { class: 'preview' });
    this.confirm = el('div', { class: 'fields' });
    this.error = el('p', { class: 'error', role: 'alert' });
    this.go = el('button', { type: 'submit', class: `button is-primary${DANGER.has(verb) ? ' is-danger' : ''}` }, TEXTS[verb][0]);
    this.form = el('form', { method: 'dialog', onsubmit: (event) => this.submit(event), oninput: () => this.lookAgain() },
      el('h2', { id: 'dialog-title' }, way ? way.title : TEXTS[verb][1], ' ', el('b', { class: 'env' }, envTitle(env.env, env.app))),
      this.fields, this.preview, this.confirm, this.error,
      el('footer', {}, el('button', { type: 'button', class: 'button', onclick: () => this.node.close() }, 'Cancel'), this.go));
    this.node = el('dialog', { 'aria-labelledby': 'dialog-title', onclose: () => this.leave() }, this.form);
  }

  // The button that opened the dialog may have been made anew meanwhile: then the browser did not find it.
  leave() {
    this.node.remove();
    document.dispatchEvent(new Event('ordered')); // what it changed shows at once
    if (document.activeElement === document.body) document.querySelector(`main button[data-verb=${this.way ? this.way.key : this.verb}]`)?.focus();
  }

  say(...children) {
    fill(this.preview, children);
  }

  // What will happen, by verb; and what is asked for.
  async prepare() {
    try {
      await this[this.verb]();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  wantName() {
    fill(this.confirm, field('confirm', `Type ${this.env.env} to confirm`, { required: true, placeholder: this.env.env }));
  }

  // What was shown is not what is asked for any more.
  lookAgain() {
    if (!this.looks || !this.planned || this.planned === JSON.stringify(this.values())) return;
    this.planned = null;
    fill(this.confirm);
    this.go.hidden = false;
    this.go.textContent = 'Show what will happen';
  }

  // The nodes that an order is for.
  nodeFields() {
    return [field('only', 'Only these nodes', { placeholder: 'app1,app2' }),
      field('exclude', 'All but these nodes', { placeholder: 'app3' }, 'one that died, say')];
  }

  more(...fields) {
    put(this.fields, el('details', {}, el('summary', {}, 'More settings'), ...fields));
  }

  run() {
    put(this.fields, field('rev', 'Revision', { required: true, placeholder: 'branch, tag or commit' }));
    this.more(field('plan', 'Plan', {}, 'the pillar says which, when empty'), field('stages', 'Stages', { placeholder: '1,25%,100%' }),
      field('window', 'Window', { placeholder: '25%' }), ...this.nodeFields());
    this.go.textContent = 'Show what will happen';
    this.form.elements.rev.focus();
  }

  async showPlan() {
    const body = this.values();
    this.planned = null;
    fill(this.confirm);
    this.say(el('p', { class: 'quiet' }, 'Asking nodes and balancers …'));
    const output = await this.askPlan({ ...body, ...(this.way && this.way.wish), brief: true });
    const brief = readBrief(output);
    if (!brief) return this.say(el('pre', { class: 'output', tabindex: 0 }, output));
    this.say(summary(brief), !this.way && this.everyStep({ ...body, rev: brief.rev }));
    announce(brief.nodes ? 'The plan is there.' : 'There is nothing to change.');
    this.go.textContent = TEXTS[this.verb][0];
    this.planned = JSON.stringify(body);
    this.go.hidden = brief.nodes === 0;
    if (brief.nodes === 0) return undefined;
    this.digest = brief.digest;
    this.wantName();
    this.form.elements.confirm.focus();
    return undefined;
  }

  async askPlan(body) {
    const order = await this.waitOrder((await post(envPath(this.env.env, '/plan'), body)).order);
    if (order.exit === 0) return order.output;
    this.say(el('pre', { class: 'output' }, order.output || order.text || 'no output'));
    throw new Error(`This cannot be ${this.way ? 'done' : 'released'} (exit ${order.exit}).`);
  }

  // The whole plan takes asking once more: only for who wants to see it.
  everyStep(body) {
    const text = el('pre', { class: 'output', tabindex: 0 }, 'Asking …');
    let asked = false; // of this plan: the next one brings its own
    return el('details', { ontoggle: async (event) => {
      if (!event.target.open || asked) return;
      asked = true;
      try {
        fill(text, await this.askPlan(body));
      } catch (error) {
        this.error.textContent = error.message;
      }
    } }, el('summary', {}, 'Every step'), text);
  }

  // To something in the past: what is said is what nodes, balancers and repository answer now.
  async back() {
    this.more(...this.nodeFields());
    this.go.textContent = 'Show what will happen';
    this.go.disabled = true;
    try {
      await this.showPlan();
    } finally {
      this.go.disabled = false;
    }
  }

  async rollback() {
    if (this.way) return this.back();
    if (!this.env.rollback_of) throw new Error('There is no release that could be taken back.');
    const of = await get(releasePath(this.env.rollback_of));
    const plan = await get(releasePath(of.release, '/plan'));
    this.more(...this.nodeFields());
    this.fields.addEventListener('input', () => this.showMoves(of, plan.nodes || []));
    this.showMoves(of, plan.nodes || []);
    return this.wantName();
  }

  // By the journal alone: nodes that are named or left out are counted as they are typed.
  showMoves(of, all) {
    const { only, exclude } = this.values();
    const names = (text) => text.split(',').map((name) => name.trim());
    const nodes = all.filter((n) => (!only || names(only).includes(n.id)) && !(exclude && names(exclude).includes(n.id)));
    this.say(further(WISH.ROLLBACK, this.env) && el('p', { class: 'warn' }, `! ${this.env.rollback_note}.`),
      el('p', {}, `Takes back ${of.what} ${of.release} (${short(of.rev)}): ${plural(nodes.length, 'node')} `
        + 'return, in reverse, inside window and floor, to what each ran before.'),
      el('ul', { class: 'moves' }, nodes.slice(0, 12).map((n) => el('li', {}, el('b', {}, n.id), ' ',
        el('span', { class: 'mono' }, `${short(n.rev)} → ${short(n.rev_before)}`)))),
      nodes.length > 12 && el('p', { class: 'quiet' }, `and ${nodes.length - 12} more`));
  }

  async resume() {
    const of = this.env.unfinished;
    const m = await get(releasePath(of.release, '/model?summary=1'));
    const rest = Object.entries(m.counts || {}).filter(([, n]) => n).map(([word, n]) => `${n} ${word}`).join(', ');
    this.say(el('p', {}, `Goes on with ${of.what} ${of.release} to ${short(of.rev)} on its own frozen plan. Nodes now: ${rest}.`));
    this.more(...this.nodeFields());
    this.wantName();
  }

  pause() {
    this.say(el('p', {}, 'The nodes that are out now are finished into rotation, no other starts. The release can be '
      + 'resumed or rolled back.'));
    this.go.focus();
  }

  abort() {
    this.say(el('p', {}, 'Nothing more is sent. Nodes that are out stay out until resume or rollback.'));
    this.go.focus();
  }

  lock() {
    put(this.fields, field('reason', 'Reason', { required: true, maxlength: 200 }, 'everybody sees it, with your name'));
    this.form.elements.reason.focus();
  }

  unlock() {
    const lock = this.env.lock;
    if (!lock) throw new Error('Nobody holds the lock.');
    this.say(el('p', {}, lock.text));
    if (lock.release) { // a release that ended without giving it back
      this.say(el('p', {}, lock.text), el('p', { class: 'warn' }, `! Release ${lock.release} is given up: it cannot be resumed `
        + 'or rolled back afterwards. What it owes the balancers stays recorded.'));
      put(this.fields, field('reason', 'Reason', { required: true, maxlength: 200 }));
      this.wantName();
    }
    this.go.focus();
  }

  // ---- giving the order

  values() {
    const out = {};
    for (const input of this.form.querySelectorAll('input[name]')) {
      if (input.name !== 'confirm' && input.value.trim()) out[input.name] = input.value.trim();
    }
    return out;
  }

  async submit(event) {
    event.preventDefault();
    if (this.busy) return;
    this.busy = this.go.disabled = true;
    this.error.textContent = '';
    try {
      if (this.looks && this.planned !== JSON.stringify(this.values())) await this.showPlan();
      else await this.order();
    } catch (error) {
      this.error.textContent = error.message;
    }
    this.busy = this.go.disabled = false;
  }

  async order() {
    const body = this.values();
    const typed = this.form.elements.confirm;
    if (typed && typed.value.trim() !== this.env.env) throw new Error(`Type ${this.env.env} to confirm.`);
    if (typed) body.confirm = typed.value.trim();
    if (this.looks) body.digest = this.digest;
    if (this.way) Object.assign(body, this.way.wish);
    else if (this.verb === WISH.ROLLBACK) body.release = this.env.rollback_of;
    if (this.verb === WISH.UNLOCK && this.env.lock && this.env.lock.release) body.force = true;
    const given = await post(envPath(this.env.env, `/${this.verb}`), body);
    if (given.pending) return this.pend(given);
    const order = await this.waitOrder(given.order, (o) => o.release && MOVES.has(this.verb));
    if (order.exit === null || order.exit === undefined || order.exit === 0) {
      this.node.close();
      announce(`${TEXTS[this.verb][0]}: done`);
      if (order.release && MOVES.has(this.verb)) location.assign(`/release/${Number(order.release)}`);
      return;
    }
    this.planned = false; // whatever it was, look again
    this.say(el('pre', { class: 'output', tabindex: 0 }, order.output || order.text || ''));
    throw new Error(`The order ended with exit ${order.exit}.`);
  }

  // The environment wants a second person: this one has done their part. Who is asked sees a plan first: when there can be
  // none, nobody is asked.
  async pend(given) {
    this.say(el('p', { class: 'banner is-warn' }, `! ${given.text}`));
    fill(this.fields);
    fill(this.confirm);
    this.go.hidden = true;
    announce(given.text);
    const look = given.look && await this.waitOrder(given.look);
    const brief = look && look.exit === 0 && readBrief(look.output);
    if (!look || (brief && brief.nodes > 0)) return;
    if (brief) {
      this.say(summary(brief), el('p', {}, 'Nobody is asked.'));
      return;
    }
    this.say(el('pre', { class: 'output', tabindex: 0 }, look.output || look.text || 'no output'));
    throw new Error(`This cannot be ${this.way ? 'done' : 'released'} (exit ${look.exit}); nobody is asked.`);
  }

  // Until it has ended, or `enough` says so. The server holds the answer back a little, so this is no busy loop.
  async waitOrder(id, enough = () => false) {
    for (;;) {
      const order = await get(`/api/v1/orders/${encodeURIComponent(id)}`);
      if (order.ended || enough(order)) return order;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}
