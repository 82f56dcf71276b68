// SPDX-License-Identifier: MIT
// The words of a release as people see them: states with their signs, phases with their letters, times, results.

// Which words there are is written once, in C: lists.js is made of that at build time. Here is how they look.
import { EXIT, EXIT_WORDS, KIND, LIFE_WORDS, PHASE, PHASE_WORDS, SHOWN, SHOWN_WORDS } from './lists.js';

export { ASK, KIND, LIFE, NOTE, ORDER, OUTCOME, PHASE, ROLE, ROW, SHOWN, WISH } from './lists.js';
export const LIVES = LIFE_WORDS;

// The sign stands beside the word wherever colour is used; key is the name in the style sheets.
const SIGNS = {
  WAITING: '·', PREPARING: '◔', PREPARED: '○', OUT: '▶', DONE: '✓', BACK: '◀', UNDONE: '↩', FAILED: '✕', LEFT: '!', UNTOUCHED: '·',
};
export const STATES = Object.entries(SHOWN).map(([name, i]) => ({ word: SHOWN_WORDS[i], key: name.toLowerCase(), sign: SIGNS[name] || '?' }));
export const STATE_OF = new Map(STATES.map((s, i) => [s.word, i]));

const LETTERS = {
  HOOK_BEFORE: 'B', PREPARE: 'P', BEFORE: '1', DRAIN: 'D', CHANGE: 'C', CHECK: 'H', ENABLE: 'E', AFTER: '1', VERIFY: 'V', FINISH: 'F',
  HOOK_AFTER: 'A', HOOK_FAILURE: 'X',
};
const PHASE_KEYS = { BEFORE: 'once', AFTER: 'once', FINISH: 'verify', HOOK_BEFORE: 'hook', HOOK_AFTER: 'hook', HOOK_FAILURE: 'hook' };
export const PHASES = Object.entries(PHASE).map(([name, i]) => ({
  name: PHASE_WORDS[i], letter: LETTERS[name] || '?', key: PHASE_KEYS[name] || name.toLowerCase(),
}));
export const PHASE_OF = new Map(PHASES.map((p, i) => [p.name, i]));

const GOOD = ['good', '✓'], WARN = ['warn', '!'];
const EXIT_LOOKS = {
  [EXIT.RELEASED]: GOOD, [EXIT.ROLLED_BACK]: ['bad', '↩'], [EXIT.LOCKED]: WARN, [EXIT.STOPPED]: WARN, [EXIT.PERSON]: ['bad', '!'],
  [EXIT.SIGINT]: WARN, [EXIT.SIGTERM]: WARN,
};

// {word, kind, sign} of an exit status; null and -1 are unfinished. kind: good, warn, bad, busy. told: the server's own
// words of that end ("result" of a release), once they are known.
export function result(exit, what, told) {
  const end = plainResult(exit, what);
  return told && exit >= 0 ? { ...end, word: told } : end;
}

function plainResult(exit, what) {
  if (exit === null || exit === undefined || exit < 0) return { word: 'unfinished', kind: 'busy', sign: '◔' };
  const word = EXIT_WORDS[exit] || 'ended';
  const [kind, sign] = EXIT_LOOKS[exit] || ['bad', '✕'];
  const plain = what === KIND.TASK || what === KIND.EXEC;
  if (plain && exit < 2) return { word: exit ? 'failed' : 'done', kind, sign: exit ? '✕' : sign };
  return { word, kind, sign };
}

// "prod", and where several applications live on this server whose it is: "prod of shop".
export function envTitle(env, app) {
  return Number(document.body.dataset.apps) > 1 && app ? `${env.slice(env.indexOf(':') + 1)} of ${app}` : env;
}

export function short(rev) {
  return rev ? String(rev).slice(0, 12) : '–';
}

const two = (n) => String(n).padStart(2, '0');

export function duration(ms) {
  if (ms === null || ms === undefined || ms < 0) return '–';
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 10000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d${Math.floor(s / 3600) % 24}h`;
}

// For clocks that tick: whole seconds, so that they do not flicker.
export function ticking(ms) {
  return duration(Math.max(0, Math.floor(ms / 1000) * 1000)).replace('.0s', 's').replace(/^0ms$/, '0s');
}

export function clock(ms) {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function when(ms) {
  if (!ms) return '–';
  const d = new Date(ms);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return d.toDateString() === new Date().toDateString() ? `today ${clock(ms)}` : `${day} ${clock(ms).slice(0, 5)}`;
}

export function ago(ms, now = Date.now()) {
  const past = Math.max(0, now - ms);
  return past < 60000 ? 'just now' : `${duration(Math.floor(past / 60000) * 60000).replace(/00[sm]$/, '')} ago`;
}

// How many must stay in rotation, as the plan of a release says, role by role where it has roles.
export function floors(release) {
  return release.roles.length ? release.roles.map((role) => `${role.name} ${role.min_up}`).join(', ') : `${release.min_up}`;
}

export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

