/**
 * Lets at most `limit` pieces of work run at once. Those that wait are let in fairly: of the key with the fewest
 * running, then of the one that was let in least recently, the one that has waited longest.
 */
export interface FairGate {
  /** Resolves with the way to leave, once it is this caller's turn. Rejects with the signal's reason. */
  enter(key: string, signal: AbortSignal): Promise<() => void>
}

/** @param limit 0: no limit */
export function createFairGate(limit: number): FairGate {
  const running = new Map<string, number>()
  /** When each key was let in last, as a running number. */
  const lastEntry = new Map<string, number>()
  let entries = 0
  let total = 0
  const waiting: { key: string; admit: () => void }[] = []

  function admit(key: string): () => void {
    total += 1
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
      next()
    }
  }

  function goesBefore(a: string, b: string): boolean {
    const load = (running.get(a) ?? 0) - (running.get(b) ?? 0)
    return load === 0 ? (lastEntry.get(a) ?? 0) < (lastEntry.get(b) ?? 0) : load < 0
  }

  function next(): void {
    if (waiting.length === 0 || (limit > 0 && total >= limit)) return
    const chosen = waiting.reduce((best, entry) => (goesBefore(entry.key, best.key) ? entry : best))
    waiting.splice(waiting.indexOf(chosen), 1)
    chosen.admit()
  }

  return {
    async enter(key, signal) {
      signal.throwIfAborted()
      if (limit === 0 || total < limit) return admit(key)
      return new Promise((resolve, reject) => {
        const entry = {
          key,
          admit: () => {
            signal.removeEventListener('abort', giveUp)
            resolve(admit(key))
          }
        }
        const giveUp = () => {
          waiting.splice(waiting.indexOf(entry), 1)
          reject(signal.reason)
        }
        signal.addEventListener('abort', giveUp, { once: true })
        waiting.push(entry)
      })
    }
  }
}
