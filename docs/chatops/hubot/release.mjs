// SPDX-License-Identifier: MIT
// Description:
//   Releases from the chat room, through the API of `release serve`.
//
// Configuration:
//   RELEASE_URL    where the server is, as in https://release.example.org
//   RELEASE_TOKEN  what `release token add hubot --role operator --bot` printed
//
// Commands:
//   hubot release status [ENV] - what runs there, who holds the lock
//   hubot release history ENV - the last five releases
//   hubot release plan REV ENV - what a release would do; changes nothing
//   hubot release run REV ENV - release a revision
//   hubot release rollback ENV - back to what each node ran before
//   hubot release rollback ENV to REV - every node to a revision
//   hubot release rollback ENV before N - every node to what it ran before release N
//   hubot release resume ENV - go on with an interrupted release
//   hubot release pause ENV - finish the nodes in hand, start no other
//   hubot release abort ENV - stop now
//   hubot release lock ENV REASON - hold the lock by hand
//   hubot release unlock ENV - give it back

const url = (process.env.RELEASE_URL || 'http://127.0.0.1:8710').replace(/\/$/, '')
const every = Number(process.env.RELEASE_POLL_MS || 1000)
const pause = () => new Promise(resolve => setTimeout(resolve, every))

// The token says which bot this is, the header for whom it speaks: the journal reads hubot:ann.
async function ask (res, path, body) {
  const answer = await fetch(url + path, {
    method: body ? 'POST' : 'GET',
    body: body && JSON.stringify(body),
    redirect: 'error',
    headers: {
      authorization: `Bearer ${process.env.RELEASE_TOKEN}`,
      'content-type': 'application/json',
      'x-release-on-behalf-of': res.message.user.name
    }
  })
  const value = await answer.json()
  if (!answer.ok) throw new Error(value.error ? value.error.text : `the server answered ${answer.status}`)
  return value
}

// Reasons, commits and output are other people's words: they shall call nobody (@here, <!channel>, <@U123>) and be read
// as no markup. An invisible space behind the sign takes its meaning away in every room, and leaves it to be read.
const quiet = text => text.replaceAll('`', "'").replace(/[@<]/g, '$&\u200b')

const envPath = (env, verb) => `/api/v1/envs/${encodeURIComponent(env)}${verb ? '/' + verb : ''}`

// Until it has ended; `each` sees it on the way.
async function orderEnd (res, id, each) {
  for (;;) {
    const o = await ask(res, `/api/v1/orders/${id}`)
    if (each) each(o)
    if (o.ended) return o
    await pause()
  }
}

const lastLines = (o, n) => (o.output || '').trimEnd().split('\n').slice(-n).join('\n')

// It waits for a second person, who is asked when what was looked at can be done and changes something.
async function pend (res, verb, env, given) {
  res.send(given.text)
  if (!given.look) return
  const o = await orderEnd(res, given.look)
  const brief = (o.output || '').split('\n').find(line => line.startsWith('{"kind":"brief"'))
  if (o.exit !== 0) res.send(`${verb} ${env}: exit status ${o.exit}, nobody is asked\n${lastLines(o, 3)}`)
  else if (brief && JSON.parse(brief).nodes === 0) res.send(`${verb} ${env}: there is nothing to change, nobody is asked`)
}

// Gives the order, waits for its end, and says both.
async function order (res, verb, env, body) {
  const given = await ask(res, envPath(env, verb), body)
  if (!given.order) return pend(res, verb, env, given)
  let said = false
  const o = await orderEnd(res, given.order, seen => {
    if (!seen.release || said) return
    said = true
    res.send(`${verb} ${env}: release ${seen.release} has started, ${url}/release/${seen.release}`)
  })
  const last = lastLines(o, verb === 'plan' ? 30 : 3)
  res.send(`${verb} ${env}: ${o.exit === 0 ? 'done' : `exit status ${o.exit}`}${last && '\n' + last}`)
}

function line (e) {
  const busy = e.running ? `release ${e.running.release} is running` : 'nothing is running'
  return `${e.env}: ${busy}; ${e.lock ? e.lock.text : 'the lock is free'}`
}

async function status (res, env) {
  const envs = env ? [await ask(res, envPath(env))] : await ask(res, '/api/v1/envs')
  res.send(envs.map(line).join('\n') || 'there is no environment')
}

async function history (res, env) {
  const releases = await ask(res, `/api/v1/releases?limit=5&env=${encodeURIComponent(env)}`)
  res.send(releases.map(r => `${r.release} ${r.what} ${(r.rev || '').slice(0, 12)} by ${r.who}: ${r.summary || 'unfinished'}`)
    .join('\n') || `nothing was released to ${env} yet`)
}

export default robot => {
  const hear = (pattern, handle) => robot.respond(pattern, async res => {
    const room = { message: res.message, send: text => res.send(quiet(text)) }
    try {
      await handle(room, ...res.match.slice(1))
    } catch (error) {
      room.send(`release: ${error.cause?.message || error.message}`)
    }
  })
  hear(/release status(?:\s+(\S+))?\s*$/i, status)
  hear(/release history\s+(\S+)\s*$/i, history)
  hear(/release plan\s+(\S+)\s+(\S+)\s*$/i, (res, rev, env) => order(res, 'plan', env, { rev }))
  hear(/release run\s+(\S+)\s+(\S+)\s*$/i, (res, rev, env) => order(res, 'run', env, { rev, confirm: env }))
  hear(/release (rollback|resume|pause|abort|unlock)\s+(\S+)\s*$/i,
    (res, verb, env) => order(res, verb.toLowerCase(), env, { confirm: env }))
  hear(/release rollback\s+(\S+)\s+to\s+(\S+)\s*$/i, (res, env, to) => order(res, 'rollback', env, { to, confirm: env }))
  hear(/release rollback\s+(\S+)\s+before\s+(\d{1,12})\s*$/i,
    (res, env, n) => order(res, 'rollback', env, { before: Number(n), confirm: env }))
  hear(/release lock\s+(\S+)\s+(.+)$/i, (res, env, reason) => order(res, 'lock', env, { reason }))
}
