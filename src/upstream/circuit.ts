import type { FailureId } from './failures.ts'
import { UpstreamError } from './failures.ts'

/** `open`: calls fail at once. `half-open`: one call at a time goes through, and shows whether the trouble is over. */
export type CircuitState = 'closed' | 'open' | 'half-open'

/** Tells a circuit how a call ended that it has let through: with an error, or well. To be called once. */
export type CallEnd = (error?: unknown) => void

/** While the one call that may go through is under way: seconds after which the next one may be that call. */
export const TRIAL_WAIT_S = 5

/**
 * The failure that opened a circuit, as further callers get it: same type, code and message. The upstream was not asked,
 * and `Retry-After` (where the failure had one) is the time after which somebody may be.
 */
export function refusalOf(failure: UpstreamError, waitS: number): UpstreamError {
  return new UpstreamError(failure.row, {
    type: failure.type,
    message: failure.message,
    ...(failure.code === null ? {} : { code: failure.code }),
    ...(failure.retryAfter === undefined ? {} : { retryAfter: Math.max(1, Math.ceil(waitS)) }),
    ...(failure.shouldRetry === undefined ? {} : { shouldRetry: failure.shouldRetry }),
    asked: false
  })
}

export function rowOf(error: unknown): FailureId | undefined {
  return error instanceof UpstreamError ? error.row : undefined
}
