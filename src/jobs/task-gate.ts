import type { Clock } from '../clock.ts'
import type { GatewayError } from '../errors.ts'
import type { Task, TaskKind, TaskStore } from '../store/task-store.ts'
import type { UpstreamError } from '../upstream/failures.ts'
import { REFUSED_PAUSE_MS } from './account-places.ts'
import { fromTaskError, toTaskError } from './task-errors.ts'

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
  /**
   * Why a queued task can't be sent: because of this gateway's own circuit, or because of what Microsoft has said to its
   * prompt. What keeps another gateway from sending it is no reason here, nor is want of a place.
   */
  held(task: Task): GatewayError | undefined
  /** Microsoft has asked for a pause: what is queued for nobody who waits for it stays so until then, in milliseconds since the epoch. */
  rest(kind: TaskKind, until: number): Promise<void>
  /** The end of that pause, as far as this gateway knows; in the past when there is none. */
  restsUntil(kind: TaskKind): number
  /** There are other cookies: what was asked of the old ones is over. */
  renewed(): Promise<void>
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
  /** Whether those who wait here have been told that the circuit is open. */
  const told: Record<TaskKind, boolean> = { image: false, video: false }
  const restsUntil: Record<TaskKind, number> = { image: 0, video: 0 }

  return {
    async places(kind, most) {
      const refusal = upstream.refusal(kind)
      if (refusal !== undefined) {
        marked[kind] = true
        // A queued video has no deadline of its own; it waits for a person as long as an accepted one would.
        const error = { ...toTaskError(refusal, false), byCircuit: true as const }
        await store.markHeld(kind, error, clock.now() + videoTimeoutMs)
        // Those that another gateway has marked before are not marked again, but here it is news.
        if (!told[kind]) await store.announceQueued(kind)
        told[kind] = true
        return 0
      }
      told[kind] = false
      if (upstream.isTrying(kind)) return 1
      if (marked[kind]) {
        await store.unmarkHeld(kind)
        marked[kind] = false
      }
      return most
    },
    held({ state, kind, error }) {
      if (state !== 'queued') return undefined
      const refusal = upstream.refusal(kind)
      if (refusal !== undefined || error === null) return refusal
      return error.byCircuit === true || error.forPlace === true ? undefined : fromTaskError(error)
    },
    async rest(kind, until) {
      restsUntil[kind] = Math.max(restsUntil[kind], until)
      await store.putOffQueued(kind, until)
    },
    restsUntil: (kind) => restsUntil[kind],
    async renewed() {
      restsUntil.image = 0
      restsUntil.video = 0
      await store.makeDue('queued', clock.now(), { spareRefusedMs: REFUSED_PAUSE_MS })
    },
    doubt() {
      marked.image = true
      marked.video = true
    }
  }
}
