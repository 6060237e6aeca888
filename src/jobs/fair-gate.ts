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
  /** Work came that counts against the pace, and did not ask: a repeat. */
  note(): void
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
    while (waiting.length > 0 && hasPlace()) {
      const ready = isPaused() ? waiting.filter(({ counted }) => counted === undefined) : waiting
      const chosen = fairest(ready, running, lastEntry)
      if (chosen === undefined) {
        // Only those wait that the pace holds back.
        if (pace !== undefined && rule !== undefined)
          disarm = rule.clock.timer(pace.at(0) - rule.clock.now() + 1, letIn)
        return
      }
      waiting.splice(waiting.indexOf(chosen), 1)
      chosen.admit()
    }
  }

  /** Tells those whose turn would come too late, now that somebody else may go before them. */
  function refuseLate(): void {
    if (pace === undefined || rule === undefined) return
    const rest = waiting.filter(({ counted }) => counted !== undefined)
    const load = new Map(running)
    const last = new Map(lastEntry)
    for (let n = 0, order = entries; rest.length > 0; ) {
      const entry = fairest(rest, load, last) as Entry
      rest.splice(rest.indexOf(entry), 1)
      const at = pace.at(n)
      const now = rule.clock.now()
      if (at > now && at > (entry.counted as Counted).by) {
        waiting.splice(waiting.indexOf(entry), 1)
        entry.refuse(rule.tooLate(Math.ceil((at - now) / 1000)))
        continue
      }
      n += 1
      load.set(entry.key, (load.get(entry.key) ?? 0) + 1)
      last.set(entry.key, ++order)
    }
  }

  return {
    async enter(key, signal, counted) {
      signal.throwIfAborted()
      if (hasPlace() && (counted === undefined || !isPaused())) return admit(key, counted !== undefined)
      return new Promise((resolve, reject) => {
        const forget = () => signal.removeEventListener('abort', giveUp)
        const entry: Entry = {
          key,
          counted,
          admit() {
            forget()
            resolve(admit(key, counted !== undefined))
          },
          refuse(reason) {
            forget()
            reject(reason)
          }
        }
        const giveUp = () => {
          waiting.splice(waiting.indexOf(entry), 1)
          reject(signal.reason)
        }
        signal.addEventListener('abort', giveUp, { once: true })
        waiting.push(entry)
        if (counted === undefined) return
        refuseLate()
        letIn()
      })
    },
    note: () => pace?.note()
  }
}
