import type { FailureId, UpstreamError } from './failures.ts'

/** How an upstream can stand with the account. */
export const SESSION_STATES = [
  'unconfigured',
  'ok',
  'throttled',
  'challenged',
  'expired',
  'forbidden',
  'unreachable'
] as const
export type SessionStateName = (typeof SESSION_STATES)[number]

/** Rows that tell something about the account or the connection. Any other failure is an answer to one request, so the session is fine. */
export const STATE_OF: Partial<Record<FailureId, SessionStateName>> = {
  C1: 'unconfigured',
  ...rows('throttled', 'T8', 'S1', 'S15', 'I10', 'I11', 'V2', 'P13', 'P3-until', 'P5'),
  ...rows('challenged', 'T7', 'C10', 'S2', 'I17', 'P2', 'P9'),
  ...rows('expired', 'T6', 'C2', 'C3', 'S6', 'S9', 'I1', 'I3', 'I20-auth', 'V8', 'P1', 'P6', 'P6-cookies'),
  ...rows('forbidden', 'T3', 'T5', 'C4', 'C6', 'W3', 'I14', 'P3', 'P7', 'P11'),
  ...rows(
    'unreachable',
    ...(['T1', 'T2', 'T4', 'T9', 'T9-bad', 'T10', 'W1', 'W4', 'W5', 'I15', 'P15', 'P19'] as const)
  )
}

/** Rows that tell nothing either way: nobody answered, or the job was merely slow. */
const SILENT: ReadonlySet<FailureId> = new Set([
  ...(['W7', 'W8', 'W10', 'outcome-unknown', 'I21', 'I21-review', 'V9', 'P16', 'P18', 'P-unclear'] as const)
])

/** Rows of which a mere look at Copilot's account shows nothing: they are about the token, the chat, or who may use it. */
const UNSEEN_BY_LOOKS: ReadonlySet<FailureId> = new Set(['P3', 'P6', 'P6-cookies', 'P7', 'P11'])

/**
 * Rows after which nothing helps until a person acts: the circuit of the whole account opens at once
 * (docs/protocol/failures.md section 9). Other rows that speak of a dead cookie (C2, S6 …) are not with them: they have
 * been seen as hiccups, and what is really dead is soon told by one of these.
 */
const NEEDS_A_PERSON: ReadonlySet<FailureId> = new Set([
  ...(['T6', 'T7', 'C10', 'S2', 'I1', 'I3', 'I17', 'I20-auth', 'V8', 'P2', 'P9'] as const)
])

/**
 * Rows that do so when they come three times in a row: one may be a hiccup, but at Copilot no other row tells of a session
 * that is dead. `[qq-plugin]` counts three of Bing's as well (row C2).
 */
const NEEDS_A_PERSON_IN_THE_END: ReadonlySet<FailureId> = new Set(['P1', 'P6', 'P6-cookies'])

/** Likewise, but Microsoft has said so of the chat alone: the account may still be allowed to make pictures. */
const NEEDS_A_PERSON_FOR_CHAT: ReadonlySet<FailureId> = new Set(['C4'])

/** Rows that open the circuit of one upstream when they come five times in a row. */
const TRANSPORT: ReadonlySet<FailureId> = new Set([
  ...(['T1', 'T2', 'T3', 'T9', 'T9-bad', 'W1', 'W4', 'P15', 'P19'] as const)
])

/** Rows that never count for or against a transport: what they say is about one conversation or one prompt. */
const UNCOUNTED: ReadonlySet<FailureId> = new Set([
  ...(['S3', 'S14', 'S15', 'S16', 'S18', 'S19'] as const),
  ...(['I4', 'I5', 'I6', 'I7', 'I8', 'I9'] as const)
])

/** Trouble on the way, in which nobody has judged the account. */
const UNJUDGED: ReadonlySet<FailureId> = new Set([
  ...TRANSPORT,
  ...(['T4', 'T5', 'T10', 'T11', 'C5', 'C6', 'C7', 'C8', 'W3', 'W5', 'W6', 'W9', 'W11', 'W12'] as const),
  ...(['I15', 'I16', 'P4', 'P7', 'P10', 'P11'] as const)
])

/** Whether a row says nothing of how the upstream stands. */
export function isSilent(row: FailureId): boolean {
  return SILENT.has(row)
}

/** Whether what a row says goes on, however well a mere look at the account ends. */
export function outlastsLooks(row: FailureId): boolean {
  return UNSEEN_BY_LOOKS.has(row)
}

/** @returns how far a failure that only a person can mend reaches; `undefined` for any other */
export function needsAPerson({
  row,
  code
}: Pick<UpstreamError, 'row' | 'code'>): 'account' | 'chat' | undefined {
  // No cookie at all is a setting, not a verdict of Microsoft's; it comes as V8 from tasks that had one.
  if (code === 'cookie_missing') return undefined
  if (NEEDS_A_PERSON.has(row)) return 'account'
  return NEEDS_A_PERSON_FOR_CHAT.has(row) ? 'chat' : undefined
}

/** Whether a row means, when it goes on, that only a person can mend it. */
export function needsAPersonInTheEnd(row: FailureId): boolean {
  return NEEDS_A_PERSON_IN_THE_END.has(row)
}

/** Whether a row is trouble of the connection, on which the circuit of an upstream opens in the end. */
export function isOnTheWay(row: FailureId): boolean {
  return TRANSPORT.has(row)
}

/** What the end of a call says of the connection to its upstream. */
export function transportVerdict(error: unknown, row: FailureId | undefined): 'good' | 'bad' | 'nothing' {
  if (error === undefined) return 'good'
  if (row === undefined || UNCOUNTED.has(row) || SILENT.has(row)) return 'nothing'
  if (TRANSPORT.has(row)) return 'bad'
  return row === 'C1' || row === 'T4' || row === 'W5' ? 'nothing' : 'good'
}

/** Whether the end of a call shows that Microsoft accepts the account, for better or worse of this one request. */
export function isAdmitted(error: unknown, row: FailureId | undefined): boolean {
  if (error === undefined) return true
  return row !== undefined && row !== 'C1' && !SILENT.has(row) && !UNJUDGED.has(row) && !isTurnedAway(row)
}

/**
 * Whether a row says that the account, or the network it comes from, is not let in. Alone that opens nothing, but it is
 * no sign either that what a person was needed for is over.
 */
export function isTurnedAway(row: FailureId): boolean {
  const state = STATE_OF[row]
  return (state === 'expired' || state === 'forbidden') && !TRANSPORT.has(row)
}

function rows(state: SessionStateName, ...ids: FailureId[]): Partial<Record<FailureId, SessionStateName>> {
  return Object.fromEntries(ids.map((id) => [id, state]))
}
