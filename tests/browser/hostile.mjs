// SPDX-License-Identifier: MIT
// Scripts in every field that somebody else can fill: nothing runs, nothing is fetched, all of it is to be read.
// And without script: status and history can be read.
import { assert, facts, go, open, run, shot } from './lib.mjs';

const PAGES = ['/', '/env/evil', `/release/${facts.release}`, '/history', '/history?env=evil'];

async function look(page, path, script) {
  if (script) await go(page, path);
  else await page.goto(facts.url + path);
  if (script && path.startsWith('/release')) {
    await page.waitForFunction(() => document.querySelectorAll('.log .line').length > 3);
    await page.hover('.tile');
    await page.click('.tile');
  }
  const found = await page.evaluate(() => ({
    ran: window.pwned || document.title === 'pwned',
    scripts: [...document.scripts].filter((s) => !s.src).length,
    handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on'))).length,
    foreign: document.querySelectorAll('main img, main iframe, main svg, main object, main embed, main base, main style, main script').length,
    links: [...document.querySelectorAll('a[href]')].filter((a) => !a.getAttribute('href').startsWith('/') && a.getAttribute('href') !== '#main').length,
    raw: [...document.body.textContent].filter((c) => /[\u0000-\u0008\u000e-\u001f\u202a-\u202e\u2066-\u2069]/.test(c)).length,
  }));
  assert(!Object.values(found).some(Boolean), `${path}: ${JSON.stringify(found)}`);
  return page.textContent('body');
}

run(async (browser) => {
  const live = await open(browser);
  live.watched.expected = [/502/]; // no pillar knows these environments, so nobody can ask their balancers
  for (const path of PAGES) {
    const text = await look(live.page, path, true);
    assert(/<(script|img|svg)/.test(text), `${path} shows the payload as text`);
  }
  await go(live.page, `/release/${facts.release}`);
  await live.page.waitForFunction(() => document.querySelectorAll('.log .line').length > 3);
  await shot(live.page, 'hostile');
  live.watched.check();
  const plain = await open(browser, { script: false });
  for (const path of PAGES) await look(plain.page, path, false);
  await plain.page.goto(`${facts.url}/env/prod`);
  const status = await plain.page.textContent('main');
  assert(status.includes('app1') && status.includes(facts.revs.v1.slice(0, 12)), `status without script: ${status}`);
  await shot(plain.page, 'noscript-env');
  await plain.page.goto(`${facts.url}/history`);
  const history = await plain.page.textContent('main');
  assert(history.includes('rollback') && history.includes('page:bob'), `history without script: ${history}`);
  await shot(plain.page, 'noscript-history');
  plain.watched.check();
});
