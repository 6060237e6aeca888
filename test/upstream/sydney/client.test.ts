import { getEventListeners, once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { type PartialBehaviours, startSimulator } from '../../../src/simulator/index.ts'
import { createAccount } from '../../../src/upstream/account.ts'
import type {
  Answer,
  AskOptions,
  ChatClient,
  Question,
  TextChange,
  UpstreamConversation
} from '../../../src/upstream/chat-client.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { createUpstreamHttp } from '../../../src/upstream/http.ts'
import { proxyFor } from '../../../src/upstream/proxy.ts'
import { createSydneyClient, type SydneyClientSettings } from '../../../src/upstream/sydney/client.ts'
import { localTimestamp } from '../../../src/upstream/sydney/question.ts'

const COOKIE = 'simulated-cookie'
const sim = await startSimulator()
const account = createAccount([sim.url, sim.chatUrl])
account.replace(COOKIE)
const http = createUpstreamHttp({ account })

/** Delays that the client asked for, in milliseconds; none of them is waited for. */
let slept: number[] = []
/** Timers of the clock that are running. */
const running = new Set<object>()
const clock: Clock = {
  ...systemClock,
  async sleep(ms: number, signal?: AbortSignal) {
    signal?.throwIfAborted()
    slept.push(ms)
  },
  timer(ms, callback) {
    const own = {}
    running.add(own)
    const clear = systemClock.timer(ms, () => {
      running.delete(own)
      callback()
    })
    return () => {
      running.delete(own)
      clear()
    }
  }
}
const never = new AbortController().signal

/** Closed after each test. */
const clients: ChatClient[] = []
/** Without sockets opened ahead, so that what is counted belongs to the turn that is looked at; warm.test.ts has those. */
function connect(settings: Partial<SydneyClientSettings> = {}): ChatClient {
  const warm = { sockets: 0 }
  const base = { bingUrl: sim.url, chatUrl: sim.chatUrl, account, http, clock, warm }
  const client = createSydneyClient({ ...base, ...settings })
  clients.push(client)
  return client
}
const client = connect()
clients.pop()

const question = (more: Partial<Question> = {}): Question => ({
  prompt: 'How high is the tower in the harbour?',
  invocationId: 0,
  tone: undefined,
  contextChars: 0,
  inDoubt: false,
  ...more
})

function behave(behaviours: PartialBehaviours): void {
  if (behaviours.create) sim.set('create', behaviours.create)
  if (behaviours.upgrade) sim.set('upgrade', behaviours.upgrade)
  if (behaviours.turn) sim.set('turn', behaviours.turn)
}

interface Outcome {
  row?: string
  error?: unknown
  answer?: Answer
  changes: TextChange[]
  repeats: string[]
}

/** Asks and says how it went; checks that the changes add up to the message. */
async function ask(
  conversation: UpstreamConversation,
  more: Partial<Question> = {},
  options: Partial<AskOptions> = {},
  by = client
): Promise<Outcome> {
  const outcome: Outcome = { changes: [], repeats: [] }
  try {
    outcome.answer = await by.ask(conversation, question(more), {
      signal: never,
      onText: (change) => outcome.changes.push(change),
      onRepeat: (error, attempt) => outcome.repeats.push(`${attempt} ${(error as UpstreamError).row}`),
      ...options
    })
  } catch (error) {
    outcome.error = error
    outcome.row = error instanceof UpstreamError ? error.row : String(error)
  }
  return outcome
}

function shown(changes: TextChange[]): string {
  return changes.reduce((text, change) => (change.kind === 'delta' ? text + change.text : change.text), '')
}

/** Waits for what the simulator notices a moment later than the client; a client that never gets there fails. */
async function until(holds: () => boolean): Promise<void> {
  const startedAt = Date.now()
  while (!holds()) {
    if (Date.now() - startedAt > 5000) throw new Error(`still not true: ${holds}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function rowOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
  } catch (error) {
    return error instanceof UpstreamError ? error.row : String(error)
  }
  return undefined
}

t.beforeEach(() => {
  sim.reset()
  slept = []
})
t.afterEach(async () => {
  for (const own of clients.splice(0)) await own.close()
})
t.teardown(async () => {
  await client.close()
  await http.close()
  await sim.close()
})

/** A test at whose end the simulator must have found nothing wrong with the client. */
function test(name: string, run: (t: Test) => Promise<void>): void {
  t.test(name, async (t) => {
    await run(t)
    t.strictSame(sim.violations, [])
  })
}

// --- Creating a conversation ---

test('a signature in headers, sent back percent-encoded', async (t) => {
  const conversation = await client.create(never)
  t.strictSame(Object.keys(conversation).sort(), [
    'clientId',
    'conversationId',
    'conversationSignature',
    'encryptedSignature'
  ])
  t.match(conversation.encryptedSignature, /[+/=]/)
  const { answer, row } = await ask(conversation)
  t.equal(row, undefined)
  t.equal(answer?.conversation, conversation)
})

test('a signature in the body', async (t) => {
  sim.set('create', { signatures: 'body' })
  const conversation = await client.create(never)
  t.equal(conversation.encryptedSignature, null)
  t.ok(conversation.conversationSignature)
  t.ok((await ask(conversation)).answer)
})

for (const { name, create, row, calls, code, retryAfter } of [
  { name: 'C2', create: { failure: 'unauthorized' }, row: 'C2', calls: 2, code: 'cookie_expired' },
  { name: 'C3', create: { failure: 'user-status' }, row: 'C3', calls: 1 },
  { name: 'C4', create: { failure: 'forbidden' }, row: 'C4', calls: 1 },
  { name: 'C5', create: { failure: 'internal' }, row: 'C5', calls: 2 },
  { name: 'C6', create: { failure: 'empty' }, row: 'C6', calls: 4 },
  { name: 'C7 no signature', create: { failure: 'no-signature' }, row: 'C7', calls: 2 },
  { name: 'C7 no ids', create: { failure: 'no-ids' }, row: 'C7', calls: 2 },
  { name: 'C8', create: { failure: 'not-found' }, row: 'C8', calls: 3 },
  { name: 'C9', create: { resultValue: 'Maintenance' }, row: 'C9', calls: 1, code: 'Maintenance' },
  { name: 'C9, no name', create: { resultValue: 'a b <i>' }, row: 'C9', calls: 1, code: 'upstream_rejected' },
  { name: 'C10', create: { failure: 'challenge-message' }, row: 'C10', calls: 1 },
  { name: 'T1', create: { reset: true }, row: 'T1', calls: 3 },
  { name: 'T5 region', create: { failure: 'region' }, row: 'T5', calls: 1 },
  { name: 'T5 loop', create: { failure: 'region-loop' }, row: 'T5', calls: 6 },
  { name: 'T6', create: { failure: 'login-redirect' }, row: 'T6', calls: 1 },
  { name: 'T7', create: { failure: 'cloudflare-403' }, row: 'T7', calls: 1 },
  { name: 'T7 without a page', create: { status: 403, body: '{}' }, row: 'T7', calls: 1 },
  { name: '401', create: { status: 401, body: '' }, row: 'C3', calls: 1 },
  {
    name: 'T8',
    create: { status: 429, headers: { 'retry-after': '7' } },
    row: 'T8',
    calls: 1,
    retryAfter: 7
  },
  { name: 'T9', create: { status: 503 }, row: 'T9', calls: 3 },
  { name: 'T9-bad', create: { status: 500 }, row: 'T9-bad', calls: 3 },
  { name: 'T10', create: { failure: 'html' }, row: 'T10', calls: 2 },
  { name: 'T10 elsewhere', create: { redirect: 'https://copilot.example/' }, row: 'T10', calls: 2 },
  { name: 'T11', create: { failure: 'not-json' }, row: 'T11', calls: 1 },
  { name: 'T11 other JSON', create: { body: '{"hello":1}' }, row: 'T11', calls: 1 },
  { name: 'throttled', create: { resultValue: 'Throttled' }, row: 'S1', calls: 1 }
] as {
  name: string
  create: NonNullable<PartialBehaviours['create']>
  row: string
  calls: number
  code?: string
  retryAfter?: number
}[]) {
  test(`create: ${name}`, async (t) => {
    sim.set('create', create)
    // Over a new connection: on a kept one, a reset would mean no more than that it had been kept too long.
    const fresh = createUpstreamHttp({ account })
    t.teardown(() => fresh.close())
    const own = connect({ http: fresh })
    try {
      await own.create(never)
      t.fail('must throw')
    } catch (error) {
      t.ok(error instanceof UpstreamError)
      const failure = error as UpstreamError
      t.equal(failure.row, row)
      if (code !== undefined) t.equal(failure.code, code)
      if (retryAfter !== undefined) t.equal(failure.retryAfter, retryAfter)
    }
    t.equal(sim.counts['sydney.create'], calls)
    t.equal(slept.length, calls === 6 ? 0 : calls - 1)
  })
}

test('C1 asks nobody', async (t) => {
  const conversation = await client.create(never)
  const own = connect({ account: createAccount([sim.url]) })
  t.equal(await rowOf(own.create(never)), 'C1')
  t.equal((await ask(conversation, {}, {}, own)).row, 'C1')
  t.strictSame([sim.counts['sydney.create'], sim.counts['sydney.upgrade']], [1, 0])
})

test('create: a redirect within the base is followed', async (t) => {
  sim.enqueue('create', { redirect: '/edgesvc/turing/conversation/create?x=1', status: 307 })
  t.ok((await client.create(never)).conversationId)
  t.equal(sim.counts['sydney.create'], 2)
  t.strictSame(slept, [])
})

test('create: ids as numbers, behind a byte order mark', async (t) => {
  const body = {
    conversationId: 51,
    clientId: 9147,
    conversationSignature: 'sig',
    result: { value: 'Success' }
  }
  sim.set('create', { body: `\uFEFF${JSON.stringify(body)}` })
  const { conversationId, clientId } = await client.create(never)
  t.strictSame([conversationId, clientId], ['51', '9147'])
})

test('create: trouble that passes', async (t) => {
  sim.enqueue('create', { failure: 'empty' }, { failure: 'not-found' }, { status: 502 })
  t.ok((await client.create(never)).conversationId)
  t.equal(sim.counts['sydney.create'], 4)
})

test('create: ends with the signal, by its own reason', async (t) => {
  sim.set('create', { stall: 'before' })
  const gone = new AbortController()
  const created = client.create(gone.signal)
  await until(() => sim.counts['sydney.create'] === 1)
  const reason = new Error('gone')
  gone.abort(reason)
  await t.rejects(created, reason)
})

// --- A good turn ---

for (const [name, turn] of Object.entries<NonNullable<PartialBehaviours['turn']>>({
  plain: {},
  'at once': { charsPerUpdate: 0, updateDelayMs: 0 },
  'every character a message': { split: 'every-char', charsPerUpdate: 40, updateDelayMs: 0 },
  'cut inside escapes': { split: 'random', escapeUnicode: true, splitSeed: 7, updateDelayMs: 0 },
  'several records in a message': { recordsPerMessage: 4 },
  'everything in one message': { recordsPerMessage: 1000 },
  'type 3 apart': { finalTogether: false },
  'type 3 missing': { end: 'no-completion' },
  'type 2 missing': { end: 'completion-only', endAt: 'after-text' },
  'irregular records': { unknownRecord: true, unknownFields: true, foreignInvocation: true, progress: true },
  'a very large record': { largeRecordBytes: 4_000_000 },
  'a text that shrinks': { rewrite: 'shrink' },
  'a text that diverges': { rewrite: 'diverge' },
  'a final text that differs': { rewrite: 'final-differs' },
  'a second message': { secondMessage: true, image: true },
  'a card that differs': { card: 'differs', search: 'always' },
  'an image before the text': { card: 'image-first', search: 'always' },
  'no card': { card: 'absent', search: 'always' },
  'pings all the time': { pingEveryMs: 2, thinkMs: 60, updateDelayMs: 5 }
})) {
  test(`turn: ${name}`, async (t) => {
    sim.set('turn', turn)
    const { answer, changes, row } = await ask(await client.create(never))
    t.equal(row, undefined)
    t.match(answer?.message, /42/)
    t.equal(shown(changes), answer?.message)
    t.equal(
      changes.some(({ kind }) => kind === 'replace'),
      turn.rewrite !== undefined
    )
    t.equal(answer?.notice, undefined)
    t.equal(answer?.sources.length, 2)
    t.match(answer?.sources[0]?.url, /^https:\/\/harbour\.example\//)
    t.strictSame(answer?.turns, { used: 1, max: 30 })
    if (turn.end !== 'completion-only') {
      t.equal(answer?.suggestions.length, 3)
      t.ok((answer?.expiresAt ?? 0) > Date.now())
    }
    if (turn.secondMessage) t.match(answer?.message, /\n\nAnd one thing more/)
    await until(() => sim.counts['sydney.sockets'] === 0)
  })
}

test('several turns of a conversation, each tone, until its last one', async (t) => {
  sim.set('turn', { maxTurns: 3 })
  const conversation = await client.create(never)
  const said: unknown[] = []
  for (const [invocationId, tone] of (['creative', 'balanced', 'precise'] as const).entries()) {
    const { answer } = await ask(conversation, { invocationId, tone, prompt: 'What is your tone?' })
    said.push([answer?.message, answer?.turns?.used, answer?.ended])
  }
  t.strictSame(said, [
    ['My tone is **Creative**.', 1, false],
    ['My tone is **Balanced**.', 2, false],
    ['My tone is **Precise**.', 3, true]
  ])
  const over = await ask(conversation, { invocationId: 3 })
  t.equal(over.row, 'S14')
  t.strictSame(over.changes, [], 'a farewell is not shown as an answer')
})

test('a ping comes after the handshake, then at its interval, and each received one is answered seldom', async (t) => {
  sim.set('turn', { thinkMs: 250, pingEveryMs: 5, charsPerUpdate: 0 })
  const own = connect({ deadlines: { pingEveryMs: 200 } })
  t.ok((await ask(await own.create(never), {}, {}, own)).answer)
  t.equal(sim.counts['sydney.pings'], 3, 'the first, one answer, and one at the interval')
})

// --- Failures of the connection and of the turn ---

test('a reset before there is a connection, and one of the upgrade', async (t) => {
  const atOnce = (socket: Socket) => socket.resetAndDestroy()
  const later = (socket: Socket) => socket.once('data', () => socket.resetAndDestroy())
  const conversation = await client.create(never)
  for (const [scheme, onSocket, row] of [
    ['ws', atOnce, 'T3'],
    ['wss', atOnce, 'T3'],
    ['wss', later, 'T3'],
    ['ws', later, 'W4']
  ] as const) {
    const server = createNetServer((socket) => onSocket(socket.on('error', () => {}))).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const chatUrl = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/hub`
    const own = connect({ chatUrl })
    const { row: got, repeats } = await ask(conversation, {}, {}, own)
    t.strictSame([got, repeats], [row, [`1 ${row}`]], `${scheme} ${row}`)
    await own.close()
    server.close()
  }
})

const quick = { openMs: 80, handshakeMs: 80, firstRecordMs: 80, idleMs: 80 }

for (const { name, more, later, asked, row, upgrades, creates, text, ...behaviours } of [
  { name: 'W1 on turn 1', upgrade: { status: 200 }, row: 'W1', upgrades: 2, creates: 2 },
  { name: 'W2 on turn 1', upgrade: { status: 401 }, row: 'W1', upgrades: 2, creates: 2 },
  { name: 'W1 later', later: true, upgrade: { status: 200 }, row: 'W1', upgrades: 1 },
  { name: 'W3', upgrade: { status: 403 }, row: 'W3', upgrades: 1 },
  { name: 'W4 reset', upgrade: { reset: true }, row: 'W4', upgrades: 2 },
  { name: 'upgrade T5', upgrade: { redirect: 'https://cn.bing.com/' }, row: 'T5', upgrades: 1 },
  { name: 'upgrade T6', upgrade: { redirect: 'https://login.live.com/x' }, row: 'T6', upgrades: 1 },
  { name: 'upgrade T8', upgrade: { status: 429 }, row: 'T8', upgrades: 1 },
  { name: 'upgrade T9', upgrade: { status: 503 }, row: 'T9', upgrades: 3 },
  { name: 'upgrade T9-bad', upgrade: { status: 500 }, row: 'T9-bad', upgrades: 3 },
  { name: 'upgrade without an answer', upgrade: { stall: 'before' }, row: 'W5', upgrades: 2 },
  { name: 'upgrade with half an answer', upgrade: { stall: 'during' }, row: 'W5', upgrades: 2 },
  { name: 'W4 close', upgrade: { handshake: 'close' }, row: 'W4', upgrades: 2 },
  { name: 'W4 1006', upgrade: { handshake: 'terminate' }, row: 'W4', upgrades: 2 },
  { name: 'W5', upgrade: { handshake: 'silent' }, row: 'W5', upgrades: 2 },
  { name: 'W6', upgrade: { handshake: 'error' }, row: 'W6', upgrades: 1 },
  { name: 'W7 1006 at once', turn: { end: 'terminate', endAt: 'start' }, row: 'W7', asked: 2 },
  { name: 'W7 1006', turn: { end: 'terminate' }, row: 'W7', asked: 2 },
  { name: 'W7 type 7', turn: { end: 'type-7' }, row: 'W7', asked: 2 },
  { name: 'W7 close 1001', turn: { end: 'close', closeCode: 1001 }, row: 'W7', asked: 2 },
  { name: 'W8 1006', turn: { end: 'terminate', endAt: 'mid-text' }, row: 'W8', asked: 1, text: true },
  { name: 'W8 type 7', turn: { end: 'type-7', endAt: 'mid-text' }, row: 'W8', asked: 1, text: true },
  { name: 'W8 close 1000', turn: { end: 'close', endAt: 'after-text' }, row: 'W8', asked: 1, text: true },
  { name: 'W9', turn: { end: 'close' }, row: 'W9', asked: 1 },
  {
    name: 'W9 at 8000',
    more: { prompt: 'x'.repeat(4000), contextChars: 4000 },
    turn: { end: 'close' },
    row: 'W9',
    asked: 1
  },
  {
    name: 'W9-long',
    more: { prompt: 'x'.repeat(4000), contextChars: 4001 },
    turn: { end: 'close' },
    row: 'W9-long',
    asked: 1
  },
  { name: 'W10', turn: { end: 'silence', endAt: 'start' }, row: 'W10', asked: 1 },
  { name: 'W10 pings only', turn: { end: 'silence', endAt: 'start', pingEveryMs: 10 }, row: 'W10', asked: 1 },
  { name: 'W10 after records', turn: { end: 'silence', pingEveryMs: 10 }, row: 'W10', asked: 1 },
  {
    name: 'W10 after text',
    turn: { end: 'silence', endAt: 'mid-text', pingEveryMs: 10 },
    row: 'W10',
    asked: 1,
    text: true
  },
  { name: 'W11', turn: { end: 'completion-only' }, row: 'W11', asked: 1 },
  { name: 'W11 with an error', turn: { end: 'completion-only', completionError: 'x' }, row: 'W11', asked: 1 },
  { name: 'W12', turn: { notJson: 'before-text' }, row: 'W12', asked: 1 },
  { name: 'W12 after text', turn: { notJson: 'mid-text' }, row: 'W12', asked: 1, text: true },
  { name: 'W12 by size', turn: { largeRecordBytes: 17 * 1024 * 1024 }, row: 'W12', asked: 1, text: true },
  { name: 'S1', turn: { failure: 'throttled' }, row: 'S1', asked: 1 },
  { name: 'S2', turn: { failure: 'captcha' }, row: 'S2', asked: 1 },
  { name: 'S3 on turn 1', turn: { failure: 'invalid-session' }, row: 'S3', asked: 2, creates: 2 },
  { name: 'S3 later', later: true, turn: { failure: 'invalid-session' }, row: 'S3', asked: 1 },
  { name: 'S4 on turn 1', turn: { failure: 'token-expired' }, row: 'S4', asked: 2, creates: 2 },
  { name: 'S4 later', later: true, turn: { failure: 'token-expired' }, row: 'S4', asked: 1 },
  { name: 'S5', turn: { failure: 'signature-missing' }, row: 'S5', asked: 1 },
  { name: 'S6', turn: { failure: 'unauthorized' }, row: 'S6', asked: 1 },
  { name: 'S7', turn: { failure: 'deepleo' }, row: 'S7', asked: 3 },
  { name: 'S8 ChatGpt', turn: { failure: 'chatgpt' }, row: 'S8', asked: 2 },
  { name: 'S8 UserOffense', turn: { failure: 'user-offense' }, row: 'S8', asked: 2 },
  { name: 'S9', turn: { failure: 'storage' }, row: 'S9', asked: 1 },
  { name: 'S10', turn: { failure: 'context-length' }, row: 'S10', asked: 1 },
  { name: 'S11', turn: { failure: 'invalid-request' }, row: 'S11', asked: 1 },
  { name: 'S14', turn: { farewell: 'move-on' }, row: 'S14', asked: 1 },
  { name: 'S15', turn: { farewell: 'daily' }, row: 'S15', asked: 1 },
  { name: 'S16', turn: { filter: 'apology-before' }, row: 'S16', asked: 1 },
  {
    name: 'S16, then silence',
    turn: { filter: 'apology-before', end: 'silence', endAt: 'after-text' },
    row: 'S16',
    asked: 1
  },
  { name: 'S18', turn: { filter: 'disengaged' }, row: 'S18', asked: 1 },
  { name: 'S19 echo last', turn: { filter: 'echo-last' }, row: 'S19', asked: 1 },
  { name: 'S19 offense', turn: { filter: 'offense' }, row: 'S19', asked: 1 },
  { name: 'S19 topic changer', turn: { filter: 'topic-changer' }, row: 'S19', asked: 1 },
  { name: 'S20', turn: { filter: 'no-bot-message' }, row: 'S20', asked: 2 },
  { name: 'C4 of a turn', turn: { result: { value: 'Forbidden' } }, row: 'C4', asked: 1 },
  {
    name: 'S8 any other',
    turn: { result: { value: 'InternalError', message: 'Oops' } },
    row: 'S8',
    asked: 2
  },
  { name: 'another value', turn: { result: { value: 'Maintenance' } }, row: 'S-other', asked: 1 }
] as ({
  name: string
  row: string
  /** Whether it is the second turn of a conversation. */
  later?: true
  more?: Partial<Question>
  /** Questions and upgrades that reach the simulator; the default of one follows from the other. */
  asked?: number
  upgrades?: number
  creates?: number
  /** Whether text was shown before the failure. */
  text?: true
} & PartialBehaviours)[]) {
  test(`ask: ${name}`, async (t) => {
    const own = connect({ deadlines: quick })
    const conversation = await own.create(never)
    if (later) await own.ask(conversation, question(), { signal: never })
    sim.reset()
    behave(behaviours)
    const outcome = await ask(conversation, { invocationId: later ? 1 : 0, ...more }, {}, own)
    t.equal(outcome.row, row)
    t.equal(outcome.changes.length > 0, text === true)
    const counts = sim.counts
    t.equal(counts['sydney.questions'], asked ?? 0, 'questions')
    t.equal(counts['sydney.upgrade'], upgrades ?? asked, 'sockets')
    t.equal(counts['sydney.create'], (creates ?? 1) - 1, 'fresh conversations')
    t.equal(outcome.repeats.length, (upgrades ?? asked ?? 0) - 1, 'the caller was told of each repeat')
    await until(() => sim.counts['sydney.sockets'] === 0 && sim.counts['sydney.turns'] === 0)
  })
}

test('trouble before text passes by itself', async (t) => {
  for (const [name, op, behaviour] of [
    ['W4', 'upgrade', { handshake: 'terminate' }],
    ['W7', 'turn', { end: 'terminate' }],
    ['S7', 'turn', { failure: 'deepleo' }],
    ['S20', 'turn', { filter: 'no-bot-message' }]
  ] as const) {
    const conversation = await client.create(never)
    if (op === 'upgrade') sim.enqueue(op, behaviour)
    else sim.enqueue(op, behaviour)
    const { answer, repeats, changes } = await ask(conversation)
    t.strictSame(repeats, [`1 ${name}`])
    t.equal(answer?.conversation, conversation, 'in the same conversation')
    t.equal(shown(changes), answer?.message)
  }
})

for (const [name, op, behaviour] of [
  ['W1', 'upgrade', { status: 200 }],
  ['S3', 'turn', { failure: 'invalid-session' }],
  ['S4', 'turn', { failure: 'token-expired' }]
] as const) {
  test(`a first question goes to a fresh conversation after ${name}`, async (t) => {
    const conversation = await client.create(never)
    if (op === 'upgrade') sim.enqueue(op, behaviour)
    else sim.enqueue(op, behaviour)
    const { answer, repeats } = await ask(conversation)
    t.strictSame(repeats, [`1 ${name}`])
    t.not(answer?.conversation.conversationId, conversation.conversationId)
    const next = await ask(answer?.conversation as UpstreamConversation, { invocationId: 1 })
    t.ok(next.answer, 'and the conversation goes on there')
  })
}

test('a conversation that expired for real', async (t) => {
  sim.enqueue('create', { tokenTtlMs: 0 })
  t.ok((await ask(await client.create(never))).answer)
  sim.enqueue('create', { conversationTtlMs: 0 })
  t.ok((await ask(await client.create(never))).answer)
})

test('when the fresh conversation is refused, that is the failure', async (t) => {
  const conversation = await client.create(never)
  sim.set('upgrade', { status: 200 })
  sim.set('create', { failure: 'user-status' })
  t.equal((await ask(conversation)).row, 'C3')
  t.equal(sim.counts['sydney.upgrade'], 1)
})

test('an account that is throttled again after waiting waits twice as long, until a turn succeeds', async (t) => {
  let now = Date.now()
  const own = connect({ clock: { ...clock, now: () => now } })
  const conversation = await own.create(never)
  sim.set('turn', { failure: 'throttled' })
  const waitTold = async () => {
    const { error, answer } = await ask(conversation, {}, {}, own)
    return answer ? 'answer' : (error as UpstreamError).retryAfter
  }
  const waits: unknown[] = []
  for (let i = 0; i < 7; i++) {
    const wait = await waitTold()
    waits.push(wait)
    now += Number(wait) * 1000
  }
  t.strictSame(waits, [3600, 7200, 14_400, 28_800, 57_600, 86_400, 86_400])

  t.equal(await waitTold(), 86_400)
  now += 600_000
  t.equal(await waitTold(), 85_800)
  t.equal(await waitTold(), 85_800, 'calls in between count for nothing')

  sim.set('turn', {})
  t.equal(await waitTold(), 'answer')
  sim.enqueue('turn', { failure: 'throttled' })
  const { error } = await ask(conversation, { invocationId: 1 }, {}, own)
  t.equal((error as UpstreamError).retryAfter, 3600)
})

// --- Texts that are kept ---

for (const { name, turn, want } of [
  {
    name: 'S12 after text',
    turn: { failure: 'deepleo', endAt: 'after-text' },
    want: ['answer_truncated', false]
  },
  {
    name: 'S12 in the middle',
    turn: { failure: 'throttled', endAt: 'mid-text' },
    want: ['answer_truncated', false]
  },
  {
    name: 'W11 with an error',
    turn: { end: 'completion-only', endAt: 'after-text', completionError: 'x' },
    want: ['answer_truncated', false]
  },
  { name: 'S17', turn: { filter: 'apology-after' }, want: ['answer_revoked', false] },
  {
    name: 'S17, then cut off',
    turn: { filter: 'apology-after', end: 'terminate', endAt: 'after-text' },
    want: ['answer_revoked', false]
  },
  { name: 'S18 after text', turn: { filter: 'disengaged-after-text' }, want: [undefined, true] },
  { name: 'S13', turn: { maxTurns: 1 }, want: [undefined, true] }
] as { name: string; turn: NonNullable<PartialBehaviours['turn']>; want: unknown[] }[]) {
  test(`kept: ${name}`, async (t) => {
    sim.set('turn', turn)
    const { answer, changes, row } = await ask(await client.create(never))
    t.equal(row, undefined)
    t.strictSame([answer?.notice, answer?.ended], want)
    t.not(answer?.message, '')
    t.equal(shown(changes), answer?.message)
    t.equal(sim.counts['sydney.questions'], 1)
  })
}

// --- Leaving ---

for (const { name, reached, ...behaviours } of [
  { name: 'the upgrade', upgrade: { stall: 'before' }, reached: 'sydney.upgrade' },
  { name: 'the handshake', upgrade: { handshake: 'silent' }, reached: 'sydney.sockets' },
  { name: 'the silence before the answer', turn: { end: 'silence', endAt: 'start' }, reached: 'sydney.turns' }
] as ({ name: string; reached: string } & PartialBehaviours)[]) {
  test(`the caller leaves during ${name}`, async (t) => {
    const conversation = await client.create(never)
    behave(behaviours)
    const timers = activeTimers()
    const gone = new AbortController()
    const reason = new Error('gone')
    const asked = ask(conversation, {}, { signal: gone.signal })
    await until(() => (sim.counts[reached] ?? 0) > 0)
    gone.abort(reason)
    t.equal((await asked).error, reason)
    t.ok(activeTimers() <= timers, 'no timer is left')
    await until(() => sim.counts['sydney.sockets'] === 0 && sim.counts['sydney.turns'] === 0)
  })
}

test('the caller leaves in the middle of the answer', async (t) => {
  sim.set('turn', { updateDelayMs: 5, charsPerUpdate: 1 })
  const conversation = await client.create(never)
  const timers = activeTimers()
  const gone = new AbortController()
  const reason = new Error('gone')
  const seen: TextChange[] = []
  const { error } = await ask(
    conversation,
    {},
    {
      signal: gone.signal,
      onText(change) {
        seen.push(change)
        if (seen.length === 3) gone.abort(reason)
      }
    }
  )
  t.equal(error, reason)
  t.equal(seen.length, 3)
  t.ok(activeTimers() <= timers, 'no timer is left')
  await until(() => sim.counts['sydney.aborted'] === 1 && sim.counts['sydney.sockets'] === 0)
  t.equal(seen.length, 3, 'nothing came after')
  t.ok((await ask(conversation)).answer, 'the conversation can be used again')
})

test('the caller leaves between two attempts', async (t) => {
  const gone = new AbortController()
  const reason = new Error('gone')
  const own = connect({
    clock: {
      ...systemClock,
      async sleep(_ms, signal) {
        gone.abort(reason)
        signal?.throwIfAborted()
      }
    }
  })
  sim.set('turn', { end: 'terminate' })
  const { error } = await ask(await own.create(never), {}, { signal: gone.signal }, own)
  t.equal(error, reason)
  t.equal(sim.counts['sydney.questions'], 1)
})

test('a long-lived signal keeps nothing of the turns it was used for', async (t) => {
  const { signal } = new AbortController()
  const conversation = await client.create(signal)
  t.ok((await ask(conversation, {}, { signal })).answer)
  sim.set('turn', { failure: 'deepleo' })
  t.equal((await ask(conversation, { invocationId: 1 }, { signal })).row, 'S7')
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

test('the caller had left before', async (t) => {
  const conversation = await client.create(never)
  const reason = new Error('gone')
  t.equal((await ask(conversation, {}, { signal: AbortSignal.abort(reason) })).error, reason)
  t.equal(sim.counts['sydney.upgrade'], 0)
})

test('an error thrown by the listener ends the turn', async (t) => {
  const mistake = new Error('listener')
  const { error } = await ask(
    await client.create(never),
    {},
    {
      onText() {
        throw mistake
      }
    }
  )
  t.equal(error, mistake)
  t.equal(sim.counts['sydney.questions'], 1)
  await until(() => sim.counts['sydney.sockets'] === 0)
})

test('closing the client ends its turns and starts no other', async (t) => {
  sim.set('turn', { end: 'silence', endAt: 'start' })
  const own = connect()
  const asked = ask(await own.create(never), {}, {}, own)
  await until(() => sim.counts['sydney.turns'] === 1)
  await own.close()
  t.equal((await asked).row, 'W7')
  t.equal(sim.counts['sydney.questions'], 1)
  await until(() => sim.counts['sydney.sockets'] === 0)
})

function activeTimers(): number {
  return running.size + process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

// --- Secrets and the way out ---

test('a hub that nobody answers at, and no secret in what a log would show', async (t) => {
  const conversation = await client.create(never)
  const nobody = createServer().listen(0)
  await once(nobody, 'listening')
  const { port } = nobody.address() as AddressInfo
  await new Promise((resolve) => nobody.close(resolve))
  for (const [chatUrl, row] of [
    [`ws://127.0.0.1:${port}/sydney/ChatHub`, 'T1'],
    ['ws://127.0.0.1/#not-a-hub', 'T1']
  ] as const) {
    const own = connect({ chatUrl })
    const outcome = await ask(conversation, {}, {}, own)
    t.equal(outcome.row, row)
    const logged = inspect(outcome.error, { depth: 10 })
    for (const secret of Object.values(conversation)) {
      t.notOk(logged.includes(String(secret)) || logged.includes(encodeURIComponent(String(secret))))
    }
    t.notMatch(logged, /sec_access_token|simulated-cookie/)
  }
})

test('the hub is reached through the proxy, whose password stays secret', async (t) => {
  const targets: string[] = []
  const proxy = createServer().listen(0)
  proxy.on('connect', (request, socket) => {
    targets.push(`${request.url} ${request.headers['proxy-authorization'] !== undefined}`)
    socket.on('error', () => {})
    socket.destroy()
  })
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  t.teardown(() => proxy.close())
  const own = connect({
    chatUrl: 'wss://hub.example/sydney/ChatHub',
    proxy: { httpsProxy: `http://someone:hunter2@127.0.0.1:${port}` }
  })
  const outcome = await ask(await own.create(never), {}, {}, own)
  await own.close()
  t.strictSame([...new Set(targets)], ['hub.example:443 true'])
  t.match(outcome.row, /^T[13]$/)
  t.notMatch(inspect(outcome.error, { depth: 10 }), /hunter2|sec_access_token/)
})

test("a proxy's refusal is not the hub's", async (t) => {
  let status = 0
  const proxy = createServer().listen(0)
  proxy.on('connect', (_request, socket) => {
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`)
  })
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  t.teardown(() => proxy.close())
  const own = connect({
    chatUrl: 'wss://hub.example/sydney/ChatHub',
    proxy: { httpsProxy: `http://127.0.0.1:${port}` }
  })
  const conversation = await own.create(never)
  for (status of [403, 407, 502, 200]) {
    const { row } = await ask(conversation, {}, {}, own)
    t.match(row, status === 200 ? /^T[13]$/ : 'T1', `the proxy answers with ${status}`)
  }
  await own.close()
})

test('a hub that speaks no HTTP', async (t) => {
  const conversation = await client.create(never)
  for (const head of ['garbage\r\n\r\n', `HTTP/1.1 101 Yes\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`]) {
    sim.set('upgrade', { raw: head })
    const { row, repeats } = await ask(conversation)
    t.strictSame([row, repeats], ['W12', []], head.slice(0, 20))
  }
  sim.set('upgrade', {})
})

test('which proxy', async (t) => {
  const httpsProxy = 'http://proxy.example:3128'
  for (const [url, noProxy, isProxied] of [
    ['wss://sydney.bing.com/x', undefined, true],
    ['wss://sydney.bing.com/x', '', true],
    ['ws://sydney.bing.com/x', '', false],
    ['wss://sydney.bing.com/x', '*', false],
    ['wss://sydney.bing.com/x', 'localhost, bing.com', false],
    ['wss://sydney.bing.com/x', '.bing.com', false],
    ['wss://sydney.bing.com/x', '*.BING.com', false],
    ['wss://sydney.bing.com/x', 'notbing.com,ing.com', true],
    ['wss://sydney.bing.com/x', 'bing.com:443', false],
    ['wss://sydney.bing.com/x', 'bing.com:8443', true],
    ['wss://sydney.bing.com:8443/x', 'bing.com:8443', false]
  ] as const) {
    t.equal(proxyFor(url, { httpsProxy, noProxy }), isProxied ? httpsProxy : undefined, `${url} ${noProxy}`)
  }
  t.equal(proxyFor('wss://sydney.bing.com/x', {}), undefined)
})

test('local time stamps', async (t) => {
  const now = Date.UTC(2024, 1, 5, 8, 15, 0)
  t.equal(localTimestamp(now, 60), '2024-02-05T09:15:00+01:00')
  t.equal(localTimestamp(now, -570), '2024-02-04T22:45:00-09:30')
  t.equal(Date.parse(localTimestamp(now)), now)
})
