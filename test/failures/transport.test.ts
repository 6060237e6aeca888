/**
 * docs/protocol/failures.md section 1, rows T1 to T11, at every kind of request that the gateway makes: starting a
 * conversation, the creators' landing page (bootstrap), submits and polls of images and videos.
 *
 * Not played here, and why:
 * - T1, DNS: a name that does not resolve needs a resolver, which a test machine may not have. Its error codes are
 *   judged in test/upstream/connections.test.ts.
 * - T2: a host that drops connection requests can't be had on loopback, and the connect timeout is 10 s of real time.
 *   Its error code is judged there too.
 * - T4 at the submit of a video: there is no deadline that could be made short (a video's starts with its submit); what
 *   ends it are the HTTP client's own 30 s and 60 s of real time. The submit of an image is the same code.
 * - T10 at submits and polls: pages are what they answer with anyway (rows I2 and I18).
 * - T11 at polls: rows I18 (an image waits) and V7 (a video fails after three).
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type Behaviours, type Simulator, startSimulator } from '../../src/simulator/index.ts'
import {
  BAD_PAYLOAD,
  behave,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkAnswer,
  checkFailed,
  type FailureRig,
  failureRig,
  NOTHING,
  OUTCOME_UNKNOWN,
  REGION,
  SAID,
  SAID_PAGE,
  SERVER_ERROR,
  type Seen,
  SPEED,
  TIMEOUT,
  TROUBLE,
  UNREACHABLE,
  type Want
} from '../support/failure-table.ts'
import { type Answer, COOKIE, USER } from '../support/gateway.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }
const LOGINS = [
  'https://login.live.com/login.srf?wa=wsignin1.0',
  'https://login.microsoftonline.com/common/oauth2/authorize',
  '/fd/auth/signin?action=interactive'
]
const CN = 'https://cn.bing.com/images/create?form=REDIRERR'
const THROTTLED: Want = { status: 429, type: 'rate_limit_error', code: 'throttled', retryAfter: 60 }
const UNEXPECTED_PAGE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'unexpected_page',
  retryAfter: 300
}

/** A request that fails: what Bing does, what the caller gets, how often Bing was asked. */
interface Row {
  name: string
  behave: (sim: Simulator) => void
  want: Want
  times: number
}

/** What any HTTP request can meet, whatever it is for. `times` counts repeats in: once where none is allowed. */
function common(op: 'create' | 'bootstrap'): Row[] {
  const set = (faults: object) => behave(op, faults as Partial<Behaviours[typeof op]>)
  return [
    { name: 'T1 reset', behave: set({ reset: true }), want: UNREACHABLE, times: 3 },
    { name: 'T5 other country', behave: set({ redirect: CN }), want: REGION, times: 1 },
    { name: 'T5 REDIRERR', behave: set({ redirect: '/?form=REDIRERR' }), want: REGION, times: 1 },
    ...LOGINS.map((redirect) => ({
      name: `T6 ${redirect}`,
      behave: set({ redirect }),
      want: COOKIE_EXPIRED,
      times: 1
    })),
    {
      name: 'T7 page with 403',
      behave: set({ status: 403, body: SAID_PAGE, headers: HTML }),
      want: CHALLENGE,
      times: 1
    },
    { name: 'T8', behave: set({ status: 429, body: SAID }), want: THROTTLED, times: 1 },
    {
      name: 'T8 with a wait',
      behave: set({ status: 429, headers: { 'retry-after': '7' } }),
      want: { ...THROTTLED, retryAfter: 7 },
      times: 1
    },
    {
      name: 'T8 with a date',
      behave: set({ status: 429, headers: { 'retry-after': new Date(Date.now() + 120_000).toUTCString() } }),
      want: { ...THROTTLED, retryAfter: [60, 121] },
      times: 1
    },
    { name: 'T9 500', behave: set({ status: 500, body: SAID }), want: SERVER_ERROR, times: 3 },
    {
      name: 'T9 502',
      behave: set({ status: 502, body: SAID_PAGE, headers: HTML }),
      want: SERVER_ERROR,
      times: 3
    },
    {
      name: 'T9 503',
      behave: set({ status: 503, body: SAID_PAGE, headers: HTML }),
      want: TROUBLE,
      times: 3
    },
    { name: 'T9 504', behave: set({ status: 504 }), want: TROUBLE, times: 3 },
    {
      name: 'T9 503 with a wait',
      behave: set({ status: 503, headers: { 'retry-after': '11' } }),
      want: { ...TROUBLE, retryAfter: 11 },
      times: 3
    },
    {
      name: 'T10 redirect to a stranger',
      behave: set({ redirect: 'https://elsewhere.test/' }),
      want: UNEXPECTED_PAGE,
      times: 2
    }
  ]
}

/** One row: the failing call, how often Bing was asked, and a good call afterwards. */
async function play(
  t: Test,
  rig: FailureRig,
  { name, behave, want }: Row,
  call: () => Promise<Answer>,
  seen: Partial<Seen>
): Promise<void> {
  behave(rig.sim)
  checkAnswer(t, name, await call(), want)
  t.strictSame(rig.seen(), { ...NOTHING, ...seen }, `${name}: requests`)
  t.strictSame(rig.sim.violations, [], name)
  rig.sim.reset()
  if (want.stop) rig.newCookie()
  const good = await call()
  t.equal(good.status, 200, `${name}: the next one works`)
  await finished(rig, good)
  rig.sim.reset()
}

/** A video goes on after its answer; its polls belong to this row, not to the next one. */
async function finished(rig: FailureRig, { json }: Answer): Promise<void> {
  if (json.data !== undefined && json.data.images === undefined) await rig.ended(json.data.taskId)
}

const startConversation = (rig: FailureRig) => rig.post('/create_conversation', { userId: USER })

t.test('starting a conversation', async (t) => {
  const rig = await failureRig(t)
  const rows: Row[] = [
    ...common('create'),
    { name: 'T5 loop', behave: behave('create', { failure: 'region-loop' }), want: REGION, times: 6 },
    { name: 'T10 page', behave: behave('create', { failure: 'html' }), want: UNEXPECTED_PAGE, times: 2 },
    {
      name: 'T10 any page',
      behave: behave('create', { body: SAID_PAGE, headers: HTML }),
      want: UNEXPECTED_PAGE,
      times: 2
    },
    {
      name: 'T11 half of it',
      behave: behave('create', { failure: 'not-json' }),
      want: BAD_PAYLOAD,
      times: 1
    },
    {
      name: 'T11 another shape',
      behave: behave('create', { body: JSON.stringify({ said: SAID }) }),
      want: BAD_PAYLOAD,
      times: 1
    },
    { name: 'T11 a list', behave: behave('create', { body: '[]' }), want: BAD_PAYLOAD, times: 1 }
  ]
  for (const row of rows) {
    await play(t, rig, row, () => startConversation(rig), { creates: row.times })
  }
  const passing: [name: string, behaviours: Partial<Behaviours['create']>[]][] = [
    ['T1', [{ reset: true }, { reset: true }]],
    ['T9', [{ status: 503 }, { status: 504 }]],
    ['T9, both kinds', [{ status: 500 }, { status: 503 }, { status: 502 }]],
    ['T10', [{ failure: 'html' }]]
  ]
  for (const [name, behaviours] of passing) {
    rig.sim.enqueue('create', ...behaviours)
    t.equal((await startConversation(rig)).status, 200, `${name}: repeated by the gateway`)
    t.equal(rig.seen().creates, behaviours.length + 1)
    rig.sim.reset()
  }
  t.notOk(rig.log().includes(COOKIE))
})

for (const kind of ['image', 'video'] as const) {
  t.test(`bootstrap: ${kind}`, async (t) => {
    const rig = await failureRig(t)
    const rows: Row[] = [
      ...common('bootstrap'),
      {
        name: 'T5 loop',
        behave: behave('bootstrap', { redirect: '/images/create' }),
        want: REGION,
        times: 6
      },
      { name: 'T10 empty', behave: behave('bootstrap', { body: ' ' }), want: UNEXPECTED_PAGE, times: 2 },
      { name: 'T11 404', behave: behave('bootstrap', { status: 404 }), want: BAD_PAYLOAD, times: 1 },
      { name: 'T11 204', behave: behave('bootstrap', { status: 204 }), want: BAD_PAYLOAD, times: 1 }
    ]
    for (const row of rows) {
      rig.freshSession()
      await play(t, rig, row, () => rig[kind](), { bootstraps: row.times })
    }
    rig.freshSession()
    rig.sim.enqueue('bootstrap', { reset: true }, { status: 503 }, { status: 500 }, { body: '' })
    t.equal((await rig[kind]()).status, 200, 'each row has repeats of its own')
    t.match(rig.seen(), { bootstraps: 5, submits: 1, accepted: 1 })
    t.notOk(rig.log().includes(COOKIE))
  })

  t.test(`submit: ${kind}`, async (t) => {
    const rig = await failureRig(t)
    await rig.warm()
    const op = kind === 'image' ? 'submit' : 'videoSubmit'
    const rows: Row[] = [
      // Never sent twice: none of them counts more than one.
      ...common('bootstrap')
        .filter(({ name }) => !/^T1 |^T10/.test(name))
        .map((row) => ({ ...row, times: 1 })),
      { name: 'T1 reset', behave: behave(op, { reset: true }), want: OUTCOME_UNKNOWN, times: 1 },
      {
        name: 'T1 reset when accepted',
        behave: behave(op, { answer: 'lost' }),
        want: OUTCOME_UNKNOWN,
        times: 1
      },
      {
        name: 'T7 403 without a page',
        behave: behave(op, { status: 403, body: SAID }),
        want: CHALLENGE,
        times: 1
      },
      { name: 'T6 401', behave: behave(op, { status: 401 }), want: COOKIE_EXPIRED, times: 1 },
      { name: 'T11 404', behave: behave(op, { status: 404, body: SAID }), want: BAD_PAYLOAD, times: 1 },
      { name: 'T11 204', behave: behave(op, { status: 204 }), want: BAD_PAYLOAD, times: 1 },
      ...[414, 431].map((status) => ({
        name: `T11 ${status}: the prompt is too long for a URL`,
        behave: behave(op, { status, body: SAID }),
        want: {
          status: 400,
          type: 'invalid_request_error',
          code: 'prompt_too_long',
          stop: true,
          param: 'query'
        } as Want,
        times: 1
      }))
    ]
    for (const row of rows) {
      // The rows of `common` speak of the landing page; here the same happens to the submit.
      const toSubmit = (sim: Simulator) =>
        row.behave({ ...sim, set: (_op: string, faults: object) => sim.set(op, faults) } as Simulator)
      const lost = row.name.includes('when accepted')
      await play(t, rig, { ...row, behave: toSubmit }, () => rig[kind](), {
        submits: 1,
        accepted: lost ? 1 : 0
      })
    }
    t.notOk(rig.log().includes(COOKIE))
  })
}

t.test('a submit that finds nobody there was not sent, and is tried again', async (t) => {
  const { rig, relay } = await relayRig(t)
  for (const kind of ['image', 'video'] as const) {
    await rig.warm()
    await relay.close()
    const before = attempts(rig, '/images/create')
    checkAnswer(t, `T1 ${kind}`, await rig[kind](), UNREACHABLE)
    t.equal(attempts(rig, '/images/create') - before, 3)
    await relay.open()
    const next = await rig[kind]()
    t.equal(next.status, 200, 'the next one works')
    await finished(rig, next)

    await relay.close()
    const late = rig[kind]()
    setTimeout(() => relay.open(), 3)
    t.equal((await late).status, 200, 'back in time for a repeat')
    await finished(rig, await late)
    t.strictSame(rig.sim.violations, [])
  }
})

t.test('T1 and T3 where they happen: before anything is sent', async (t) => {
  const { rig, relay } = await relayRig(t)
  const calls = [
    { name: 'create', path: '/turing/conversation/create', call: () => startConversation(rig) },
    { name: 'image', path: '/images/create', call: () => rig.image() },
    { name: 'video', path: '/images/create', call: () => rig.video() }
  ]
  const worked = async (answer: Answer) => {
    t.equal(answer.status, 200, 'the next one works')
    await finished(rig, answer)
  }
  for (const { name, path, call } of calls) {
    rig.freshSession()
    await relay.close()
    let before = attempts(rig, path)
    checkAnswer(t, `T1 ${name}`, await call(), UNREACHABLE)
    t.equal(attempts(rig, path) - before, 3, `T1 ${name}: two repeats`)
    await relay.open()
    await worked(await call())

    rig.freshSession()
    relay.resets = true
    await relay.cut()
    before = attempts(rig, path)
    checkAnswer(t, `T3 ${name}`, await call(), { ...REGION, retryAfter: 60 })
    t.equal(attempts(rig, path) - before, 2, `T3 ${name}: one repeat`)
    relay.resets = false
    await worked(await call())
  }
  rig.freshSession()
  await relay.close()
  const late = startConversation(rig)
  setTimeout(() => relay.open(), 3)
  t.equal((await late).status, 200, 'back in time for a repeat')
  t.strictSame(rig.sim.violations, [])
})

t.test('T1: not the TLS that was expected', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  const BING_URL = sim.url.replace('http:', 'https:')
  const rig = await failureRig(t, { sim, config: { BING_URL } })
  checkAnswer(t, 'create', await startConversation(rig), UNREACHABLE)
  checkAnswer(t, 'image', await rig.image(), UNREACHABLE)
  checkAnswer(t, 'video', await rig.video(), UNREACHABLE)
})

t.test('T4: silence ends with the deadline', async (t) => {
  // Long enough for a slow machine to get as far as the stall.
  const config = { CHAT_TIMEOUT_MS: 3000 * SPEED, IMAGE_TIMEOUT_MS: 3000 * SPEED }
  const rows: [op: 'create' | 'bootstrap' | 'submit', Want, Partial<Seen>][] = [
    ['create', TIMEOUT, { creates: 1 }],
    ['bootstrap', TIMEOUT, { bootstraps: 1 }],
    ['submit', OUTCOME_UNKNOWN, { bootstraps: 1, submits: 1 }]
  ]
  await Promise.all(
    rows.map(async ([op, want, seen]) => {
      const rig = await failureRig(t, { config })
      const call = () => (op === 'create' ? startConversation(rig) : rig.image())
      for (const stall of ['before', 'during'] as const) {
        const name = `${op}, ${stall} the answer`
        rig.freshSession()
        rig.sim.enqueue(op, { stall, body: SAID })
        const startedAt = performance.now()
        const answer = await call()
        t.ok(performance.now() - startedAt < 15_000, `${name}: nothing hangs`)
        checkAnswer(t, name, answer, want)
        t.strictSame(rig.seen(), { ...NOTHING, ...seen }, `${name}: requests`)
        if (op === 'bootstrap')
          t.match(answer.json.error.message, /nothing goes on at bing/i, 'nothing was sent')
        t.equal((await call()).status, 200, `${name}: the next one works`)
        t.strictSame(rig.sim.violations, [])
        rig.sim.reset()
      }
    })
  )
})

/** Failures of looking, after which the gateway looks again: the creation goes on at Bing. */
const PASSING: [name: string, faults: object][] = [
  ['T1', { reset: true }],
  ['T4 before', { stall: 'before' }],
  ['T4 during', { stall: 'during' }],
  ['T8', { status: 429, body: SAID }],
  ['T8 with a wait', { status: 429, headers: { 'retry-after': '20' } }],
  ['T9 500', { status: 500, body: SAID }],
  ['T9 502', { status: 502, body: SAID_PAGE, headers: HTML }],
  ['T9 503', { status: 503, body: SAID_PAGE, headers: HTML }],
  ['T9 504', { status: 504 }]
]

t.test('polls are repeated', async (t) => {
  const isSlow = ([name]: (typeof PASSING)[number]) => /T4|T8/.test(name)
  const groups = [PASSING.filter((row) => !isSlow(row)), ...PASSING.filter(isSlow).map((row) => [row])]
  await Promise.all(
    groups.map(async (rows) => {
      const rig = await failureRig(t)
      await rig.warm()
      for (const [name, faults] of rows) {
        rig.sim.enqueue('poll', faults)
        const answer = await rig.image()
        t.equal(answer.status, 200, `${name}, image`)
        t.strictSame(
          rig.seen(),
          { ...NOTHING, submits: 1, accepted: 1, polls: 3 },
          `${name}, image: requests`
        )
        rig.sim.reset()

        rig.sim.enqueue('videoPoll', faults)
        const { taskId } = (await rig.video()).json.data
        await rig.until('creator.video.poll', 1)
        const task = (await rig.get(`/task/${taskId}`)).json.data
        t.match(task, { status: 'processing', error: null }, `${name}, video: goes on`)
        t.equal((await rig.ended(taskId)).status, 'completed', `${name}, video`)
        t.strictSame(
          rig.seen(),
          { ...NOTHING, submits: 1, accepted: 1, polls: 3 },
          `${name}, video: requests`
        )
        t.strictSame(rig.sim.violations, [])
        rig.sim.reset()
      }
    })
  )
})

t.test('polls that never get through end with the deadline', async (t) => {
  const rig = await failureRig(t, {
    config: { IMAGE_TIMEOUT_MS: 1000 * SPEED, VIDEO_TIMEOUT_MS: 1000 * SPEED }
  })
  rig.sim.set('poll', { status: 503, body: SAID })
  checkAnswer(t, 'image', await rig.image(), TIMEOUT)
  // After 1, 2, 4, 8, 16 and 30 seconds more; every second would be 50.
  const { polls } = rig.seen()
  t.ok(polls >= 4 && polls <= 9, `${polls} polls`)
  rig.sim.reset()

  rig.sim.set('videoPoll', { reset: true })
  const { taskId } = (await rig.video()).json.data
  checkFailed(t, 'video', await rig.ended(taskId), TIMEOUT)
  t.match(await rig.stored(taskId), { upstreamId: /^4-[0-9a-f]{32}$/ }, 'it can be looked up later')
  rig.sim.reset()
  t.equal((await rig.image()).status, 200)
  t.strictSame(rig.sim.violations, [])
})

/** Failures of looking that backoff does not cure. `polls` and `bootstraps` are what it takes to be sure. */
const SERIOUS: { name: string; faults: object; want: Want; polls: number; bootstraps: number }[] = [
  { name: 'T5', faults: { redirect: CN }, want: REGION, polls: 1, bootstraps: 1 },
  {
    name: 'T6 although the landing page shows somebody signed in',
    faults: { redirect: LOGINS[0] },
    want: { status: 502, type: 'upstream_error', code: 'upstream_rejected' },
    polls: 3,
    bootstraps: 3
  },
  {
    name: 'T7',
    faults: { status: 403, body: SAID_PAGE, headers: HTML },
    want: CHALLENGE,
    polls: 3,
    bootstraps: 3
  }
]

t.test('polls that fail for good', async (t) => {
  const rig = await failureRig(t)
  for (const { name, faults, want, polls, bootstraps } of SERIOUS) {
    const seen = { ...NOTHING, bootstraps, submits: 1, accepted: 1, polls }
    rig.freshSession()
    rig.sim.set('poll', faults)
    checkAnswer(t, `${name}, image`, await rig.image(), want)
    t.strictSame(rig.seen(), seen, `${name}, image: requests`)
    rig.sim.reset()

    rig.freshSession()
    rig.sim.set('videoPoll', faults)
    const { taskId } = (await rig.video()).json.data
    if (name.startsWith('T6')) {
      checkFailed(t, `${name}, video`, await rig.ended(taskId), want)
      t.strictSame(rig.seen(), seen, `${name}, video: requests`)
    } else {
      // A person can help, and the video is worth waiting for: as row V8.
      await rig.until('creator.video.poll', polls)
      const task = (await rig.get(`/task/${taskId}`)).json.data
      t.match(task, { status: 'processing', error: null }, `${name}, video: waits for somebody`)
      await new Promise((resolve) => setTimeout(resolve, 100))
      t.strictSame(rig.seen(), seen, `${name}, video: Bing is left alone meanwhile`)
      rig.sim.set('videoPoll', {})
      rig.newCookie()
      t.equal((await rig.ended(taskId)).status, 'completed', `${name}, video: with a new cookie`)
      t.match(rig.seen(), { submits: 1, accepted: 1 })
    }
    rig.sim.reset()
    if (want.stop) rig.newCookie()
    t.equal((await rig.image()).status, 200, `${name}: the next one works`)
    rig.sim.reset()
  }
  // Once is no harm: a fresh session finds the account still signed in, and polls go on.
  for (const { name, faults } of SERIOUS.slice(1)) {
    rig.sim.enqueue('poll', faults)
    t.equal((await rig.image()).status, 200, `${name}, once`)
  }
  t.strictSame(rig.sim.violations, [])
})

t.test('videos that wait for somebody until the deadline', async (t) => {
  for (const { name, faults, want } of SERIOUS.filter(({ name }) => !name.startsWith('T6'))) {
    const rig = await failureRig(t, { config: { VIDEO_TIMEOUT_MS: 700 * SPEED } })
    rig.sim.set('videoPoll', faults)
    const { taskId } = (await rig.video()).json.data
    checkFailed(t, name, await rig.ended(taskId), want)
    t.match(await rig.stored(taskId), { upstreamId: /^4-[0-9a-f]{32}$/ })
    t.match(rig.seen(), { submits: 1, accepted: 1 })
    t.strictSame(rig.sim.violations, [])
  }
})

/** A stretch of network between the gateway and the simulator that can be taken away. */
async function relayRig(t: Test) {
  const sim = await startSimulator({ cookies: [COOKIE] })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    if (relay.resets) return void socket.resetAndDestroy()
    const onward = connect(sim.port, '127.0.0.1')
    for (const end of [socket, onward]) {
      sockets.add(end)
      end.on('error', () => {}).once('close', () => sockets.delete(end))
    }
    socket.pipe(onward).pipe(socket)
  })
  let port = 0
  const relay = {
    /** Resets each new connection at once. */
    resets: false,
    async open() {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
    },
    /** Ends the connections that there are. */
    async cut() {
      for (const socket of sockets) socket.destroy()
      // The gateway's end has to hear of it.
      await new Promise((resolve) => setTimeout(resolve, 10))
    },
    /** Refuses connections. */
    async close() {
      server.close()
      await relay.cut()
    }
  }
  await relay.open()
  const rig = await failureRig(t, { sim, config: { BING_URL: `http://127.0.0.1:${port}` } })
  t.teardown(async () => {
    await relay.close()
    await sim.close()
  })
  return { rig, relay }
}

/** Requests that the gateway tried to make, answered or not. */
function attempts(rig: FailureRig, path: string): number {
  return rig
    .log()
    .split('\n')
    .filter((line) => line.includes('"upstream exchange"') && line.includes(`"path":"${path}"`)).length
}
