/**
 * docs/protocol/failures.md section 3, rows W1 to W12, on the first and on the second turn of a conversation.
 *
 * Not played: W9, why the hub closes: a context that is really too long, and a hub that hangs up because no ping came.
 * The simulator closes with 1000 when it is told to; what the gateway makes of it depends on the lengths alone.
 */
import { type ChatRig, chatRig, type FailingTurn, type KeptTurn, playFailure } from '../chat-failures.ts'
import { BAD_PAYLOAD, checkPeace, SAID, TIMEOUT, type Want } from '../failure-table.ts'
import { type Group, group, outcomeOf, type PlayedOn } from './cell.ts'
import { columnOf, keptCells, MANNERS, turnCells } from './chat-cells.ts'
import { HUB_REFUSED, KNOCKED_ONCE, KNOCKED_TWICE, NO_ANSWER, ONCE, TWICE } from './wants.ts'

const CLOSED_AT_ONCE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'hub_closed',
  retryAfter: 30
}
export const HUB_CLOSED: Want = { status: 502, type: 'upstream_error', code: 'hub_closed' }
export const CONTEXT_TOO_LONG: Want = {
  status: 400,
  type: 'invalid_request_error',
  code: 'context_too_long',
  stop: true
}
const HANDSHAKE_TIMEOUT: Want = { status: 504, type: 'upstream_timeout_error', code: 'handshake_timeout' }
const TRUNCATED: Want = { status: 502, type: 'upstream_error', code: 'answer_truncated' }
/** Those for the handshake: 10 s for each attempt. */
const HANDSHAKES = [10_000, 10_000]

const rows: FailingTurn[] = [
  {
    row: 'W1',
    upgrade: { status: 200, body: SAID },
    want: HUB_REFUSED,
    asked: { creates: 1, upgrades: 2 },
    later: KNOCKED_ONCE
  },
  {
    row: 'W2',
    upgrade: { status: 401, body: SAID },
    want: HUB_REFUSED,
    asked: { creates: 1, upgrades: 2 },
    later: KNOCKED_ONCE
  },
  {
    row: 'W3',
    upgrade: { status: 403, body: SAID },
    want: { status: 503, type: 'upstream_unavailable_error', code: 'ip_blocked', retryAfter: 1800 },
    asked: KNOCKED_ONCE
  },
  ...(
    [
      ['1006', { handshake: 'terminate' }],
      ['reset during the upgrade', { reset: true }],
      ['1000', { handshake: 'close' }]
    ] as const
  ).map(
    ([form, upgrade]): FailingTurn => ({
      row: 'W4',
      form,
      upgrade,
      want: CLOSED_AT_ONCE,
      asked: KNOCKED_TWICE,
      waits: [1000]
    })
  ),
  {
    row: 'W5',
    upgrade: { handshake: 'silent' },
    want: HANDSHAKE_TIMEOUT,
    asked: KNOCKED_TWICE,
    waits: HANDSHAKES,
    begun: 'silence'
  },
  {
    row: 'W5',
    form: 'the upgrade is not answered',
    upgrade: { stall: 'before' },
    turns: [0],
    want: HANDSHAKE_TIMEOUT,
    asked: KNOCKED_TWICE,
    waits: HANDSHAKES,
    begun: 'silence'
  },
  {
    row: 'W6',
    upgrade: { handshake: 'error' },
    want: { status: 502, type: 'upstream_error', code: 'handshake_rejected' },
    asked: KNOCKED_ONCE
  },
  ...(
    [
      ['1006 at once', { end: 'terminate', endAt: 'start' }],
      ['1006', { end: 'terminate' }],
      ['type 7', { end: 'type-7' }],
      ['close 1001', { end: 'close', closeCode: 1001 }]
    ] as const
  ).map(
    ([form, turn]): FailingTurn => ({ row: 'W7', form, turn, want: HUB_CLOSED, asked: TWICE, waits: [1000] })
  ),
  ...(
    [
      ['1006', { end: 'terminate', endAt: 'mid-text' }],
      ['type 7', { end: 'type-7', endAt: 'mid-text' }],
      ['close 1000', { end: 'close', endAt: 'mid-text' }],
      ['with the whole text', { end: 'close', endAt: 'after-text', closeCode: 1001 }]
    ] as const
  ).map(
    ([form, turn]): FailingTurn => ({ row: 'W8', form, turn, want: TRUNCATED, asked: ONCE, begun: 'text' })
  ),
  { row: 'W9', form: 'short', turn: { end: 'close' }, want: HUB_CLOSED, asked: ONCE },
  {
    row: 'W9',
    form: '8000 characters',
    turn: { end: 'close' },
    prompt: 'x'.repeat(8000),
    turns: [0],
    want: HUB_CLOSED,
    asked: ONCE
  },
  {
    row: 'W9',
    form: 'more than 8000 characters',
    turn: { end: 'close' },
    prompt: 'x'.repeat(8001),
    want: CONTEXT_TOO_LONG,
    asked: ONCE
  },
  { row: 'W11', form: 'no text', turn: { end: 'completion-only' }, want: NO_ANSWER, asked: ONCE },
  {
    row: 'W11',
    form: 'no text, with an error',
    turn: { end: 'completion-only', completionError: SAID },
    want: NO_ANSWER,
    asked: ONCE
  },
  { row: 'W12', form: 'before text', turn: { notJson: 'before-text' }, want: BAD_PAYLOAD, asked: ONCE },
  {
    row: 'W12',
    form: 'after text',
    turn: { notJson: 'mid-text' },
    want: BAD_PAYLOAD,
    asked: ONCE,
    begun: 'text'
  }
]

const kept: KeptTurn[] = [
  { row: 'W11', form: 'with text', turn: { end: 'completion-only', endAt: 'after-text' } },
  {
    row: 'W11',
    form: 'with text and an error',
    turn: { end: 'completion-only', endAt: 'after-text', completionError: SAID },
    notice: 'answer_truncated'
  }
]

/** What ends a turn in which nothing comes: a deadline of its own, in seconds. */
const silences = (
  [
    ['nothing', { end: 'silence', endAt: 'start', pingEveryMs: 0 }, 0, 40],
    ['pings only', { end: 'silence', endAt: 'start', pingEveryMs: 20 }, 1, 40],
    ['text, then pings only', { end: 'silence', endAt: 'mid-text', pingEveryMs: 20 }, 1, 60]
  ] as const
).flatMap(([form, behaviour, turn, seconds]) =>
  MANNERS.map(
    (manner): PlayedOn<ChatRig> => ({
      row: 'W10',
      form,
      column: columnOf(manner),
      async play(t, rig) {
        const row: FailingTurn = {
          row: 'W10',
          turn: behaviour,
          want: TIMEOUT,
          asked: ONCE,
          waits: [seconds * 1000 - rig.speed],
          begun: form.startsWith('text') ? 'text' : 'silence'
        }
        return outcomeOf(await playFailure(t, rig, row, turn, manner), 1)
      }
    })
  )
)

/** Less than any deadline inside, so that nothing else ends the call. */
const DEADLINE_MS = 8000

const late: FailingTurn[] = [
  {
    row: 'W10',
    form: 'the upgrade is not answered until the deadline of the call',
    upgrade: { stall: 'before' },
    want: TIMEOUT,
    asked: KNOCKED_ONCE,
    turns: [1]
  },
  {
    row: 'W10',
    form: 'the question is not answered until the deadline of the call',
    turn: { end: 'silence', endAt: 'start' },
    want: TIMEOUT,
    asked: ONCE,
    turns: [1]
  },
  {
    row: 'W10',
    form: 'a text without an end',
    turn: { charsPerUpdate: 1, updateDelayMs: 100 },
    want: TIMEOUT,
    asked: ONCE,
    turns: [1],
    begun: 'text'
  }
]

const OPTIONS = { renew: (rig: ChatRig) => rig.newCookie(), end: checkPeace }

export const connectionGroups: readonly Group[] = [
  group('connection', chatRig, turnCells(rows), OPTIONS),
  group(
    'connection: silence, and nothing but pings',
    // So long that it is not the deadline of the whole call that ends them.
    (t) => chatRig(t, { speed: 40, config: { CHAT_TIMEOUT_MS: 3_000_000 } }),
    silences,
    OPTIONS
  ),
  group(
    'connection: the deadline of the whole call',
    // Two seconds of real time, within which the good turns must be answered on a slow machine.
    (t) => chatRig(t, { speed: 4, config: { CHAT_TIMEOUT_MS: DEADLINE_MS } }),
    turnCells(late),
    OPTIONS
  ),
  group('connection: a completion without a final record', chatRig, keptCells(kept), OPTIONS)
]
