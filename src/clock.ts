import { setTimeout as delay } from 'node:timers/promises'

/** Time as a dependency: tests hand in one that runs faster or stands still. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    signal?.throwIfAborted()
    try {
      await delay(ms, undefined, { signal })
    } catch (error) {
      // timers/promises rejects with its own AbortError; callers want the reason that was given.
      signal?.throwIfAborted()
      throw error
    }
  }
}
