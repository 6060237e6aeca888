import type { Clock } from '../../src/clock.ts'

/** Lets time creep on until something has come that waits for it: the answer to `respond-async` is due after no time at all. */
export async function creeping<T>(clock: { pass(ms: number): void }, coming: Promise<T>): Promise<T> {
  let isPending = true
  const end = () => {
    isPending = false
  }
  coming.then(end, end)
  while (isPending) {
    clock.pass(1)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return coming
}

/** A clock that stands still until a test lets time pass; what is due by then is called back in its order. */
export function handClock(startMs = Date.now()): Clock & { pass(ms: number): void } {
  let now = startMs
  let timers: { at: number; callback: () => void }[] = []
  const clock = {
    now: () => now,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal?.throwIfAborted()
        const cancel = clock.timer(ms, () => {
          signal?.removeEventListener('abort', stop)
          resolve()
        })
        const stop = () => {
          cancel()
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', stop, { once: true })
      }),
    timer(ms: number, callback: () => void) {
      const timer = { at: now + ms, callback }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    pass(ms: number) {
      const end = now + ms
      for (;;) {
        const [next] = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        timers = timers.filter((timer) => timer !== next)
        now = Math.max(now, next.at)
        next.callback()
      }
      now = end
    }
  }
  return clock
}
