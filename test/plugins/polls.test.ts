/** Looks at creations by what was learnt from earlier ones, in the whole gateway. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startSimulator } from '../../src/simulator/index.ts'
import { openStore } from '../../src/store/database.ts'
import { insertPollSample } from '../../src/store/poll-store.ts'
import { COOKIE, type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'

const ASYNC = { prefer: 'respond-async' }

const until = async (condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; n < 3000 && !(await condition()); n++)
    await new Promise((resolve) => setTimeout(resolve, 10))
}

const samplesOf = ({ app }: Gateway) => app.store.database.db.selectFrom('poll_samples').selectAll().execute()

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A gateway that learns, on a store from which it knows that images take about so long. */
async function experienced(
  t: Test,
  typicalMs: number,
  config: GatewayOptions['config'] = {}
): Promise<Gateway> {
  const dir = folder(t)
  const store = await openStore({ dataDir: dir })
  for (let n = 0; n < 60; n++) {
    const [afterMs, byMs] = [typicalMs * (0.95 + n * 0.001), typicalMs * (0.99 + n * 0.001)].map(Math.round)
    const sample = { afterMs: afterMs as number, byMs: byMs as number, looks: 2, at: Date.now() - n }
    await insertPollSample(store.db, { kind: 'image', variant: 'DALLE' }, sample)
  }
  await store.close()
  return startGateway(t, { dir, config: { POLL_INTERVAL_MS: undefined, ...config } })
}

t.test('while a result is not plausible, only the result page is opened', async (t) => {
  const gateway = await experienced(t, 60_000)
  const { json } = await gateway.post('/create/image', { query: 'a fox' }, ASYNC)
  const task = () => gateway.app.store.tasks.get(json.data.taskId)
  await until(async () => (await task())?.memory.opened === true)
  const seen = await task()
  const { counts } = gateway.sim
  t.strictSame([counts['creator.result-page'], counts['creator.poll'] ?? 0], [1, 0])
  t.strictSame([seen?.looks, seen?.lookedAt], [0, null], 'which is no look')
  const wait = (seen?.dueAt ?? 0) - (seen?.submittedAt ?? 0)
  t.ok(wait > 20_000 && wait < 60_000, `the first one comes after ${wait} ms`)
})

t.test('a refusal on the result page is told at once all the same', async (t) => {
  const gateway = await experienced(t, 60_000)
  gateway.sim.set('resultPage', { marker: 'girer-icon' })
  const { status, json } = await gateway.post('/create/image', { query: 'a fox' })
  t.strictSame([status, json.error.type], [422, 'prompt_rejected_error'])
  t.equal(gateway.sim.counts['creator.poll'] ?? 0, 0)
})

t.test('looks come when a result is plausible, and what they see is learnt', async (t) => {
  const gateway = await experienced(t, 1500)
  gateway.sim.set('poll', { readyAfterMs: 1500, pendingPolls: 0 })
  const { status } = await gateway.post('/create/image', { query: 'a fox' })
  t.equal(status, 200)
  t.ok((gateway.sim.counts['creator.poll'] as number) <= 3, 'few looks')
  const samples = (await samplesOf(gateway)).sort((a, b) => b.seen_at - a.seen_at)
  t.equal(samples.length, 61)
  const [newest] = samples
  t.match(newest, { kind: 'image', variant: 'DALLE', looks: gateway.sim.counts['creator.poll'] })
  t.ok(newest && newest.after_ms < 1500 && newest.by_ms >= 1400, JSON.stringify(newest))
})

t.test('the last look comes before the deadline, however late a result is expected', async (t) => {
  const gateway = await experienced(t, 60_000, { IMAGE_TIMEOUT_MS: 7000 })
  gateway.sim.set('poll', { readyAfterMs: 100, pendingPolls: 0 })
  t.equal((await gateway.post('/create/image', { query: 'a fox' })).status, 200)
})

t.test('nothing is learnt from a result that was seen late or after trouble', async (t) => {
  const databaseUrl = await (await startPostgres(t)).database()
  const sim = await startSimulator({ cookies: [COOKIE], behave: { media: { plain: true } } })
  t.teardown(() => sim.close())
  const dir = folder(t)
  const first = await startGateway(t, { dir, sim, config: { DATABASE_URL: databaseUrl } })
  sim.enqueue('poll', {}, { status: 503 })
  t.equal((await first.post('/create/image', { query: 'a look that fails' })).status, 200)
  t.strictSame(await samplesOf(first), [], 'after trouble')
  t.notMatch(first.log(), 'job failed', 'and every engine takes the time of the next look')

  sim.set('poll', { neverReady: true })
  const { taskId } = (await first.post('/create/image', { query: 'seen late' }, ASYNC)).json.data
  await until(async () => ((await first.app.store.tasks.get(taskId))?.looks ?? 0) > 0)
  await first.app.close()
  const store = await openStore({ dataDir: dir, databaseUrl })
  await store.db
    .updateTable('tasks')
    .set({ due_at: Date.now() - 60_000 })
    .where('id', '=', taskId)
    .execute()
  await store.close()
  sim.set('poll', {})
  const second = await startGateway(t, { dir, sim, config: { DATABASE_URL: databaseUrl } })
  t.equal((await second.ended(taskId)).status, 'completed')
  t.strictSame(await samplesOf(second), [], 'late')

  t.equal((await second.post('/create/image', { query: 'in time' })).status, 200)
  const samples = await samplesOf(second)
  t.equal(samples.length, 1, 'in time')
  t.ok(samples[0] && samples[0].by_ms >= samples[0].after_ms)
})
