import type { Clock } from '../clock.ts'
import type { Task } from '../store/task-row.ts'

/** What a request can wait for that is not the gateway's own work. */
export type Phase = 'queue' | 'upstream'

/** When a creation went from the queue to Bing and came back, in milliseconds since the epoch. */
export type TaskTimes = Pick<Task, 'createdAt' | 'sentAt' | 'completedAt'>

/**
 * Where the time of one request goes. Handed along explicitly: asynchronous context (`AsyncLocalStorage`) would find the
 * request by itself, and costs each request a third of what it takes.
 */
export interface TimeSpent {
  /** From here on time belongs to this phase; `undefined`: to the gateway. */
  enter(phase: Phase | undefined): void
  /** The request waits for a creation, whose own timestamps tell. To be told again when the creation has changed. */
  follow(task: TaskTimes): void
  /** Milliseconds so far, what is going on included. */
  read(): Readonly<Record<Phase, number>>
}

export const NOTHING_SPENT: Readonly<Record<Phase, number>> = { queue: 0, upstream: 0 }

/** For a request that begins now. */
export function createTimeSpent(clock: Clock): TimeSpent {
  const beganAt = clock.now()
  const spent = { queue: 0, upstream: 0 }
  let phase: Phase | undefined
  let since = 0
  let followed: TaskTimes | undefined

  return {
    enter(next) {
      const now = performance.now()
      if (phase !== undefined) spent[phase] += now - since
      phase = next
      since = now
    },
    follow(task) {
      followed = task
    },
    read() {
      const read = { ...spent }
      if (phase !== undefined) read[phase] += performance.now() - since
      if (followed !== undefined) {
        // Only what lies within this request: it may have joined a creation that had begun long before.
        const from = Math.max(beganAt, followed.createdAt)
        const end = Math.max(from, followed.completedAt ?? clock.now())
        const sent = Math.min(end, Math.max(from, followed.sentAt ?? end))
        read.queue += sent - from
        read.upstream += end - sent
      }
      return read
    }
  }
}
