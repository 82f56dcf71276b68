// The words of a release as people see them: states with their signs, phases with their letters, times, results.

// In the order of enum shown (engine/watch). The sign stands beside the word wherever colour is used.
export const STATES = [
  { word: 'waiting', key: 'waiting', sign: '·' },
  { word: 'preparing', key: 'preparing', sign: '◔' },
  { word: 'prepared', key: 'prepared', sign: '○' },
  { word: 'out', key: 'out', sign: '▶' },
  { word: 'done', key: 'done', sign: '✓' },
  { word: 'going back', key: 'back', sign: '◀' },
  { word: 'back on the old', key: 'undone', sign: '↩' },
  { word: 'failed', key: 'failed', sign: '✕' },
  { word: 'left out', key: 'left', sign: '!' },
  { word: 'not touched', key: 'untouched', sign: '·' },
];
export const STATE_OF = new Map(STATES.map((s, i) => [s.word, i]));

export const PHASES = [
  { name: 'hook-before', letter: 'B', key: 'hook' },
  { name: 'prepare', letter: 'P', key: 'prepare' },
  { name: 'before', letter: '1', key: 'once' },
  { name: 'drain', letter: 'D', key: 'drain' },
  { name: 'change', letter: 'C', key: 'change' },
  { name: 'check', letter: 'H', key: 'check' },
  { name: 'enable', letter: 'E', key: 'enable' },
  { name: 'after', letter: '1', key: 'once' },
  { name: 'verify', letter: 'V', key: 'verify' },
  { name: 'finish', letter: 'F', key: 'verify' },
  { name: 'hook-after', letter: 'A', key: 'hook' },
  { name: 'hook-failure', letter: 'X', key: 'hook' },
];
export const PHASE_OF = new Map(PHASES.map((p, i) => [p.name, i]));
export const PREPARE = 1;
export const DRAIN = 3;
export const ENABLE = 6;

// The journal's own words are made from its header at build time.
export { LIVES, LIFE_ROLL, LIFE_BACK, LIFE_BACK_ONCE, LIFE_BACK_VERIFY } from './lists.js';

const EXITS = new Map([
  [0, ['done and verified', 'good', '✓']],
  [1, ['failed, back on the old revision', 'bad', '↩']],
  [2, ['refused', 'bad', '✕']],
  [3, ['lock held', 'warn', '!']],
  [4, ['stopped part-way', 'warn', '!']],
  [5, ['needs a person', 'bad', '!']],
  [6, ['preflight failed', 'bad', '✕']],
  [7, ['journal failed', 'bad', '✕']],
  [130, ['stopped by a signal', 'warn', '!']],
  [143, ['stopped by a signal', 'warn', '!']],
]);

// {word, kind, sign} of an exit status; null and -1 are unfinished. kind: good, warn, bad, busy. told: the server's own
// words of that end ("result" of a release), once they are known.
export function result(exit, what, told) {
  const end = plainResult(exit, what);
  return told && exit >= 0 ? { ...end, word: told } : end;
}

function plainResult(exit, what) {
  if (exit === null || exit === undefined || exit < 0) return { word: 'unfinished', kind: 'busy', sign: '◔' };
  const [word, kind, sign] = EXITS.get(exit) || ['ended', 'bad', '✕'];
  const plain = what === 'task' || what === 'exec';
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

export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

