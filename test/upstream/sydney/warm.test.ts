/** Hub sockets that are opened ahead of their turn: which turn gets which, what ends them, and what a dead one costs. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { type PartialBehaviours, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { createAccount } from '../../../src/upstream/account.ts'
import type {
  AskOptions,
  ChatClient,
  Question,
  UpstreamConversation
} from '../../../src/upstream/chat-client.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { createUpstreamHttp } from '../../../src/upstream/http.ts'
import { createSydneyClient, type SydneyClientSettings } from '../../../src/upstream/sydney/client.ts'
import { startGateway } from '../../support/gateway.ts'
import { type SlowLink, startSlowLink } from '../../support/slow-link.ts'

const COOKIE = 'simulated-cookie'
const never = new AbortController().signal

interface Rig {
  sim: Simulator
  client: ChatClient
  account: ReturnType<typeof createAccount>
  /** What the client wrote to its log. */
  logged: { row?: string }[]
  /** Delays between repeats, in milliseconds; none of them is waited for. */
  slept: number[]
  create(): Promise<UpstreamConversation>
  ask(
    conversation: UpstreamConversation,
    more?: Partial<Question>,
    options?: Partial<AskOptions>
  ): Promise<{ row?: string; error?: unknown; message?: string; repeats: string[]; firstTextMs?: number }>
  count(name: string): number
  /** Waits until the hub holds n sockets, all of them waiting for a question, and the client knows them to be ready. */
  waiting(n: number): Promise<void>
  /** Upgrades and questions that the hub has seen. */
  seen(): { upgrades: number; questions: number }
}

type RigSettings = Partial<SydneyClientSettings> & { link?: SlowLink; sim?: Simulator; speed?: number }

async function rig(t: Test, { link, sim: given, ...settings }: RigSettings = {}): Promise<Rig> {
  const sim = given ?? (await startSimulator())
  const via = (url: string) => (link === undefined ? url : url.replace(/:\d+/, `:${link.port}`))
  const account = createAccount([sim.url, sim.chatUrl])
  account.replace(COOKIE)
  const http = createUpstreamHttp({ account })
  const slept: number[] = []
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      slept.push(ms)
    }
  }
  const logged: { row?: string }[] = []
  const client = createSydneyClient({
    bingUrl: via(sim.url),
    chatUrl: via(sim.chatUrl),
    account,
    http,
    clock,
    log: { debug: (line: object) => void logged.push(line) } as never,
    ...settings
  })
  t.teardown(async () => {
    await client.close()
    await http.close()
    if (given === undefined) await sim.close()
  })
  const count = (name: string) => sim.counts[name] ?? 0
  return {
    sim,
    client,
    account,
    logged,
    slept,
    count,
    create: () => client.create(never),
    async ask(conversation, more = {}, options = {}) {
      const repeats: string[] = []
      const startedAt = performance.now()
      let firstTextMs: number | undefined
      const question: Question = {
        prompt: 'How high is the tower?',
        invocationId: 0,
        tone: undefined,
        contextChars: 0,
        inDoubt: false,
        ...more
      }
      try {
        const { message } = await client.ask(conversation, question, {
          signal: never,
          onText: () => (firstTextMs ??= performance.now() - startedAt),
          onRepeat: (error, attempt) => repeats.push(`${attempt} ${(error as UpstreamError).row}`),
          ...options
        })
        return { message, repeats, firstTextMs }
      } catch (error) {
        return { error, row: error instanceof UpstreamError ? error.row : String(error), repeats }
      }
    },
    waiting: (n) =>
      until(
        () =>
          count('sydney.sockets.idle') === n &&
          count('sydney.sockets') === n &&
          // The client sends its first probe when it has read the hub's handshake.
          count('sydney.probes') >= n
      ),
    seen: () => ({ upgrades: count('sydney.upgrade'), questions: count('sydney.questions') })
  }
}

async function until(holds: () => boolean): Promise<void> {
  const startedAt = Date.now()
  while (!holds()) {
    if (Date.now() - startedAt > 10_000) throw new Error(`still not true: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Lets everything that is under way on loopback happen, where nothing is what must happen. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 60))
}

/** Where the upstream gives no token, sockets belong to nobody. */
const UNBOUND: PartialBehaviours['create'] = { signatures: 'body' }

// --- Which turn gets which socket ---

t.test('with a token, a conversation has its own socket: after create, and after each turn', async (t) => {
  const { sim, create, ask, waiting, seen } = await rig(t)
  const conversation = await create()
  await waiting(1)
  t.strictSame(seen(), { upgrades: 1, questions: 0 })
  for (let turn = 0; turn < 3; turn++) {
    const { message, repeats } = await ask(conversation, { invocationId: turn })
    t.match(message, /42/)
    t.strictSame(repeats, [])
    await waiting(1)
    t.strictSame(seen(), { upgrades: turn + 2, questions: turn + 1 }, 'one upgrade a turn, ahead of it')
  }
  t.strictSame(sim.violations, [])
})

t.test('the socket for the next turn is opened while the answer is still being written', async (t) => {
  const { sim, create, ask, waiting, seen, count } = await rig(t)
  const conversation = await create()
  await waiting(1)
  sim.set('turn', { charsPerUpdate: 4, updateDelayMs: 10 })
  let upgrades = 0
  await ask(conversation, {}, { onText: () => (upgrades = Math.max(upgrades, count('sydney.upgrade'))) })
  t.equal(upgrades, 2)
  await waiting(1)
  t.strictSame(seen(), { upgrades: 2, questions: 1 })
})

t.test('a conversation never gets the socket of another one', async (t) => {
  const { sim, create, ask, waiting, seen } = await rig(t)
  const [first, second] = [await create(), await create()]
  await waiting(2)
  t.ok((await ask(second)).message)
  t.ok((await ask(first)).message)
  await waiting(2)
  t.strictSame(seen(), { upgrades: 4, questions: 2 })
  t.strictSame(sim.violations, [], 'the simulator compares token and conversation')
})

t.test(
  'without tokens any conversation takes any socket, and as many wait as turns ran at once, plus one',
  async (t) => {
    const { sim, create, ask, waiting } = await rig(t, { warm: { shared: 4 } })
    sim.set('create', UNBOUND ?? {})
    sim.set('turn', { thinkMs: 20 })
    const first = await create()
    await waiting(1)
    t.ok((await ask(first)).message)
    await waiting(2)
    const upgrades = sim.counts['sydney.upgrade'] ?? 0
    const second = await create()
    t.equal(sim.counts['sydney.upgrade'], upgrades, 'there are enough')
    t.ok((await ask(second)).message)
    await waiting(2)

    const many = [first, second, await create(), await create(), await create(), await create()]
    const turns = await Promise.all(
      many.map((conversation, n) => ask(conversation, { invocationId: n < 2 ? 1 : 0 }))
    )
    t.ok(turns.every(({ message }) => message !== undefined))
    await waiting(4)
    t.strictSame(sim.violations, [])
  }
)

t.test('many conversations at once: never two questions on one socket', async (t) => {
  for (const signatures of ['body', 'headers'] as const) {
    const { sim, create, ask, count } = await rig(t, { warm: { sockets: 5, shared: 5, settledMs: 0 } })
    sim.set('create', { signatures })
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        const conversation = await create()
        for (let turn = 0; turn < 4; turn++) {
          const { row } = await ask(conversation, { invocationId: turn })
          t.equal(row, undefined)
        }
      })
    )
    t.equal(count('sydney.questions'), 48)
    t.equal(count('sydney.completed'), 48)
    await until(
      () => count('sydney.sockets') <= 5 && count('sydney.sockets') === count('sydney.sockets.idle')
    )
    t.strictSame(sim.violations, [], signatures)
  }
})

t.test('a turn that comes while its socket is being opened takes the opening over', async (t) => {
  const { sim, create, ask, seen, waiting, count } = await rig(t)
  sim.enqueue('upgrade', { handshakeDelayMs: 100 })
  const conversation = await create()
  await until(() => count('sydney.upgrade') === 1)
  t.ok((await ask(conversation)).message)
  await waiting(1)
  t.strictSame(seen(), { upgrades: 2, questions: 1 })
})

// --- What it is for ---

t.test('the slow link of these tests: late, whole and in order', async (t) => {
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const target = { host: '127.0.0.1', port: (echo.address() as AddressInfo).port }
  const link = await startSlowLink({ target, oneWayMs: 40 })
  t.teardown(async () => {
    await link.close()
    echo.close()
  })
  const sent = Array.from({ length: 200_000 }, (_, n) => `${n},`).join('')
  const socket = connect(link.port, '127.0.0.1').setEncoding('utf8')
  const startedAt = performance.now()
  socket.write(sent.slice(0, 1))
  const [first] = await once(socket, 'data')
  t.ok(performance.now() - startedAt >= 4 * 40 - 2, 'two round trips for the first byte of a new connection')
  const again = performance.now()
  socket.end(sent.slice(1))
  let got = String(first)
  socket.once('data', () => t.ok(performance.now() - again >= 2 * 40 - 2, 'and one from then on'))
  for await (const piece of socket) got += piece
  t.ok(got === sent)
  t.equal(link.connections, 1)
  await until(() => link.open === 0)
})

t.test('round trips', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  sim.set('turn', { updateDelayMs: 0, charsPerUpdate: 0, search: 'never' })
  const ONE_WAY_MS = 100
  const TRIP = 2 * ONE_WAY_MS
  const link = await startSlowLink({
    target: { host: '127.0.0.1', port: sim.port },
    oneWayMs: ONE_WAY_MS
  })
  t.teardown(() => link.close())

  for (const signatures of ['headers', 'body'] as const) {
    sim.set('create', { signatures })
    const cold = await rig(t, { sim, link, warm: { sockets: 0 } })
    const { firstTextMs: coldMs = 0 } = await cold.ask(await cold.create())
    t.ok(coldMs > 3.9 * TRIP, `${signatures}: connect, upgrade, handshake, question: ${coldMs} ms`)

    const warm = await rig(t, { sim, link })
    const conversation = await warm.create()
    // A busy machine adds to the time, and nothing takes from it: one good turn shows what it costs.
    let warmMs = Number.POSITIVE_INFINITY
    for (let turn = 0; turn < 4 && warmMs >= 2 * TRIP; turn++) {
      await until(() => warm.count('sydney.sockets.idle') > 0)
      // The hub has said that it is ready; the client hears of it a moment later.
      await new Promise((resolve) => setTimeout(resolve, TRIP))
      const { firstTextMs = Number.POSITIVE_INFINITY } = await warm.ask(conversation, { invocationId: turn })
      warmMs = Math.min(warmMs, firstTextMs)
    }
    t.ok(warmMs < 2 * TRIP, `${signatures}: the question alone: ${warmMs} ms`)
    await warm.client.close()
    await until(() => sim.counts['sydney.sockets'] === 0)
    sim.reset()
    sim.set('turn', { updateDelayMs: 0, charsPerUpdate: 0, search: 'never' })
  }
  t.strictSame(sim.violations, [])
})

t.test('with a token, the connection for the first upgrade is made while create is under way', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  sim.set('turn', { updateDelayMs: 0, charsPerUpdate: 0, search: 'never' })
  const link = await startSlowLink({
    target: { host: '127.0.0.1', port: sim.port },
    oneWayMs: 100
  })
  t.teardown(() => link.close())
  const { create, ask, client, count, waiting } = await rig(t, { sim, link })
  await create()
  await waiting(1)
  sim.set('create', { delayMs: 300 })
  let firstMs = Number.POSITIVE_INFINITY
  for (let n = 0; n < 4 && firstMs >= 3.6 * 200; n++) {
    const before = link.connections
    const creating = create()
    await until(() => link.connections === before + 1)
    const conversation = await creating
    const { firstTextMs = Number.POSITIVE_INFINITY } = await ask(conversation)
    firstMs = Math.min(firstMs, firstTextMs)
    await waiting(n + 2)
  }
  t.ok(firstMs < 3.6 * 200, `upgrade, handshake, question: ${firstMs} ms`)

  sim.set('create', { delayMs: 300, failure: 'forbidden' })
  const { open, connections } = link
  const refused = create().catch((error: unknown) => error)
  await until(() => link.connections === connections + 1)
  t.match(await refused, { row: 'C4' })
  await until(() => link.open === open)
  t.pass('a connection that nothing came of is closed')
  await client.close()
  await until(() => count('sydney.sockets') === 0)
})

t.test('over TLS, sessions are resumed', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  const fixture = (name: string) =>
    readFileSync(new URL(`../../webhooks/fixtures/hook-test-${name}.pem`, import.meta.url))
  const resumed: boolean[] = []
  const ends = new Set<TLSSocket>()
  const server = createTlsServer({ key: fixture('key'), cert: fixture('cert') }, (near) => {
    resumed.push(near.isSessionReused())
    const far = connect(sim.port, '127.0.0.1')
    ends.add(near)
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => near.destroy()).on('close', () => near.destroy())
    near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // The certificate is nobody's; whom to trust is the process's business, not the client's.
  const { NODE_TLS_REJECT_UNAUTHORIZED } = process.env
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => {
    if (NODE_TLS_REJECT_UNAUTHORIZED === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = NODE_TLS_REJECT_UNAUTHORIZED
    for (const end of ends) end.destroy()
    server.close()
  })
  const chatUrl = `wss://127.0.0.1:${port}/sydney/ChatHub`
  const { create, ask, waiting, seen } = await rig(t, { sim, chatUrl })
  const conversation = await create()
  await waiting(1)
  for (let turn = 0; turn < 2; turn++) {
    t.ok((await ask(conversation, { invocationId: turn })).message)
    await waiting(1)
  }
  const next = await create()
  await waiting(2)
  t.ok((await ask(next)).message, 'over a connection made during create')
  t.strictSame(seen().questions, 3)
  t.strictSame([resumed[0], resumed.slice(1).includes(true)], [false, true])
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '1'
  const { row } = await (await rig(t, { sim, chatUrl, warm: { sockets: 0 } })).ask(next, { invocationId: 1 })
  t.equal(row, 'T1', 'and a certificate that nobody trusts is refused')
  t.strictSame(sim.violations, [])
})

// --- Dead sockets ---

for (const idleEnd of ['close', 'terminate', 'type-7'] as const) {
  t.test(`a socket that the hub gives up while it waits (${idleEnd}) costs a new connection`, async (t) => {
    const { sim, create, ask, seen, slept, waiting, count } = await rig(t)
    sim.enqueue('upgrade', { idleMs: 20, idleEnd })
    const conversation = await create()
    await until(() => count('sydney.given-up') === 1 && count('sydney.sockets') === 0)
    await settle()
    t.strictSame(seen(), { upgrades: 1, questions: 0 }, 'none is opened in its place')
    const { message, repeats } = await ask(conversation)
    t.match(message, /42/)
    await waiting(1)
    t.strictSame([seen(), repeats, slept], [{ upgrades: 3, questions: 1 }, [], []])
    t.strictSame(sim.violations, [])
  })
}

t.test('a socket that breaks in the moment of the question costs a new connection', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  const link = await startSlowLink({ target: { host: '127.0.0.1', port: sim.port }, oneWayMs: 0 })
  t.teardown(() => link.close())
  const { create, ask, seen, slept, waiting } = await rig(t, { sim, link })
  const conversation = await create()
  await waiting(1)
  await settle()
  // Nothing of it has been read when the turn takes the socket, and it is read before the question is written.
  await new Promise((resolve) => setTimeout(resolve, 1))
  link.cut()
  const { message, repeats } = await ask(conversation)
  t.match(message, /42/)
  t.strictSame([repeats, slept], [[], []])
  await waiting(1)
  t.strictSame(seen(), { upgrades: 3, questions: 1 })
  t.strictSame(sim.violations, [])
})

t.test('a socket that the hub is just closing is not asked', async (t) => {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  const link = await startSlowLink({ target: { host: '127.0.0.1', port: sim.port }, oneWayMs: 150 })
  t.teardown(() => link.close())
  const { create, ask, count } = await rig(t, { sim, link })
  sim.enqueue('upgrade', { idleMs: 20, idleEnd: 'close' })
  const conversation = await create()
  await until(() => count('sydney.given-up') === 1)
  // The close frame is here, and the end of the connection a round trip away.
  await new Promise((resolve) => setTimeout(resolve, 250))
  const { message, row, repeats } = await ask(conversation)
  t.strictSame([row, repeats], [undefined, []])
  t.match(message, /42/)
  t.equal(count('sydney.questions'), 1)
})

t.test('a hub that answers no pings is asked once, however long it thinks', async (t) => {
  const { sim, create, ask, seen, count } = await rig(t, { deadlines: { probeMs: 100 } })
  sim.set('upgrade', { pongs: false })
  sim.enqueue('turn', { thinkMs: 400 })
  const conversation = await create()
  await until(() => count('sydney.probes') === 1)
  const { message, repeats } = await ask(conversation)
  t.match(message, /42/)
  t.strictSame([repeats, seen().questions], [[], 1])
  t.strictSame(sim.violations, [])
})

t.test('a turn does not wait for an opening that is stuck', async (t) => {
  const { sim, create, ask, slept } = await rig(t, { warm: { openingMs: 50 } })
  sim.enqueue('upgrade', { handshake: 'silent' })
  const conversation = await create()
  await settle()
  const { message, repeats } = await ask(conversation)
  t.match(message, /42/)
  t.strictSame([repeats, slept], [[], []])
})

t.test('a hub that has fallen silent is noticed by its missing pong', async (t) => {
  const { sim, create, ask, seen, count } = await rig(t, {
    warm: { probeEveryMs: 50 },
    deadlines: { probeMs: 500 }
  })
  sim.enqueue('upgrade', { idleMs: 30, idleEnd: 'deaf' })
  const conversation = await create()
  await until(() => count('sydney.given-up') === 1)
  await until(() => count('sydney.sockets') === 0)
  t.ok(count('sydney.probes') > 1)
  const { message, repeats } = await ask(conversation)
  t.match(message, /42/)
  t.strictSame(repeats, [])
  t.strictSame(seen().questions, 1)
})

t.test('a socket without a sign of life for too long is not used', async (t) => {
  const { create, ask, seen, waiting, sim } = await rig(t, { warm: { silenceMs: -1 } })
  const conversation = await create()
  await waiting(1)
  const { message, repeats } = await ask(conversation)
  t.match(message, /42/)
  await waiting(1)
  t.strictSame([seen(), repeats], [{ upgrades: 3, questions: 1 }, []])
  t.strictSame(sim.violations, [])
})

for (const questionEnd of ['close', 'terminate', 'type-7', 'deaf'] as const) {
  t.test(`a socket that is given up while the question is under way (${questionEnd})`, async (t) => {
    const { sim, create, ask, seen, slept, waiting } = await rig(t, { deadlines: { probeMs: 600 } })
    sim.enqueue('upgrade', { questionEnd })
    const conversation = await create()
    await waiting(1)
    // The client knows that this hub answers pings.
    await settle()
    const { message, repeats } = await ask(conversation)
    t.match(message, /42/, 'the question goes once more')
    t.strictSame([repeats, slept], [['1 W7'], []], 'at once')
    await waiting(1)
    t.strictSame(seen(), { upgrades: 3, questions: 1 })

    if (questionEnd === 'deaf') return

    const never = await rig(t)
    never.sim.set('upgrade', { questionEnd })
    const again = await never.create()
    await never.waiting(1)
    await settle()
    const outcome = await never.ask(again)
    t.equal(outcome.row, questionEnd === 'close' ? 'W9' : 'W7')
    t.strictSame([never.count('sydney.given-up'), never.slept], [2, []], 'and only once more')
    t.strictSame(sim.violations, [])
  })
}

t.test('a socket that closes after the question had arrived is judged by the rows', async (t) => {
  for (const [turn, row, questions, waits] of [
    [{ end: 'terminate' }, 'W7', 2, 1],
    [{ end: 'type-7' }, 'W7', 2, 1],
    [{ end: 'close' }, 'W9', 1, 0],
    [{ end: 'terminate', endAt: 'mid-text' }, 'W8', 1, 0],
    [{ end: 'silence', endAt: 'start' }, 'W10', 1, 0],
    [{ notJson: 'before-text' }, 'W12', 1, 0],
    [{ end: 'completion-only' }, 'W11', 1, 0],
    [{ failure: 'captcha' }, 'S2', 1, 0],
    [{ failure: 'chatgpt' }, 'S8', 2, 1]
  ] as const) {
    const { sim, create, ask, seen, slept, waiting, count } = await rig(t, {
      deadlines: { firstRecordMs: 1000 }
    })
    const conversation = await create()
    await waiting(1)
    await settle()
    sim.set('turn', turn)
    const outcome = await ask(conversation)
    t.equal(outcome.row, row)
    t.strictSame([seen().questions, slept.length], [questions, waits], row)
    await until(() => count('sydney.sockets') === 0)
    await settle()
    t.equal(count('sydney.sockets'), 0, 'nothing is kept ready after a failure')
    t.strictSame(sim.violations, [])
  }
})

// --- Failures of the opening ---

for (const { name, upgrade, row, repeats } of [
  { name: 'W1', upgrade: { status: 200 }, row: 'W1', repeats: ['1 W1'] },
  { name: 'W3', upgrade: { status: 403 }, row: 'W3', repeats: [] },
  { name: 'W4', upgrade: { handshake: 'terminate' }, row: 'W4', repeats: ['1 W4'] },
  { name: 'W5', upgrade: { handshake: 'silent' }, row: 'W5', repeats: ['1 W5'] },
  { name: 'W6', upgrade: { handshake: 'error' }, row: 'W6', repeats: [] },
  { name: 'T8', upgrade: { status: 429 }, row: 'T8', repeats: [] },
  { name: 'T9', upgrade: { status: 503 }, row: 'T9', repeats: ['1 T9', '2 T9'] }
] as const) {
  t.test(`an opening that a turn has taken over fails by its row: ${name}`, async (t) => {
    const { sim, create, ask, seen, logged } = await rig(t, { deadlines: { handshakeMs: 1000 } })
    sim.enqueue('upgrade', { delayMs: 500, ...upgrade })
    sim.set('upgrade', upgrade)
    const conversation = await create()
    await until(() => seen().upgrades === 1)
    const outcome = await ask(conversation)
    t.strictSame([outcome.row, outcome.repeats], [row, repeats])
    t.strictSame(seen(), { upgrades: repeats.length + 1, questions: 0 }, 'as many as without')
    t.strictSame(logged, [], 'the caller was told')
  })
}

t.test('an opening that fails in the background is silent, and not tried again for a while', async (t) => {
  let now = Date.now()
  const clock: Clock = { ...systemClock, now: () => now }
  const { sim, create, ask, seen, logged, waiting, count } = await rig(t, { clock })
  sim.set('upgrade', { status: 403 })
  const first = await create()
  await until(() => logged.length === 1)
  t.equal(logged[0]?.row, 'W3')
  const more = [await create(), await create()]
  await settle()
  t.equal(seen().upgrades, 1, 'other conversations open none either')
  now += 1100
  more.push(await create())
  await until(() => logged.length === 2)
  now += 1100
  more.push(await create())
  await settle()
  t.equal(seen().upgrades, 2, 'the pause grows')

  sim.set('upgrade', {})
  t.ok((await ask(first)).message, 'who asks is answered')
  await waiting(1)
  t.equal(seen().upgrades, 4, 'and all is well again')
  t.notMatch(JSON.stringify(logged), /sec_access_token/)
  t.equal(count('sydney.questions'), 1)
})

// --- What ends a waiting socket ---

t.test('a turn that fails, is cancelled or was the last one leaves no socket', async (t) => {
  for (const [name, turn, leaves] of [
    ['failed', { failure: 'captcha' }, false],
    ['cancelled', { thinkMs: 5000 }, true],
    ['the last one', { maxTurns: 2 }, false],
    ['disengaged', { filter: 'disengaged-after-text' }, false]
  ] as const) {
    const { sim, create, ask, waiting, count, seen } = await rig(t)
    const conversation = await create()
    t.ok((await ask(conversation)).message)
    await waiting(1)
    sim.set('turn', turn)
    const gone = new AbortController()
    const asked = ask(conversation, { invocationId: 1 }, { signal: gone.signal })
    // The first record of the turn has come, and with it the next socket.
    if (leaves) {
      await until(() => seen().upgrades === 3)
      gone.abort(new Error('gone'))
    }
    await asked
    await until(() => count('sydney.sockets') === 0 && count('sydney.turns') === 0)
    const { upgrades } = seen()
    await settle()
    t.equal(seen().upgrades, upgrades, name)
    if (name === 'disengaged' || name === 'the last one') continue
    sim.set('turn', {})
    t.ok((await ask(conversation, { invocationId: 1 })).message)
    await waiting(1)
    t.equal(seen().upgrades, upgrades + 2, 'until one ends well')
  }
})

t.test('a conversation that moved: only the new one has a socket', async (t) => {
  const { sim, create, ask, waiting } = await rig(t)
  const conversation = await create()
  await waiting(1)
  sim.enqueue('turn', { failure: 'invalid-session' })
  const { message, repeats } = await ask(conversation)
  t.strictSame([message !== undefined, repeats], [true, ['1 S3']])
  await waiting(1)
  t.strictSame(sim.violations, [])
})

t.test('the pool is bounded: the oldest socket goes, but not before it had a chance', async (t) => {
  const evicting = await rig(t, { warm: { sockets: 2, settledMs: 0 } })
  const conversations: UpstreamConversation[] = []
  for (let n = 1; n <= 3; n++) {
    conversations.push(await evicting.create())
    await until(() => evicting.seen().upgrades === n)
    await evicting.waiting(Math.min(n, 2))
  }
  const [first = {}, , third = {}] = conversations
  /** Upgrades between the question and its text, which is the turn's first record. */
  const upgradesOf = async (conversation: UpstreamConversation) => {
    const before = evicting.seen().upgrades
    let atText = 0
    evicting.sim.set('turn', { throttlingFirst: false, search: 'never', charsPerUpdate: 0 })
    await evicting.ask(conversation, {}, { onText: () => (atText = evicting.seen().upgrades) })
    await evicting.waiting(2)
    return atText - before
  }
  t.strictSame([await upgradesOf(third), await upgradesOf(first)], [0, 1])
  t.strictSame(evicting.sim.violations, [])

  const settled = await rig(t, { warm: { sockets: 2, settledMs: 60_000 } })
  for (let n = 1; n <= 4; n++) {
    await settled.create()
    await settled.waiting(Math.min(n, 2))
    await settle()
  }
  t.equal(settled.seen().upgrades, 2, 'more conversations than places do not take them from each other')
})

t.test('a socket that nobody wants goes, and none comes in its place', async (t) => {
  for (const create of [{}, UNBOUND ?? {}]) {
    const gateway = await rig(t, { warm: { lifeMs: 500 } })
    gateway.sim.set('create', create)
    t.ok((await gateway.ask(await gateway.create())).message)
    await until(() => gateway.count('sydney.sockets') > 0)
    await until(() => gateway.count('sydney.sockets') === 0)
    const { upgrades } = gateway.seen()
    await new Promise((resolve) => setTimeout(resolve, 700))
    t.strictSame([gateway.seen().upgrades, gateway.count('sydney.sockets')], [upgrades, 0])
  }
})

t.test('other cookies empty the pool', async (t) => {
  const { sim, account, create, ask, waiting, count, seen } = await rig(t)
  const conversation = await create()
  await waiting(1)
  sim.cookies.accept('another-cookie')
  sim.cookies.expire(COOKIE)
  account.replace('another-cookie')
  await until(() => count('sydney.sockets') === 0)
  t.ok((await ask(conversation)).message)
  await waiting(1)
  t.equal(seen().upgrades, 3)
  const upgrades = sim.requests.filter(({ path }) => path === '/sydney/ChatHub')
  t.strictSame(
    upgrades.map(({ headers }) => /_U=([\w-]+)/.exec(headers.cookie ?? '')?.[1]),
    [COOKIE, 'another-cookie', 'another-cookie']
  )
})

t.test('closing the client ends everything', async (t) => {
  const { sim, client, create, ask, waiting, count, seen } = await rig(t)
  const conversations = [await create(), await create(), await create()]
  await waiting(3)
  sim.set('turn', { end: 'silence', endAt: 'start' })
  const asked = ask(conversations[0] as UpstreamConversation)
  await until(() => count('sydney.turns') === 1)
  sim.enqueue('upgrade', { handshake: 'silent' })
  await create()
  await until(() => seen().upgrades === 4)
  sim.enqueue('create', { delayMs: 100 })
  const late = create()
  await until(() => count('sydney.create') === 5)
  await client.close()
  t.equal((await asked).row, 'W7')
  await late
  await until(() => count('sydney.sockets') === 0)
  await settle()
  t.strictSame([count('sydney.sockets'), seen()], [0, { upgrades: 4, questions: 1 }])
})

// --- Leaving ---

for (const { name, reached, ...behaviours } of [
  { name: 'the upgrade', upgrade: { stall: 'before' }, reached: 'sydney.upgrade' },
  { name: 'the handshake', upgrade: { handshake: 'silent' }, reached: 'sydney.sockets' },
  {
    name: 'the silence before the answer',
    turn: { end: 'silence', endAt: 'start' },
    reached: 'sydney.turns'
  },
  { name: 'the answer', turn: { updateDelayMs: 20, charsPerUpdate: 1 }, reached: 'sydney.turns' }
] as ({ name: string; reached: string } & PartialBehaviours)[]) {
  t.test(`the caller leaves a turn on a socket opened ahead, during ${name}`, async (t) => {
    const { sim, create, ask, count } = await rig(t)
    if (behaviours.upgrade) sim.set('upgrade', behaviours.upgrade)
    if (behaviours.turn) sim.set('turn', behaviours.turn)
    const conversation = await create()
    const gone = new AbortController()
    const reason = new Error('gone')
    if (behaviours.upgrade) await until(() => count(reached) === 1)
    const asked = ask(conversation, {}, { signal: gone.signal })
    await until(() => count(reached) === 1)
    gone.abort(reason)
    t.equal((await asked).error, reason)
    await until(() => count('sydney.sockets') === 0 && count('sydney.turns') === 0)
    await settle()
    t.equal(count('sydney.sockets'), 0)
    t.strictSame(sim.violations, [])
  })
}

// --- Over HTTP ---

t.test('the gateway as it comes', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  const sockets = () => [sim.counts['sydney.sockets'], sim.counts['sydney.sockets.idle']]
  t.strictSame(sockets(), [0, 0], 'nothing at the start')
  const identity = await gateway.conversation()
  await until(() => sim.counts['sydney.sockets.idle'] === 1)
  for (let turn = 0; turn < 2; turn++) {
    const { status } = await gateway.post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: turn })
    t.equal(status, 200)
    await until(() => String(sockets()) === '1,1')
  }
  t.equal(sim.counts['sydney.upgrade'], 3)
  sim.set('upgrade', { status: 403 })
  await gateway.conversation()
  await until(() => gateway.log().includes('no warm hub socket'))
  t.match(gateway.log(), /"level":"?(debug|20)"?[^\n]*no warm hub socket/)
  t.notMatch(gateway.log(), /sec_access_token/)
  const health = (await gateway.get('/health')).json.data
  t.match(
    health.upstreams.find(({ name }: { name: string }) => name === 'sydney'),
    { state: 'ok' },
    'what fails in the background is not the state of the account'
  )
  await gateway.app.close()
  await until(() => String(sockets()) === '0,0')
  t.strictSame(sim.violations, [])
})

t.test('CHAT_WARM_SOCKETS=0 opens none', async (t) => {
  const { sim, ...gateway } = await startGateway(t, { config: { CHAT_WARM_SOCKETS: 0 } })
  const identity = await gateway.conversation()
  t.equal((await gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  await settle()
  t.strictSame([sim.counts['sydney.upgrade'], sim.counts['sydney.sockets.idle']], [1, 0])
})
