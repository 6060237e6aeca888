import { setTimeout as delay } from 'node:timers/promises'

/** Time as a dependency: tests hand in one that runs faster. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back once after `ms`, without keeping the process alive. Returns the way to cancel. */
  timer(ms: number, callback: () => void): () => void
}

/** setTimeout fires at once for anything longer. */
const LONGEST_TIMER_MS = 2_147_483_647

export const systemClock: Clock = createClock(1)

/**
 * @param speed seconds that pass on this clock in one real second
 */
export function createClock(speed: number): Clock {
  const origin = Date.now()
  const real = (ms: number) => Math.min(Math.max(0, ms / speed), LONGEST_TIMER_MS)
  return {
    now: speed === 1 ? () => Date.now() : () => Math.round(origin + (Date.now() - origin) * speed),
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      try {
        await delay(real(ms), undefined, { signal })
      } catch (error) {
        // timers/promises rejects with its own AbortError; callers want the reason that was given.
        signal?.throwIfAborted()
        throw error
      }
    },
    timer(ms, callback) {
      const timer = setTimeout(callback, real(ms))
      timer.unref()
      return () => clearTimeout(timer)
    }
  }
}
