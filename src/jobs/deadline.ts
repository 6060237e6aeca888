import type { Clock } from '../clock.ts'
import { followSignals } from '../follow-signals.ts'

/**
 * A signal that aborts with `reason()` after `ms`, or as soon as one of `others` does. Whoever is stopped by it throws
 * its reason, so a deadline arrives at the caller as the error that it means. Unlike `AbortSignal.timeout`, it ends with `clear`.
 */
export function deadline(
  clock: Clock,
  ms: number,
  reason: () => Error,
  ...others: AbortSignal[]
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  const stopTimer = clock.timer(ms, () => controller.abort(reason()))
  const unfollow = followSignals(controller, others)
  return {
    signal: controller.signal,
    clear() {
      stopTimer()
      unfollow()
    }
  }
}
