// SPDX-License-Identifier: MIT
// A release of the live fleet, ordered and watched on the page; a log read; the lock held and freed. Then everything once
// more by keyboard alone: a rollback.
import { assert, equal, facts, fits, go, open, ready, run, sameFold, shot, until, api } from './lib.mjs';

async function order(page) {
  await go(page, '/env/prod');
  await page.click('button[data-verb=run]');
  await page.fill('#f-rev', 'v2');
  await page.click('dialog .fields summary');
  await page.fill('#f-only', 'app1');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog #f-confirm');
  await page.click('dialog .preview summary');
  await page.waitForFunction(() => document.querySelector('dialog .preview .output').textContent.includes('supervisord.stop'));
  await page.fill('#f-only', ''); // another plan: its steps are asked for anew, too
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog #f-confirm');
  const plan = await page.textContent('dialog .summary');
  assert(plan.includes(facts.revs.v2.slice(0, 12)) && /4 nodes.*2 must stay.*1 commit, forward.*v2: good/s.test(plan), plan);
  await page.click('dialog .preview summary');
  await page.waitForFunction(() => document.querySelector('dialog .preview .output').textContent.includes('supervisord.stop'));
  await shot(page, 'run-dialog', false);
  await page.fill('#f-confirm', 'prod');
  await page.click('dialog button[type=submit]');
  await page.waitForURL(/\/release\/\d+$/);
  await ready(page);
  return Number(new URL(page.url()).pathname.split('/')[2]);
}

// Tiles and timeline must move while it runs: states seen, rows folded, spans drawn.
async function watch(page, phone, n) {
  await go(phone, `/release/${n}`);
  await page.waitForFunction(() => document.querySelector('.tile.s-out, .tile.s-done'));
  await page.waitForFunction(() => document.querySelectorAll('.tile.s-done').length >= 2 && document.querySelector('.tile.s-out'));
  assert(await page.evaluate(() => window.releaseView.track.bands.some((b) => b.spans.length > 3)), 'steps are on the timeline');
  const painted = await page.evaluate(() => {
    const c = document.querySelector('canvas.timeline');
    return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v !== 0);
  });
  assert(painted, 'the timeline is painted');
  await shot(page, 'release-running');
  await shot(phone, 'phone-running');
  await fits(phone, 'a running release');
  await page.waitForFunction(() => document.querySelector('.pill').textContent.includes('done and verified'));
  await page.waitForFunction(() => document.querySelectorAll('.tile.s-done').length === 4);
  await sameFold(page, n);
  await phone.waitForFunction(() => document.querySelectorAll('.tile.s-done').length === 4);
}

async function readLog(page) {
  await page.selectOption('#log-node', 'app2');
  const step = await page.$eval('#log-step', (s) => [...s.options].find((o) => o.text.includes('build.sh')).value);
  await page.selectOption('#log-step', step);
  await page.waitForFunction(() => document.querySelector('.log').textContent.includes('building v2'));
  const text = await page.textContent('.log');
  assert(!text.includes('app1'), `only what was chosen is shown: ${text}`);
}

async function reconnect(page, context, n) {
  const seq = await page.evaluate(() => window.releaseView.model.seq);
  await context.setOffline(true);
  await go(page, '/').catch(() => {});
  await context.setOffline(false);
  await go(page, `/release/${n}`);
  equal(await page.evaluate(() => window.releaseView.model.seq), seq, 'a page opened later knows as much');
}

async function lock(page) {
  await go(page, '/env/prod');
  await page.click('button[data-verb=lock]');
  await page.fill('#f-reason', 'database moves until noon');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.banner');
  const text = await page.textContent('.banner');
  assert(text.includes('page:bob') && text.includes('database moves until noon'), `who and why: ${text}`);
  await shot(page, 'env-locked');
  await page.click('button[data-verb=unlock]');
  await page.click('dialog button[type=submit]');
  await until('the banner is gone', () => page.$('.banner').then((b) => !b));
}

async function balancers(page) {
  await page.waitForFunction(() => [...document.querySelectorAll('td')].filter((t) => t.textContent.includes('UP')).length >= 8);
  await page.click('text=Ask the nodes');
  await page.waitForFunction(() => [...document.querySelectorAll('td')].filter((t) => t.textContent.includes('as released')).length === 4);
}

// What is confirmed is the plan that was shown: with the digest of another nothing happens.
async function otherPlan(page) {
  await go(page, '/env/prod');
  const before = await api(page, '/api/v1/releases?env=prod');
  const id = await page.evaluate(async () => {
    const { post } = await import('/page/api.js');
    return (await post('/api/v1/envs/prod/run', { rev: 'v2', confirm: 'prod', digest: '0'.repeat(64) })).order;
  });
  const order = await until('the order has ended', async () => {
    const o = await api(page, `/api/v1/orders/${id}`);
    return o.ended && o;
  });
  assert(order.exit > 0 && order.release === null, `refused: ${JSON.stringify(order)}`);
  equal((await api(page, '/api/v1/releases?env=prod')).length, before.length, 'releases');
}

// With roles each is said with its own figures; the plan's, which are the widest of them, with none.
async function rolesApart(page) {
  const [asked, floor] = await page.evaluate(async () => {
    const { summary } = await import('/page/brief.js');
    const { floors } = await import('/page/words.js');
    const roles = [{ name: 'worker', nodes: 1, window: 1, min_up: 0, up: null }, { name: 'web', nodes: 4, window: 2, min_up: 3, up: 4 }];
    const brief = { nodes: 5, ids: [], up: 4, window: 2, min_up: 3, stages: [1, 5], soak_ms: 0, left_ms: null, changes: [], notes: [], roles };
    return [summary(brief).textContent, floors({ min_up: 3, roles })];
  });
  assert(/worker, 1 node: 1 out at onceweb, 4 nodes: 2 out at once; 4 of 4 are up, 3 must stay/.test(asked) && !asked.includes('of 5'), asked);
  equal(floor, 'worker 0, web 3', 'the floors');
}

// A release that failed is back already: the page offers no red button that would take away the good one before it.
async function failedOne(page, good) {
  const order = await page.evaluate(async () => {
    const { post } = await import('/page/api.js');
    return (await post('/api/v1/envs/prod/run', { rev: 'v6', confirm: 'prod' })).order;
  });
  const n = (await until('it has failed', async () => {
    const o = await api(page, `/api/v1/orders/${order}`);
    return o.ended && o;
  })).release;
  await go(page, `/release/${n}`);
  const button = await page.waitForSelector('button[data-verb=rollback]');
  equal(await button.textContent(), `Go back further: take back release ${good}`, 'the only way back left');
  assert(!(await button.getAttribute('class')).includes('is-danger'), 'it is not what a hurried person shall press');
  await page.click('button[data-verb=rollback]'); // by its name: the page makes its buttons anew when something happens
  await page.waitForSelector('dialog #f-confirm');
  const text = await page.textContent('dialog .preview');
  assert(text.includes(`release ${n} failed and switched nothing; this takes back release ${good}`), text);
  await page.keyboard.press('Escape');
  await go(page, '/');
  await page.waitForFunction((live) => [...document.querySelectorAll('.card')].some((c) => c.textContent.includes('live')
    && c.textContent.includes(`${live} on all 4`)), facts.revs.v2.slice(0, 12));
}

// An environment that wants a second person: the order waits, and everybody sees for whom.
async function approval(page) {
  await go(page, '/env/guarded');
  await page.click('button[data-verb=run]');
  await page.fill('#f-rev', 'v2');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog #f-confirm');
  await page.fill('#f-confirm', 'guarded');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog .banner');
  const text = await page.textContent('dialog .banner');
  assert(/waits for a second person/.test(text), text);
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => /run.* by page:bob waits for a second person/.test(document.querySelector('main').textContent));
}

// Tab until the wanted element has the focus: what cannot be reached so cannot be used with a keyboard.
async function tabTo(page, selector) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const there = await page.evaluate((s) => {
      const e = document.activeElement;
      if (!e.matches(s)) return false;
      const style = getComputedStyle(e);
      return { visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
    }, selector);
    if (there) {
      assert(there.visible, `${selector} has the focus, and nothing shows it`);
      return;
    }
  }
  throw new Error(`${selector} cannot be reached with Tab`);
}

async function byKeyboard(page) {
  await go(page, '/');
  await page.keyboard.press('Tab');
  equal(await page.evaluate(() => document.activeElement.className), 'skip', 'the first stop');
  await tabTo(page, '.card h2 a[href="/env/prod"]');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/env/prod');
  await ready(page);
  await tabTo(page, 'button[data-verb=rollback]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog #f-confirm');
  await page.keyboard.press('Escape');
  await until('Escape closes the dialog', () => page.$('dialog').then((d) => !d));
  await until('the focus comes back', () => page.evaluate(() => document.activeElement.dataset.verb === 'rollback'));
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog #f-confirm');
  await tabTo(page, '#f-confirm');
  await page.keyboard.type('prod');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/release\/\d+$/);
  await ready(page);
  await tabTo(page, '.tile');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  equal(await page.inputValue('#log-node'), 'app4', 'the node chosen with arrows and Enter');
  await page.waitForFunction(() => document.querySelector('.pill').textContent.includes('done and verified'));
  await until('screen readers are told', () => page.textContent('#announce').then((t) => /rollback \d+: done and verified/.test(t)));
}

// From the history of an environment back to a moment and to a revision: by keyboard, with what it would do said first.
async function backToThePast(page, phone, dark, n) {
  const [v1, v2] = [facts.revs.v1, facts.revs.v2].map((rev) => rev.slice(0, 12));
  await go(page, '/env/prod');
  const before = await page.waitForSelector(`button[data-verb=before-${n}]`);
  equal(await before.getAttribute('aria-label'), `Go back to before release ${n}`, 'what is heard');
  await page.click(`button[data-verb=before-${n}]`); // the rollback went there already
  await page.waitForSelector('dialog .preview .summary, dialog .preview pre');
  const said = await page.textContent('dialog');
  assert(said.includes('Nothing to change'), said);
  assert(!(await page.isVisible('dialog button[type=submit]')), 'there is nothing to press');
  await page.keyboard.press('Escape');
  await until('the focus comes back', () => page.evaluate((key) => document.activeElement.dataset.verb === key, `before-${n}`));
  for (const [other, name] of [[phone, 'phone-back'], [dark, 'dark-back']]) {
    await go(other, `/release/${n}`);
    await other.click(`button[data-verb=to-${n}]`);
    await other.waitForSelector('dialog #f-confirm');
    await fits(other, 'the dialog of a way back');
    await shot(other, name, false);
    await other.keyboard.press('Escape');
  }
  await tabTo(page, `button[data-verb=to-${n}]`);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog #f-confirm');
  equal(await page.textContent('#dialog-title'), 'Roll back to v2 prod', 'the question');
  const text = await page.textContent('dialog .summary');
  assert(text.includes(`4 nodes will change: every node to ${v2}`) && text.includes(`from ${v1} to ${v2}: 1 commit, forward`), text);
  await page.click('dialog .fields summary');
  await page.fill('#f-exclude', 'app4'); // another plan: it is looked at anew before it can be done
  equal(await page.textContent('dialog button[type=submit]'), 'Show what will happen', 'first look again');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('dialog .preview').textContent.includes('3 nodes will change'));
  await shot(page, 'back-dialog', false);
  await page.fill('#f-confirm', 'prod');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => /\/release\/\d+$/.test(url.pathname) && !url.pathname.endsWith(`/${n}`));
  await ready(page);
  await page.waitForFunction(() => document.querySelector('.pill').textContent.includes('done and verified'));
}

// What happens meanwhile makes the list anew: what was ticked stays so, and the focus where it was.
async function tickedStays(page) {
  const give = (verb, body) => page.evaluate(async ([v, b]) => {
    const { post } = await import('/page/api.js');
    return (await post(`/api/v1/envs/prod/${v}`, b)).order;
  }, [verb, body]);
  await go(page, '/history?env=prod');
  const boxes = page.locator('td input[type=checkbox]');
  for (const i of [0, 1, 2]) await boxes.nth(i).check(); // the third takes the place of the first
  const seen = () => page.evaluate(() => ({ ticked: [...document.querySelectorAll('td input:checked')].map((b) => b.getAttribute('aria-label')),
    focus: document.activeElement.getAttribute('aria-label'),
    compare: !([...document.querySelectorAll('button')].find((b) => b.textContent === 'Compare two plans').disabled) }));
  const before = await seen();
  assert(before.ticked.length === 2 && before.compare && before.focus === before.ticked[1], JSON.stringify(before));
  await page.evaluate(() => { document.activeElement.dataset.old = 'yes'; });
  await give('lock', { reason: 'no way back meanwhile' });
  await until('the list was made anew', () => page.$('[data-old]').then((old) => !old));
  equal(await seen(), before, 'what was ticked, and the focus');
  const order = await give('unlock', {});
  await until('the lock is free', async () => (await api(page, `/api/v1/orders/${order}`)).ended);
}

async function history(page, phone, dark) {
  await go(page, '/history');
  const boxes = page.locator('td input[type=checkbox]');
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.click('text=Compare two plans');
  await page.waitForSelector('table.diff tbody tr');
  await shot(page, 'history-diff');
  await go(phone, '/history');
  await fits(phone, 'history');
  await shot(phone, 'phone-history');
  await go(phone, '/env/prod');
  await fits(phone, 'an environment');
  await shot(phone, 'phone-env');
  await go(phone, '/');
  await fits(phone, 'the environments');
  await go(dark, '/env/prod');
  await shot(dark, 'dark-env');
}

run(async (browser) => {
  const one = await open(browser);
  const phone = await open(browser, { width: 390, height: 844 });
  const dark = await open(browser, { scheme: 'dark' });
  const n = await order(one.page);
  await watch(one.page, phone.page, n);
  await readLog(one.page);
  await shot(one.page, 'release-done');
  await go(dark.page, `/release/${n}`);
  await shot(dark.page, 'dark-release');
  one.watched.expected = phone.watched.expected = [/ERR_INTERNET_DISCONNECTED|ERR_FAILED/];
  await reconnect(one.page, one.context, n);
  await lock(one.page);
  await balancers(one.page);
  await otherPlan(one.page);
  await rolesApart(one.page);
  await failedOne(one.page, n);
  await approval(one.page);
  await byKeyboard(one.page);
  await backToThePast(one.page, phone.page, dark.page, n);
  await tickedStays(one.page);
  await history(one.page, phone.page, dark.page);
  for (const each of [one, phone, dark]) each.watched.check();
  const me = await api(one.page, '/api/v1/me');
  equal(me.name, 'page:bob', 'who is logged in');
});
