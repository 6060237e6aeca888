/**
 * Lets at most `limit` pieces of work run at once. Those that wait are let in fairly: of the key with the fewest
 * running, the one that has waited longest.
 */
export interface FairGate {
  /** Resolves with the way to leave, once it is this caller's turn. Rejects with the signal's reason. */
  enter(key: string, signal: AbortSignal): Promise<() => void>
}

/** @param limit 0: no limit */
export function createFairGate(limit: number): FairGate {
  const running = new Map<string, number>()
  let total = 0
  const waiting: { key: string; admit: () => void }[] = []

  function admit(key: string): () => void {
    total += 1
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

  function next(): void {
    if (waiting.length === 0 || (limit > 0 && total >= limit)) return
    const load = (entry: { key: string }) => running.get(entry.key) ?? 0
    const chosen = waiting.reduce((best, entry) => (load(entry) < load(best) ? entry : best))
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
