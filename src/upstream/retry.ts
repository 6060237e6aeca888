import type { Clock } from '../clock.ts'
import { UpstreamError } from './failures.ts'

export interface RetryOptions {
  clock: Clock
  /** Ends the waiting between attempts; its reason is thrown. */
  signal: AbortSignal
  /** Asked before each repeat; `false` ends with the failure as it is (bytes of an answer have arrived, …). */
  mayRepeat?: (error: UpstreamError) => boolean
  /** Told of each repeat when it begins, for the log. */
  onRepeat?: ((error: UpstreamError, attempt: number) => void) | undefined
  /** Waited for before each repeat; `false` ends with the failure as it is. */
  admit?: (() => Promise<boolean>) | undefined
}

/** Waits that the upstream asks for (`Retry-After`) are waited out within the request up to here, in milliseconds. */
const MOST_ASKED_WAIT_MS = 5000

/**
 * Runs `attempt` and repeats it as often as the failure's own row allows (docs/protocol/failures.md, column "Retry").
 * An upstream that asks for a longer pause gets it, or is not asked again. Each row has a budget of its own, so two kinds
 * of trouble in one request don't eat each other's repeats; delays get up to 25 % jitter, so that many callers don't
 * return in step.
 *
 * @throws what `attempt` threw last (also when a deadline ends the waiting for its repeat), or the signal's reason
 */
export async function withRetries<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const used = new Map<string, number>()
  for (let n = 1; ; n++) {
    options.signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      options.signal.throwIfAborted()
      if (!(error instanceof UpstreamError)) throw error
      const count = used.get(error.row) ?? 0
      const own = error.retries[count]
      if (own === undefined || options.mayRepeat?.(error) === false) throw error
      const delay = Math.max(own, (error.asksToWait ?? 0) * 1000)
      // Asked to wait for long, the caller is told so at once, and need not hold a connection open meanwhile.
      if (delay > own && delay > MOST_ASKED_WAIT_MS) throw error
      used.set(error.row, count + 1)
      let isAdmitted: boolean
      try {
        await options.clock.sleep(delay * (1 + Math.random() * 0.25), options.signal)
        isAdmitted = (await options.admit?.()) ?? true
      } catch (reason) {
        // The deadline leaves no time for the repeat: what went wrong says more than that time is up.
        throw reason instanceof UpstreamError ? error : reason
      }
      if (!isAdmitted) throw error
      options.onRepeat?.(error, n)
    }
  }
}
