import { setMaxListeners } from 'node:events'
import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'

/** Something may have been put into the store by another gateway; so the loop looks at least this often. */
export const LONGEST_TIMER_MS = 60_000
/** Pause after a look at the store that failed; nothing is lost by looking again. */
const LOOP_PAUSE_MS = 1000
/** Pause of one piece of work that failed because of a defect or of the store (disk full, locked, away). */
export const STORE_PAUSE_MS = 5000
/** A database that hung may carry out a claim late, when whoever made it has given it up; so there is a second check. */
const LATE_CLAIMS_MS = 15_000

interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

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
  /** Starts everything that is due now. @throws what the look at the store failed with */
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
  // With the store away, all the work under way waits at once.
  setMaxListeners(0, stop.signal)
  let disarm = () => {}
  let cancelCheck = () => {}
  let looking = false
  /** The passes under way; never rejects. */
  let passing: Promise<void> = Promise.resolve()
  /** Who waits for the end of a pass that has not begun yet. */
  let asked: Waiting[] = []
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

  function doubt(): void {
    doubtful = true
    cancelCheck()
    if (closed) return
    cancelCheck = clock.timer(LATE_CLAIMS_MS, () => {
      doubtful = true
      loop.kick()
    })
  }

  async function look(): Promise<void> {
    const since = clock.now()
    if (doubtful) {
      doubtful = false
      await settings.reconcile([...busy.keys()])
    }
    await settings.pass(loop)
    if (!again) await arm(since)
  }

  async function passes(): Promise<void> {
    let waiting: Waiting[] = []
    try {
      do {
        again = false
        waiting = asked
        asked = []
        await look()
        for (const { resolve } of waiting) resolve()
      } while (again && !closed)
    } catch (error) {
      log.error({ err: error, loop: name }, 'job loop failed')
      disarm()
      if (!closed) disarm = clock.timer(LOOP_PAUSE_MS, loop.kick)
      doubt()
      for (const { reject } of [...waiting, ...asked]) reject(error)
    } finally {
      for (const { resolve } of asked) resolve()
      asked = []
      looking = false
    }
  }

  const loop: DueLoop = {
    busy,
    get closed() {
      return closed
    },
    kick() {
      if (closed) return
      // The pass under way may have looked at the store already; one more follows it.
      again = true
      if (looking) return
      looking = true
      passing = passes()
    },
    async step() {
      if (closed) return
      // Not until the loop rests: where there is always something to do, it never does.
      const seen = new Promise<void>((resolve, reject) => asked.push({ resolve, reject }))
      loop.kick()
      await seen
    },
    work(id, run) {
      // What was claimed again the moment that it was given back follows on what is about to leave.
      const before = busy.get(id)
      const running: Promise<void> = (before === undefined ? run() : before.then(run))
        .catch(async (error) => {
          log.error({ err: error, id, loop: name }, 'job failed')
          // It stays busy for a while, or the next pass would take it up at once, in a tight loop.
          await clock.sleep(STORE_PAUSE_MS, stop.signal).catch(() => {})
          // Not before: what is busy is not put right.
          doubt()
        })
        .finally(() => {
          if (busy.get(id) === running) busy.delete(id)
          loop.kick()
        })
      busy.set(id, running)
      return running
    },
    async close() {
      closed = true
      disarm()
      cancelCheck()
      stop.abort()
      await passing
      await Promise.allSettled([...busy.values()])
    }
  }
  return loop
}
