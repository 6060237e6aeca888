import type { Clock } from '../clock.ts'

const WINDOW_MS = 60_000

/** At most so many of something within any minute. */
export interface Pace {
  /** When the nth next one may come (0: the next), if all before it come as early as they may. Milliseconds since the epoch; not in the past. */
  at(n: number): number
  /** One came. */
  note(): void
}

export function createPace(perMinute: number, clock: Clock): Pace {
  /** Those of the last minute, the oldest first. */
  let times: number[] = []

  return {
    at(n) {
      const now = clock.now()
      times = times.filter((time) => time > now - WINDOW_MS)
      // The one `perMinute` places ahead has to be a minute old by then; it may be yet to come itself, after another one.
      const ahead = times.length + n - perMinute
      const turns = Math.max(0, Math.floor((ahead - times.length) / perMinute) + 1)
      const first = times[ahead - turns * perMinute]
      return (first === undefined ? now : first + WINDOW_MS) + turns * WINDOW_MS
    },
    note() {
      times.push(clock.now())
    }
  }
}
