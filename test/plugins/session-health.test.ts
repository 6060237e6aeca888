/**
 * What becomes of calls, tasks and probes while Microsoft waits for a person, or can't be reached: the circuits as
 * callers and operators meet them. The rules themselves are in test/upstream/circuits.test.ts.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Simulator } from '../../src/simulator/index.ts'
import { CHALLENGE, COOKIE_EXPIRED, checkAnswer, TROUBLE, type Want } from '../support/failure-table.ts'
import { COOKIE } from '../support/gateway.ts'
import { handClock } from '../support/hand-clock.ts'
import { sessionRig, type UpstreamShown, until } from '../support/session-rig.ts'

const HALF_HOUR = 30 * 60_000

const ALL = (state: string) => ({ sydney: state, 'image-creator': state, 'video-creator': state })

const OPENING: {
  name: string
  break: (sim: Simulator) => void
  through: 'start' | 'image' | 'video'
  want: Want
  state: string
}[] = [
  {
    name: 'T6 at the start of a conversation',
    break: (sim) => sim.set('create', { redirect: 'https://login.live.com/login.srf' }),
    through: 'start',
    want: COOKIE_EXPIRED,
    state: 'expired'
  },
  {
    name: 'C10',
    break: (sim) => sim.set('create', { failure: 'challenge-message' }),
    through: 'start',
    want: CHALLENGE,
    state: 'challenged'
  },
  {
    name: 'T7 at the landing page',
    break: (sim) => sim.set('bootstrap', { status: 403, body: '<html>Just a moment</html>' }),
    through: 'image',
    want: CHALLENGE,
    state: 'challenged'
  },
  {
    name: 'I1',
    break: (sim) => sim.set('bootstrap', { page: 'signed-out' }),
    through: 'video',
    want: COOKIE_EXPIRED,
    state: 'expired'
  },
  {
    name: 'I17',
    break: (sim) => sim.set('submit', { answer: 'authns' }),
    through: 'image',
    want: CHALLENGE,
    state: 'challenged'
  }
]

t.test('once a person must act, nobody is asked in the name of the account', async (t) => {
  const rig = await sessionRig(t)
  const { sim } = rig
  for (const [n, row] of OPENING.entries()) {
    row.break(sim)
    checkAnswer(t, row.name, await rig[row.through](), row.want)
    sim.reset()
    for (const through of ['start', 'image', 'video'] as const)
      checkAnswer(t, `${row.name}, then ${through}`, await rig[through](), {
        ...row.want,
        ...(row.want.retryAfter === undefined ? {} : { retryAfter: [1700, 1800] })
      })
    checkAnswer(
      t,
      `${row.name}, then a picture for later`,
      await rig.image('later', { prefer: 'respond-async' }),
      { ...row.want, ...(row.want.retryAfter === undefined ? {} : { retryAfter: [1700, 1800] }) }
    )
    t.equal(rig.asked(), 0, 'nobody is asked')
    t.equal((await rig.get('/health')).json.data.activeTasks, 0, 'and nothing is left to do')
    t.strictSame(await rig.states(), ALL(row.state))
    const { upstreams } = (await rig.get('/health')).json.data
    for (const { action } of upstreams) t.match(action, /browser|Sign in/)
    t.match((await rig.get('/readyz')).json, { status: 'degraded', checks: { cookie: row.state } })

    rig.accept(`cookie-${n}`)
    rig.app.upstream.account.replace(`cookie-${n}`)
    t.strictSame(await rig.states(), ALL('ok'), 'new cookies')
    t.equal((await rig.start()).status, 200)
    t.match((await rig.get('/readyz')).json, { status: 'ok' })
    sim.reset()
  }
  const lines = rig
    .log()
    .split('\n')
    .filter((line) => line.includes('"upstream needs a person"'))
  t.equal(lines.length, OPENING.length, 'one line for each time')
  for (const line of lines)
    t.match(JSON.parse(line), { level: 40, upstreams: Object.keys(ALL('')), action: String })
  t.strictSame(sim.violations, [])
})

t.test('C4 closes the chat, and leaves the pictures', async (t) => {
  const rig = await sessionRig(t)
  rig.sim.set('create', { failure: 'forbidden' })
  const forbidden: Want = { status: 403, type: 'permission_error', code: 'account_forbidden', stop: true }
  checkAnswer(t, 'C4', await rig.start(), forbidden)
  rig.sim.reset()
  checkAnswer(t, 'again', await rig.start(), forbidden)
  t.equal(rig.asked(), 0)
  t.equal((await rig.image()).status, 200)
  t.strictSame(await rig.states(), { ...ALL('ok'), sydney: 'forbidden' })
  t.match((await rig.get('/readyz')).json, { status: 'degraded', checks: { cookie: 'forbidden' } })
})

t.test('the same file, saved again, says that a person has passed the check', async (t) => {
  const rig = await sessionRig(t)
  const identity = await rig.conversation()
  rig.sim.set('turn', { failure: 'captcha' })
  const ask = () => rig.post('/chatgpt', { ...identity, prompt: 'Hi' })
  const captcha: Want = {
    status: 503,
    type: 'upstream_unavailable_error',
    code: 'captcha_required',
    retryAfter: 3600,
    stop: true
  }
  checkAnswer(t, 'S2', await ask(), captcha)
  checkAnswer(t, 'again', await ask(), { ...captcha, retryAfter: [1700, 1800] })
  rig.sim.set('turn', {})
  const soon = new Date(Date.now() + 5000)
  utimesSync(rig.file, soon, soon)
  await until('the file was noticed', () => rig.circuit('bing-account') === 'closed')
  t.equal((await ask()).status, 200)
  t.strictSame(await rig.states(), ALL('ok'))

  const { generation } = rig.app.upstream.account
  const later = new Date(Date.now() + 10_000)
  utimesSync(rig.file, later, later)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  t.equal(rig.app.upstream.account.generation, generation, 'while all is well it says nothing')
})

t.test('each state tells since when it holds', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock })
  const began = async () => {
    const { upstreams } = (await rig.get('/health')).json.data as {
      upstreams: (UpstreamShown & { since: string })[]
    }
    return Object.fromEntries(upstreams.map(({ name, state, since }) => [name, `${state} ${since}`]))
  }
  const at = (state: string) => `${state} ${new Date(clock.now()).toISOString()}`
  const started = at('ok')
  t.strictSame(await began(), { sydney: started, 'image-creator': started, 'video-creator': started })
  clock.pass(60_000)
  t.equal((await rig.start()).status, 200)
  t.strictSame(await began(), { sydney: started, 'image-creator': started, 'video-creator': started })
  rig.sim.set('create', { redirect: 'https://login.live.com/login.srf' })
  clock.pass(60_000)
  checkAnswer(t, 'expired', await rig.start(), COOKIE_EXPIRED)
  const expired = at('expired')
  t.strictSame(await began(), { sydney: expired, 'image-creator': expired, 'video-creator': expired })
  clock.pass(60_000)
  t.strictSame(await began(), { sydney: expired, 'image-creator': expired, 'video-creator': expired })
  rig.app.upstream.reload()
  const over = at('ok')
  t.strictSame(await began(), { sydney: over, 'image-creator': over, 'video-creator': over })
})

t.test('the operator says so (SIGHUP), for cookies that are in no file', async (t) => {
  const rig = await sessionRig(t, { config: { BING_COOKIE_FILE: undefined, BING_COOKIE_U: COOKIE } })
  rig.sim.set('bootstrap', { status: 403, body: '<html>Just a moment</html>' })
  checkAnswer(t, 'T7', await rig.image(), CHALLENGE)
  rig.sim.reset()
  rig.app.upstream.reload()
  t.equal((await rig.image()).status, 200)
})

t.test('without a word, a probe finds out', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock, config: { SESSION_CHECK_MINUTES: 0 } })
  const { sim } = rig
  const probes = () => sim.counts['creator.bootstrap'] ?? 0
  const passed = async (times: number) => {
    const before = probes()
    clock.pass(HALF_HOUR)
    await until('a probe', () => probes() >= before + times)
  }

  sim.set('create', { failure: 'challenge-message' })
  checkAnswer(t, 'C10', await rig.start(), CHALLENGE)
  clock.pass(HALF_HOUR - 60_000)
  checkAnswer(t, 'a minute before the probe', await rig.start(), { ...CHALLENGE, retryAfter: 60 })
  t.strictSame([sim.counts['sydney.create'], probes()], [1, 0])

  await t.test('which fails', async (t) => {
    sim.set('bootstrap', { page: 'signed-out' })
    clock.pass(60_000)
    await until('what the probe saw', async () => (await rig.states()).sydney === 'expired')
    t.equal(probes(), 2, 'two looks at the landing page: an expired cookie, no hiccup')
    checkAnswer(t, 'what it saw', await rig.start(), COOKIE_EXPIRED)
  })

  await t.test('which is good: that will do for a cookie that seemed expired', async (t) => {
    sim.set('bootstrap', {})
    await passed(1)
    await until('the circuit closes', () => rig.circuit('bing-account') === 'closed')
    t.strictSame(await rig.states(), ALL('ok'))
  })

  await t.test('which is good: the chat has to show it itself', async (t) => {
    checkAnswer(t, 'C10', await rig.start(), CHALLENGE)
    await passed(1)
    await until('half-open', () => rig.circuit('bing-account') === 'half-open')
    t.strictSame(await rig.states(), { ...ALL('ok'), sydney: 'challenged' })
    const before = sim.counts['sydney.create'] as number
    sim.set('create', { failure: 'challenge-message', delayMs: 200 })
    const both = [rig.start(), rig.start()]
    for (const answer of await Promise.all(both)) t.equal(answer.json.error.code, 'challenge_required')
    t.equal(sim.counts['sydney.create'], before + 1, 'one of two is let through')
    t.equal(rig.circuit('bing-account'), 'open', 'its failure opens it again')

    await passed(1)
    await until('half-open', () => rig.circuit('bing-account') === 'half-open')
    sim.set('create', {})
    t.equal((await rig.start()).status, 200)
    t.equal(rig.circuit('bing-account'), 'closed')
    t.strictSame(await rig.states(), ALL('ok'))
  })
})

t.test('a conversation that can be started is no answer to a captcha', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock, config: { SESSION_CHECK_MINUTES: 0 } })
  const { sim } = rig
  const identity = await rig.conversation()
  const ask = () => rig.post('/chatgpt', { ...identity, prompt: 'Hi' })
  sim.set('turn', { failure: 'captcha' })
  t.equal((await ask()).json.error.code, 'captcha_required')
  clock.pass(HALF_HOUR)
  await until('half-open', () => rig.circuit('bing-account') === 'half-open')
  t.equal((await rig.start()).status, 200)
  t.equal(rig.circuit('bing-account'), 'half-open')
  t.equal((await rig.states()).sydney, 'challenged')
  t.equal((await ask()).json.error.code, 'captcha_required')
  t.equal(rig.circuit('bing-account'), 'open')

  clock.pass(HALF_HOUR)
  await until('half-open', () => rig.circuit('bing-account') === 'half-open')
  sim.set('turn', {})
  t.equal((await ask()).status, 200)
  t.equal(rig.circuit('bing-account'), 'closed')
  t.strictSame(await rig.states(), ALL('ok'))
})

t.test('an account that nothing is heard of is looked at', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock })
  const { sim } = rig
  t.equal(rig.asked(), 0, 'not at the start')
  clock.pass(HALF_HOUR - 1)
  t.equal((await rig.start()).status, 200)
  sim.reset()
  clock.pass(HALF_HOUR - 1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(rig.asked(), 0, 'not while something else is heard')
  sim.cookies.expire(COOKIE)
  clock.pass(1)
  await until('the look', async () => (await rig.states()).sydney === 'expired')
  t.strictSame(
    [...new Set(sim.requests.map(({ method, path }) => `${method} ${path}`))],
    ['GET /images/create'],
    'the cheapest call there is'
  )
  checkAnswer(t, 'callers hear of it at once', await rig.start(), COOKIE_EXPIRED)
  t.equal(sim.counts['sydney.create'] ?? 0, 0)

  const off = await sessionRig(t, { clock, config: { SESSION_CHECK_MINUTES: 0 } })
  clock.pass(10 * HALF_HOUR)
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(off.asked(), 0, 'unless that is switched off')
})

t.test('an upstream that is out of reach is left alone for a while', async (t) => {
  const rig = await sessionRig(t, { speed: 50 })
  const { sim } = rig
  sim.set('create', { status: 503 })
  for (let n = 0; n < 5; n++) checkAnswer(t, `call ${n}`, await rig.start(), TROUBLE)
  t.equal(sim.counts['sydney.create'], 15, 'with their repeats')
  checkAnswer(t, 'the sixth', await rig.start(), { ...TROUBLE, retryAfter: [1, 30] })
  t.equal(sim.counts['sydney.create'], 15)
  const seen = (await rig.get('/health')).json.data.upstreams[0] as UpstreamShown
  t.match(seen, { name: 'sydney', state: 'unreachable', until: String })
  t.notOk(seen.action, 'nobody can do anything')
  t.match((await rig.get('/readyz')).json, { status: 'ok' })
  t.equal((await rig.image()).status, 200, 'others are not concerned')
  sim.set('create', {})
  await until('the time is over', () => rig.circuit('sydney') === 'half-open')
  t.equal((await rig.start()).status, 200)
  t.strictSame([rig.circuit('sydney'), (await rig.states()).sydney], ['closed', 'ok'])
})

t.test('what Microsoft sets is kept beyond a restart', async (t) => {
  const first = await sessionRig(t)
  const { sim, dir } = first
  const kept = join(dir, 'session-bing.json')
  sim.set('bootstrap', { rotate: '_U', expireRotated: true })
  t.equal((await first.image()).status, 200)
  sim.set('bootstrap', {})
  await until('it is written', () => existsSync(kept))
  const rotated = first.app.upstream.account.cookieHeader(sim.url)
  t.not(/_U=([^;]*)/.exec(rotated ?? '')?.[1], COOKIE, 'the imported cookie has expired')
  t.equal(statSync(kept).mode & 0o777, 0o600, "for nobody else's eyes")
  await first.app.close()

  const start = () => sessionRig(t, { dir, sim })
  const second = await start()
  t.equal(second.app.upstream.account.cookieHeader(sim.url), rotated)
  t.equal((await second.image()).status, 200, 'with a cookie that nobody has imported')
  await second.app.close()
  const good = readFileSync(kept, 'utf8')

  await t.test('until something else is imported', async (t) => {
    const rig = await start()
    rig.accept('a-new-cookie')
    rig.save('a-new-cookie')
    await until('noticed', () => rig.app.upstream.account.generation === 2)
    t.equal(rig.app.upstream.account.cookieHeader(sim.url), '_U=a-new-cookie')
    await rig.app.close()
    const after = await sessionRig(t, {
      dir,
      sim,
      config: { BING_COOKIE_FILE: undefined, BING_COOKIE_U: 'a-new-cookie' }
    })
    t.equal(after.app.upstream.account.cookieHeader(sim.url), '_U=a-new-cookie')
    t.equal((await after.image()).status, 200)
    await after.app.close()
  })

  await t.test('what can not be read is ignored', async (t) => {
    for (const text of ['', '{', '[]', 'null', '{"cookies":7}', good.slice(0, -2)]) {
      writeFileSync(kept, text)
      const rig = await start()
      t.equal(rig.app.upstream.account.cookieHeader(sim.url), `_U=${COOKIE}`, text)
      t.match(rig.log(), /"kept cookies could not be read/)
      await rig.app.close()
    }
  })

  await t.test('what was kept of another import is not used', async (t) => {
    writeFileSync(kept, good.replace(/"import":"[0-9a-f]/, '"import":"x'))
    const rig = await start()
    t.equal(rig.app.upstream.account.cookieHeader(sim.url), `_U=${COOKIE}`)
    await rig.app.close()
  })

  await t.test('a place that can not be written to stops nothing', async (t) => {
    rmSync(kept)
    mkdirSync(join(kept, 'in-the-way'), { recursive: true })
    sim.cookies.accept(COOKIE)
    const rig = await start()
    t.equal((await rig.image()).status, 200)
    t.equal((await rig.image()).status, 200)
    await rig.app.close()
    t.equal(rig.log().split('"cookies could not be kept for the next start"').length, 2, 'said once')
    t.notMatch(rig.log(), /simulated-cookie|_U=/)
  })
  for (const value of good.match(/(?<="value":")[^"]{12,}/g) ?? [])
    t.notOk(first.log().includes(value) || second.log().includes(value), 'no cookie in the log')
})
