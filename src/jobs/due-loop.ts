import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'

/** Something may have been put into the store by another gateway; so the loop looks at least this often. */
const LONGEST_TIMER_MS = 60_000
/** Pause after a look at the store that failed; nothing is lost by looking again. */
const LOOP_PAUSE_MS = 1000
/** Pause of one piece of work that failed because of a defect or of the store (disk full, locked, away). */
export const STORE_PAUSE_MS = 5000

export interface DueLoopSettings {
  /** What it drives, for the log. */
  name: string
  clock: Clock
  log: Pick<BaseLogger, 'error'>
  /** Claims what is due and there is room for, and starts it with `work`. */
  pass(loop: DueLoop): Promise<void>
  /**
   * Puts right what the store and this process may disagree about after a failed write: rows that are claimed in this
   * process's name and that nobody works on.
   */
  reconcile(busy: readonly string[]): Promise<void>
  /** Earliest time after `since` at which something falls due. */
  nextDueAt(since: number): Promise<number | undefined>
}

/**
 * The loop of everything that is due at some time: looks at the store when told to (`kick`) and when something falls
 * due, and never in between. What it knows is in the store; a loop in another process can go on with it.
 */
export interface DueLoop {
  /** Ids of the work under way. */
  readonly busy: ReadonlyMap<string, Promise<void>>
  readonly closed: boolean
  /** Says that there may be something to do. */
  kick(): void
  /** Starts everything that is due now. */
  step(): Promise<void>
  /** Runs one piece of claimed work. Afterwards the loop looks again: there is room for another one. */
  work(id: string, run: () => Promise<void>): Promise<void>
  /** Stops claiming, and waits for the work under way; whoever closes makes it end. */
  close(): Promise<void>
}

export function createDueLoop(settings: DueLoopSettings): DueLoop {
  const { clock, log, name } = settings
  const busy = new Map<string, Promise<void>>()
  const stop = new AbortController()
  let disarm = () => {}
  let stepping: Promise<void> | undefined
  let again = false
  let closed = false
  let doubtful = false

  /** @param since when the pass began: what fell due while it looked at the store counts as not seen */
  async function arm(since: number): Promise<void> {
    const at = await settings.nextDueAt(since)
    disarm()
    if (closed) return
    const wait = at === undefined ? LONGEST_TIMER_MS : Math.max(1, at - clock.now())
    disarm = clock.timer(Math.min(wait, LONGEST_TIMER_MS), loop.kick)
  }

  async function passes(): Promise<void> {
    try {
      do {
        again = false
        const since = clock.now()
        if (doubtful) {
          await settings.reconcile([...busy.keys()])
          doubtful = false
        }
        await settings.pass(loop)
        if (!again) await arm(since)
      } while (again && !closed)
    } catch (error) {
      doubtful = true
      log.error({ err: error, loop: name }, 'job loop failed')
      disarm()
      if (!closed) disarm = clock.timer(LOOP_PAUSE_MS, loop.kick)
      throw error
    } finally {
      stepping = undefined
    }
  }

  const loop: DueLoop = {
    busy,
    get closed() {
      return closed
    },
    kick() {
      if (closed) return
      if (stepping === undefined) loop.step().catch(() => {})
      else again = true
    },
    async step() {
      if (closed) return
      if (stepping === undefined) stepping = passes()
      // The pass under way may have looked at the store already; one more follows it.
      else again = true
      await stepping
    },
    work(id, run) {
      const running = run()
        .catch((error) => {
          // It stays busy for a while, or the next pass would take it up at once, in a tight loop.
          doubtful = true
          log.error({ err: error, id, loop: name }, 'job failed')
          return clock.sleep(STORE_PAUSE_MS, stop.signal).catch(() => {})
        })
        .finally(() => {
          busy.delete(id)
          loop.kick()
        })
      busy.set(id, running)
      return running
    },
    async close() {
      closed = true
      disarm()
      stop.abort()
      await stepping?.catch(() => {})
      await Promise.allSettled([...busy.values()])
    }
  }
  return loop
}
