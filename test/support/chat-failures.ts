import type { Test } from 'tap'
import type { PartialBehaviours, Simulator } from '../../src/simulator/index.ts'
import { checkAnswer, type Want } from './failure-table.ts'
import { type Answer, type Gateway, type GatewayOptions, startGateway } from './gateway.ts'

/** What the hub and the create call were asked since the last reset. */
export interface Asked {
  creates: number
  upgrades: number
  questions: number
}

export const NOBODY: Asked = { creates: 0, upgrades: 0, questions: 0 }

/** Seconds that pass for the gateway in one real second: waits get short, and a handshake still has half a second. */
export const SPEED = 20

export type Identity = Awaited<ReturnType<Gateway['conversation']>>

/** What is said in each turn; the second answer shows that the first turn is remembered. */
export const PROMPTS = ['My name is Zinc-Heron.', 'What is my name?', 'Who am I?'] as const
const NAME = /Zinc-Heron/

/** The gateway, and turns as the tables need them. */
export interface ChatRig extends Gateway {
  ask(identity: Identity, body: { prompt: string; invocationId?: number }): Promise<Answer>
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
  /** Waits until the hub has seen the last socket close. */
  idle(): Promise<void>
  /** Bing is fine again. */
  recover(): void
}

/** Without sockets opened ahead, so that every upgrade counted is one of the turn; test/upstream/sydney/warm.test.ts has those. */
export async function chatRig(t: Test, options: GatewayOptions = {}): Promise<ChatRig> {
  const config = { CHAT_WARM_SOCKETS: 0, ...options.config }
  const gateway = await startGateway(t, { speed: SPEED, ...options, config })
  const { sim } = gateway
  const rig: ChatRig = {
    ...gateway,
    ask: (identity, body) => gateway.post('/chatgpt', { ...identity, ...body }),
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
    async idle() {
      for (let n = 0; (sim.counts['sydney.sockets'] ?? 0) + (sim.counts['sydney.turns'] ?? 0) > 0; n++) {
        if (n === 1000) throw new Error('a socket stayed open')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    },
    recover() {
      for (const op of ['create', 'upgrade', 'turn'] as const) sim.set(op, {})
    }
  }
  return rig
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
  const shown = answer.text.toLowerCase()
  t.strictSame(
    SYDNEY_WORDS.filter((words) => shown.includes(words)),
    [],
    `${name}: none of the upstream's words`
  )
}

/** Runs a call and checks that the waits of its repeats were kept, in milliseconds of the gateway's clock. */
export async function timed<T>(t: Test, waits: readonly number[], call: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await call()
  const tookMs = (performance.now() - startedAt) * SPEED
  const least = waits.reduce((sum, wait) => sum + wait, 0)
  // A timer may fire within the millisecond before its time.
  t.ok(tookMs >= least - SPEED * (waits.length + 1), `waited at least ${least} ms (took ${tookMs})`)
  return result
}

/** A row of a table of turns that fail. */
export type FailingTurn = {
  row: string
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
} & PartialBehaviours

/** Plays a table, each row on its turns: failing for good, and where it is repeated, passing in time. */
export async function playTable(t: Test, rig: ChatRig, rows: readonly FailingTurn[]): Promise<void> {
  for (const row of rows) {
    for (const turn of row.turns ?? [0, 1]) {
      await t.test(`${row.row}, turn ${turn}`, (t) => playFailure(t, rig, row, turn))
      if (askedOn(row, turn).upgrades > 1) {
        await t.test(`${row.row}, turn ${turn}, passing`, (t) => playPassing(t, rig, row, turn))
      }
    }
  }
}

function askedOn({ asked, later }: FailingTurn, turn: number): Asked {
  return { ...NOBODY, ...(turn > 0 ? (later ?? asked) : asked) }
}

/** Plays a row on turn n of a conversation, and what the caller meets when it asks again. */
export async function playFailure(t: Test, rig: ChatRig, row: FailingTurn, turn: number): Promise<void> {
  const { sim } = rig
  const identity = await rig.conversationAt(t, turn)
  const body = { prompt: row.prompt ?? prompt(turn), invocationId: turn }
  const asked = askedOn(row, turn)

  behave(sim, row)
  const waits = row.later !== undefined && turn > 0 ? [] : (row.waits ?? [])
  const answer = await timed(t, waits, () => rig.ask(identity, body))
  checkFailure(t, row.row, answer, row.want)
  t.strictSame(rig.asked(), asked, 'what the upstream saw')
  await rig.idle()

  rig.recover()
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
}

/** A row that passes before its repeats are used up: the caller sees an answer. */
async function playPassing(t: Test, rig: ChatRig, row: FailingTurn, turn: number): Promise<void> {
  const { sim } = rig
  const asked = askedOn(row, turn)
  const failing = asked.upgrades - 1
  const identity = await rig.conversationAt(t, turn)
  for (let n = 0; n < failing; n++) {
    if (row.upgrade) sim.enqueue('upgrade', row.upgrade)
    if (row.turn) sim.enqueue('turn', row.turn)
  }
  await rig.answered(t, identity, turn)
  t.strictSame(rig.asked(), { ...asked, questions: row.turn ? failing + 1 : 1 })
  await rig.answered(t, identity, turn + 1)
  t.strictSame(sim.violations, [])
}

/** A row of a table of turns that succeed although something is wrong. */
export interface KeptTurn {
  row: string
  turn: NonNullable<PartialBehaviours['turn']>
  notice?: 'answer_truncated' | 'answer_revoked'
  /** Only a part of {@link ANSWER} had come. */
  isPart?: true
  /** The row ends the conversation: what the next turn is told, without asking anybody. */
  ended?: Want
}

/** What the simulator answers in rows of kept texts. */
export const ANSWER =
  'The harbour tower is forty-two metres high. It was built of granite, and nobody has climbed it since; the stairs are closed.'

/** Plays a row on turn n: the text, its notice, the stored answer for a repeat, and the next turn. */
export async function playKept(t: Test, rig: ChatRig, row: KeptTurn, turn: number): Promise<void> {
  const { sim } = rig
  const identity = await rig.conversationAt(t, turn)
  sim.set('turn', { answer: ANSWER, search: 'never', suggestions: 0, ...row.turn })
  const body = { prompt: 'How high is the tower?', invocationId: turn }
  const answer = await rig.ask(identity, body)
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
}
