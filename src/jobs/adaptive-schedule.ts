import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import type { PollStore } from '../store/poll-store.ts'
import {
  LONGEST_MS,
  nextPlanned,
  type PlanSettings,
  type PollSample,
  planLooks,
  SAMPLES
} from './poll-plan.ts'
import { createFixedSchedule, type PollFacts, type PollSchedule, type PollVariant } from './poll-schedule.ts'

/** Two looks at one creation are never closer. */
const FLOOR_MS = 500
/** Longest wait for one that is young, so that creations which have become much faster are noticed. */
const CEILING_MS = { image: 30_000, video: 120_000 }
/** After its plan the looks at a creation grow apart by this part of its age. */
const TAIL_STRETCH = 0.1
/** A plan is made anew at most this often, however many creations end: it takes about a millisecond. */
const REPLAN_MS = 1000
/** What other gateways have learnt is read this often while there is something to look at. */
const REFRESH_MS = 60_000

/** What is known of one model or speed. */
interface Pace extends PollVariant {
  settings: PlanSettings
  /** Newest first. */
  samples: readonly PollSample[]
  plan: readonly number[] | undefined
  /** There is something that the plan does not know. */
  stale: boolean
  plannedAt: number
  readAt: number
}

export interface AdaptiveScheduleSettings {
  store: Pick<PollStore, 'newest' | 'variants'>
  clock: Clock
  log: Pick<BaseLogger, 'warn'>
}

export interface AdaptiveSchedule extends PollSchedule {
  /** Reads what is known, so that the first creation is looked at by it. */
  start(): Promise<void>
  /** Waits for what is being read. */
  close(): Promise<void>
}

/**
 * Learns for each model and speed how long creations take, and looks when they are likely to be ready, with no more
 * requests than `createFixedSchedule` would make; until there is enough to go by, as that one.
 *
 * The history lies in the store (`poll_samples`): one row per finished creation, added in the transaction that ends it.
 * Rows, because replicas can add them without waiting for one another, which a shared histogram could not; of their own,
 * because tasks go with TASK_RETENTION_DAYS. Each gateway learns at once from what it finishes itself, and within a
 * minute from what others do. Nothing in it tells of a user, a prompt or a task.
 */
export function createAdaptiveSchedule({ store, clock, log }: AdaptiveScheduleSettings): AdaptiveSchedule {
  const fixed = createFixedSchedule()
  const paces = new Map<string, Pace>()
  const reading = new Set<Promise<void>>()

  function paceOf({ kind, variant }: PollVariant): Pace {
    const key = `${kind} ${variant}`
    let pace = paces.get(key)
    if (pace === undefined) {
      pace = {
        kind,
        variant,
        settings: planSettings({ kind, variant }),
        samples: [],
        plan: undefined,
        stale: false,
        plannedAt: 0,
        readAt: 0
      }
      paces.set(key, pace)
    }
    return pace
  }

  async function read(pace: Pace): Promise<void> {
    pace.readAt = clock.now()
    const before = pace.samples
    const samples = await store.newest(pace, SAMPLES)
    // What was learnt meanwhile may be missing in what was read; the next reading has it.
    if (pace.samples !== before) return
    if (samples.length === before.length && samples[0]?.at === before[0]?.at) return
    pace.samples = samples
    pace.stale = true
  }

  function refresh(pace: Pace): void {
    const since = clock.now() - pace.readAt
    // A clock that was put back must not keep it from reading.
    if (since >= 0 && since < REFRESH_MS) return
    const done = read(pace)
      .catch((error) => log.warn({ err: error }, 'poll history could not be read'))
      .finally(() => reading.delete(done))
    reading.add(done)
  }

  function planOf(job: PollVariant): readonly number[] | undefined {
    const pace = paceOf(job)
    refresh(pace)
    const now = clock.now()
    if (pace.stale && Math.abs(now - pace.plannedAt) >= REPLAN_MS) {
      pace.plan = planLooks(pace.samples, now, pace.settings)
      pace.stale = false
      pace.plannedAt = now
    }
    return pace.plan
  }

  return {
    nextDelay(job) {
      const plan = planOf(job)
      return plan === undefined ? fixed.nextDelay(job) : plannedDelay(plan, job)
    },
    isTooEarly(job) {
      const first = planOf(job)?.[0]
      return first !== undefined && job.ageMs + FLOOR_MS <= first
    },
    learn(job, sample) {
      const pace = paceOf(job)
      pace.samples = [sample, ...pace.samples.slice(0, SAMPLES - 1)]
      pace.stale = true
    },
    async start() {
      for (const variant of await store.variants()) await read(paceOf(variant))
    },
    async close() {
      await Promise.all(reading)
    }
  }
}

/** What plans for one model or speed have to keep to. */
function planSettings(job: PollVariant): PlanSettings {
  const fixed = createFixedSchedule()
  const looks = [0]
  return {
    floorMs: FLOOR_MS,
    ceilingMs: CEILING_MS[job.kind],
    fixedLooks(untilMs) {
      for (let ageMs = looks.at(-1) as number; ageMs < untilMs; looks.push(ageMs))
        ageMs += fixed.nextDelay({ ...job, ageMs })
      return looks
    }
  }
}

/** The wait before the next look of a plan; behind its end, where next to nothing is left to expect, ever longer ones. */
function plannedDelay(plan: readonly number[], { kind, ageMs, lookMs = 0 }: PollFacts): number {
  // Ages are negative when the clock was put back.
  const age = Math.max(0, ageMs)
  const next = nextPlanned(plan, Math.max(age, age - lookMs + FLOOR_MS))
  return next === undefined
    ? Math.round(Math.min(LONGEST_MS, Math.max(CEILING_MS[kind], age * TAIL_STRETCH)))
    : Math.round(next - age)
}
