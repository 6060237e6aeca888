import type { Clock } from '../clock.ts'
import type { TaskKind, TaskStore } from '../store/task-store.ts'
import type { UpstreamError } from '../upstream/failures.ts'
import { toTaskError } from './task-errors.ts'

/** What the upstreams would say right now, as far as that is known without asking them. */
export interface UpstreamGate {
  /** What a call for this kind of creation would be refused with. */
  refusal(kind: TaskKind): UpstreamError | undefined
  /** Whether one call at a time goes through. */
  isTrying(kind: TaskKind): boolean
  /** Tells that either may have changed. */
  onChange(listener: () => void): void
}

/** While no call would get through anyway, what is queued waits: it is neither sent nor failed. */
export interface TaskGate {
  /**
   * How many queued tasks may be claimed now. Where that is none, those that wait are marked with the reason, so that
   * their callers who are still connected can be told; as soon as it is more, the marks are taken off.
   * @param most where nothing is in the way
   */
  places(kind: TaskKind, most: number): Promise<number>
  /** Microsoft has asked for a pause: what is queued for nobody who waits for it stays so until then, in milliseconds since the epoch. */
  rest(kind: TaskKind, until: number): Promise<void>
  /** A place is free: those that were held back for want of one are due, unless the pause goes on. */
  freed(kind: TaskKind): Promise<void>
  /** Marks may be there that another gateway has left. */
  doubt(): void
}

export function createTaskGate({
  store,
  clock,
  upstream,
  videoTimeoutMs
}: {
  store: TaskStore
  clock: Clock
  upstream: UpstreamGate
  videoTimeoutMs: number
}): TaskGate {
  const marked: Record<TaskKind, boolean> = { image: true, video: true }
  const restsUntil: Record<TaskKind, number> = { image: 0, video: 0 }

  return {
    async places(kind, most) {
      const refusal = upstream.refusal(kind)
      if (refusal !== undefined) {
        marked[kind] = true
        // A queued video has no deadline of its own; it waits for a person as long as an accepted one would.
        await store.markHeld(kind, toTaskError(refusal, false), clock.now() + videoTimeoutMs)
        return 0
      }
      if (upstream.isTrying(kind)) return 1
      if (marked[kind]) {
        await store.unmarkHeld(kind)
        marked[kind] = false
      }
      return most
    },
    async rest(kind, until) {
      restsUntil[kind] = Math.max(restsUntil[kind], until)
      await store.putOffQueued(kind, until)
    },
    async freed(kind) {
      const now = clock.now()
      if (now < restsUntil[kind]) return
      // An image that was refused itself waits out the pause that row I10 asks for.
      await store.makeDue('queued', now, kind, { refusedToo: kind === 'video' })
    },
    doubt() {
      marked.image = true
      marked.video = true
    }
  }
}
