/**
 * When to look at a creation, planned from how long earlier ones took. Pure: history in, ages out.
 *
 * With the hazard h(t) — the chance that one which is not ready at age t becomes so in the next moment — looks that are
 * δ(t) apart cost ∫ S(t)/δ(t) dt requests, and find the result δ(t)/2 late on average. For a given number of requests the
 * mean lag is least with δ(t) ∝ 1/√h(t), the mean of its square root with δ(t) ∝ h(t)^(-2/3). The second one is used: it
 * gains in the median and loses next to nothing in the mean. The factor is found by bisection, so that the plan costs no
 * more looks than the fixed rule would on the same jobs.
 */

/** How long one creation took. */
export interface PollSample {
  /** Age at the last look that saw nothing, in milliseconds; 0 when there was none. */
  afterMs: number
  /** Age at the look that saw the result. When it became ready in between, nobody knows. */
  byMs: number
  /** Looks that it took. */
  looks: number
  /** When that was, in milliseconds since the epoch. */
  at: number
}

export interface PlanSettings {
  /** Ages at which the fixed rule looks, ascending, at least up to the given one: what a plan may cost. */
  fixedLooks(untilMs: number): readonly number[]
  /** Two looks are never closer, in milliseconds. */
  floorMs: number
  /** Nor further apart, unless the creation is older than twice that: then half its age, and LONGEST_MS at most. */
  ceilingMs: number
}

/** Samples that are worth keeping: those before weigh less than 3 %. */
export const SAMPLES = 256
/** No two looks are further apart, however old the creation. */
export const LONGEST_MS = 600_000

/** A sample counts half after so many later ones, and after so much time. */
const HALF_LIFE = { samples: 50, ms: 14 * 86_400_000 }
/** Below this weight (five samples) there is no plan. */
const LEAST_WEIGHT = 4
/**
 * The next one may be unlike all before. The doubt weighs as much as one sample and is log-logistic around the median:
 * half of it lies within a factor of √3, and its tail is so long that looks in it grow apart with age.
 */
const DOUBT = { weight: 1, shape: 2 }
/** Part of the fixed rule's looks that is spent: the history is an estimate. */
const SPENT = 0.97
/**
 * Looks that recent jobs have cost too much, while the distribution moved, are paid back twice as fast as they were made.
 * Up to a tenth of the budget: beyond that they were not planned but made at an operator's fixed interval.
 */
const DEBT = { payBack: 2, most: 0.1 }
/** Cells of the density, evenly spaced in log(t) over this range of multiples of the median; the first one begins at 0. */
const CELLS = 1024
const SPAN = { from: 1 / 32, to: 32 }
const URGE = 2 / 3
/** A lag below this part of the age is not worth a request. */
const UNNOTICED = 0.002
const BISECTIONS = 20

/**
 * @param samples newest first
 * @param now milliseconds since the epoch
 * @returns ages at which to look, ascending, in milliseconds; `undefined` when too little is known
 */
export function planLooks(
  samples: readonly PollSample[],
  now: number,
  settings: PlanSettings
): readonly number[] | undefined {
  const known = weigh(samples, now)
  const total = known.reduce((sum, { weight }) => sum + weight, 0)
  if (total < LEAST_WEIGHT) return undefined
  const median = medianOf(known, total)
  const edges = Array.from({ length: CELLS + 1 }, (_, n) =>
    n === 0 ? 0 : median * SPAN.from * (SPAN.to / SPAN.from) ** (n / CELLS)
  )
  const urges = urgesOf(densityOf(known, edges, median), edges)
  const longest = known.reduce((most, { to }) => Math.max(most, to), 0)
  const usual = meanLooks(known, settings.fixedLooks(Math.min(longest, edges[CELLS] as number)), total)
  const used = known.reduce((sum, { weight, looks }) => sum + weight * looks, 0) / total
  const debt = Math.min(Math.max(0, used - usual), usual * DEBT.most)
  const budget = usual * SPENT - debt * DEBT.payBack
  // The plan that places its looks by the urges alone, floor and ceiling apart, would be near the first guess.
  const guess =
    urges.reduce((sum, urge, n) => sum + urge * ((edges[n + 1] as number) - (edges[n] as number)), 0) / budget
  let low = guess / 64
  let high = guess * 64
  for (let n = 0; n < BISECTIONS; n++) {
    const apart = Math.sqrt(low * high)
    if (meanLooks(known, placeLooks(urges, edges, apart, settings), total) > budget) low = apart
    else high = apart
  }
  return placeLooks(urges, edges, high, settings)
}

/**
 * The first planned look from an age on.
 * @returns an age in milliseconds; `undefined` where the plan has ended
 */
export function nextPlanned(plan: readonly number[], fromMs: number): number | undefined {
  return plan[countBelow(plan, fromMs)]
}

/** A sample as it counts now. */
interface Known {
  from: number
  to: number
  mid: number
  weight: number
  looks: number
}

/** Clocks of replicas differ, so ages may be negative or the wrong way round. */
function weigh(samples: readonly PollSample[], now: number): Known[] {
  return samples
    .slice(0, SAMPLES)
    .map(({ afterMs, byMs, at, looks }, n) => {
      const from = Math.max(0, afterMs)
      const to = Math.max(1, from, byMs)
      const weight = 2 ** -(n / HALF_LIFE.samples + Math.max(0, now - at) / HALF_LIFE.ms)
      return { from, to, mid: (from + to) / 2, weight, looks }
    })
    .sort((a, b) => a.mid - b.mid)
}

function medianOf(known: readonly Known[], total: number): number {
  let sum = 0
  for (const { mid, weight } of known) {
    sum += weight
    if (sum >= total / 2) return mid
  }
  return 1
}

/**
 * Weight in each cell. A sample is spread evenly over the interval in which it became ready, widened to the samples near
 * it: smooth where there are few, sharp where there are many. A result that the first look finds at once has a long
 * interval down to 0, which is what moves the plan to earlier looks when creations get faster.
 */
function densityOf(known: readonly Known[], edges: readonly number[], median: number): Float64Array {
  const cells = new Float64Array(CELLS)
  const first = median * SPAN.from
  const step = Math.log(SPAN.to / SPAN.from) / CELLS
  const cellOf = (t: number) => (t <= first ? 0 : Math.min(CELLS - 1, Math.floor(Math.log(t / first) / step)))
  const near = Math.max(1, Math.round(Math.sqrt(known.length) / 2))
  for (const [n, { from, to, weight }] of known.entries()) {
    const below = (known[Math.max(0, n - near)] as Known).mid
    const above = (known[Math.min(known.length - 1, n + near)] as Known).mid
    const widening = Math.max(1.01, Math.sqrt(above / below))
    const low = from / widening
    const high = to * widening
    const last = cellOf(high)
    for (let cell = cellOf(low), at = low; cell <= last; cell++) {
      const end = cell === last ? high : (edges[cell + 1] as number)
      cells[cell] = (cells[cell] as number) + (weight * (end - at)) / (high - low)
      at = end
    }
  }
  for (let cell = 0, before = 0; cell < CELLS; cell++) {
    const below = 1 / (1 + (median / (edges[cell + 1] as number)) ** DOUBT.shape)
    cells[cell] = (cells[cell] as number) + DOUBT.weight * (below - before)
    before = below
  }
  return cells
}

/** h(t)^(2/3) in each cell. */
function urgesOf(density: Float64Array, edges: readonly number[]): Float64Array {
  const urges = new Float64Array(CELLS)
  let later = DOUBT.weight / (1 + SPAN.to ** DOUBT.shape)
  for (let cell = CELLS - 1; cell >= 0; cell--) {
    const here = density[cell] as number
    const width = (edges[cell + 1] as number) - (edges[cell] as number)
    urges[cell] = (here / ((later + here / 2) * width)) ** URGE
    later += here
  }
  return urges
}

/** Ages so far apart that the urges between two of them sum up to `apart`. */
function placeLooks(
  urges: Float64Array,
  edges: readonly number[],
  apart: number,
  { floorMs, ceilingMs }: PlanSettings
): number[] {
  const looks: number[] = []
  let last = 0
  let from = 0
  let sum = 0
  for (let cell = 0; cell < CELLS; ) {
    const end = edges[cell + 1] as number
    const urge = urges[cell] as number
    const least = last + Math.min(LONGEST_MS, Math.max(floorMs, last * UNNOTICED))
    const most = last + Math.min(LONGEST_MS, Math.max(ceilingMs, last / 2))
    const at = Math.min(Math.max(from + Math.max(0, apart - sum) / urge, least), Math.max(most, least))
    if (at > end) {
      sum += (end - from) * urge
      from = end
      cell++
      continue
    }
    looks.push(at)
    last = at
    from = at
    sum = 0
  }
  return looks
}

/** Looks that a rule spends on a job like these, on average. */
function meanLooks(known: readonly Known[], looks: readonly number[], total: number): number {
  let sum = 0
  for (const { from, to, mid, weight } of known) {
    const wide = (to - from) / 3
    const spent = countBelow(looks, mid - wide) + countBelow(looks, mid) + countBelow(looks, mid + wide)
    sum += weight * (spent / 3 + 1)
  }
  return sum / total
}

/** How many of ascending numbers are below one. */
function countBelow(ascending: readonly number[], limit: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] as number) < limit) low = middle + 1
    else high = middle
  }
  return low
}
