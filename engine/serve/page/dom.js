// SPDX-License-Identifier: MIT
// Building elements. Data only ever becomes text nodes and attribute values through here: nothing on this page
// parses markup, so a hostile branch name or log line stays what it is.

const TRICKSTER = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// The same characters that a terminal is shielded from: what changes how a reader sees the others is spelt out.
export function visible(text) {
  return String(text ?? '').replace(TRICKSTER, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

// el('p', {class: 'x', onclick: f}, 'text', node, null): children that are null or false are left out.
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  put(node, ...children);
  return node;
}

export function set(node, props) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : visible(value));
  }
  return node;
}

export function put(node, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

// Fills anew without taking the focus from somebody at a keyboard: it goes to what stands in the place of what had it.
export function refill(node, ...children) {
  const had = node.contains(document.activeElement) ? document.activeElement : null;
  fill(node, ...children);
  if (!had) return;
  const name = had.dataset.verb ? 'data-verb' : had.tagName === 'INPUT' ? 'aria-label' : 'href';
  const same = (e) => e.getAttribute(name) === had.getAttribute(name);
  [...node.querySelectorAll(had.tagName)].find(same)?.focus({ preventScroll: true });
}

// Writes only what is different: a write makes the browser lay out again and a screen reader speak again.
export function say(node, text) {
  const shown = visible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

// What screen readers are told: results, not every movement.
export function announce(text) {
  const live = document.getElementById('announce');
  if (live) say(live, text);
}

// At most one call per `ms`, the last one always made. For what comes in bursts.
export function throttled(ms, call) {
  let timer = null;
  let last = 0;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      call();
    }, Math.max(0, ms - (performance.now() - last)));
  };
}
