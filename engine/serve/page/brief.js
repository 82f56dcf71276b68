// SPDX-License-Identifier: MIT
// What an order would do, as it is shown before anybody says yes to it.

import { el } from './dom.js';
import { duration, plural, short } from './words.js';

// What a look printed: the object of `--brief`, and the lines that were said on the way (a warning, a node that is left as
// it is), which belong to the question. null: there is no such object in it.
export function readBrief(output) {
  const lines = output.split('\n').filter(Boolean);
  const at = lines.findIndex((line) => line.startsWith('{"kind":"brief"'));
  if (at < 0) return null;
  return { ...JSON.parse(lines[at]), notes: lines.filter((_, i) => i !== at) };
}

function changeItem(c, back) {
  const to = back ? [' to ', el('span', { class: 'mono' }, short(c.to))] : [];
  const shown = c.commits || [];
  const way = c.direction === 'backward' ? 'backward, taken away' : c.direction;
  return el('li', { class: back || c.direction !== 'backward' ? null : 'is-warn' }, `${plural(c.nodes, 'node')} from `,
    el('span', { class: 'mono' }, short(c.from)), ...to,
    c.count === undefined ? `: ${c.unknown || 'the same revision'}` : `: ${plural(c.count, 'commit')}, ${way}`,
    el('ul', { class: 'commits mono' }, shown.map((text) => el('li', {}, text)),
      c.count > shown.length && el('li', {}, `and ${c.count - shown.length} more`)));
}

function notes(b) {
  return b.notes.length > 0 && el('ul', { class: 'notes' }, b.notes.map((text) => el('li', {}, text)));
}

// Of a plan, or of one of its roles: what has no balancer (up: null) leaves and is missed by nobody.
function figures(o) {
  return `${o.window} out at once${o.up === null ? '' : `; ${o.up} of ${o.nodes} are up, ${o.min_up} must stay`}`;
}

// With roles each has figures of its own, and those of the plan hold for none.
function capacity(b) {
  const judged = b.soak_ms ? `, each judged for ${duration(b.soak_ms)}` : '';
  const stages = `stages ${b.stages.join(', ')}${judged}`;
  if (!b.roles) return el('p', {}, `${figures(b)}; ${stages}`);
  return [el('ul', {}, b.roles.map((role) => el('li', {}, el('b', {}, role.name), `, ${plural(role.nodes, 'node')}: ${figures(role)}`))),
    el('p', {}, stages)];
}

// The brief in words; one of a way back says what it is and where each node goes.
export function summary(b) {
  const back = Boolean(b.about);
  if (b.nodes === 0) return el('div', { class: 'summary' }, el('p', {}, el('b', {}, 'Nothing to change'), `: ${b.about}.`), notes(b));
  const left = b.left_ms === null ? '' : `, about ${duration(Math.round(b.left_ms / 1000) * 1000)}`;
  const ids = b.ids.join(', ') + (b.nodes > b.ids.length ? ` and ${b.nodes - b.ids.length} more` : '');
  return el('div', { class: 'summary' },
    back ? el('p', {}, el('b', {}, `${plural(b.nodes, 'node')} will change`), `: ${b.about}${left}. ${ids}.`)
      : el('p', {}, el('b', {}, `${b.rev_typed || short(b.rev)} `), el('span', { class: 'mono' }, short(b.rev)), ` to ${plural(b.nodes, 'node')}${left}`),
    capacity(b),
    el('ul', {}, b.changes.map((c) => changeItem(c, back))), notes(b));
}
