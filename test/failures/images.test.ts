/**
 * docs/protocol/failures.md section 7, rows I1 to I26: the cells of test/support/fault-rows/images.ts, and what is no cell
 * of its own.
 */
import t from 'tap'
import { checkAnswer, failureRig, OUTCOME_UNKNOWN, SPEED, TIMEOUT } from '../support/failure-table.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { imageGroups, TOO_MANY } from '../support/fault-rows/images.ts'

t.jobs = 3
runGroups(t, imageGroups)

t.test('I2: the second submit differs in rt and in nothing else', async (t) => {
  const rig = await failureRig(t)
  for (const [model, rts] of [
    ['DALLE', ['3', '4']],
    ['MAI1', ['4', '3']]
  ] as const) {
    rig.sim.enqueue('submit', { answer: 'start-page' })
    t.equal((await rig.image({ model, aspect: 2 })).status, 200)
    const [first, second, third] = rig.sim.requests.filter(({ method }) => method === 'POST')
    t.equal(third, undefined)
    const queries = [first, second].map((request) => new URLSearchParams(request?.search))
    t.strictSame(
      queries.map((query) => query.get('rt')),
      rts
    )
    for (const query of queries) for (const name of ['rt', 'IG']) query.delete(name)
    t.equal(String(queries[0]), String(queries[1]))
    t.equal(first?.body, second?.body)
    rig.sim.reset()
  }
})

t.test('I10: queue, until the other one has ended', async (t) => {
  // In real time, in which the gateway asks again by itself only after a minute.
  const rig = await failureRig(t, { speed: 1, config: { POLL_INTERVAL_MS: 20 } })
  await rig.warm()
  rig.sim.set('submit', { maxParallel: 1 })
  rig.sim.set('poll', { neverReady: true })
  const first = rig.image({ query: 'first' })
  await rig.until('creator.poll', 1)
  const second = rig.image({ query: 'second' })
  await rig.until('creator.submit.refused', 1)
  const third = rig.image({ query: 'third' })
  await rig.until('creator.poll', rig.seen().polls + 5)
  t.match(rig.seen(), { submits: 2, accepted: 1 }, 'Bing is not asked over and over')
  rig.sim.set('poll', {})
  t.strictSame(
    (await Promise.all([first, second, third])).map(({ status }) => status),
    [200, 200, 200],
    'all are drawn, one after the other'
  )
  t.match(rig.seen(), { submits: 4, accepted: 3 })
  t.strictSame(rig.sim.violations, [])
})

t.test('I10: none of ours is running, once more after 30 s', async (t) => {
  const rig = await failureRig(t)
  await rig.warm()
  rig.sim.enqueue('submit', { text: 'ongoing' })
  const startedAt = performance.now()
  t.equal((await rig.image()).status, 200)
  t.ok((performance.now() - startedAt) * SPEED >= 30_000, 'after 30 s')
  t.match(rig.seen(), { submits: 2, accepted: 1 })

  const hurried = await failureRig(t, { config: { IMAGE_TIMEOUT_MS: 29_000 } })
  hurried.sim.set('submit', { text: 'ongoing' })
  checkAnswer(t, 'no time to wait for', await hurried.image(), TOO_MANY)
  t.equal(hurried.seen().submits, 1)
})

t.test('I10: no place until the time is over', async (t) => {
  const rig = await failureRig(t, { speed: 1, config: { POLL_INTERVAL_MS: 20 } })
  rig.sim.set('submit', { maxParallel: 1 })
  rig.sim.set('poll', { neverReady: true })
  const first = rig.image({ query: 'first' })
  await rig.until('creator.poll', 1)
  const refused = rig.image({ query: 'refused' })
  await rig.until('creator.submit.refused', 1)
  const behind = rig.image({ query: 'behind' })
  const { tasks, database } = rig.app.store
  const queued = async () => (await tasks.list('', { limit: 3 })).filter(({ state }) => state === 'queued')
  for (let n = 0; (await queued()).length < 2; n++) {
    if (n === 2000) throw new Error('they do not wait')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const ids = (await queued()).map(({ id }) => id)
  await database.db.updateTable('tasks').set({ deadline_at: 1 }).where('id', 'in', ids).execute()
  rig.app.taskRunner.kick()
  checkAnswer(t, 'Bing had no place for it', await refused, TOO_MANY)
  checkAnswer(t, 'not even asked for', await behind, TIMEOUT)
  t.match(rig.seen(), { submits: 2, accepted: 1 })
  rig.sim.set('poll', {})
  t.equal((await first).status, 200)
})

t.test('I11: the wait ends at midnight UTC', async (t) => {
  const rig = await failureRig(t)
  rig.sim.set('submit', { text: 'no-coins' })
  const { headers } = await rig.image()
  const left = 86_400 - ((rig.app.clock.now() / 1000) % 86_400)
  t.ok(Math.abs(Number(headers['retry-after']) - left) < 3600, 'as long as the day still is')
})

t.test('a gateway that stops before the prompt was sent says so', async (t) => {
  const rig = await failureRig(t)
  rig.sim.enqueue('bootstrap', { stall: 'before' })
  const image = rig.image()
  await rig.until('creator.bootstrap', 1)
  await rig.app.taskRunner.close(1)
  checkAnswer(t, 'bootstrap', await image, {
    status: 503,
    type: 'service_unavailable_error',
    code: 'restarted',
    retryAfter: 1
  })
  const other = await failureRig(t)
  other.sim.enqueue('submit', { stall: 'before' })
  const lost = other.image()
  await other.until('creator.submit.received', 1)
  await other.app.taskRunner.close(1)
  checkAnswer(t, 'submit', await lost, OUTCOME_UNKNOWN)
})
