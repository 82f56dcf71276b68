// SPDX-License-Identifier: MIT
// A real Chromium on the page: logging in, looking, pictures. Everything that a browser complains of is a problem:
// console errors, refused resources (CSP), exceptions, requests to anywhere else, dialogs that nobody asked for.
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.BROWSER_MODULES}/`)('playwright-core');

export const facts = JSON.parse(process.env.FACTS); // url, token, shots, revs ...

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
}

export class Watched {
  constructor(page) {
    this.page = page;
    this.problems = [];
    this.expected = []; // patterns of what a test provokes itself
    const note = (text) => {
      if (!this.expected.some((e) => e.test(text))) this.problems.push(text);
    };
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && note(`console: ${m.text()}`));
    page.on('pageerror', (e) => note(`exception: ${e.stack}`));
    page.on('dialog', (d) => {
      note(`dialog: ${d.message()}`);
      d.dismiss();
    });
    page.on('request', (r) => r.url().startsWith(facts.url) || r.url().startsWith('data:') || note(`elsewhere: ${r.url()}`));
  }

  check() {
    if (this.problems.length) throw new Error(`the browser complains:\n${this.problems.join('\n')}`);
  }
}

// A page that is logged in, in its own profile. options: width, height, scheme, script, name for pictures.
export async function open(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: options.width || 1280, height: options.height || 900 },
    colorScheme: options.scheme || 'light',
    javaScriptEnabled: options.script !== false,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60000);
  const watched = new Watched(page);
  if (options.login !== false) await login(page);
  return { page, watched, context };
}

export async function login(page, token = facts.token) {
  await page.goto(`${facts.url}/login`);
  await page.fill('input[name=token]', token);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${facts.url}/`);
}

export async function go(page, path) {
  await page.goto(facts.url + path);
  await ready(page);
}

export async function ready(page) {
  await page.waitForSelector('main[data-ready]');
  const state = await page.getAttribute('main', 'data-ready');
  assert(state === 'yes', `the view did not start: ${await page.textContent('main')}`);
}

export async function shot(page, name, fullPage = true) {
  await page.screenshot({ path: `${facts.shots}/${name}.png`, fullPage });
}

export function assert(good, text) {
  if (!good) throw new Error(text);
}

export function equal(got, wanted, what) {
  assert(JSON.stringify(got) === JSON.stringify(wanted), `${what}: wanted ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`);
}

// No sideways scrolling: the document is not wider than the window.
export async function fits(page, what) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(wide <= window, `${what} is ${wide} px wide in a window of ${window} px`);
}

// Asks the API as the page does, with its cookie.
export async function api(page, path) {
  return page.evaluate(async (p) => (await fetch(p, { headers: { Accept: 'application/json' } })).json(), path);
}

export async function until(what, ask, ms = 60000) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await ask();
    if (got) return got;
    assert(Date.now() < end, `not within ${ms / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function run(scenario) {
  const browser = await launch();
  try {
    await scenario(browser);
  } catch (error) {
    console.error(error.stack);
    process.exitCode = 1;
  }
  await browser.close();
}

// The browser's fold of the rows against the server's snapshot of the same release at its end.
export async function sameFold(page, n) {
  const theirs = await api(page, `/api/v1/releases/${n}/model`);
  const ours = await page.evaluate(async () => {
    const { STATES } = await import('/page/words.js');
    const m = window.releaseView.model;
    return { seq: m.seq, ended: m.ended, states: Object.fromEntries(m.ids.map((id, i) => [id, STATES[m.nodes[i].state].word])) };
  });
  equal(ours.seq, theirs.seq, 'last row that the page folded');
  const other = theirs.nodes.filter((x) => ours.states[x.node] !== x.state);
  equal(other.slice(0, 5).map((x) => `${x.node}: ${ours.states[x.node]}, not ${x.state}`), [], 'nodes in another state than the server says');
}
