import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'

/** Time between two sweeps, in milliseconds. */
const SWEEP_EVERY_MS = 3_600_000
/** The first one comes soon after the start, and not within it. */
const FIRST_SWEEP_MS = 60_000
/** Rows that are removed at once; between two batches other work gets its turn. */
const BATCH = 100

/** Something that is kept for a time only. */
export interface Kept {
  name: string
  /** Removes what is too old, at most `limit` of it. @returns how many were removed */
  remove(now: number, limit: number): Promise<number>
}

export interface Retention {
  start(): void
  /** Removes everything that is too old now. */
  sweep(): Promise<void>
  close(): Promise<void>
}

/** Removes what has been kept for long enough. Every gateway on a store sweeps; removing twice does no harm. */
export function createRetention(
  kept: readonly Kept[],
  { clock, log }: { clock: Clock; log: Pick<BaseLogger, 'info' | 'error'> }
): Retention {
  let disarm = () => {}
  let running: Promise<void> = Promise.resolve()
  let closed = false

  async function sweep(): Promise<void> {
    for (const { name, remove } of kept) {
      let total = 0
      try {
        for (;;) {
          const removed = await remove(clock.now(), BATCH)
          total += removed
          if (removed < BATCH || closed) break
          await new Promise(setImmediate)
        }
      } catch (error) {
        // The next sweep does what this one could not.
        log.error({ err: error, kept: name }, 'sweep failed')
      }
      if (total > 0) log.info({ kept: name, removed: total }, 'swept')
    }
  }

  function arm(ms: number): void {
    if (closed) return
    disarm = clock.timer(ms, () => {
      running = sweep().finally(() => arm(SWEEP_EVERY_MS))
    })
  }

  return {
    start: () => arm(FIRST_SWEEP_MS),
    sweep,
    async close() {
      closed = true
      disarm()
      await running
    }
  }
}
