/** A short piece of what `npm run chaos` does at length (docs/resilience.md). */
import t from 'tap'
import { anySeed, runChaos } from '../support/chaos.ts'

// Most of their time they wait for a lease to end.
t.jobs = 2
t.setTimeout(240_000)

for (const engine of ['sqlite', 'postgres'] as const) {
  const seed = anySeed()
  t.test(`kill -9 (${engine}, seed ${seed})`, { buffered: true }, async (t) => {
    await runChaos(t, { engine, rounds: 2, seed })
  })
}
