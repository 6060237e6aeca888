/** Odd requests for every route. At length: `npm run fuzz` (docs/resilience.md). */
import t from 'tap'
import { fuzzHttp } from './http-run.ts'

const SEED = 20_261_122
// On a machine that has much else to do.
t.setTimeout(300_000)

for (const mode of ['whitelist', 'key'] as const) {
  t.test(`odd requests, AUTH_MODE=${mode}`, async (t) => {
    const { failures, statuses, slowestMs, ms, raw, rss } = await fuzzHttp(t, {
      seed: SEED,
      count: 500,
      mode,
      engine: 'sqlite'
    })
    t.comment(JSON.stringify({ statuses, slowestMs, ms, raw, rss }))
    t.strictSame(failures, [])
    for (const status of [200, 400, 401, 403, 404, 413, 415])
      t.ok(statuses[status], `some are answered with ${status}`)
  })
}
