/**
 * kill -9 at random moments, again and again: `npm run chaos`.
 * ROUNDS (default 30), ENGINE (sqlite, postgres, or both; default both), SEED (default: another one each time).
 */
import t from 'tap'
import type { Engine } from '../../src/store/database.ts'
import { anySeed, chaosTable, runChaos } from '../support/chaos.ts'

const { ROUNDS = '30', ENGINE = 'both', SEED = String(anySeed()) } = process.env
const engines: Engine[] = ENGINE === 'both' ? ['sqlite', 'postgres'] : [ENGINE as Engine]
if (
  !engines.every((engine) => engine === 'sqlite' || engine === 'postgres') ||
  !(Number(ROUNDS) > 0) ||
  Number.isNaN(Number(SEED))
)
  throw new Error('ENGINE is sqlite, postgres or both; ROUNDS and SEED are numbers')

const columns: Record<string, Record<string, number>> = {}
console.error(`kill -9: ROUNDS=${ROUNDS} ENGINE=${ENGINE} SEED=${SEED}`)

for (const engine of engines) {
  t.test(`${ROUNDS} times kill -9 (${engine}, seed ${SEED})`, async (t) => {
    columns[engine] = await runChaos(t, { engine, rounds: Number(ROUNDS), seed: Number(SEED) })
  })
}
t.teardown(() => console.error(`\n${chaosTable(columns)}\n`))
