import { createParser } from 'eventsource-parser'
import type { Test } from 'tap'
import type { PartialBehaviours, Simulator } from '../../src/simulator/index.ts'
import { checkAnswer, checkWords, isForAPerson, type Want } from './failure-table.ts'
import { type Answer, COOKIE, type Gateway, type GatewayOptions, startGateway, USER } from './gateway.ts'

/** What the hub and the create call were asked since the last reset. */
export interface Asked {
  creates: number
  upgrades: number
  questions: number
}

export const NOBODY: Asked = { creates: 0, upgrades: 0, questions: 0 }

/** Seconds that pass for the gateway in one real second: waits get short, and a handshake still has half a second. */
export const SPEED = 20

/** How a question is asked: the answer in one piece, or as it is written. */
export type Manner = 'plain' | 'stream'

/** A streamed answer: `json` is what its last event holds, `event` the name of that, `shown` the text until then. */
export interface Told extends Answer {
  event?: string
  shown?: string
  /** How long it took, in milliseconds of the gateway's clock. */
  tookMs?: number
}

export type Identity = Awaited<ReturnType<Gateway['conversation']>>

/** What is said in each turn; the second answer shows that the first turn is remembered. */
export const PROMPTS = ['My name is Zinc-Heron.', 'What is my name?', 'Who am I?'] as const
const NAME = /Zinc-Heron/

/** The gateway, and turns as the tables need them. */
export interface ChatRig extends Gateway {
  /** The gateway's seconds in a real one. */
  speed: number
  ask(identity: Identity, body: { prompt: string; invocationId?: number }, manner?: Manner): Promise<Told>
  /** Starts a conversation, whatever comes of it. */
  start(): Promise<Answer>
  /** Signs in again, as a person does: Bing accepts a new cookie, and the gateway gets it. */
  newCookie(): void
  /** A conversation whose next turn is turn n; what the simulator saw until then is forgotten. */
  conversationAt(t: Test, turn: number): Promise<Identity>
  /** Turn n of a conversation, which must be answered, with the memory of the turns before. */
  answered(t: Test, identity: Identity, turn: number): Promise<Answer>
  /** Repeats turn n: the stored answer, and nobody is asked. */
  replayed(
    t: Test,
    identity: Identity,
    body: { prompt: string; invocationId: number },
    first: Answer
  ): Promise<void>
  asked(): Asked
  until(condition: () => boolean): Promise<void>
  /** Waits until the hub has seen the last socket close. */
  idle(): Promise<void>
  /** Bing is fine again. */
  mend(): void
  /** Bing is fine again; where it had waited for a person, that person has brought a new cookie. */
  recover(): void
}

/** Without sockets opened ahead, so that every upgrade counted is one of the turn; test/upstream/sydney/warm.test.ts has those. */
export async function chatRig(t: Test, options: GatewayOptions = {}): Promise<ChatRig> {
  const config = { CHAT_WARM_SOCKETS: 0, ...options.config }
  const speed = options.speed ?? SPEED
  const gateway = await startGateway(t, { ...options, speed, config })
  const { sim } = gateway
  let serial = 0
  const rig: ChatRig = {
    ...gateway,
    speed,
    async ask(identity, body, manner = 'plain') {
      if (manner === 'plain') return gateway.post('/chatgpt', { ...identity, ...body })
      const startedAt = performance.now()
      const answer = told(await gateway.post('/chatgpt', { ...identity, ...body, stream: true }))
      return Object.assign(answer, { tookMs: (performance.now() - startedAt) * speed })
    },
    start: () => gateway.post('/create_conversation', { userId: USER }),
    newCookie() {
      const value = `${COOKIE}-${++serial}`
      sim.cookies.accept(value)
      gateway.app.upstream.account.replace(value)
    },
    async conversationAt(t, turn) {
      const identity = await rig.conversation()
      for (let n = 0; n < turn; n++) await rig.answered(t, identity, n)
      await rig.idle()
      sim.reset()
      return identity
    },
    async answered(t, identity, turn) {
      const answer = await rig.ask(identity, { prompt: prompt(turn), invocationId: turn })
      t.equal(answer.status, 200, `turn ${turn} is answered: ${answer.text}`)
      t.equal(answer.headers['idempotency-replayed'], undefined, 'by the upstream')
      t.equal(answer.json.invocationId, turn + 1)
      t.match(answer.json.message, NAME, 'with the memory of the conversation')
      return answer
    },
    async replayed(t, identity, body, first) {
      const before = rig.asked()
      const again = await rig.ask(identity, body)
      t.strictSame([again.status, again.json], [200, first.json], 'a repeat gets the stored answer')
      t.equal(again.headers['idempotency-replayed'], 'true')
      t.strictSame(rig.asked(), before, 'and asks nobody')
    },
    asked() {
      const { counts } = sim
      return {
        creates: counts['sydney.create'] ?? 0,
        upgrades: counts['sydney.upgrade'] ?? 0,
        questions: counts['sydney.questions'] ?? 0
      }
    },
    async until(condition) {
      for (let n = 0; !condition(); n++) {
        if (n === 5000) throw new Error('it did not come to that')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    },
    async idle() {
      await rig.until(() => (sim.counts['sydney.sockets'] ?? 0) + (sim.counts['sydney.turns'] ?? 0) === 0)
    },
    mend() {
      for (const op of ['create', 'upgrade', 'turn'] as const) sim.set(op, {})
    },
    recover() {
      rig.mend()
      if (gateway.app.upstream.circuits.some(({ state }) => state !== 'closed')) rig.newCookie()
    }
  }
  return rig
}

/** Reads a streamed answer as any client with a parser of such events does; a refusal stays as it is. */
export function told(answer: Answer): Told {
  if (!String(answer.headers['content-type']).startsWith('text/event-stream')) return answer
  let shown = ''
  let last: { event: string; data: unknown } = { event: '', data: {} }
  const parser = createParser({
    onEvent({ event = '', data }) {
      const parsed = JSON.parse(data)
      if (event === 'delta') shown += parsed.text
      else if (event === 'replace') shown = parsed.text
      else last = { event, data: parsed }
    },
    onError(error) {
      throw error
    }
  })
  parser.feed(answer.text)
  return {
    status: answer.status,
    headers: answer.headers,
    text: JSON.stringify(last.data),
    json: last.data,
    event: last.event,
    shown
  }
}

export function prompt(turn: number): string {
  const text = PROMPTS[turn]
  if (text === undefined) throw new Error(`there is no prompt for turn ${turn}`)
  return text
}

/** What the upstream does from now on. */
export function behave(sim: Simulator, { create, upgrade, turn }: PartialBehaviours): void {
  if (create) sim.set('create', create)
  if (upgrade) sim.set('upgrade', upgrade)
  if (turn) sim.set('turn', turn)
}

/** What the upstream says when it fails, and when it puts something in the place of an answer. */
const SYDNEY_WORDS = [
  'login first',
  'retrieve user status',
  'not allowed to access',
  'error processing',
  'pass cloudflare',
  'is throttled',
  'needs to solve',
  "doesn't exist or has expired",
  'idx10223',
  'sydney.bing.com',
  'isauthenticated',
  'not authorized',
  'dependency failure',
  'deepleo',
  'serviceclient',
  'conversationstorage',
  'unhandled exception',
  'context length',
  "wasn't able to respond",
  'handshake was canceled',
  'connection closed with an error',
  'not a record',
  'thanks for this conversation',
  'move on',
  'my mistake',
  'let’s talk',
  'zinc-heron'
]

/** Checks a failure as the caller sees it: its row, and that nothing of the upstream's words or of the prompt is in it. */
export function checkFailure(t: Test, name: string, answer: Answer, want: Want): void {
  checkAnswer(t, name, answer, want)
  checkNoWords(t, name, answer.text)
}

/** A stream in which nothing comes begins with a comment after this time, in milliseconds. */
const COMMENT_AFTER_MS = 15_000

/**
 * Checks how a question failed. A stream that had begun ends with an event; one that had not is refused as if it were none.
 * On a slow machine any stream may have waited long enough to begin.
 */
export function checkRefusal(
  t: Test,
  row: Pick<FailingTurn, 'row' | 'want' | 'begun'>,
  answer: Told,
  manner: Manner
) {
  const { event, tookMs = 0 } = answer
  const waited = event !== undefined && tookMs >= COMMENT_AFTER_MS ? 'silence' : undefined
  const begun = manner === 'stream' ? (row.begun ?? waited) : undefined
  if (begun === undefined) checkFailure(t, row.row, answer, row.want)
  else checkBrokenOff(t, row.row, answer, row.want, begun)
}

/** Checks a failure that came when the stream had begun: the event that ends it. */
export function checkBrokenOff(
  t: Test,
  name: string,
  answer: Told,
  want: Want,
  begun: 'text' | 'silence'
): void {
  const { error } = answer.json
  t.strictSame(
    { status: answer.status, event: answer.event, type: error?.type, code: error?.code, param: error?.param },
    { status: 200, event: 'error', type: want.type, code: want.code, param: want.param ?? null },
    name
  )
  t.equal(answer.shown !== '', begun === 'text', `${name}: the text before it stays`)
  checkWords(t, name, answer.text)
  checkNoWords(t, name, answer.text)
}

function checkNoWords(t: Test, name: string, text: string): void {
  const shown = text.toLowerCase()
  t.strictSame(
    SYDNEY_WORDS.filter((words) => shown.includes(words)),
    [],
    `${name}: none of the upstream's words`
  )
}

/** Runs a call and checks that the waits of its repeats were kept, in milliseconds of the gateway's clock. */
export async function timed<T>(
  t: Test,
  { speed }: Pick<ChatRig, 'speed'>,
  waits: readonly number[],
  call: () => Promise<T>
): Promise<T> {
  const startedAt = performance.now()
  const result = await call()
  const tookMs = (performance.now() - startedAt) * speed
  const least = waits.reduce((sum, wait) => sum + wait, 0)
  // A timer may fire within the millisecond before its time.
  t.ok(tookMs >= least - speed * (waits.length + 1), `waited at least ${least} ms (took ${tookMs})`)
  return result
}

/**
 * Where a person must act, the circuit is open until they have: the same failure at once, and nobody is asked. Bing is
 * fine again afterwards, and what was counted stays.
 */
export async function untilAPersonActs(
  t: Test,
  rig: ChatRig,
  { row, want }: { row: string; want: Want },
  call: () => Promise<Answer>
): Promise<void> {
  rig.mend()
  if (!isForAPerson(want, row)) return
  const before = rig.asked()
  const { retryAfter, ...rest } = want
  const again = await call()
  checkFailure(t, 'until a person acts', again, {
    ...rest,
    ...(retryAfter !== undefined && { retryAfter: [1, 3600] })
  })
  t.strictSame(rig.asked(), before, 'nobody is asked meanwhile')
  rig.newCookie()
}

/** A row of a table of turns that fail. */
export type FailingTurn = {
  row: string
  form?: string
  want: Want
  /** What reaches the simulator; nothing unless it says so. */
  asked: Partial<Asked>
  /** The same on a second turn, where that differs. */
  later?: Partial<Asked>
  /** The turns it is played on; the first and the second one when it does not say. */
  turns?: readonly number[]
  /** The least waits of all attempts together, in milliseconds of the gateway's clock. */
  waits?: readonly number[]
  /** In place of the usual prompt. */
  prompt?: string
  /** The row ends the conversation: what every further turn is told, without asking anybody. */
  ended?: Want
  /**
   * A stream has begun, so that it ends with an `error` event: with text, or with a comment, since nothing had come for
   * 15 s.
   */
  begun?: 'text' | 'silence'
} & PartialBehaviours

export function askedOn({ asked, later }: FailingTurn, turn: number): Asked {
  return { ...NOBODY, ...(turn > 0 ? (later ?? asked) : asked) }
}

/**
 * Plays a row on turn n of a conversation, and what the caller meets when it asks again.
 * @returns what the caller got at first
 */
export async function playFailure(
  t: Test,
  rig: ChatRig,
  row: FailingTurn,
  turn: number,
  manner: Manner = 'plain'
): Promise<Told> {
  const { sim } = rig
  const identity = await rig.conversationAt(t, turn)
  const body = { prompt: row.prompt ?? prompt(turn), invocationId: turn }
  const asked = askedOn(row, turn)

  behave(sim, row)
  const waits = row.later !== undefined && turn > 0 ? [] : (row.waits ?? [])
  const answer = await timed(t, rig, waits, () => rig.ask(identity, body, manner))
  checkRefusal(t, row, answer, manner)
  t.strictSame(rig.asked(), asked, 'what the upstream saw')
  await rig.idle()

  await untilAPersonActs(t, rig, row, () => rig.ask(identity, body, manner))
  if (row.ended === undefined) {
    const first = await rig.answered(t, identity, turn)
    await rig.replayed(t, identity, { prompt: prompt(turn), invocationId: turn }, first)
    await rig.answered(t, identity, turn + 1)
  } else {
    const { ended } = row
    checkFailure(t, 'the same again', await rig.ask(identity, body), ended)
    checkFailure(t, 'without a number', await rig.ask(identity, { prompt: 'Something else' }), ended)
    t.strictSame(rig.asked(), asked, 'a conversation that ended asks nobody')
    if (turn > 0) {
      const stored = await rig.ask(identity, { prompt: prompt(turn - 1), invocationId: turn - 1 })
      t.strictSame(
        [stored.status, stored.headers['idempotency-replayed']],
        [200, 'true'],
        'the last answer stays'
      )
    }
    await rig.answered(t, await rig.conversation(), 0)
  }
  t.strictSame(sim.violations, [])
  return answer
}

/** A row that passes before its repeats are used up: the caller sees an answer. */
export async function playPassing(t: Test, rig: ChatRig, row: FailingTurn, turn: number): Promise<Told> {
  const { sim } = rig
  const asked = askedOn(row, turn)
  const failing = asked.upgrades - 1
  const identity = await rig.conversationAt(t, turn)
  for (let n = 0; n < failing; n++) {
    if (row.upgrade) sim.enqueue('upgrade', row.upgrade)
    if (row.turn) sim.enqueue('turn', row.turn)
  }
  const answer = await rig.answered(t, identity, turn)
  t.strictSame(rig.asked(), { ...asked, questions: row.turn ? failing + 1 : 1 })
  await rig.answered(t, identity, turn + 1)
  t.strictSame(sim.violations, [])
  return answer
}

/** A row of a table of turns that succeed although something is wrong. */
export interface KeptTurn {
  row: string
  form?: string
  turn: NonNullable<PartialBehaviours['turn']>
  notice?: 'answer_truncated' | 'answer_revoked'
  /** Only a part of {@link ANSWER} had come. */
  isPart?: true
  /** The row ends the conversation: what the next turn is told, without asking anybody. */
  ended?: Want
  /** The only turn it can happen on. */
  only?: number
}

/** What the simulator answers in rows of kept texts. */
export const ANSWER =
  'The harbour tower is forty-two metres high. It was built of granite, and nobody has climbed it since; the stairs are closed.'

/** Plays a row on turn n: the text, its notice, the stored answer for a repeat, and the next turn. */
export async function playKept(
  t: Test,
  rig: ChatRig,
  row: KeptTurn,
  turn: number,
  manner: Manner = 'plain'
): Promise<Told> {
  const { sim } = rig
  const identity = await rig.conversationAt(t, turn)
  sim.set('turn', { answer: ANSWER, search: 'never', suggestions: 0, ...row.turn })
  const body = { prompt: 'How high is the tower?', invocationId: turn }
  const answer = await rig.ask(identity, body, manner)
  t.equal(answer.status, 200, answer.text)
  const { message, turns, ...rest } = answer.json
  t.strictSame(rest, {
    conversationId: identity.conversationId,
    invocationId: turn + 1,
    ...(row.notice === undefined ? {} : { truncated: true, notice: row.notice })
  })
  if (row.isPart)
    t.ok(ANSWER.startsWith(message) && message !== '' && message !== ANSWER, `a part: ${message}`)
  else t.equal(message, ANSWER)
  if (manner === 'stream') t.strictSame([answer.event, answer.shown], ['done', message], 'as it was shown')
  t.match(turns, { used: turn + 1, max: Number })
  t.strictSame(rig.asked(), { ...NOBODY, upgrades: 1, questions: 1 }, 'asked once')
  await rig.idle()

  rig.recover()
  await rig.replayed(t, identity, body, answer)
  const next = { prompt: 'My name is Zinc-Heron.', invocationId: turn + 1 }
  if (row.ended === undefined) {
    t.equal((await rig.ask(identity, next)).status, 200, 'the conversation goes on')
    t.equal(rig.asked().questions, 2)
  } else {
    checkFailure(t, 'the next turn', await rig.ask(identity, next), row.ended)
    t.equal(rig.asked().questions, 1, 'a conversation that ended asks nobody')
    await rig.replayed(t, identity, body, answer)
    await rig.answered(t, await rig.conversation(), 0)
  }
  t.strictSame(sim.violations, [])
  return answer
}
