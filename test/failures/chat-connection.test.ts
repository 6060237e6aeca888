/**
 * docs/protocol/failures.md section 3, rows W1 to W12, on the first and on the second turn of a conversation.
 *
 * Not played here, and why:
 * - W8, the error event of a stream: answers are not streamed in this version. The plain answer is played.
 * - W9, why the hub closes: a context that is really too long, and a hub that hangs up because no ping came. The
 *   simulator closes with 1000 when it is told to; what the gateway makes of it depends on the lengths alone.
 * - Transport rows at the upgrade (T1 to T9): test/upstream/sydney/client.test.ts.
 */
import t from 'tap'
import {
  chatRig,
  checkFailure,
  type FailingTurn,
  NOBODY,
  playFailure,
  playKept,
  playTable
} from '../support/chat-failures.ts'
import { BAD_PAYLOAD, checkPeace, SAID, TIMEOUT, type Want } from '../support/failure-table.ts'
import { USER } from '../support/gateway.ts'

const HUB_REFUSED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'hub_refused',
  retryAfter: 60
}
const CLOSED_AT_ONCE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'hub_closed',
  retryAfter: 30
}
const HUB_CLOSED: Want = { status: 502, type: 'upstream_error', code: 'hub_closed' }
const HANDSHAKE_TIMEOUT: Want = { status: 504, type: 'upstream_timeout_error', code: 'handshake_timeout' }
const TRUNCATED: Want = { status: 502, type: 'upstream_error', code: 'answer_truncated' }
const NO_ANSWER: Want = { status: 502, type: 'upstream_error', code: 'no_answer' }

/** Both questions are sent, on a socket each. */
const TWICE = { upgrades: 2, questions: 2 }
const ONCE = { upgrades: 1, questions: 1 }
const KNOCKED_TWICE = { upgrades: 2 }
const KNOCKED_ONCE = { upgrades: 1 }

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
  {
    row: 'W4 1006',
    upgrade: { handshake: 'terminate' },
    want: CLOSED_AT_ONCE,
    asked: KNOCKED_TWICE,
    waits: [1000]
  },
  {
    row: 'W4 reset during the upgrade',
    upgrade: { reset: true },
    want: CLOSED_AT_ONCE,
    asked: KNOCKED_TWICE,
    waits: [1000]
  },
  {
    row: 'W4 1000',
    upgrade: { handshake: 'close' },
    want: CLOSED_AT_ONCE,
    asked: KNOCKED_TWICE,
    waits: [1000]
  },
  // The waits are those for the handshake: 10 s for each attempt.
  {
    row: 'W5',
    upgrade: { handshake: 'silent' },
    want: HANDSHAKE_TIMEOUT,
    asked: KNOCKED_TWICE,
    waits: [10_000, 10_000]
  },
  {
    row: 'W5, the upgrade is not answered',
    upgrade: { stall: 'before' },
    turns: [0],
    want: HANDSHAKE_TIMEOUT,
    asked: KNOCKED_TWICE,
    waits: [10_000, 10_000]
  },
  {
    row: 'W6',
    upgrade: { handshake: 'error' },
    want: { status: 502, type: 'upstream_error', code: 'handshake_rejected' },
    asked: KNOCKED_ONCE
  },
  {
    row: 'W7 1006 at once',
    turn: { end: 'terminate', endAt: 'start' },
    want: HUB_CLOSED,
    asked: TWICE,
    waits: [1000]
  },
  { row: 'W7 1006', turn: { end: 'terminate' }, want: HUB_CLOSED, asked: TWICE, waits: [1000] },
  { row: 'W7 type 7', turn: { end: 'type-7' }, want: HUB_CLOSED, asked: TWICE, waits: [1000] },
  {
    row: 'W7 close 1001',
    turn: { end: 'close', closeCode: 1001 },
    want: HUB_CLOSED,
    asked: TWICE,
    waits: [1000]
  },
  { row: 'W8 1006', turn: { end: 'terminate', endAt: 'mid-text' }, want: TRUNCATED, asked: ONCE },
  { row: 'W8 type 7', turn: { end: 'type-7', endAt: 'mid-text' }, want: TRUNCATED, asked: ONCE },
  { row: 'W8 close 1000', turn: { end: 'close', endAt: 'mid-text' }, want: TRUNCATED, asked: ONCE },
  {
    row: 'W8 with the whole text',
    turn: { end: 'close', endAt: 'after-text', closeCode: 1001 },
    want: TRUNCATED,
    asked: ONCE
  },
  { row: 'W9', turn: { end: 'close' }, want: HUB_CLOSED, asked: ONCE },
  { row: 'W11', turn: { end: 'completion-only' }, want: NO_ANSWER, asked: ONCE },
  {
    row: 'W11 with an error',
    turn: { end: 'completion-only', completionError: SAID },
    want: NO_ANSWER,
    asked: ONCE
  },
  { row: 'W12', turn: { notJson: 'before-text' }, want: BAD_PAYLOAD, asked: ONCE },
  { row: 'W12 after text', turn: { notJson: 'mid-text' }, want: BAD_PAYLOAD, asked: ONCE }
]

t.test('connection', async (t) => {
  const rig = await chatRig(t)
  await playTable(t, rig, rows)
  checkPeace(t, rig)
})

t.test('W9: a prompt and a context of more than 8000 characters', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig
  const TOO_LONG: Want = {
    status: 400,
    type: 'invalid_request_error',
    code: 'context_too_long',
    stop: true
  }
  const long = { row: 'W9', turn: { end: 'close' }, asked: ONCE } as const
  for (const turn of [0, 1]) {
    await t.test(`a long prompt, turn ${turn}`, (t) =>
      playFailure(t, rig, { ...long, want: TOO_LONG, prompt: 'x'.repeat(8001) }, turn)
    )
  }
  await t.test('8000 characters', (t) =>
    playFailure(t, rig, { ...long, want: HUB_CLOSED, prompt: 'x'.repeat(8000) }, 0)
  )

  await t.test('a context that grew', async (t) => {
    const identity = await rig.conversation()
    sim.reset()
    sim.set('turn', { answer: 'y'.repeat(3000), search: 'never' })
    t.equal((await rig.ask(identity, { prompt: 'x'.repeat(3000), invocationId: 0 })).status, 200)
    sim.set('turn', { end: 'close' })
    const atLimit = await rig.ask(identity, { prompt: 'z'.repeat(2000), invocationId: 1 })
    checkFailure(t, '8000 together', atLimit, HUB_CLOSED)
    const over = await rig.ask(identity, { prompt: 'z'.repeat(2001), invocationId: 1 })
    checkFailure(t, '8001 together', over, TOO_LONG)
    t.equal(rig.asked().questions, 3)
    rig.recover()
    t.equal((await rig.ask(identity, { prompt: 'short', invocationId: 1 })).status, 200)
    t.strictSame(sim.violations, [])
  })
})

t.test('W10: silence, and nothing but pings', async (t) => {
  const speed = 40
  const rig = await chatRig(t, { speed })
  const row = { row: 'W10', want: TIMEOUT, asked: ONCE } as const
  for (const { name, turn, turns, seconds } of [
    {
      name: 'nothing',
      turn: { end: 'silence', endAt: 'start', pingEveryMs: 0 },
      turns: [0],
      seconds: 40
    },
    {
      name: 'pings only',
      turn: { end: 'silence', endAt: 'start', pingEveryMs: 20 },
      turns: [1],
      seconds: 40
    },
    {
      name: 'text, then pings only',
      turn: { end: 'silence', endAt: 'mid-text', pingEveryMs: 20 },
      turns: [1],
      seconds: 60
    }
  ] as const) {
    for (const n of turns) {
      await t.test(`${name}, turn ${n}`, async (t) => {
        const startedAt = performance.now()
        await playFailure(t, rig, { ...row, turn }, n)
        const took = ((performance.now() - startedAt) / 1000) * speed
        t.ok(took > seconds - 1 && took < 110, `ends by its own deadline of ${seconds} s (took ${took})`)
      })
    }
  }
})

t.test('W10: the deadline of the whole call', async (t) => {
  // Less than any deadline inside, so that nothing else ends the call.
  const rig = await chatRig(t, { speed: 10, config: { CHAT_TIMEOUT_MS: 8000 } })
  const { sim } = rig
  const row = { row: 'W10', want: TIMEOUT } as const
  for (const { name, ...behaviour } of [
    { name: 'the upgrade is not answered', upgrade: { stall: 'before' }, asked: KNOCKED_ONCE },
    { name: 'the question is not answered', turn: { end: 'silence', endAt: 'start' }, asked: ONCE },
    { name: 'a text without an end', turn: { charsPerUpdate: 1, updateDelayMs: 100 }, asked: ONCE }
  ] as Omit<FailingTurn, 'row' | 'want'>[] & { name: string }[]) {
    await t.test(name, (t) => playFailure(t, rig, { ...row, ...behaviour }, 1))
  }

  await t.test('create is not answered', async (t) => {
    sim.reset()
    sim.set('create', { stall: 'before' })
    checkFailure(t, 'W10', await rig.post('/create_conversation', { userId: USER }), TIMEOUT)
    t.strictSame(rig.asked(), { ...NOBODY, creates: 1 })
    rig.recover()
    await rig.answered(t, await rig.conversation(), 0)
    t.strictSame(sim.violations, [])
  })
})

t.test('W11 with text: it is the answer', async (t) => {
  const rig = await chatRig(t)
  for (const turn of [0, 1]) {
    await t.test(`without an error, turn ${turn}`, (t) =>
      playKept(t, rig, { row: 'W11', turn: { end: 'completion-only', endAt: 'after-text' } }, turn)
    )
    await t.test(`with an error, turn ${turn}`, (t) =>
      playKept(
        t,
        rig,
        {
          row: 'W11',
          turn: { end: 'completion-only', endAt: 'after-text', completionError: SAID },
          notice: 'answer_truncated'
        },
        turn
      )
    )
  }
})
