import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { Behaviours } from '../../../src/simulator/index.ts'
import type { Accepted, ImageRequest, LookMemory } from '../../../src/upstream/creation-client.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { createImageClient } from '../../../src/upstream/image-creator/client.ts'
import { createCreatorSession } from '../../../src/upstream/image-creator/session.ts'
import { creatorRig, lookUntilReady, never, rowOf } from '../../support/creator.ts'
import { handClock } from '../../support/hand-clock.ts'

const fox: ImageRequest = { prompt: 'a red fox & friends, 100 %', model: 'DALLE', aspect: 'SQUARE' }
const gpt: ImageRequest = { ...fox, model: 'GPT4O' }
/** A page that Bing might well show after it accepted a prompt. */
const SIGN_OF_LIFE = '<html><body><h1>Your pictures are on their way</h1></body></html>'

async function rig(t: Test, options: Parameters<typeof creatorRig>[1] = {}) {
  const all = await creatorRig(t, options)
  const client = createImageClient(all.settings)
  const submit = (request = fox, signal = never) => client.submit(request, signal)
  const look = (accepted: Accepted, memory: LookMemory = {}, request = fox) =>
    client.look({ ...accepted, request, memory }, never)
  const received = () => all.simulator.counts['creator.submit.received'] ?? 0
  return { ...all, client, submit, look, received }
}

/** Stands before a server. While `stuck` says so, a connection gets a byte now and then in place of an answer. */
async function stickyRelay(t: Test, target: string) {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const events = new EventEmitter()
  let asked = 0
  let left = 0
  const relay = {
    url: '',
    /** How many of the next connections get stuck. */
    stuck: 0,
    connections: 0,
    /** Resolves when so many connections have brought a request. */
    asked: (count: number) => reached('asked', () => asked >= count),
    /** Resolves when so many stuck ones were given up. */
    left: (count: number) => reached('left', () => left >= count)
  }
  const server = createNetServer((near) => {
    relay.connections++
    const isStuck = relay.stuck-- > 0
    sockets.add(near.on('error', () => {}))
    near.once('data', (head) => {
      asked++
      events.emit('asked')
      if (!isStuck) {
        const far = connect(Number(port), hostname).on('error', () => {})
        sockets.add(far)
        far.write(head)
        near.pipe(far).pipe(near)
        return
      }
      near.write('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n')
      const timer = setInterval(() => near.write('<'), 5)
      near.once('close', () => {
        clearInterval(timer)
        left++
        events.emit('left')
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  relay.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return relay

  async function reached(event: string, isReached: () => boolean) {
    while (!isReached()) await once(events, event)
  }
}

t.test('draws with every model and aspect', async (t) => {
  const { simulator, client, submit } = await rig(t)
  for (const model of ['DALLE', 'GPT4O', 'MAI1'] as const) {
    for (const aspect of ['SQUARE', 'LANDSCAPE', 'PORTRAIT'] as const) {
      const request = { prompt: `a fox, ${model} ${aspect}`, model, aspect }
      const accepted = await submit(request)
      t.match(accepted, {
        upstreamId: /^1-[0-9a-f]{32}$/,
        resultUrl: new RegExp(`^${simulator.url}/images/create\\?`)
      })
      const { result, looks } = await lookUntilReady(client, accepted, request)
      t.equal(result.images.length, model === 'DALLE' ? 4 : 1)
      t.match(result.images[0], /\/th\/id\/OIG\d\.[\w-]+\?pid=ImgGn$/)
      t.match(result.prompt, /fox/)
      t.strictSame([result.video, looks], [null, 2])
    }
  }
  t.equal(simulator.counts['creator.submit.received'], 9)
  t.equal(simulator.counts['creator.bootstrap'], 1, 'one session for all')
  t.equal(simulator.counts['creator.result-page'], 9, 'each result page once')
  t.strictSame(simulator.violations, [])
})

t.test('waits through every pending shape', async (t) => {
  const { simulator, client, submit, look } = await rig(t)
  const pending = [
    'empty',
    'one-character',
    'json',
    'json-still',
    'status-page',
    'no-css',
    'streaming'
  ] as const
  simulator.set('poll', { pendingPolls: pending.length, pending: [...pending] })
  const { looks } = await lookUntilReady(client, await submit(gpt), gpt)
  t.equal(looks, pending.length + 1)

  simulator.set('poll', { neverReady: true, pending: ['json', 'empty'] })
  const accepted = await submit()
  const first = await look(accepted)
  t.strictSame(first, { state: 'pending', memory: { opened: true, onlyPendingJson: true } })
  const second = await look(accepted, first.state === 'pending' ? first.memory : {})
  t.strictSame(second, { state: 'pending', memory: { opened: true, onlyPendingJson: false } })
  t.strictSame(simulator.violations, [])
})

t.test('reads every ready shape', async (t) => {
  const { simulator, client, submit } = await rig(t)
  const shapes: [Partial<Behaviours['poll']>, number][] = [
    [{ duplicates: true }, 4],
    [{ images: 2, urls: 'relative', hiddenPanel: true }, 2],
    [{ urls: 'th' }, 4],
    [{ urls: 'tse' }, 4],
    [{ urls: 'mixed', furniture: false }, 4],
    [{ ready: 'iusc' }, 4],
    [{ g3: true, escapedUrls: true }, 4],
    [{ g3: true, g3Partial: true }, 4],
    [{ g3: true, g3Page: true }, 4]
  ]
  for (const [behaviour, images] of shapes) {
    simulator.set('poll', behaviour)
    const { result } = await lookUntilReady(client, await submit(), fox)
    t.equal(result.images.length, images, JSON.stringify(behaviour))
  }
  for (const [enhanced, want] of [
    ['selcap', '"x" <&> y'],
    ['alt', '"x" <&> y'],
    ['none', fox.prompt]
  ] as const) {
    simulator.set('poll', { enhanced, enhancedText: '"x" <&> y' })
    t.equal((await lookUntilReady(client, await submit(), fox)).result.prompt, want, enhanced)
  }
  t.strictSame(simulator.violations, [])
})

t.test('accepts every form of an accepting answer', async (t) => {
  const { simulator, client, submit } = await rig(t)
  for (const behaviour of [{ nfy: true }, { absoluteLocation: true }, { answer: 'id-in-body' }] as const) {
    simulator.set('submit', behaviour)
    const accepted = await submit()
    t.notMatch(accepted.resultUrl ?? '', /nfy/)
    await lookUntilReady(client, accepted, fox)
  }
  t.strictSame(simulator.violations, [])
})

t.test('bootstrap', async (t) => {
  const cases: [
    name: string,
    behaviours: Partial<Behaviours['bootstrap']>[],
    want: string,
    bootstraps: number
  ][] = [
    ['moved', [{ moved: true }, { moved: true }], 'no failure', 2],
    ['signed out once', [{ page: 'signed-out' }], 'no failure', 2],
    ['I1', [{ page: 'signed-out' }, { page: 'signed-out' }], 'I1', 2],
    ['without IG', [{ withoutIg: true }], 'no failure', 1],
    ['without Salt', [{ withoutSalt: true }], 'no failure', 1],
    ['rotated cookie', [{ rotate: '_U', expireRotated: true }], 'no failure', 1],
    ['I15, then fine', [{ text: 'sorry' }, { text: 'outage' }], 'no failure', 3],
    ['I15', [{ text: 'sorry' }, { text: 'sorry' }, { text: 'outage' }], 'I15', 3],
    ['T9, then fine', [{ status: 503 }, { status: 504 }], 'no failure', 3],
    ['T9-bad', [{ status: 500 }, { status: 502 }, { status: 500 }], 'T9-bad', 3],
    ['T8', [{ status: 429 }], 'T8', 1],
    ['T7', [{ status: 403, body: '<html></html>' }], 'T7', 1],
    ['T6', [{ redirect: 'https://login.live.com/login.srf' }], 'T6', 1],
    ['T5', [{ redirect: 'https://cn.bing.com/images/create' }], 'T5', 1],
    ['T5, loop', Array(6).fill({ redirect: '/images/create' }), 'T5', 6],
    ['foreign redirect', Array(2).fill({ redirect: 'https://elsewhere.test/' }), 'T10', 2],
    ['T10', [{ body: '' }], 'no failure', 2],
    ['T11', [{ status: 404 }], 'T11', 1],
    ['T1, reset', Array(3).fill({ reset: true }), 'T1', 3],
    ['hidden panel', [{ hiddenPanel: true }], 'no failure', 1]
  ]
  for (const [name, behaviours, want, bootstraps] of cases) {
    await t.test(name, async (t) => {
      const { simulator, submit, received } = await rig(t)
      simulator.enqueue('bootstrap', ...behaviours)
      t.equal(await rowOf(submit()), want)
      t.equal(simulator.counts['creator.bootstrap'], bootstraps, 'bootstraps')
      t.equal(received(), want === 'no failure' ? 1 : 0, 'submits')
      t.strictSame(simulator.violations, [])
    })
  }

  await t.test('C1: asks nothing without a cookie', async (t) => {
    const { simulator, submit, look } = await rig(t, { cookie: '' })
    t.equal(await rowOf(submit()), 'C1')
    t.equal(await rowOf(look({ upstreamId: '1-00', resultUrl: undefined })), 'C1')
    t.strictSame(simulator.counts, (await rig(t)).simulator.counts)
  })

  await t.test('one for callers that come together', async (t) => {
    const { simulator, submit, session, settings } = await rig(t)
    const impatient = new AbortController()
    const left = rowOf(submit(fox, impatient.signal))
    const others = [submit(), submit(), submit()]
    impatient.abort('gone')
    t.equal(await left, 'gone')
    await Promise.all(others)
    t.equal(simulator.counts['creator.bootstrap'], 1, 'the first caller may leave')
    t.equal(session.active, true)
    createImageClient(settings).forgetSession()
    t.equal(session.active, false)
    await submit()
    t.equal(simulator.counts['creator.bootstrap'], 2)
    t.strictSame(simulator.violations, [])
  })

  await t.test('is given up when the last caller leaves, and begun anew', async (t) => {
    const { settings, http } = await rig(t)
    const signals: AbortSignal[] = []
    const stalling: typeof http = {
      ...http,
      request(request) {
        signals.push(request.signal)
        return signals.length > 1 ? http.request(request) : new Promise(() => {})
      }
    }
    const session = createCreatorSession({ ...settings, http: stalling })
    const callers = [new AbortController(), new AbortController()]
    const left = callers.map(({ signal }) => rowOf(session.open(signal)))
    callers[0]?.abort('first')
    t.equal(await left[0], 'first')
    t.equal(signals[0]?.aborted, false, 'somebody still waits')
    callers[1]?.abort('second')
    t.equal(await left[1], 'second')
    t.equal(signals[0]?.aborted, true)
    t.ok((await session.open(never)).ig)
  })

  await t.test('does not depend on one connection', async (t) => {
    const { settings, simulator } = await rig(t)
    const relay = await stickyRelay(t, simulator.url)
    const connectionClock = handClock()
    const session = createCreatorSession({ ...settings, bingUrl: relay.url, connectionClock })
    const open = () => session.open(never)
    relay.stuck = 1
    const callers = [open(), open()]
    await relay.asked(1)
    callers.push(open())
    connectionClock.pass(11_999)
    t.equal(relay.connections, 1, 'nothing is asked for twice at once')
    connectionClock.pass(1)
    for (const visit of await Promise.all(callers)) t.ok(visit.ig)
    t.equal(simulator.counts['creator.bootstrap'], 1)
    await relay.left(1)
  })

  await t.test('is not waited for without end', async (t) => {
    const { settings, simulator } = await rig(t)
    const relay = await stickyRelay(t, simulator.url)
    const connectionClock = handClock()
    const session = createCreatorSession({ ...settings, bingUrl: relay.url, connectionClock })
    const open = () => session.open(never)
    relay.stuck = 2
    const callers = [open(), open()].map((call) => rowOf(call))
    await relay.asked(1)
    connectionClock.pass(12_000)
    await relay.asked(2)
    callers.push(rowOf(open()))
    connectionClock.pass(7999)
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.equal(await Promise.race([callers[0], 'waits']), 'waits')
    connectionClock.pass(1)
    t.strictSame(await Promise.all(callers), ['T4', 'T4', 'T4'], 'those who wait are told')
    await relay.left(2)
    t.ok((await open()).ig, 'the next one begins anew')
    t.equal(simulator.counts['creator.bootstrap'], 1)
  })

  await t.test('again for replaced cookies', async (t) => {
    const { simulator, account, submit, session } = await rig(t)
    await submit()
    simulator.cookies.accept('another')
    simulator.cookies.expire('simulated-cookie')
    account.replace('another')
    t.equal(session.active, false)
    await submit()
    t.equal(simulator.counts['creator.bootstrap'], 2)
    t.strictSame(simulator.violations, [])
  })
})

t.test('refusals at submit', async (t) => {
  const { simulator, submit, received } = await rig(t)
  const cases: [Partial<Behaviours['submit']>, string][] = [
    [{ marker: 'girer-icon' }, 'I4'],
    [{ marker: 'clarity-tag' }, 'I4'],
    [{ marker: 'dq-err' }, 'I4'],
    [{ marker: 'gil-err-img' }, 'I4'],
    [{ marker: 'girer-title' }, 'I4'],
    [{ text: 'blocked' }, 'I5'],
    [{ text: 'content-warning' }, 'I5'],
    [{ text: 'under-review' }, 'I6'],
    [{ text: 'unsafe-image' }, 'I7'],
    [{ text: 'language' }, 'I8'],
    [{ text: 'short-prompt' }, 'I9'],
    [{ text: 'ongoing' }, 'I10'],
    [{ text: 'queue-limit' }, 'I10'],
    [{ text: 'no-coins' }, 'I11'],
    [{ text: 'high-demand' }, 'I12'],
    [{ text: 'cannot-create' }, 'I12'],
    [{ text: 'problem' }, 'I13'],
    [{ text: 'try-later' }, 'I13'],
    [{ text: 'region' }, 'I14'],
    [{ text: 'outage' }, 'I15'],
    [{ text: 'sorry' }, 'I15'],
    [{ answer: 'no-id' }, 'I16'],
    [{ answer: 'authns' }, 'I17'],
    [{ answer: 'snrerror' }, 'I17'],
    [{ answer: 'login' }, 'T6'],
    [{ redirect: 'https://cn.bing.com/' }, 'T5'],
    [{ status: 403, body: '<html></html>' }, 'T7'],
    [{ status: 429, headers: { 'retry-after': '7' } }, 'T8'],
    [{ status: 500 }, 'T9-bad'],
    [{ status: 503 }, 'T9'],
    [{ answer: 'lost' }, 'outcome-unknown'],
    [{ reset: true }, 'outcome-unknown'],
    [{ status: 404 }, 'T11']
  ]
  for (const [behaviour, want] of cases) {
    const before = received()
    simulator.set('submit', behaviour)
    t.equal(await rowOf(submit()), want, JSON.stringify(behaviour))
    t.equal(received() - before, 1, 'sent once')
  }
  t.strictSame(simulator.violations, [])
})

t.test('the documented second submit', async (t) => {
  await t.test('start page, then the other queue', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.enqueue('submit', { answer: 'start-page' })
    t.equal(await rowOf(submit()), 'no failure')
    t.equal(received(), 2)
    t.equal(simulator.counts['creator.bootstrap'], 2)
    t.strictSame(simulator.violations, [])
  })
  await t.test('I2: start page twice', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.set('submit', { answer: 'start-page' })
    t.equal(await rowOf(submit(gpt)), 'I2')
    t.equal(received(), 2)
  })
  await t.test('I3: start page, and signed out', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.set('submit', { expireCookie: true })
    t.equal(await rowOf(submit()), 'I3')
    t.equal(received(), 1)
    t.equal(simulator.counts['creator.bootstrap'], 3, 'two to be sure')
  })
  await t.test('I11: no fast creations, then the standard queue', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.set('submit', { fastLeft: 0, whenFastUsedUp: 'no-coins' })
    t.equal(await rowOf(submit(gpt)), 'no failure')
    t.equal(received(), 2)
  })
  await t.test('I11: in both queues, until midnight UTC', async (t) => {
    const { simulator, submit, received } = await rig(t, { now: Date.parse('2026-11-21T23:30:00.000Z') })
    simulator.set('submit', { text: 'no-coins' })
    await t.rejects(submit(gpt), { row: 'I11', code: 'fast_quota_exhausted', retryAfter: 1800 })
    t.equal(received(), 2)
  })
})

t.test('an answer that nobody knows is not followed by another submit', async (t) => {
  const { simulator, submit, received } = await rig(t)
  for (const body of ['', 'OK', '{"ok":true}', '<html><title>Just a moment</title></html>', SIGN_OF_LIFE]) {
    const before = received()
    simulator.set('submit', { status: 200, body })
    await t.rejects(submit(), {
      row: 'outcome-unknown',
      shouldRetry: false,
      message: /not know.*not sent again/
    })
    t.equal(received() - before, 1, `sent once: ${body}`)
  }
  const before = received()
  simulator.enqueue('submit', { answer: 'start-page' }, { status: 200, body: 'OK' })
  t.equal(await rowOf(submit()), 'outcome-unknown', 'nor is the second one believed')
  t.equal(received() - before, 2)

  simulator.set('submit', {})
  simulator.enqueue('submit', { status: 200, body: `<form action='/Images/Create'></form>` })
  t.equal(await rowOf(submit()), 'no failure', 'a start page without a header')
  t.equal(received() - before, 4)
})

t.test('an upstream with several names', async (t) => {
  const { simulator, account, settings } = await rig(t)
  const named = (host: string) => simulator.url.replace('127.0.0.1', host)
  const bingUrl = named('localhost')
  account.set(bingUrl, '_U', 'simulated-cookie')
  for (const mediaUrl of [bingUrl, 'http://[::1]:9']) {
    const client = createImageClient({
      ...settings,
      bingUrl,
      mediaUrl,
      session: createCreatorSession({ ...settings, bingUrl })
    })
    simulator.enqueue('bootstrap', { redirect: `${named('127.0.0.1')}/images/create` })
    simulator.enqueue('submit', { absoluteLocation: true })
    const accepted = await client.submit(fox, never)
    t.match(accepted.resultUrl, new RegExp(`^${bingUrl}/`), 'asked where the cookies belong')
    const { result } = await lookUntilReady(client, accepted, fox)
    t.equal(result.images.length, 4)
  }
  t.strictSame(simulator.violations, [])

  const session = createCreatorSession({ ...settings, bingUrl })
  simulator.set('bootstrap', { redirect: 'http://127.0.0.1:1/images/create' })
  t.equal(await rowOf(session.open(never)), 'T10', 'another port is another server')
})

t.test('lost answers', async (t) => {
  await t.test('nothing listens: surely not sent', async (t) => {
    const { submit, simulator } = await rig(t)
    await submit()
    await simulator.close()
    // Until undici has seen its kept connection end.
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(await rowOf(submit()), 'T1')
  })
  await t.test('silence', async (t) => {
    const { submit, simulator, received } = await rig(t)
    simulator.set('submit', { stall: 'during' })
    const deadline = new AbortController()
    const call = submit(fox, deadline.signal)
    while (received() === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    deadline.abort(new Error('too late'))
    await t.rejects(call, { row: 'outcome-unknown', cause: { message: 'too late' } })
    t.equal(received(), 1)
  })
})

t.test('refusals after the submit', async (t) => {
  const { simulator, submit, look } = await rig(t)
  const page: [Partial<Behaviours['resultPage']>, string][] = [
    [{ marker: 'girer-icon' }, 'I4'],
    [{ text: 'under-review' }, 'I6'],
    [{ text: 'problem' }, 'I13'],
    [{ text: 'sorry' }, 'no failure'],
    [{ hiddenPanel: true }, 'no failure'],
    [{ status: 500 }, 'no failure'],
    [{ reset: true }, 'no failure'],
    [{ redirect: 'https://login.live.com/' }, 'no failure']
  ]
  for (const [behaviour, want] of page) {
    const accepted = await submit()
    simulator.set('resultPage', behaviour)
    t.equal(await rowOf(look(accepted)), want, `result page: ${JSON.stringify(behaviour)}`)
    t.equal(await rowOf(look(accepted, { opened: true })), 'no failure', 'not asked again')
  }
  const polls: [Partial<Behaviours['poll']>, string][] = [
    [{ marker: 'girer-icon' }, 'I4'],
    [{ marker: 'girer-title' }, 'I4'],
    [{ text: 'content-warning' }, 'I5'],
    [{ text: 'unsafe-image' }, 'I7'],
    [{ text: 'high-demand' }, 'I12'],
    [{ text: 'sorry' }, 'I15'],
    [{ errorMessage: 'Boom' }, 'I19'],
    [{ errorMessage: 'Pending' }, 'no failure'],
    [{ ready: 'bad-unsafe' }, 'I7'],
    [{ ready: 'bad-unsafe-relative' }, 'I7'],
    [{ ready: 'bad-overloaded' }, 'I12'],
    [{ ready: 'bad-overloaded-relative' }, 'I12'],
    [{ ready: 'no-scheme' }, 'I7'],
    [{ g3: true, errorType: 16 }, 'I7'],
    [{ g3: true, errorType: 2 }, 'I19'],
    [{ status: 503 }, 'T9'],
    [{ status: 500 }, 'T9-bad'],
    [{ status: 429 }, 'T8'],
    [{ reset: true }, 'T1'],
    [{ redirect: 'https://cn.bing.com/' }, 'T5']
  ]
  for (const [behaviour, want] of polls) {
    const accepted = await submit()
    simulator.set('poll', { pendingPolls: 0, ...behaviour })
    t.equal(await rowOf(look(accepted, { opened: true })), want, `poll: ${JSON.stringify(behaviour)}`)
  }
  simulator.set('poll', { pendingPolls: 0 })
  const unsafe = { ...fox, prompt: 'an unsafe fox' }
  t.equal(await rowOf(look(await submit(unsafe), { opened: true }, unsafe)), 'I4')
  t.strictSame(simulator.violations, [])
})

t.test('I22: three hollow looks', async (t) => {
  const { simulator, client, submit } = await rig(t)
  simulator.set('poll', { pendingPolls: 0, ready: 'no-images' })
  t.equal(await rowOf(lookUntilReady(client, await submit(), fox)), 'I22')
  t.equal(simulator.counts['creator.poll'], 3)
  simulator.enqueue('poll', { pendingPolls: 0, ready: 'no-images' }, { pendingPolls: 0, ready: 'no-images' })
  simulator.set('poll', {})
  t.equal((await lookUntilReady(client, await submit(), fox)).looks, 3)
})

t.test('I20: polls that Bing refuses', async (t) => {
  await t.test('a fresh session helps', async (t) => {
    const { simulator, client, submit } = await rig(t)
    const accepted = await submit()
    simulator.enqueue('poll', { status: 404 }, { redirect: 'https://login.live.com/' })
    t.equal((await lookUntilReady(client, accepted, fox)).looks, 4)
    t.equal(simulator.counts['creator.bootstrap'], 3)
    t.strictSame(simulator.violations, [])
  })
  await t.test('a good look in between starts the count anew', async (t) => {
    const { simulator, client, submit } = await rig(t)
    const accepted = await submit()
    simulator.set('poll', { pendingPolls: 2 })
    simulator.enqueue('poll', { status: 404 }, { status: 404 }, {}, { status: 404 }, { status: 404 })
    t.equal((await lookUntilReady(client, accepted, fox)).looks, 7)
  })
  for (const [name, behaviour, want] of [
    ['4xx', { status: 410 }, 'I20'],
    ['login', { redirect: 'https://login.live.com/' }, 'I20'],
    ['signed-out page', { body: '<html><a id="id_l" href="/x"></a><style></style></html>' }, 'I20'],
    ['block', { status: 403, body: '<html></html>' }, 'T7']
  ] as const) {
    await t.test(`${name}, in vain`, async (t) => {
      const { simulator, client, submit } = await rig(t)
      const accepted = await submit()
      simulator.set('poll', behaviour)
      t.equal(await rowOf(lookUntilReady(client, accepted, fox)), want)
      t.equal(simulator.counts['creator.poll'], 3)
      t.equal(simulator.counts['creator.bootstrap'], 3)
    })
  }
  await t.test('I20-auth: the bootstrap is signed out too', async (t) => {
    const { simulator, submit, look } = await rig(t)
    const accepted = await submit()
    simulator.set('poll', { expireCookie: true })
    t.equal(await rowOf(look(accepted)), 'I20-auth')
  })
})

t.test('a new process looks at old jobs', async (t) => {
  const { simulator, settings, submit } = await rig(t)
  simulator.set('poll', { onlyNewSession: true })
  const accepted = await submit()
  const client = createImageClient({ ...settings, session: createCreatorSession(settings) })
  const { looks } = await lookUntilReady(client, { ...accepted, resultUrl: undefined }, fox)
  t.equal(looks, 2)
  t.equal(simulator.counts['creator.result-page'] ?? 0, 0)
  t.strictSame(simulator.violations, [])
})

t.test('an over-long head is refused as too long', async (t) => {
  const { submit } = await rig(t)
  const error = await submit({ ...fox, prompt: 'ü'.repeat(4000) }).catch((e: unknown) => e)
  t.match(error, { type: 'invalid_request_error', code: 'prompt_too_long', param: 'query' })
  t.type(error, UpstreamError)
})

t.test('sends what a browser sends', async (t) => {
  const seen: { url: string; headers: Record<string, unknown>; body: string }[] = []
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    seen.push({
      url: `${req.method} ${req.url}`,
      headers: req.headers,
      body: Buffer.concat(chunks).toString()
    })
    if (req.method === 'POST') res.writeHead(302, { location: `/images/create?id=1-${'0'.repeat(32)}` }).end()
    else res.end('<a id="id_a" style="display:none"></a><script>_G={IG:"ABC",Salt:"s=1"}</script>')
  }).listen(0)
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { account, clock, http } = await rig(t)
  t.teardown(() => server.close())
  account.set(base, '_U', 'secret')
  const client = createImageClient({ bingUrl: `${base}/`, mediaUrl: base, account, http, clock })
  await client.submit({ ...fox, aspect: 'PORTRAIT' }, never)
  const [landing, post] = seen
  t.equal(landing?.url, 'GET /images/create')
  t.equal(
    post?.url,
    'POST /images/create?q=a%20red%20fox%20%26%20friends%2C%20100%20%25&FORM=GENCRE&IG=ABC&rt=3&mdl=0&ar=3'
  )
  t.equal(post?.body, 'q=a+red+fox+%26+friends%2C+100+%25&model=dalle&aspectRatio=4%3A7')
  t.match(post?.headers, {
    'content-type': 'application/x-www-form-urlencoded',
    'accept-language': /^en/,
    'user-agent': /Chrome/,
    origin: base,
    referer: `${base}/images/create`,
    'upgrade-insecure-requests': '1',
    cookie: /^_U=secret; SRCHHPGUSR=SRCHLANG=en&HV=\d+&HVE=s=1&IG=ABC$/
  })
})
