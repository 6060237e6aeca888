/**
 * docs/protocol/failures.md section 2, rows C1 to C10, and the rows of section 4 that a create call can answer: by
 * `POST /create_conversation`, and by a first turn whose hub refused the conversation that it had (row W1), so that a
 * fresh one is needed.
 *
 * Every row is played. What can't be told apart on the wire is played once: C6 and C7 as an IP block or as a hiccup,
 * C3 as a stale cookie or as a network that is not liked.
 */
import t from 'tap'
import type { PartialBehaviours } from '../../src/simulator/index.ts'
import {
  behave,
  type ChatRig,
  chatRig,
  checkFailure,
  NOBODY,
  prompt,
  timed
} from '../support/chat-failures.ts'
import {
  BAD_PAYLOAD,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkPeace,
  SAID,
  type Want
} from '../support/failure-table.ts'
import { COOKIE, USER } from '../support/gateway.ts'

interface Row {
  row: string
  create: NonNullable<PartialBehaviours['create']>
  want: Want
  /** The least waits before each repeat, in milliseconds. */
  waits: readonly number[]
}

const REJECTED: Want = { status: 502, type: 'upstream_error', code: 'upstream_rejected' }
const COOKIE_MISSING: Want = { status: 401, type: 'auth_error', code: 'cookie_missing', stop: true }

const rows: Row[] = [
  { row: 'C2', create: { failure: 'unauthorized' }, want: COOKIE_EXPIRED, waits: [2000] },
  { row: 'C3', create: { failure: 'user-status' }, want: COOKIE_EXPIRED, waits: [] },
  { row: 'C3 by status', create: { status: 401, body: SAID }, want: COOKIE_EXPIRED, waits: [] },
  {
    row: 'C4',
    create: { failure: 'forbidden' },
    want: { status: 403, type: 'permission_error', code: 'account_forbidden', stop: true },
    waits: []
  },
  {
    row: 'C5',
    create: { failure: 'internal' },
    want: { status: 502, type: 'upstream_error', code: 'upstream_internal' },
    waits: [2000]
  },
  {
    row: 'C6',
    create: { failure: 'empty' },
    want: { status: 503, type: 'upstream_unavailable_error', code: 'ip_blocked', retryAfter: 600 },
    waits: [500, 500, 500]
  },
  { row: 'C7 without a signature', create: { failure: 'no-signature' }, want: BAD_PAYLOAD, waits: [1000] },
  { row: 'C7 without ids', create: { failure: 'no-ids' }, want: BAD_PAYLOAD, waits: [1000] },
  {
    row: 'C8',
    create: { failure: 'not-found' },
    want: { status: 502, type: 'upstream_error', code: 'upstream_5xx' },
    waits: [1000, 1000]
  },
  {
    row: 'C9',
    create: { resultValue: 'Maintenance', resultMessage: SAID },
    want: { status: 502, type: 'upstream_error', code: 'Maintenance' },
    waits: []
  },
  {
    row: 'C9, the longest name',
    create: { resultValue: 'M'.repeat(40), resultMessage: SAID },
    want: { status: 502, type: 'upstream_error', code: 'M'.repeat(40) },
    waits: []
  },
  { row: 'C9, too long', create: { resultValue: 'M'.repeat(41) }, want: REJECTED, waits: [] },
  { row: 'C9, no name', create: { resultValue: 'zebra-canary <b>' }, want: REJECTED, waits: [] },
  { row: 'C10', create: { failure: 'challenge-message' }, want: CHALLENGE, waits: [] },
  {
    row: 'C10, whatever the value',
    create: { resultValue: 'Forbidden', resultMessage: 'Please pass Cloudflare check. zebra-canary' },
    want: CHALLENGE,
    waits: []
  },
  {
    row: 'S1',
    create: { resultValue: 'Throttled', resultMessage: SAID },
    want: { status: 429, type: 'rate_limit_error', code: 'throttled', retryAfter: 3600, stop: true },
    waits: []
  },
  {
    row: 'S2',
    create: { resultValue: 'CaptchaChallenge', resultMessage: SAID },
    want: {
      status: 503,
      type: 'upstream_unavailable_error',
      code: 'captcha_required',
      retryAfter: 3600,
      stop: true
    },
    waits: []
  }
]

const start = (rig: ChatRig) => rig.post('/create_conversation', { userId: USER })

t.test('create', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig

  for (const { row, create, want, waits } of rows) {
    await t.test(`${row}: starting a conversation`, async (t) => {
      sim.reset()
      sim.set('create', create)
      const answer = await timed(t, waits, () => start(rig))
      checkFailure(t, row, answer, want)
      t.strictSame(rig.asked(), { ...NOBODY, creates: 1 + waits.length })

      rig.recover()
      await rig.answered(t, await rig.conversation(), 0)
      checkPeace(t, rig)
    })

    await t.test(`${row}: a first turn that needs a fresh conversation`, async (t) => {
      const identity = await rig.conversation()
      sim.reset()
      behave(sim, { create, upgrade: { status: 200 } })
      const answer = await timed(t, waits, () => rig.ask(identity, { prompt: prompt(0), invocationId: 0 }))
      checkFailure(t, row, answer, want)
      t.strictSame(rig.asked(), { creates: 1 + waits.length, upgrades: 1, questions: 0 })

      rig.recover()
      await rig.answered(t, identity, 0)
      await rig.answered(t, identity, 1)
      t.equal(rig.asked().creates, 1 + waits.length, 'in the conversation that it had')
      checkPeace(t, rig)
    })

    if (waits.length === 0) continue
    await t.test(`${row}: trouble that passes is not seen`, async (t) => {
      sim.reset()
      sim.enqueue('create', ...waits.map(() => create))
      const answer = await timed(t, waits, () => start(rig))
      t.equal(answer.status, 200)
      t.strictSame(rig.asked(), { ...NOBODY, creates: 1 + waits.length })
      checkPeace(t, rig)
    })
  }
})

t.test('C1: without a cookie nobody is asked', async (t) => {
  const before = await chatRig(t)
  const { sim, dir } = before
  const identity = await before.conversation()
  await before.answered(t, identity, 0)
  await before.app.close()
  sim.reset()

  const without = await chatRig(t, { sim, dir, config: { BING_COOKIE_U: undefined } })
  checkFailure(t, 'C1 create', await start(without), COOKIE_MISSING)
  const turn = await without.ask(identity, { prompt: prompt(1), invocationId: 1 })
  checkFailure(t, 'C1 turn', turn, COOKIE_MISSING)
  t.strictSame(without.asked(), NOBODY)

  without.app.upstream.account.replace(COOKIE)
  await without.answered(t, identity, 1)
  await without.answered(t, await without.conversation(), 0)
  checkPeace(t, without)
})

t.test('C2 for real: the cookie expires, and a person brings a new one', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig
  const first = await rig.conversation()
  const later = await rig.conversation()
  await rig.answered(t, later, 0)
  sim.reset()
  sim.cookies.expire(COOKIE)

  checkFailure(t, 'create', await start(rig), COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { ...NOBODY, creates: 2 })
  sim.reset()
  const turn = await rig.ask(first, { prompt: prompt(0), invocationId: 0 })
  checkFailure(t, 'first turn', turn, COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { creates: 2, upgrades: 1, questions: 0 })
  sim.reset()
  const refused = await rig.ask(later, { prompt: prompt(1), invocationId: 1 })
  checkFailure(t, 'later turn', refused, {
    status: 503,
    type: 'upstream_unavailable_error',
    code: 'hub_refused',
    retryAfter: 60
  })
  t.strictSame(rig.asked(), { ...NOBODY, upgrades: 1 })

  sim.cookies.accept('renewed-cookie')
  rig.app.upstream.account.replace('renewed-cookie')
  await rig.answered(t, first, 0)
  await rig.answered(t, later, 1)
  await rig.answered(t, await rig.conversation(), 0)
  checkPeace(t, rig)
})

t.test('a deadline that leaves no time for the repeat: the failure itself', async (t) => {
  const rig = await chatRig(t, { speed: 4, config: { CHAT_TIMEOUT_MS: 1900 } })
  const identity = await rig.conversation()
  rig.sim.reset()
  rig.sim.set('create', { failure: 'unauthorized' })
  checkFailure(t, 'C2', await start(rig), COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { ...NOBODY, creates: 1 })

  rig.sim.set('turn', { failure: 'chatgpt' })
  const turn = await rig.ask(identity, { prompt: prompt(0), invocationId: 0 })
  checkFailure(t, 'S8', turn, { status: 502, type: 'upstream_error', code: 'upstream_internal' })
  t.strictSame(rig.asked(), { creates: 1, upgrades: 1, questions: 1 })
  rig.recover()
  await rig.answered(t, identity, 0)
  checkPeace(t, rig)
})
