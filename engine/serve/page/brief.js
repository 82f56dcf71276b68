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

// The brief in words; one of a way back says what it is and where each node goes.
export function summary(b) {
  const back = Boolean(b.about);
  if (b.nodes === 0) return el('div', { class: 'summary' }, el('p', {}, el('b', {}, 'Nothing to change'), `: ${b.about}.`), notes(b));
  const left = b.left_ms === null ? '' : `, about ${duration(Math.round(b.left_ms / 1000) * 1000)}`;
  const judged = b.soak_ms ? `, each judged for ${duration(b.soak_ms)}` : '';
  const ids = b.ids.join(', ') + (b.nodes > b.ids.length ? ` and ${b.nodes - b.ids.length} more` : '');
  return el('div', { class: 'summary' },
    back ? el('p', {}, el('b', {}, `${plural(b.nodes, 'node')} will change`), `: ${b.about}${left}. ${ids}.`)
      : el('p', {}, el('b', {}, `${b.rev_typed || short(b.rev)} `), el('span', { class: 'mono' }, short(b.rev)), ` to ${plural(b.nodes, 'node')}${left}`),
    el('p', {}, `${b.window} out at once; ${b.up} of ${b.nodes} are up, ${b.min_up} must stay; stages ${b.stages.join(', ')}${judged}`),
    el('ul', {}, b.changes.map((c) => changeItem(c, back))), notes(b));
}
