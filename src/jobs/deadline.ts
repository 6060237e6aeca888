/**
 * A signal that aborts with `reason()` after `ms`, or as soon as one of `others` does. Whoever is stopped by it throws
 * its reason, so a deadline arrives at the caller as the error that it means. Unlike `AbortSignal.timeout`, the timer ends with `clear`.
 */
export function deadline(
  ms: number,
  reason: () => Error,
  ...others: AbortSignal[]
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(reason()), Math.max(0, Math.min(ms, 2_147_483_647)))
  timer.unref()
  return { signal: AbortSignal.any([controller.signal, ...others]), clear: () => clearTimeout(timer) }
}
