/** When creations are looked at: the plan, what it gains on simulated creations, and what is learnt from real ones. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { createAdaptiveSchedule } from '../../src/jobs/adaptive-schedule.ts'
import { LONGEST_MS, type PollSample, planLooks, SAMPLES } from '../../src/jobs/poll-plan.ts'
import type { PollVariant } from '../../src/jobs/poll-schedule.ts'
import { createPollStore, insertPollSample } from '../../src/store/poll-store.ts'
import { createTaskStore, type NewTask } from '../../src/store/task-store.ts'
import { hurriedClock } from '../support/creator.ts'
import {
  DISTRIBUTIONS,
  type Distribution,
  DRIFT_AT,
  type Simulated,
  simulateAll,
  simulationTables,
  summarize
} from '../support/poll-simulation.ts'
import { onBothEngines } from '../support/stores.ts'

const DALLE: PollVariant = { kind: 'image', variant: 'DALLE' }
const NOW = Date.UTC(2026, 0, 1)
const SETTINGS = {
  floorMs: 500,
  ceilingMs: 30_000,
  fixedLooks: (untilMs: number) => Array.from({ length: Math.ceil(untilMs / 5000) + 1 }, (_, n) => n * 5000)
}
const sample = (afterMs: number, byMs: number, more: Partial<PollSample> = {}): PollSample => ({
  afterMs,
  byMs,
  looks: 2,
  at: NOW,
  ...more
})
const times = (n: number, make: (n: number) => PollSample) => Array.from({ length: n }, (_, i) => make(i))

t.test('a plan keeps its bounds, whatever the history is', async (t) => {
  const spread = (n: number) => 20_000 * (1 + 0.3 * Math.sin(n * 12.9898))
  const histories: Record<string, PollSample[]> = {
    'identical samples': times(50, () => sample(19_500, 20_500)),
    'no width at all': times(50, () => sample(20_000, 20_000)),
    'all at once': times(50, () => sample(0, 0)),
    'nothing before the first look': times(50, () => sample(0, 30_000)),
    'a spread': times(50, (n) => sample(spread(n) - 700, spread(n) + 700)),
    'two humps': times(50, (n) => sample(n % 2 ? 9_500 : 89_500, n % 2 ? 10_500 : 90_500)),
    'an outlier of a day': [sample(86_000_000, 86_400_000), ...times(50, () => sample(19_500, 20_500))],
    'one that was ready at once': [sample(0, 1), ...times(50, () => sample(19_500, 20_500))],
    'clocks that disagree': times(50, (n) => (n % 2 ? sample(-60_000, -1) : sample(80_000, 20_000))),
    'samples of the future': times(50, (n) => sample(19_500, 20_500, { at: NOW + n * 1e9 })),
    'hours, with few looks': times(50, (n) => sample(spread(n) * 500, spread(n) * 501))
  }
  for (const [name, history] of Object.entries(histories)) {
    const plan = planLooks(history, NOW, SETTINGS)
    if (plan === undefined) {
      t.fail(`${name}: no plan`)
      continue
    }
    t.ok(plan.every(Number.isFinite), `${name}: ages are numbers`)
    const waits = plan.map((age, n) => age - (plan[n - 1] ?? 0))
    t.ok(Math.min(...waits) >= SETTINGS.floorMs - 1e-6, `${name}: not too close (${Math.min(...waits)})`)
    const longest = (age: number) => Math.min(LONGEST_MS, Math.max(SETTINGS.ceilingMs, age / 2))
    t.ok(
      plan.every((age, n) => age - (plan[n - 1] ?? 0) <= longest(plan[n - 1] ?? 0) + 1e-6),
      `${name}: not too far apart`
    )
    t.strictSame(planLooks(history, NOW, SETTINGS), plan, `${name}: the same history, the same plan`)
  }
})

t.test('a plan waits until a result is plausible, and looks most often where it is likely', async (t) => {
  const history = times(100, (n) => {
    const at = 20_000 + 6000 * Math.sin(n * 12.9898)
    return sample(at - 500, at + 500, { looks: 5 })
  })
  const plan = planLooks(history, NOW, SETTINGS) ?? []
  t.ok((plan[0] as number) > 11_000 && (plan[0] as number) < 16_500, `the first look at ${plan[0]} ms`)
  const apart = (from: number, to: number) => {
    const waits = plan.map((age, n) => age - (plan[n - 1] ?? 0)).filter((_, n) => n > 0)
    const there = waits.filter((_, n) => (plan[n + 1] as number) > from && (plan[n + 1] as number) <= to)
    return there.reduce((sum, wait) => sum + wait, 0) / there.length
  }
  t.ok(apart(16_000, 26_000) < 3500, `${apart(16_000, 26_000)} ms apart where most are ready`)
  t.ok(apart(60_000, 200_000) > 5000, `${apart(60_000, 200_000)} ms apart in the tail`)
})

t.test('with little to go by there is no plan', async (t) => {
  t.equal(planLooks([], NOW, SETTINGS), undefined)
  t.equal(planLooks([sample(1000, 2000)], NOW, SETTINGS), undefined)
  t.equal(
    planLooks(
      times(4, () => sample(19_000, 20_000)),
      NOW,
      SETTINGS
    ),
    undefined
  )
  t.ok(
    planLooks(
      times(5, () => sample(19_000, 20_000)),
      NOW,
      SETTINGS
    )
  )
  const old = NOW - 365 * 86_400_000
  t.equal(
    planLooks(
      times(200, () => sample(19_000, 20_000, { at: old })),
      NOW,
      SETTINGS
    ),
    undefined,
    'nor with history of last year'
  )
})

t.test('looks that recent jobs have cost too much are paid back', async (t) => {
  const history = (looks: number) => times(100, (n) => sample(15_000 + n * 100, 15_500 + n * 100, { looks }))
  const before = (age: number, looks: number) =>
    planLooks(history(looks), NOW, SETTINGS)?.filter((at) => at < age).length ?? 0
  t.ok(before(25_000, 8) < before(25_000, 5), `${before(25_000, 8)} looks instead of ${before(25_000, 5)}`)
})

t.test('simulated creations', async (t) => {
  const results = await simulateAll()
  /** The adaptive schedule's numbers as parts of the fixed one's. */
  const compared = (name: string, from?: number, to?: number) => {
    const [distribution, runs] = [...results].find(([one]) => one.name === name) as [Distribution, Simulated]
    const fixed = summarize(runs.fixed, from ?? distribution.learntAfter, to)
    const adaptive = summarize(runs.adaptive, from ?? distribution.learntAfter, to)
    return {
      looks: adaptive.looksPerJob / fixed.looksPerJob,
      median: adaptive.medianLagMs / fixed.medianLagMs,
      mean: adaptive.meanLagMs / fixed.meanLagMs
    }
  }
  for (const { name } of DISTRIBUTIONS) {
    const { looks } = compared(name, 0)
    t.ok(
      looks <= 1.02,
      `${name}: no more looks than the fixed rule, cold start included (${looks.toFixed(3)})`
    )
    const { median, mean } = compared(name)
    t.ok(
      mean < 0.85 && median < 0.85,
      `${name}: earlier (median ${median.toFixed(2)}, mean ${mean.toFixed(2)})`
    )
  }
  for (const name of [0.05, 0.1, 0.2, 0.25, 0.3].map(
    (sigma) => `image, log-normal, median 20 s, sigma ${sigma}`
  )) {
    const { median } = compared(name)
    t.ok(median <= 0.4, `${name}: median lag ${median.toFixed(2)} of the fixed rule's`)
  }
  for (const name of [
    'GPT-4o, log-normal, median 40 s, sigma 0.25',
    'image, bimodal, 12 s (60 %) and 45 s, sigma 0.15'
  ]) {
    const { median } = compared(name)
    t.ok(median <= 0.4, `${name}: median lag ${median.toFixed(2)} of the fixed rule's`)
  }
  for (const { name } of DISTRIBUTIONS.filter(({ name }) => name.includes('drifting'))) {
    const { median } = compared(name, DRIFT_AT + 30, DRIFT_AT + 100)
    t.ok(median <= 0.7, `${name}: learnt again within tens of jobs (${median.toFixed(2)})`)
  }

  const { lag, spacing } = simulationTables(results)
  for (const [file, text] of Object.entries({ 'poll-schedule.csv': lag, 'poll-spacing.csv': spacing })) {
    const committed = readFileSync(new URL(`../../docs/data/${file}`, import.meta.url), 'utf8')
    t.ok(committed === text, `${file}; \`npm run bench:polls\` writes it`)
  }
})

onBothEngines(
  t,
  'how long a creation took is stored with its end, and with nothing else',
  async (t, { store }) => {
    const tasks = createTaskStore(store)
    const polls = createPollStore(store)
    const task = (id: string): NewTask => ({
      id,
      kind: 'image',
      owner: 'alice',
      prompt: 'a secret fox',
      options: { model: 'DALLE', aspect: 'SQUARE' },
      createdAt: 1,
      deadlineAt: null
    })
    for (const id of ['one', 'two']) {
      await tasks.insert(task(id))
      await tasks.claimQueued('w', 'image', 1, () => Infinity, 1)
      await tasks.move(id, 'polling', { submittedAt: 5, lookedAt: 7 }, { worker: 'w' })
    }
    t.equal((await tasks.get('one'))?.lookedAt, 7)
    const learnt = { job: DALLE, sample: sample(1000, 2000) }
    await tasks.move('one', 'completed', { completedAt: 9 }, { learnt })
    await tasks.move('one', 'completed', { completedAt: 9 }, { learnt })
    t.strictSame(await polls.newest(DALLE, 10), [sample(1000, 2000)], 'once')
    await tasks.move('two', 'cancelled', {})
    await tasks.move('two', 'completed', { completedAt: 9 }, { learnt })
    t.equal((await polls.newest(DALLE, 10)).length, 1, 'nothing of one that stood elsewhere')
    t.strictSame(
      Object.keys(await store.db.selectFrom('poll_samples').selectAll().executeTakeFirstOrThrow()).sort(),
      ['after_ms', 'by_ms', 'kind', 'looks', 'seen_at', 'variant']
    )
    await store.db.deleteFrom('tasks').execute()
    t.equal((await polls.newest(DALLE, 10)).length, 1, 'it outlives the task')
  }
)

onBothEngines(t, 'the newest samples of each model are kept', async (t, { store }) => {
  const polls = createPollStore(store)
  for (let n = 0; n < 12; n++) {
    await insertPollSample(store.db, DALLE, sample(n, n + 1, { at: n }))
    if (n < 3)
      await insertPollSample(store.db, { kind: 'video', variant: 'fast' }, sample(n, n + 1, { at: n }))
  }
  t.strictSame(
    (await polls.newest(DALLE, 2)).map(({ at }) => at),
    [11, 10]
  )
  t.equal(await polls.trim(5, 4), 4, 'so many at once')
  t.equal(await polls.trim(5, 4), 3)
  t.equal(await polls.trim(5, 4), 0)
  t.strictSame(
    (await polls.newest(DALLE, 99)).map(({ at }) => at),
    [11, 10, 9, 8, 7]
  )
  t.equal((await polls.newest({ kind: 'video', variant: 'fast' }, 99)).length, 3)
})

onBothEngines(
  t,
  'gateways on one store learn from one another, and after a restart',
  async (t, { store, reopen }) => {
    const log = { warn: (error: unknown) => t.fail(String(error)) }
    const clock = hurriedClock(NOW)
    const schedule = (on = store) => createAdaptiveSchedule({ store: createPollStore(on), clock, log })
    const first = schedule()
    const second = schedule(await reopen())
    await Promise.all([first.start(), second.start()])
    const job = { ...DALLE, ageMs: 0 }
    // What is older counts less, so a plan depends a little on when it is made.
    const near = (a: number, b: number) => Math.abs(a - b) < 10
    t.strictSame([first.nextDelay(job), first.isTooEarly(job)], [5000, false], 'as the fixed one at first')
    t.strictSame([second.nextDelay(job), second.isTooEarly(job)], [5000, false])
    await Promise.all([first.close(), second.close()])
    for (let n = 0; n < 20; n++) {
      const learnt = sample(19_500 + n, 20_500 + n, { at: NOW + n })
      await insertPollSample(store.db, DALLE, learnt)
      first.learn(DALLE, learnt)
    }
    t.ok(first.nextDelay(job) > 5000, 'whoever looked knows at once')
    t.ok(first.isTooEarly(job))
    t.equal(first.nextDelay({ kind: 'image', variant: 'GPT4O', ageMs: 0 }), 3000, 'each model for itself')
    t.equal(second.nextDelay(job), 5000)
    await clock.sleep(60_000)
    second.nextDelay(job)
    await second.close()
    t.ok(near(second.nextDelay(job), first.nextDelay(job)), 'the others within a minute')
    const third = schedule(await reopen())
    await third.start()
    t.ok(near(third.nextDelay(job), first.nextDelay(job)), 'and whoever starts')
    const late = third.nextDelay({ ...job, ageMs: 3_600_000 })
    t.ok(late > 30_000 && late <= LONGEST_MS, 'long after the plan has ended the looks are far apart')
    t.equal(third.nextDelay({ ...job, ageMs: -5000 }), third.nextDelay(job), 'a clock that was put back')
    await Promise.all([first.close(), second.close(), third.close()])
  }
)

t.test('a store that is away does not keep anybody from looking', async (t) => {
  const warnings: unknown[] = []
  const clock = hurriedClock(NOW)
  const store = { variants: async () => [], newest: async () => Promise.reject(new Error('away')) }
  const schedule = createAdaptiveSchedule({
    store,
    clock,
    log: { warn: (...args: unknown[]) => warnings.push(args) }
  })
  await schedule.start()
  for (let n = 0; n < SAMPLES; n++) t.equal(schedule.nextDelay({ ...DALLE, ageMs: 0 }), 5000)
  await schedule.close()
  t.equal(warnings.length, 1, 'and is asked once a minute')
})
