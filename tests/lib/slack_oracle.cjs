// SPDX-License-Identifier: MIT
// Slack's own packages as judges. stdin: {cases: [{secret, stamp, signature, body, now_ms}], api}; stdout: what they say.
// Run in a directory with @slack/bolt in node_modules.
const { createRequire } = require('module');
const here = createRequire(process.cwd() + '/');
const { verifySlackRequest } = here('@slack/bolt/dist/receivers/verify-request.js');
const { WebClient } = here('@slack/web-api');

function verdict(c) {
  const headers = { 'x-slack-signature': c.signature, 'x-slack-request-timestamp': c.stamp };
  try {
    verifySlackRequest({ signingSecret: c.secret, body: c.body, headers, nowMilliseconds: c.now_ms });
    return 'ok';
  } catch (e) {
    return e.message;
  }
}

async function talk(api) {
  const client = new WebClient('xoxb-oracle', { slackApiUrl: api, retryConfig: { retries: 0 } });
  const posted = await client.chat.postMessage({ channel: 'C1', text: 'by the client' });
  const updated = await client.chat.update({ channel: 'C1', ts: posted.ts, text: 'changed by the client' });
  const missing = await client.chat.update({ channel: 'C1', ts: '1.1', text: 'x' }).catch((e) => e.data.error);
  return { posted: posted.ok, ts: posted.ts, updated: updated.ok, missing };
}

let input = '';
process.stdin.on('data', (d) => { input += d; }).on('end', async () => {
  const { cases, api } = JSON.parse(input);
  console.log(JSON.stringify({ verdicts: cases.map(verdict), client: await talk(api) }));
});
