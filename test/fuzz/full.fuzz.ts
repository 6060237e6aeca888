/**
 * Odd requests for every route, odd bytes for everything that reads: `npm run fuzz` (docs/resilience.md).
 * SEED (default: another one each time); REQUESTS in all (default 100000) and INPUTS for each reader (default 50000), or
 * COUNT for both; CODEC: this reader only, CASE: this input of it only. 0 leaves a part out.
 */
import t from 'tap'
import { codecTable, describeFailure, fuzzCodec } from './codec-run.ts'
import { codecTargets } from './codecs.ts'
import { fuzzHttp, httpTable } from './http-run.ts'
import { anySeed } from './random.ts'

const { SEED = String(anySeed()), COUNT, CODEC, CASE } = process.env
const { REQUESTS = COUNT ?? '100000', INPUTS = COUNT ?? '50000' } = process.env
const [seed, requests, inputs] = [SEED, REQUESTS, INPUTS].map(Number) as [number, number, number]
if (![seed, requests, inputs, Number(CASE ?? 0)].every(Number.isSafeInteger))
  throw new Error('SEED, COUNT, REQUESTS, INPUTS and CASE are whole numbers')
console.error(`fuzzing: SEED=${seed} REQUESTS=${requests} INPUTS=${inputs}`)

/** Not by the test's own diff: what is odd enough for a failure is odd enough to spoil it. */
const tell = (table: string, failures: readonly string[]) =>
  console.error(`\n${[table, ...failures].join('\n\n')}\n`)

const half = Math.ceil(requests / 2)
if (CODEC === undefined && half > 0) {
  for (const [mode, engine] of [
    ['whitelist', 'sqlite'],
    ['key', 'postgres']
  ] as const) {
    t.test(`${half} odd requests, AUTH_MODE=${mode}, ${engine}, seed ${seed}`, async (t) => {
      const report = await fuzzHttp(t, { seed, count: half, mode, engine })
      tell(httpTable(report), report.failures)
      t.equal(report.failures.length, 0, 'no failures')
    })
  }
}

const targets = (await codecTargets(t)).filter(({ name }) => CODEC === undefined || name === CODEC)
if (inputs > 0 && targets.length === 0) throw new Error(`there is no reader ${CODEC}`)
for (const target of inputs > 0 ? targets : []) {
  t.test(`${inputs} inputs for ${target.name}, seed ${seed}`, async (t) => {
    const only = CASE === undefined ? undefined : Number(CASE)
    const report = await fuzzCodec(target, { seed, count: inputs, only })
    tell(
      codecTable([report]),
      report.failures.map((failure) => describeFailure(failure, seed))
    )
    t.equal(report.failures.length, 0, 'no failures')
  })
}
