import type { Clock } from '../clock.ts'

/**
 * A signal that aborts with `reason()` after `ms`, or as soon as one of `others` does. Whoever is stopped by it throws
 * its reason, so a deadline arrives at the caller as the error that it means. Unlike `AbortSignal.timeout`, the timer ends with `clear`.
 */
export function deadline(
  clock: Clock,
  ms: number,
  reason: () => Error,
  ...others: AbortSignal[]
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  const clear = clock.timer(ms, () => controller.abort(reason()))
  return { signal: AbortSignal.any([controller.signal, ...others]), clear }
}
