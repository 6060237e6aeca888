/** What a schedule costs and how late it is, on creations that exist as numbers only: seeded, in virtual time. */
import type { Clock } from '../../src/clock.ts'
import { createAdaptiveSchedule } from '../../src/jobs/adaptive-schedule.ts'
import type { PollSample } from '../../src/jobs/poll-plan.ts'
import { createFixedSchedule, type PollSchedule, type PollVariant } from '../../src/jobs/poll-schedule.ts'

/** Completion times to draw from. */
export interface Distribution {
  name: string
  job: PollVariant
  /** @returns milliseconds from the upstream's acceptance to the result, of the n-th job from 0 */
  draw(random: Random, n: number): number
  /** Jobs from here on count as learnt. */
  learntAfter: number
}

export interface Random {
  /** 0 to 1, 1 excluded. */
  even(): number
  /** Standard normal. */
  normal(): number
}

/** Of each job in turn: how many looks it took, and how long after it was ready the result was seen, in milliseconds. */
export interface Run {
  looks: number[]
  lagMs: number[]
}

export const JOBS = 400

const S = 1000
const dalle: PollVariant = { kind: 'image', variant: 'DALLE' }
const logNormal = (medianMs: number, sigma: number) => (random: Random) =>
  medianMs * Math.exp(sigma * random.normal())
const image = (sigma: number): Distribution => ({
  name: `image, log-normal, median 20 s, sigma ${sigma}`,
  job: dalle,
  draw: logNormal(20 * S, sigma),
  learntAfter: 100
})
/** The jobs before this one are of another distribution than those from it on. */
export const DRIFT_AT = 200

export const DISTRIBUTIONS: readonly Distribution[] = [
  ...[0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6].map(image),
  {
    name: 'GPT-4o, log-normal, median 40 s, sigma 0.25',
    job: { kind: 'image', variant: 'GPT4O' },
    draw: logNormal(40 * S, 0.25),
    learntAfter: 100
  },
  {
    name: 'image, bimodal, 12 s (60 %) and 45 s, sigma 0.15',
    job: dalle,
    draw: (random) => (random.even() < 0.6 ? 12 * S : 45 * S) * Math.exp(0.15 * random.normal()),
    learntAfter: 100
  },
  {
    name: 'image, drifting up, 15 s to 30 s, sigma 0.2',
    job: dalle,
    draw: (random, n) => (n < DRIFT_AT ? 15 * S : 30 * S) * Math.exp(0.2 * random.normal()),
    learntAfter: DRIFT_AT + 50
  },
  {
    name: 'image, drifting down, 40 s to 12 s, sigma 0.2',
    job: dalle,
    draw: (random, n) => (n < DRIFT_AT ? 40 * S : 12 * S) * Math.exp(0.2 * random.normal()),
    learntAfter: DRIFT_AT + 50
  },
  {
    name: 'image, memoryless, mean 20 s',
    job: dalle,
    draw: (random) => -20 * S * Math.log(1 - random.even()),
    learntAfter: 100
  },
  {
    name: 'fast video, log-normal, median 3 min, sigma 0.4',
    job: { kind: 'video', variant: 'fast' },
    draw: logNormal(180 * S, 0.4),
    learntAfter: 100
  },
  {
    name: 'standard video, log-normal, median 3 h, sigma 0.3',
    job: { kind: 'video', variant: 'standard' },
    draw: logNormal(3 * 3600 * S, 0.3),
    learntAfter: 100
  }
]

/**
 * Runs the same jobs under the fixed rule and under the adaptive schedule, which starts without any history.
 * @returns both runs, and the ages in milliseconds at which the schedule would look at one more job that takes as long as the longest
 */
export async function simulate(
  distribution: Distribution
): Promise<{ fixed: Run; adaptive: Run; ages: number[] }> {
  const random = seeded(distribution.name)
  const times = Array.from({ length: JOBS }, (_, n) => distribution.draw(random, n))
  const time = { ms: Date.UTC(2026, 0, 1) }
  const clock: Clock = { now: () => time.ms, sleep: async () => {}, timer: () => () => {} }
  const samples: PollSample[] = []
  const store = {
    variants: async () => [],
    newest: async (_: PollVariant, most: number) => samples.slice(0, most)
  }
  const learning = createAdaptiveSchedule({
    store,
    clock,
    log: {
      warn: (error: unknown) => {
        throw error
      }
    }
  })
  await learning.start()
  const schedule: PollSchedule = {
    ...learning,
    learn(job, sample) {
      samples.unshift(sample)
      learning.learn(job, sample)
    }
  }
  const fixed: Run = { looks: [], lagMs: [] }
  const adaptive: Run = { looks: [], lagMs: [] }
  for (const readyMs of times) {
    follow(createFixedSchedule(), distribution.job, readyMs, { ms: 0 }, fixed)
    follow(schedule, distribution.job, readyMs, time, adaptive)
    await learning.close()
    // Some time passes before the next one.
    time.ms += 30 * S
  }
  return { fixed, adaptive, ages: agesOf(learning, distribution.job, Math.max(...times)) }
}

/** Looks at one job until it is ready, as the job loop does; looks take no time. */
function follow(
  schedule: PollSchedule,
  job: PollVariant,
  readyMs: number,
  time: { ms: number },
  run: Run
): void {
  const acceptedAt = time.ms
  let ageMs = 0
  let afterMs = 0
  let looks = schedule.isTooEarly({ ...job, ageMs }) ? 0 : 1
  while (ageMs < readyMs) {
    afterMs = ageMs
    ageMs += schedule.nextDelay({ ...job, ageMs })
    time.ms = acceptedAt + ageMs
    looks++
  }
  schedule.learn(job, { afterMs, byMs: ageMs, looks, at: time.ms })
  run.looks.push(looks)
  run.lagMs.push(ageMs - readyMs)
}

function agesOf(schedule: PollSchedule, job: PollVariant, untilMs: number): number[] {
  const ages: number[] = []
  for (let ageMs = 0; ageMs < untilMs; ages.push(ageMs)) ageMs += schedule.nextDelay({ ...job, ageMs })
  return ages
}

/** Mulberry32, begun with a hash of a text: the same numbers everywhere. */
function seeded(text: string): Random {
  let state = 0
  for (const char of text) state = (Math.imul(state, 31) + (char.codePointAt(0) as number)) >>> 0
  const even = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
  return { even, normal: () => Math.sqrt(-2 * Math.log(1 - even())) * Math.cos(2 * Math.PI * even()) }
}

export interface Summary {
  looksPerJob: number
  meanLagMs: number
  medianLagMs: number
  p95LagMs: number
}

export function summarize({ looks, lagMs }: Run, from = 0, to = looks.length): Summary {
  const lags = lagMs.slice(from, to).sort((a, b) => a - b)
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const at = (part: number) => lags[Math.floor(part * (lags.length - 1))] as number
  return {
    looksPerJob: mean(looks.slice(from, to)),
    meanLagMs: mean(lags),
    medianLagMs: at(0.5),
    p95LagMs: at(0.95)
  }
}

/** What became of a distribution's jobs under either schedule. */
export type Simulated = Awaited<ReturnType<typeof simulate>>

/** All distributions, simulated. */
export async function simulateAll(): Promise<Map<Distribution, Simulated>> {
  const results = new Map<Distribution, Simulated>()
  for (const distribution of DISTRIBUTIONS) results.set(distribution, await simulate(distribution))
  return results
}

/** The simulation as tables: what is under docs/data. */
export function simulationTables(results: Map<Distribution, Simulated>): { lag: string; spacing: string } {
  const lag = ['distribution,jobs,schedule,looks per job,mean lag ms,median lag ms,p95 lag ms']
  const spacing = ['distribution,age ms,wait before it ms']
  for (const [distribution, { fixed, adaptive, ages }] of results) {
    const name = `"${distribution.name}"`
    for (const [jobs, from] of [
      ['all', 0],
      ['learnt', distribution.learntAfter]
    ] as const) {
      for (const [schedule, run] of Object.entries({ fixed, adaptive })) {
        const { looksPerJob, meanLagMs, medianLagMs, p95LagMs } = summarize(run, from)
        const lags = [meanLagMs, medianLagMs, p95LagMs].map(Math.round)
        lag.push([name, jobs, schedule, looksPerJob.toFixed(2), ...lags].join())
      }
    }
    for (const [n, age] of ages.entries())
      spacing.push([name, Math.round(age), Math.round(age - (ages[n - 1] ?? 0))].join())
  }
  return { lag: `${lag.join('\n')}\n`, spacing: `${spacing.join('\n')}\n` }
}
