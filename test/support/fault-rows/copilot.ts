/**
 * docs/protocol/failures.md section 6, rows P1 to P19, and the rows of section 1 where Copilot's client decides them.
 *
 * Not played: P8, which the page doesn't have.
 */
import type { Test } from 'tap'
import type { PartialBehaviours } from '../../../src/simulator/index.ts'
import { type Asked, type Identity, type Manner, NOBODY, SPEED, type Told, told } from '../chat-failures.ts'
import {
  BAD_PAYLOAD,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkAnswer,
  isForAPerson,
  REGION,
  SAID_PAGE,
  SERVER_ERROR,
  TIMEOUT,
  TROUBLE,
  type Want
} from '../failure-table.ts'
import { type Answer, COPILOT_COOKIE, COPILOT_TOKEN, type Gateway, startGateway, USER } from '../gateway.ts'
import { type Group, group, outcomeOf, type PlayedOn } from './cell.ts'
import { MANNERS } from './chat-cells.ts'
import { HTML, LOGINS } from './faults.ts'

const SESSION_EXPIRED: Want = { status: 401, type: 'auth_error', code: 'session_expired', stop: true }
const TOKEN_INVALID: Want = { status: 401, type: 'auth_error', code: 'token_invalid', stop: true }
const BLOCKED: Want = { status: 403, type: 'permission_error', code: 'account_blocked', stop: true }
const BANNED: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'account_blocked',
  retryAfter: [1, 36_000],
  stop: true
}
const QUOTA: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'quota_exhausted',
  retryAfter: 3600,
  stop: true
}
const CLIENT_REFUSED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'client_refused',
  retryAfter: 3600
}
const OVERLOADED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'upstream_5xx',
  retryAfter: 60
}
const throttled = (retryAfter: Want['retryAfter']): Want => ({
  status: 429,
  type: 'rate_limit_error',
  code: 'throttled',
  retryAfter
})
const PROTOCOL: Want = { status: 502, type: 'upstream_error', code: 'protocol_error' }
const TOO_LONG: Want = {
  status: 400,
  type: 'invalid_request_error',
  code: 'prompt_too_long',
  param: 'prompt',
  stop: true
}
const CLOSED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'hub_closed',
  retryAfter: 30
}
const TRUNCATED: Want = { status: 502, type: 'upstream_error', code: 'answer_truncated' }
const NO_ANSWER: Want = { status: 502, type: 'upstream_error', code: 'no_answer' }
const UNEXPECTED_PAGE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'unexpected_page',
  retryAfter: 300
}

/** Milliseconds from now to the last day that JavaScript knows: in the year 275760. */
const END_OF_TIME = 8_640_000_000_000_000 - Date.now() - 86_400_000
const DAY = 86_400
/** What is no answer of HTTP, to a call or an upgrade. */
const NO_HTTP = [
  ['garbage', 'garbage\r\n\r\n'],
  ['head without end', `HTTP/1.1 200 OK\r\nx-filler: ${'x'.repeat(100_000)}\r\n\r\n`]
] as const
/** Where a sign-in page lies, in short. */
const pageOf = (url: string) => url.replace(/^https:\/\/|[/?].*$/g, '') || 'signin path'

/** Words of Bing's protocols that no answer about Copilot has, and the canaries. */
const FOREIGN = [/bing\b/i, /_U\b/, new RegExp(COPILOT_COOKIE), new RegExp(COPILOT_TOKEN)]

interface CopilotRig extends Gateway {
  ask(identity: Identity, body: { prompt: string; invocationId?: number }, manner?: Manner): Promise<Told>
  start(): Promise<Answer>
  asked(): Asked
  idle(): Promise<void>
  /** Copilot is fine again, and who waited for a person is told so. */
  recover(): void
}

/** @param speed seconds that pass for the gateway in a real one */
async function copilotRig(t: Test, speed = SPEED): Promise<CopilotRig> {
  const gateway = await startGateway(t, {
    chatUpstream: 'copilot',
    speed,
    config: { CHAT_TIMEOUT_MS: 3_000_000 }
  })
  const { sim, app } = gateway
  return {
    ...gateway,
    async ask(identity, body, manner = 'plain') {
      if (manner === 'plain') return gateway.post('/chatgpt', { ...identity, ...body })
      return told(await gateway.post('/chatgpt', { ...identity, ...body, stream: true }))
    },
    start: () => gateway.post('/create_conversation', { userId: USER }),
    asked: () => ({
      creates: sim.counts['copilot.start'] ?? 0,
      upgrades: sim.counts['copilot.upgrade'] ?? 0,
      questions: sim.counts['copilot.questions'] ?? 0
    }),
    async idle() {
      for (let n = 0; (sim.counts['copilot.sockets'] ?? 0) + (sim.counts['copilot.turns'] ?? 0) > 0; n++) {
        if (n === 5000) throw new Error('a socket stayed open')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    },
    recover() {
      for (const op of ['copilot.start', 'copilot.upgrade', 'copilot.turn'] as const) sim.set(op, {})
      app.upstream.reload()
    }
  }
}

interface FailingStart {
  row: string
  form?: string
  start: NonNullable<PartialBehaviours['copilot.start']>
  want: Want
  /** Calls, repeats included. */
  creates: number
}

const starts: FailingStart[] = [
  { row: 'P1', start: { refusal: 'unauthorized' }, want: SESSION_EXPIRED, creates: 1 },
  { row: 'P2', start: { refusal: 'cloudflare' }, want: CHALLENGE, creates: 1 },
  { row: 'P2', form: 'without a page', start: { status: 403, body: '{}' }, want: CHALLENGE, creates: 1 },
  { row: 'P3', start: { isBlocked: true }, want: BLOCKED, creates: 1 },
  { row: 'P3', form: 'until a date', start: { banExpiresInMs: 36_000_000 }, want: BANNED, creates: 1 },
  {
    row: 'P3',
    form: 'blocked until a date',
    start: { isBlocked: true, banExpiresInMs: 36_000_000 },
    want: BANNED,
    creates: 1
  },
  {
    row: 'P3',
    form: 'until the end of time',
    start: { banExpiresInMs: END_OF_TIME },
    want: { ...BANNED, retryAfter: 30 * DAY },
    creates: 1
  },
  {
    row: 'P3',
    form: 'blocked, the date is over',
    start: { isBlocked: true, banExpiresInMs: -1000 },
    want: BLOCKED,
    creates: 1
  },
  { row: 'P4', start: { id: 'none' }, want: BAD_PAYLOAD, creates: 2 },
  { row: 'P5', start: { remainingTurns: 0 }, want: QUOTA, creates: 2 },
  { row: 'P7', form: 'at the start', start: { refusal: 'client-refused' }, want: CLIENT_REFUSED, creates: 1 },
  { row: 'P19', form: 'at the start', start: { refusal: 'overloaded' }, want: OVERLOADED, creates: 3 },
  {
    row: 'T1',
    form: 'reset',
    start: { reset: true },
    want: { status: 503, type: 'upstream_unavailable_error', code: 'unreachable', retryAfter: 30 },
    creates: 3
  },
  { row: 'T5', start: { redirect: 'https://cn.bing.com/' }, want: REGION, creates: 1 },
  { row: 'T5', form: 'loop', start: { redirect: '/c/api/start' }, want: REGION, creates: 1 },
  ...LOGINS.map(
    (redirect): FailingStart => ({
      row: 'T6',
      form: pageOf(redirect),
      start: { redirect },
      want: COOKIE_EXPIRED,
      creates: 1
    })
  ),
  { row: 'T8', start: { refusal: 'too-many' }, want: throttled(7), creates: 1 },
  { row: 'T9', form: '503', start: { status: 503, body: SAID_PAGE }, want: TROUBLE, creates: 3 },
  { row: 'T9', form: '500', start: { status: 500, body: SAID_PAGE }, want: SERVER_ERROR, creates: 3 },
  { row: 'T10', start: { oddBody: 'html' }, want: UNEXPECTED_PAGE, creates: 2 },
  ...['https://stranger.example/', '/elsewhere'].map(
    (redirect): FailingStart => ({
      row: 'T10',
      form: `sent to ${redirect}`,
      start: { redirect },
      want: UNEXPECTED_PAGE,
      creates: 2
    })
  ),
  ...NO_HTTP.map(
    ([form, raw]): FailingStart => ({ row: 'T11', form, start: { raw }, want: BAD_PAYLOAD, creates: 1 })
  ),
  { row: 'T11', form: 'sent nowhere', start: { status: 302 }, want: BAD_PAYLOAD, creates: 1 },
  ...(['empty', 'not-json', 'array'] as const).map(
    (oddBody): FailingStart => ({
      row: 'T11',
      form: oddBody,
      start: { oddBody },
      want: BAD_PAYLOAD,
      creates: 1
    })
  )
]

interface FailingCopilotTurn {
  row: string
  form?: string
  upgrade?: NonNullable<PartialBehaviours['copilot.upgrade']>
  turn?: NonNullable<PartialBehaviours['copilot.turn']>
  want: Want
  upgrades: number
  questions: number
  /** A stream has begun when it fails: with text, or with a comment that fills the silence. */
  late?: 'text' | 'silence'
  /** The turns it is played on; when it does not say, the first one plain and the second one streamed. */
  on?: readonly number[]
}

const at = (upgrades: number, questions = 0) => ({ upgrades, questions })

const challenges: FailingCopilotTurn[] = [
  ...(['hashcash', 'copilot', 'cloudflare', 'clarity', 'null'] as const).flatMap((challenge) =>
    (['before', 'instead', 'during'] as const).map((challengeAt, n): FailingCopilotTurn => {
      const challengeThen = (['invalid-event', 'close', 'silence'] as const)[n] ?? 'answer'
      return {
        row: 'P9',
        form: `${challenge} ${challengeAt}, then ${challengeThen}`,
        turn: { challenge, challengeAt, challengeThen },
        want: CHALLENGE,
        ...at(1, 1),
        on: [n % 2],
        ...(challengeAt === 'during' ? { late: 'text' } : {})
      }
    })
  ),
  ...(['invalid-event', 'silence', 'close', 'terminate', 'answer'] as const).map(
    (challengeThen): FailingCopilotTurn => ({
      row: 'P9',
      form: `before the answer, then ${challengeThen}`,
      turn: { challenge: 'hashcash', challengeAt: 'before', challengeThen },
      want: CHALLENGE,
      ...at(1, 1),
      on: [0]
    })
  )
]

const turns: FailingCopilotTurn[] = [
  { row: 'P2', form: 'at the upgrade', upgrade: { refusal: 'cloudflare' }, want: CHALLENGE, ...at(1) },
  { row: 'P6', upgrade: { refusal: 'unauthorized' }, want: TOKEN_INVALID, ...at(1) },
  { row: 'P7', upgrade: { refusal: 'client-refused' }, want: CLIENT_REFUSED, ...at(1) },
  { row: 'T8', form: 'at the upgrade', upgrade: { refusal: 'too-many' }, want: throttled(7), ...at(1) },
  { row: 'P19', upgrade: { refusal: 'overloaded' }, want: OVERLOADED, ...at(3) },
  ...['https://cn.bing.com/', '/c/api/chat'].map(
    (redirect): FailingCopilotTurn => ({
      row: 'T5',
      form: `upgrade sent to ${redirect}`,
      upgrade: { redirect },
      want: REGION,
      ...at(1)
    })
  ),
  ...LOGINS.map(
    (redirect): FailingCopilotTurn => ({
      row: 'T6',
      form: `upgrade sent to ${pageOf(redirect)}`,
      upgrade: { redirect },
      want: COOKIE_EXPIRED,
      ...at(1)
    })
  ),
  {
    row: 'T10',
    form: 'page at the upgrade',
    upgrade: { status: 200, body: SAID_PAGE, headers: HTML },
    want: UNEXPECTED_PAGE,
    ...at(2)
  },
  {
    row: 'T10',
    form: 'upgrade sent to a stranger',
    upgrade: { redirect: 'https://stranger.example/' },
    want: UNEXPECTED_PAGE,
    ...at(2)
  },
  ...NO_HTTP.map(
    ([form, raw]): FailingCopilotTurn => ({
      row: 'T11',
      form: `${form} at the upgrade`,
      upgrade: { raw },
      want: BAD_PAYLOAD,
      ...at(1)
    })
  ),
  { row: 'T9', form: '503 at the upgrade', upgrade: { status: 503 }, want: TROUBLE, ...at(3) },
  {
    row: 'P10',
    form: 'asked before connected',
    upgrade: { connected: 'never' },
    turn: { failure: 'invalid-event', endAt: 'start' },
    want: PROTOCOL,
    ...at(2, 2)
  },
  { row: 'P11', turn: { failure: 'chat-service-unavailable' }, want: REGION, ...at(1, 1) },
  { row: 'P12', turn: { failure: 'text-too-long' }, want: TOO_LONG, ...at(1, 1) },
  {
    row: 'P13',
    turn: { failure: 'throttled', nextAvailableInMs: 3_600_000 },
    want: throttled([1, 3600]),
    ...at(1, 1)
  },
  {
    row: 'P13',
    form: 'a date that is over',
    turn: { failure: 'throttled', nextAvailableInMs: -60_000 },
    want: throttled(1),
    ...at(1, 1)
  },
  {
    row: 'P13',
    form: 'until the end of time',
    turn: { failure: 'throttled', nextAvailableInMs: END_OF_TIME },
    want: throttled(DAY),
    ...at(1, 1)
  },
  ...(['absent', 'garbage'] as const).map(
    (nextAvailable): FailingCopilotTurn => ({
      row: 'P13',
      form: `date ${nextAvailable}`,
      turn: { failure: 'throttled', nextAvailable },
      want: throttled(60),
      ...at(1, 1)
    })
  ),
  {
    row: 'P14',
    turn: { errorCode: 'weather-of-the-day' },
    want: { status: 502, type: 'upstream_error', code: 'weather-of-the-day' },
    ...at(1, 1)
  },
  {
    row: 'P14',
    form: 'a code that is prose',
    turn: { errorCode: 'The upstream says zebra-canary.' },
    want: { status: 502, type: 'upstream_error', code: 'upstream_rejected' },
    ...at(1, 1)
  },
  {
    row: 'P14',
    form: 'after text',
    turn: { errorCode: 'odd', endAt: 'mid-text' },
    want: { status: 502, type: 'upstream_error', code: 'odd' },
    ...at(1, 1),
    late: 'text'
  },
  ...(['close', 'terminate'] as const).map(
    (end): FailingCopilotTurn => ({
      row: 'P15',
      form: end,
      turn: { end, endAt: 'start' },
      want: CLOSED,
      ...at(2, 2)
    })
  ),
  {
    row: 'P15',
    form: 'after received',
    turn: { end: 'close', endAt: 'before-text' },
    want: CLOSED,
    ...at(1, 1)
  },
  { row: 'P15', form: 'reset at the upgrade', upgrade: { reset: true }, want: CLOSED, ...at(2) },
  ...(['close', 'terminate'] as const).map(
    (end): FailingCopilotTurn => ({
      row: 'P16',
      form: end,
      turn: { end, endAt: 'mid-text' },
      want: TRUNCATED,
      ...at(1, 1),
      late: 'text'
    })
  ),
  {
    row: 'P16',
    form: 'text behind a preview',
    turn: { image: 'always', imageFinal: false, secondPart: true, end: 'close', endAt: 'after-text' },
    want: TRUNCATED,
    ...at(1, 1),
    late: 'text'
  },
  { row: 'P18', turn: { end: 'silence' }, want: TIMEOUT, ...at(1, 1), late: 'silence', on: [1] },
  {
    row: 'P18',
    form: 'with pongs',
    turn: { end: 'silence', noiseEveryMs: 100 },
    want: TIMEOUT,
    ...at(1, 1),
    late: 'silence',
    on: [0]
  },
  {
    row: 'P18',
    form: 'after text',
    turn: { end: 'silence', endAt: 'mid-text' },
    want: TIMEOUT,
    ...at(1, 1),
    on: [0],
    late: 'text'
  },
  { row: 'P18', form: 'silent upgrade', upgrade: { stall: 'before' }, want: TIMEOUT, ...at(1) },
  { row: 'T11', form: 'no event', turn: { notJson: 'before-text' }, want: BAD_PAYLOAD, ...at(1, 1) },
  {
    row: 'T11',
    form: 'no event, after text',
    turn: { notJson: 'mid-text' },
    want: BAD_PAYLOAD,
    ...at(1, 1),
    late: 'text'
  },
  { row: 'done without an answer', turn: { answer: '' }, want: NO_ANSWER, ...at(1, 1) }
]

function check(t: Test, name: string, answer: Told, want: Want, late?: 'text' | 'silence'): void {
  if (late !== undefined && answer.event !== undefined) {
    const { error } = answer.json
    t.strictSame(
      [answer.status, answer.event, error.type, error.code],
      [200, 'error', want.type, want.code],
      name
    )
    t.equal(answer.shown !== '', late === 'text', 'text was shown, or none')
  } else checkAnswer(t, name, answer, want)
  const message = String(answer.json.error?.message)
  for (const foreign of FOREIGN) t.notMatch(message, foreign, `${name}: speaks of Copilot`)
}

/** In real time: on a busy machine a fast clock may ask before `connected`, and then the row is repeated. */
const inOrder: FailingCopilotTurn[] = [
  { row: 'P10', turn: { failure: 'invalid-event' }, want: PROTOCOL, ...at(1, 1), on: [0, 1] }
]

/** Where a person must act: nobody else is asked, and everybody is told the same. */
async function refused(t: Test, rig: CopilotRig, row: string, want: Want, ask: () => Promise<Told>) {
  if (!isForAPerson(want, row)) return
  const before = rig.asked()
  check(t, `${row}, from now on`, await ask(), want)
  t.strictSame(rig.asked(), before, 'and nobody is asked')
}

async function answered(t: Test, rig: CopilotRig, identity: Identity, invocationId: number): Promise<void> {
  const answer = await rig.ask(identity, { prompt: 'Still there?', invocationId })
  t.equal(answer.status, 200, `the next good call is answered: ${answer.text}`)
}

/** Rows that Bing's chat meets as well say whose chat it is. */
function formOf(row: string, ...parts: (string | undefined)[]): string | undefined {
  const form = parts.filter((part) => part !== undefined).join(', ')
  if (row.startsWith('T')) return `Copilot: ${form === '' ? 'start' : form}`
  return form === '' ? undefined : form
}

function startCells(rows: readonly FailingStart[]): PlayedOn<CopilotRig>[] {
  return rows.flatMap(({ row, form, start, want, creates }) => {
    const play = async (t: Test, rig: CopilotRig) => {
      rig.recover()
      rig.sim.reset()
      rig.sim.set('copilot.start', start)
      const answer = await rig.start()
      check(t, row, answer, want)
      t.strictSame(rig.asked(), { ...NOBODY, creates }, 'what Copilot saw')
      await refused(t, rig, row, want, () => rig.start())
      t.equal((await rig.get('/health')).status, 200)
      rig.recover()
      await answered(t, rig, await rig.conversation(), 0)
      t.strictSame(rig.sim.violations, [])
      return outcomeOf(answer, creates)
    }
    const passing = async (t: Test, rig: CopilotRig) => {
      rig.recover()
      rig.sim.reset()
      rig.sim.enqueue('copilot.start', ...Array.from({ length: creates - 1 }, () => start))
      const answer = await rig.start()
      t.equal(answer.status, 200, answer.text)
      t.strictSame(rig.asked(), { ...NOBODY, creates })
      return outcomeOf(answer, creates)
    }
    const cell = { row, form: formOf(row, form), column: 'chat plain' as const, play }
    const passes = { ...cell, form: formOf(row, form, 'passing'), play: passing }
    return creates > 1 ? [cell, passes] : [cell]
  })
}

/** A first turn that is in doubt, because the one before it broke off: it goes to a conversation of its own, which can't be started. */
function freshStartCells(rows: readonly FailingStart[]): PlayedOn<CopilotRig>[] {
  return rows.map(({ row, form, start, want, creates }) => ({
    row,
    form: formOf(row, form, 'for a first turn in doubt'),
    column: 'chat stream',
    async play(t, rig) {
      rig.recover()
      const identity = await rig.conversation()
      rig.sim.set('copilot.turn', { end: 'close', endAt: 'mid-text' })
      const body = { prompt: 'Tell me a story', invocationId: 0 }
      check(t, 'broken off', await rig.ask(identity, body), TRUNCATED)
      await rig.idle()
      rig.sim.reset()
      rig.sim.set('copilot.start', start)
      const answer = await rig.ask(identity, body, 'stream')
      check(t, row, answer, want)
      t.strictSame(rig.asked(), { ...NOBODY, creates }, 'what Copilot saw')
      rig.recover()
      await answered(t, rig, identity, 0)
      t.strictSame(rig.sim.violations, [])
      return outcomeOf(answer, creates)
    }
  }))
}

function turnCells(rows: readonly FailingCopilotTurn[]): PlayedOn<CopilotRig>[] {
  return rows.flatMap((row) =>
    MANNERS.flatMap((manner, n) => (row.on ?? [n]).map((turn) => turnCell(row, manner, turn)))
  )
}

function turnCell(
  { row, form, upgrade, turn: behaviour, want, upgrades, questions, late }: FailingCopilotTurn,
  manner: Manner,
  turn: number
): PlayedOn<CopilotRig> {
  return {
    row,
    form: formOf(row, form, `turn ${turn}`),
    column: `chat ${manner}`,
    async play(t, rig) {
      const { sim } = rig
      rig.recover()
      const identity = await rig.conversation()
      if (turn > 0) await answered(t, rig, identity, 0)
      await rig.idle()
      sim.reset()
      if (upgrade) sim.set('copilot.upgrade', upgrade)
      if (behaviour) sim.set('copilot.turn', behaviour)
      const answer = await rig.ask(identity, { prompt: 'Tell me a story', invocationId: turn }, manner)
      check(t, row, answer, want, late)
      t.strictSame(rig.asked(), { creates: 0, upgrades, questions }, 'what Copilot saw')
      await rig.idle()
      const again = { prompt: 'And now?', invocationId: turn }
      await refused(t, rig, row, want, () => rig.ask(identity, again, manner))
      rig.recover()
      await answered(t, rig, identity, turn)
      t.strictSame(sim.violations, [])
      return outcomeOf(answer, upgrades)
    }
  }
}

/** Row P17: the previews are there, and the final picture never comes. */
function previewCells(): PlayedOn<CopilotRig>[] {
  const ends = [
    { form: 'done', turn: {}, truncated: undefined, hasText: false },
    { form: 'closed', turn: { end: 'close', endAt: 'after-text' }, truncated: true, hasText: false },
    { form: 'silence', turn: { end: 'silence', endAt: 'after-text' }, truncated: true, hasText: false },
    {
      form: 'closed, with text before it',
      turn: { end: 'close', endAt: 'after-text', imageText: true },
      truncated: true,
      hasText: true
    }
  ] as const
  return ends.flatMap(({ form, turn, truncated, hasText }) =>
    MANNERS.map((manner) => ({
      row: 'P17',
      form,
      column: `chat ${manner}` as const,
      async play(t: Test, rig: CopilotRig) {
        rig.recover()
        const identity = await rig.conversation()
        rig.sim.reset()
        rig.sim.set('copilot.turn', { imageFinal: false, imageText: false, ...turn })
        const answer = await rig.ask(identity, { prompt: 'Draw a lighthouse', invocationId: 0 }, manner)
        t.equal(answer.status, 200, answer.text)
        const { attachments, message, truncated: told } = answer.json
        t.equal(told, truncated)
        t.equal(attachments.length, 1)
        t.match(attachments[0], { type: 'image', preview: true, contentType: 'image/jpeg', width: Number })
        if (hasText) t.match(message, /^Here is a picture/)
        else
          t.equal(message, `![Draw a lighthouse](${attachments[0].url})`, 'for who shows the message alone')
        if (manner === 'stream') t.equal(answer.shown, message)
        const picture = await rig.get(
          new URL(attachments[0].url).pathname + new URL(attachments[0].url).search
        )
        t.strictSame([picture.status, picture.headers['content-type']], [200, 'image/jpeg'])
        t.strictSame(rig.asked(), { creates: 0, upgrades: 1, questions: 1 })
        await rig.idle()
        return outcomeOf(answer, 1)
      }
    }))
  )
}

export const copilotGroups: Group[] = [
  group('Copilot: start', (t) => copilotRig(t), [...startCells(starts), ...freshStartCells(starts)], {
    renew: (rig) => rig.recover()
  }),
  group('Copilot: challenges', (t) => copilotRig(t), turnCells(challenges), {
    renew: (rig) => rig.recover()
  }),
  group('Copilot: in order', (t) => copilotRig(t, 1), turnCells(inOrder), {
    renew: (rig) => rig.recover()
  }),
  group('Copilot: turns', (t) => copilotRig(t), [...turnCells(turns), ...previewCells()], {
    renew: (rig) => rig.recover(),
    end(t, { log }) {
      for (const canary of [COPILOT_COOKIE, COPILOT_TOKEN])
        t.notOk(log().includes(canary), 'no secret was logged')
    }
  })
]
