import type { Clock } from '../clock.ts'
import { createPace } from './pace.ts'

/**
 * Lets at most `limit` pieces of work run at once, and at most so many a minute of those that count. Those that wait are
 * let in fairly: of the key with the fewest running, then of the one that was let in least recently, the one that has
 * waited longest.
 */
export interface FairGate {
  /**
   * Resolves with the way to leave, once it is this caller's turn. Rejects with the signal's reason.
   * @param counted work that counts against the pace: it is refused, at once, when its turn would come too late
   */
  enter(key: string, signal: AbortSignal, counted?: Counted): Promise<() => void>
  /**
   * Lets work that has been let in count once more: a repeat, which has its place and waits for the pace only, before all
   * who wait at the door. Refused, rejected and resolved as `enter` is.
   */
  again(signal: AbortSignal, counted: Counted): Promise<void>
}

export interface Counted {
  /** When it has to be let in at the latest: milliseconds since the epoch. */
  by: number
}

export interface GatePace {
  /** 0: any number. */
  perMinute: number
  clock: Clock
  /** What is thrown when a turn would come too late. @param waitS whole seconds until it would come */
  tooLate(waitS: number): Error
}

interface Entry {
  key: string
  counted: Counted | undefined
  admit: () => void
  refuse: (reason: unknown) => void
}

/** @param limit 0: no limit */
export function createFairGate(limit: number, rule?: GatePace): FairGate {
  const pace = rule === undefined || rule.perMinute === 0 ? undefined : createPace(rule.perMinute, rule.clock)
  const running = new Map<string, number>()
  /** When each key was let in last, as a running number. */
  const lastEntry = new Map<string, number>()
  let entries = 0
  let total = 0
  const waiting: Entry[] = []
  /** Those that have a place and wait for the pace, the first one first. */
  const repeats: Entry[] = []
  let disarm = () => {}

  function admit(key: string, isCounted: boolean): () => void {
    total += 1
    if (isCounted) pace?.note()
    lastEntry.set(key, ++entries)
    running.set(key, (running.get(key) ?? 0) + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      total -= 1
      const rest = (running.get(key) ?? 1) - 1
      if (rest === 0) running.delete(key)
      else running.set(key, rest)
      letIn()
    }
  }

  function fairest(
    among: readonly Entry[],
    load: ReadonlyMap<string, number>,
    last: ReadonlyMap<string, number>
  ): Entry | undefined {
    const goesBefore = (a: string, b: string) => {
      const more = (load.get(a) ?? 0) - (load.get(b) ?? 0)
      return more === 0 ? (last.get(a) ?? 0) < (last.get(b) ?? 0) : more < 0
    }
    return among.reduce<Entry | undefined>(
      (best, entry) => (best === undefined || goesBefore(entry.key, best.key) ? entry : best),
      undefined
    )
  }

  const hasPlace = () => limit === 0 || total < limit
  const isPaused = () => pace !== undefined && rule !== undefined && pace.at(0) > rule.clock.now()

  function letIn(): void {
    disarm()
    while (!isPaused()) {
      const repeat = repeats.shift()
      if (repeat === undefined) break
      repeat.admit()
    }
    while (waiting.length > 0 && hasPlace()) {
      const ready = isPaused() ? waiting.filter(({ counted }) => counted === undefined) : waiting
      const chosen = fairest(ready, running, lastEntry)
      if (chosen === undefined) break
      drop(waiting, chosen)
      chosen.admit()
    }
    refuseLate()
    const isHeldBack = repeats.length > 0 || (waiting.length > 0 && hasPlace())
    if (pace !== undefined && rule !== undefined && isHeldBack)
      disarm = rule.clock.timer(pace.at(0) - rule.clock.now() + 1, letIn)
  }

  /** Tells those whose turn would come too late, now that others may go, or have gone, before them. */
  function refuseLate(): void {
    if (pace === undefined || rule === undefined || !isPaused()) return
    const now = rule.clock.now()
    const load = new Map(running)
    const last = new Map(lastEntry)
    let n = 0
    let order = entries
    const isInTime = (entry: Entry, queue: Entry[]) => {
      const at = pace.at(n)
      if (at <= (entry.counted as Counted).by) return true
      drop(queue, entry)
      entry.refuse(rule.tooLate(Math.ceil((at - now) / 1000)))
      return false
    }
    for (const repeat of [...repeats]) if (isInTime(repeat, repeats)) n += 1
    const rest = waiting.filter(({ counted }) => counted !== undefined)
    while (rest.length > 0) {
      const entry = fairest(rest, load, last) as Entry
      drop(rest, entry)
      if (!isInTime(entry, waiting)) continue
      n += 1
      load.set(entry.key, (load.get(entry.key) ?? 0) + 1)
      last.set(entry.key, ++order)
    }
  }

  /** Waits in a queue for its turn, and takes it. */
  async function wait<T>(
    queue: Entry[],
    signal: AbortSignal,
    { key, counted }: Pick<Entry, 'key' | 'counted'>,
    take: () => T
  ): Promise<T> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const forget = () => signal.removeEventListener('abort', giveUp)
      const entry: Entry = {
        key,
        counted,
        admit() {
          forget()
          resolve(take())
        },
        refuse(reason) {
          forget()
          reject(reason)
        }
      }
      const giveUp = () => {
        drop(queue, entry)
        reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      queue.push(entry)
      letIn()
    })
  }

  return {
    async enter(key, signal, counted) {
      signal.throwIfAborted()
      const isFirst = waiting.length === 0 && repeats.length === 0
      if (hasPlace() && (counted === undefined || (isFirst && !isPaused())))
        return admit(key, counted !== undefined)
      return wait(waiting, signal, { key, counted }, () => admit(key, counted !== undefined))
    },
    async again(signal, counted) {
      if (pace !== undefined) await wait(repeats, signal, { key: '', counted }, () => pace.note())
    }
  }
}

function drop(queue: Entry[], entry: Entry): void {
  const at = queue.indexOf(entry)
  if (at !== -1) queue.splice(at, 1)
}
