import type { Clock } from '../clock.ts'
import { type FailureId, UpstreamError } from './failures.ts'
import { isSilent, outlastsLooks, type SessionStateName, STATE_OF } from './row-kinds.ts'

export { SESSION_STATES, type SessionStateName } from './row-kinds.ts'

/** As docs/protocol names them. */
export const UPSTREAM_NAMES = ['sydney', 'copilot', 'image-creator', 'video-creator'] as const
export type UpstreamName = (typeof UPSTREAM_NAMES)[number]

/** What a call to an upstream is for. `media` says nothing of the account: its hosts want no cookies. */
export type UpstreamOperation = 'create' | 'turn' | 'submit' | 'poll' | 'bootstrap' | 'media'

/** How a call to an upstream ended. */
export interface UpstreamCall {
  name: UpstreamName
  operation: UpstreamOperation
  /**
   * `ok`, the error's code (its type, where it has none; `api_error` for what nobody has foreseen), or `cancelled`: the
   * caller left, or was told to.
   */
  outcome: string
  /** Row of docs/protocol/failures.md; absent when it went well or was cancelled. */
  row?: FailureId
  durationMs: number
}

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

/** How an upstream stands, as callers may see it. */
export interface SessionState {
  /** Whether a call was accepted since the cookies were set. */
  readonly accepted: boolean
  view(): UpstreamState
}

/** What the calls to one upstream have shown by themselves; what its circuits know comes on top of it. */
export interface SeenState {
  readonly accepted: boolean
  readonly state: SessionStateName
  readonly since: number
  readonly until: number | undefined
  /** The row that led to it; `undefined` when all is well. */
  readonly row: FailureId | undefined
  /** Takes note of how a call ended: an error, or `undefined` for a good end. */
  note(operation: UpstreamOperation, error?: unknown): void
  /** The trouble is over, whoever has seen it. */
  settle(): void
  /** New cookies: what was known of the old ones no longer counts. */
  reset(): void
}

/** Operations that say nothing of whether a prompt would be taken, so that a throttle outlasts them. */
const MERE_LOOKS: ReadonlySet<UpstreamOperation> = new Set(['poll', 'bootstrap', 'media'])

export function createSeenState(clock: Clock): SeenState {
  let state: SessionStateName = 'ok'
  let since = clock.now()
  let until: number | undefined
  let row: FailureId | undefined
  let accepted = false

  function enter(next: SessionStateName, of?: FailureId, end?: number): void {
    if (next !== state) since = clock.now()
    state = next
    until = end
    row = of
  }

  function isOver(): boolean {
    if (until === undefined || until > clock.now()) return false
    since = until
    state = 'ok'
    until = undefined
    row = undefined
    return true
  }

  /** Whether there is a throttle, or other trouble, that this says nothing of. */
  function isOutlasted(operation: UpstreamOperation): boolean {
    if (!MERE_LOOKS.has(operation) || isOver()) return false
    return state === 'throttled' || (row !== undefined && outlastsLooks(row))
  }

  return {
    get accepted() {
      return accepted
    },
    get state() {
      isOver()
      return state
    },
    get since() {
      isOver()
      return since
    },
    get until() {
      isOver()
      return until
    },
    get row() {
      isOver()
      return row
    },
    note(operation, error) {
      if (error === undefined) {
        accepted = true
        if (!isOutlasted(operation)) enter('ok')
      } else if (error instanceof UpstreamError && !isSilent(error.row)) {
        const next = STATE_OF[error.row] ?? 'ok'
        if (next === 'expired') accepted = false
        if ((next === 'ok' || next === 'unreachable') && isOutlasted(operation)) return
        const wait = next === 'throttled' || next === 'unreachable' ? error.retryAfter : undefined
        enter(next, error.row, wait === undefined ? undefined : clock.now() + wait * 1000)
      }
    },
    settle: () => enter('ok'),
    reset() {
      accepted = false
      enter('ok')
    }
  }
}
