const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/**
 * Waits after each failed attempt, in milliseconds: ten attempts over three to four days, as the Standard Webhooks
 * specification suggests.
 */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS
]
/** Part of a wait that chance adds, so that what failed together doesn't come back together. */
const JITTER = 0.2

/**
 * How long to wait after a failed attempt.
 * @param attempts how many there have been, this one included
 * @param retryAfterMs what the receiver asked for; it can make a wait longer, never shorter
 * @param random between 0 and 1
 * @returns milliseconds, or `undefined` when that was the last one
 */
export function retryDelay(attempts: number, retryAfterMs = 0, random = Math.random()): number | undefined {
  const delay = RETRY_DELAYS_MS[attempts - 1]
  return delay === undefined ? undefined : Math.max(Math.round(delay * (1 + JITTER * random)), retryAfterMs)
}
