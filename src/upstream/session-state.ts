import type { Clock } from '../clock.ts'
import { type FailureId, UpstreamError } from './failures.ts'

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

/** As docs/protocol names them. */
export const UPSTREAM_NAMES = ['sydney', 'image-creator', 'video-creator'] as const
export type UpstreamName = (typeof UPSTREAM_NAMES)[number]

export interface UpstreamState {
  name: UpstreamName
  state: SessionStateName
  /** Milliseconds since the epoch. */
  since: number
  /** When the state ends by itself, if it is known. */
  until: number | undefined
  /** What a person must do, in plain words. */
  action: string | undefined
}

/** How an upstream stands with the account, as the calls made anyway have shown it. Nothing is asked for its sake. */
export interface SessionState {
  /** Takes note of how a call ended: an error, or `undefined` for a good end. */
  note(error?: unknown): void
  /** New cookies: what was known of the old ones no longer counts. */
  reset(): void
  /** Whether a call was accepted since the cookies were set. */
  readonly accepted: boolean
  view(): UpstreamState
}

/** Rows that tell something about the account or the connection. Any other failure is an answer to one request, so the session is fine. */
const STATE_OF: Partial<Record<FailureId, SessionStateName>> = {
  C1: 'unconfigured',
  ...rows('throttled', 'T8', 'S1', 'S15', 'I10', 'I11', 'V2'),
  ...rows('challenged', 'T7', 'C10', 'S2', 'I17'),
  ...rows('expired', 'T6', 'C2', 'C3', 'S6', 'S9', 'I1', 'I3', 'I20-auth', 'V8'),
  ...rows('forbidden', 'T3', 'T5', 'C4', 'C6', 'W3', 'I14'),
  ...rows('unreachable', 'T1', 'T2', 'T4', 'T9', 'T9-bad', 'T10', 'W1', 'W4', 'W5', 'I15')
}

/** Rows that tell nothing either way: nobody answered, or the job was merely slow. */
const SILENT: ReadonlySet<FailureId> = new Set([
  'W7',
  'W8',
  'W10',
  'outcome-unknown',
  'I21',
  'I21-review',
  'V9'
])

const ACTIONS: Partial<Record<SessionStateName, string>> = {
  unconfigured: 'Set BING_COOKIE_U or BING_COOKIE_FILE to the _U cookie of a Microsoft account.',
  challenged:
    'Open bing.com in a browser with this account, pass the check, and give the gateway the new cookies.',
  expired: 'Sign in at bing.com and give the gateway the new _U cookie.',
  forbidden: 'Check that this account and this network may use the service at bing.com.'
}

export function createSessionState(
  name: UpstreamName,
  clock: Clock,
  isConfigured: () => boolean
): SessionState {
  let state: SessionStateName = 'ok'
  let since = clock.now()
  let until: number | undefined
  let accepted = false

  function enter(next: SessionStateName, end?: number): void {
    if (next !== state) since = clock.now()
    state = next
    until = end
  }

  return {
    note(error) {
      if (error === undefined) {
        accepted = true
        enter('ok')
      } else if (error instanceof UpstreamError && !SILENT.has(error.row)) {
        const next = STATE_OF[error.row] ?? 'ok'
        if (next === 'expired') accepted = false
        const wait = next === 'throttled' || next === 'unreachable' ? error.retryAfter : undefined
        enter(next, wait === undefined ? undefined : clock.now() + wait * 1000)
      }
    },
    reset() {
      accepted = false
      enter('ok')
    },
    get accepted() {
      return accepted
    },
    view() {
      if (!isConfigured())
        return { name, state: 'unconfigured', since, until: undefined, action: ACTIONS.unconfigured }
      if (until !== undefined && until <= clock.now()) {
        since = until
        state = 'ok'
        until = undefined
      }
      return { name, state, since, until, action: ACTIONS[state] }
    }
  }
}

function rows(state: SessionStateName, ...ids: FailureId[]): Partial<Record<FailureId, SessionStateName>> {
  return Object.fromEntries(ids.map((id) => [id, state]))
}
