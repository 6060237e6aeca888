/** PostgreSQL is stopped for OUTAGE_MS (default 20,000) under load, and two replicas go on by themselves: `npm run chaos`. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { call, until } from '../support/http.ts'
import { nothingLost, startLoad } from '../support/load.ts'
import { privatePostgres } from '../support/postgres.ts'
import { startReplicas } from '../support/replicas.ts'

const OUTAGE_MS = Number(process.env.OUTAGE_MS ?? '20000')

for (const [name, immediate] of [
  ['stopped', false],
  ['crashed', true]
] as const) {
  t.test(`PostgreSQL ${name} for ${OUTAGE_MS} ms`, async (t) => {
    const postgres = await privatePostgres(t, { durable: true })
    const { sim, processes } = await startReplicas(t, 2, { env: { DATABASE_URL: await postgres.database() } })
    sim.set('poll', { images: 1 })
    const urls = processes.map(({ url }) => url)
    const ready = () => Promise.all(urls.map(async (url) => (await call(`${url}/readyz`)).status))
    const load = await startLoad({ urls, userId: 'alice', everyMs: 250 })
    await until('some work', () => load.accepted.size > 20)
    await postgres.stop({ immediate })
    await until('both not ready', ready, (statuses) => statuses.every((status) => status === 503))
    await pause(OUTAGE_MS)
    const refused = load.replies.filter(({ code }) => code === 'store_unavailable').length
    t.ok(refused > 0, `${refused} requests were refused meanwhile`)
    await postgres.start()
    const backAt = performance.now()
    await until('both ready', ready, (statuses) => statuses.every((status) => status === 200))
    const served = load.accepted.size
    await until('new work', () => load.accepted.size > served + 10)
    const recovery = Math.round(performance.now() - backAt)
    await load.stop()
    await nothingLost(t, urls[0] ?? '', sim, load)
    console.error(
      `PostgreSQL ${name}: ${load.accepted.size} creations accepted, ${refused} refused, ready and at work after ${recovery} ms`
    )
  })
}
