import type { Clock } from '../clock.ts'
import type { TaskKind } from '../store/task-row.ts'

/** Pause before an image that was refused though none of ours was at Bing is submitted again, when its row names none. */
export const REFUSED_PAUSE_MS = 30_000
/** So often one more is tried than the account was last seen to take at once, in milliseconds. */
const TRIAL_MS = 60_000
/** Waits are longer by up to this part, so that gateways on one account don't ask in step. */
const JITTER = 0.25

interface Known {
  /** How many creations the account was last seen to take at once. */
  most: number
  /** Nothing is sent before. */
  restsUntil: number
  /** From here on one more is tried. */
  trialAt: number
}

/**
 * How many creations the account takes at once, as far as Bing has said so by refusing one (rows I10 and V2). That may be
 * fewer than the settings allow, and changes when somebody else uses the account. Each gateway learns it for itself; a
 * restart costs one refused submit.
 */
export interface AccountPlaces {
  /** How many may be in flight now, in all gateways together. 0: none; Infinity: neither Bing nor the settings limit it. */
  limit(kind: TaskKind): number
  /** One was refused while others of ours were at Bing: no more go until one of them has ended. */
  full(kind: TaskKind, accepted: number): void
  /**
   * One was refused though none of ours was at Bing: nothing of the kind is sent for a while, and then a single one.
   * @returns until when, in milliseconds since the epoch
   */
  rest(kind: TaskKind, ms: number): number
  /** Whether there is anything that an accepted submit could correct. */
  isLearnt(kind: TaskKind): boolean
  /** One was accepted, so that this many of ours are at Bing. */
  holds(kind: TaskKind, accepted: number): void
  /** Earliest time after `since` at which a limit rises by itself. */
  nextRiseAt(since: number): number | undefined
  /** It may be another account. */
  forget(): void
}

/** @param configured creations in flight at once; 0: no limit */
export function createAccountPlaces(clock: Clock, configured: Record<TaskKind, number>): AccountPlaces {
  const learnt = new Map<TaskKind, Known>()
  const ceiling = (kind: TaskKind) => configured[kind] || Number.POSITIVE_INFINITY
  const later = (ms: number) => clock.now() + Math.round(ms * (1 + Math.random() * JITTER))

  return {
    limit(kind) {
      const known = learnt.get(kind)
      if (known === undefined) return ceiling(kind)
      const now = clock.now()
      if (now < known.restsUntil) return 0
      return Math.min(ceiling(kind), known.most + (now >= known.trialAt ? 1 : 0))
    },
    full(kind, accepted) {
      // Those that are on their way count once they are accepted.
      learnt.set(kind, {
        restsUntil: learnt.get(kind)?.restsUntil ?? 0,
        most: Math.max(1, accepted),
        trialAt: later(TRIAL_MS)
      })
    },
    rest(kind, ms) {
      const restsUntil = later(ms)
      learnt.set(kind, { most: 1, restsUntil, trialAt: restsUntil + TRIAL_MS })
      return restsUntil
    },
    isLearnt: (kind) => learnt.has(kind),
    holds(kind, accepted) {
      const known = learnt.get(kind)
      if (known === undefined || accepted <= known.most) return
      if (accepted >= ceiling(kind)) learnt.delete(kind)
      // Not more than one further at a time, however long nothing was asked for.
      else learnt.set(kind, { ...known, most: accepted, trialAt: later(TRIAL_MS) })
    },
    nextRiseAt(since) {
      const times = [...learnt.values()].flatMap(({ restsUntil, trialAt }) => [restsUntil, trialAt])
      return times.filter((at) => at > since).sort((a, b) => a - b)[0]
    },
    forget: () => learnt.clear()
  }
}
