/** What is removed after its time, and what is not. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startGateway } from '../support/gateway.ts'

const ALICE = { 'x-user-id': 'alice' }
const DAY_MS = 86_400_000

t.test('tasks and their media go after their time, with everything that hangs on them', async (t) => {
  const gateway = await startGateway(t, {
    config: { TASK_RETENTION_DAYS: 2, DEFAULT_LIMITS: 'images=5/h videos=5/h' }
  })
  const { app, sim } = gateway
  const { db } = app.store.database
  const make = async (query: string) =>
    (await gateway.post('/create/image', { query }, { ...ALICE, 'idempotency-key': query })).json.data
  const old = await make('old')
  const young = await make('young')
  sim.set('videoPoll', { neverReady: true })
  const running = (await gateway.post('/create/video', { query: 'running' }, ALICE)).json.data
  const files = (id: string) => join(gateway.dir, 'media', id)
  t.equal(readdirSync(files(old.taskId)).length, old.images.length)

  await app.sweep()
  t.equal((await gateway.get(`/task/${old.taskId}`, ALICE)).status, 200, 'nothing is old yet')

  const now = Date.now()
  await db
    .updateTable('tasks')
    .set({ completed_at: now - 2 * DAY_MS - 60_000 })
    .where('id', '=', old.taskId)
    .execute()
  await db
    .updateTable('tasks')
    .set({ completed_at: now - 2 * DAY_MS + 60_000 })
    .where('id', '=', young.taskId)
    .execute()
  await db
    .updateTable('tasks')
    .set({ created_at: now - 9 * DAY_MS })
    .where('id', '=', running.taskId)
    .execute()
  await db
    .updateTable('idempotency')
    .set({ expires_at: now - 1 })
    .where('task_id', '=', old.taskId)
    .execute()
  await db
    .updateTable('limits')
    .set({ window_ends: now - 1 })
    .execute()
  await app.sweep()

  t.equal((await gateway.get(`/task/${old.taskId}`, ALICE)).status, 404)
  t.notOk(existsSync(files(old.taskId)), 'its files are gone')
  t.equal(
    (await gateway.get(new URL(old.media[0].url).pathname + new URL(old.media[0].url).search)).status,
    404
  )
  t.equal((await gateway.get(`/task/${young.taskId}`, ALICE)).json.data.media.length, young.images.length)
  t.equal(
    (await gateway.get(`/task/${running.taskId}`, ALICE)).status,
    200,
    'what runs is kept, however old it is'
  )
  t.equal((await db.selectFrom('idempotency').selectAll().execute()).length, 1)
  t.equal((await db.selectFrom('limits').selectAll().execute()).length, 0)
  t.equal((await db.selectFrom('media').selectAll().where('task_id', '=', old.taskId).execute()).length, 0)
})

t.test('sweeps come by themselves', async (t) => {
  const first = await startGateway(t)
  const { taskId } = (await first.post('/create/image', { query: 'a fox' }, ALICE)).json.data
  await first.app.close()
  const config = { TASK_RETENTION_DAYS: 1 }
  const gateway = await startGateway(t, { dir: first.dir, sim: first.sim, speed: 20_000, config })
  for (let n = 0; n < 1500; n++) {
    if ((await gateway.get(`/task/${taskId}`, ALICE)).status === 404) return t.pass('swept')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.fail('not swept')
})
