/**
 * docs/protocol/failures.md section 2, rows C1 to C10, and the rows of section 4 that a create call can answer: by
 * `POST /create_conversation`, and by a first turn whose hub refused the conversation that it had (row W1), so that a
 * fresh one is needed.
 *
 * What can't be told apart on the wire is played once: C6 and C7 as an IP block or as a hiccup, C3 as a stale cookie or as
 * a network that is not liked.
 */
import type { Test } from 'tap'
import {
  type ChatRig,
  chatRig,
  checkFailure,
  type Identity,
  type Manner,
  NOBODY,
  prompt
} from '../chat-failures.ts'
import { BAD_PAYLOAD, CHALLENGE, COOKIE_EXPIRED, checkPeace, SAID, type Want } from '../failure-table.ts'
import { COOKIE } from '../gateway.ts'
import { type Group, group, outcomeOf, type PlayedOn } from './cell.ts'
import {
  columnOf,
  createCells,
  type FailingCreate,
  freshConversationCells,
  MANNERS,
  passingCreateCells
} from './chat-cells.ts'
import { CAPTCHA, THROTTLED } from './wants.ts'

const REJECTED: Want = { status: 502, type: 'upstream_error', code: 'upstream_rejected' }
const COOKIE_MISSING: Want = { status: 401, type: 'auth_error', code: 'cookie_missing', stop: true }

const rows: FailingCreate[] = (
  [
    { row: 'C2', create: { failure: 'unauthorized' }, want: COOKIE_EXPIRED, waits: [2000] },
    { row: 'C3', create: { failure: 'user-status' }, want: COOKIE_EXPIRED },
    { row: 'C3', form: 'by status', create: { status: 401, body: SAID }, want: COOKIE_EXPIRED },
    {
      row: 'C4',
      create: { failure: 'forbidden' },
      want: { status: 403, type: 'permission_error', code: 'account_forbidden', stop: true }
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
    {
      row: 'C7',
      form: 'without a signature',
      create: { failure: 'no-signature' },
      want: BAD_PAYLOAD,
      waits: [1000]
    },
    { row: 'C7', form: 'without ids', create: { failure: 'no-ids' }, want: BAD_PAYLOAD, waits: [1000] },
    {
      row: 'C8',
      create: { failure: 'not-found' },
      want: { status: 502, type: 'upstream_error', code: 'upstream_5xx' },
      waits: [1000, 1000]
    },
    {
      row: 'C9',
      form: 'a name',
      create: { resultValue: 'Maintenance', resultMessage: SAID },
      want: { status: 502, type: 'upstream_error', code: 'Maintenance' }
    },
    {
      row: 'C9',
      form: 'the longest name',
      create: { resultValue: 'M'.repeat(40), resultMessage: SAID },
      want: { status: 502, type: 'upstream_error', code: 'M'.repeat(40) }
    },
    { row: 'C9', form: 'too long', create: { resultValue: 'M'.repeat(41) }, want: REJECTED },
    { row: 'C9', form: 'no name', create: { resultValue: 'zebra-canary <b>' }, want: REJECTED },
    { row: 'C10', create: { failure: 'challenge-message' }, want: CHALLENGE },
    {
      row: 'C10',
      form: 'whatever the value',
      create: { resultValue: 'Forbidden', resultMessage: 'Please pass Cloudflare check. zebra-canary' },
      want: CHALLENGE
    },
    {
      row: 'S1',
      form: 'create',
      create: { resultValue: 'Throttled', resultMessage: SAID },
      want: THROTTLED
    },
    {
      row: 'S2',
      form: 'create',
      create: { resultValue: 'CaptchaChallenge', resultMessage: SAID },
      want: CAPTCHA
    }
  ] satisfies Omit<FailingCreate, 'creates'>[]
).map((row: Omit<FailingCreate, 'creates'>) => ({ ...row, creates: 1 + (row.waits?.length ?? 0) }))

const OPTIONS = {
  renew: (rig: ChatRig) => rig.newCookie(),
  end: checkPeace
}

type WithoutCookie = ChatRig & { identities: Record<Manner, Identity> }

/** A gateway that has lost its cookie over a restart, with conversations from before that. */
async function withoutCookieRig(t: Test): Promise<WithoutCookie> {
  const before = await chatRig(t)
  const { sim, dir } = before
  const identities = { plain: await before.conversation(), stream: await before.conversation() }
  for (const identity of Object.values(identities)) await before.answered(t, identity, 0)
  await before.app.close()
  sim.reset()
  return { ...(await chatRig(t, { sim, dir, config: { BING_COOKIE_U: undefined } })), identities }
}

const withoutCookie: PlayedOn<WithoutCookie>[] = [
  {
    row: 'C1',
    form: 'create',
    column: 'chat plain',
    async play(t, rig) {
      const answer = await rig.start()
      checkFailure(t, 'create', answer, COOKIE_MISSING)
      t.strictSame(rig.asked(), NOBODY)
      return outcomeOf(answer, 0)
    }
  },
  ...MANNERS.map(
    (manner): PlayedOn<WithoutCookie> => ({
      row: 'C1',
      form: 'a turn',
      column: columnOf(manner),
      async play(t, rig) {
        const answer = await rig.ask(rig.identities[manner], { prompt: prompt(1), invocationId: 1 }, manner)
        checkFailure(t, 'turn', answer, COOKIE_MISSING)
        t.strictSame(rig.asked(), NOBODY)
        return outcomeOf(answer, 0)
      }
    })
  )
]

export const createGroups: readonly Group[] = [
  group('create: starting a conversation', chatRig, createCells(rows), OPTIONS),
  group('create: trouble that passes is not seen', chatRig, passingCreateCells(rows), OPTIONS),
  group(
    'create: a first turn that needs a fresh conversation',
    chatRig,
    freshConversationCells(rows, 'plain'),
    OPTIONS
  ),
  group('create: the same, streamed', chatRig, freshConversationCells(rows, 'stream'), OPTIONS),
  group('create: without a cookie', withoutCookieRig, withoutCookie, {
    async end(t, rig) {
      rig.app.upstream.account.replace(COOKIE)
      for (const identity of Object.values(rig.identities)) await rig.answered(t, identity, 1)
      await rig.answered(t, await rig.conversation(), 0)
      checkPeace(t, rig)
    }
  })
]
