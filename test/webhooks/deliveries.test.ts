import t, { type Test } from 'tap'
import { type Clock, createClock, systemClock } from '../../src/clock.ts'
import { createDeliveryRunner, type DeliveryRunnerSettings } from '../../src/jobs/delivery-runner.ts'
import { openStore, type Store } from '../../src/store/database.ts'
import { createDeliveryStore } from '../../src/store/delivery-store.ts'
import { createTaskStore } from '../../src/store/task-store.ts'
import { RETRY_DELAYS_MS, retryDelay } from '../../src/webhooks/backoff.ts'
import { createPlaces } from '../../src/webhooks/places.ts'
import { createWebhookSender } from '../../src/webhooks/sender.ts'
import { isPublicOrPrivateAddress } from '../../src/webhooks/target.ts'
import { startPostgres } from '../support/postgres.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'

const HOUR_MS = 3_600_000

/** The same test on each engine. */
function onBoth(name: string, run: (t: Test, store: Store) => Promise<void>) {
  for (const engine of ['SQLite', 'PostgreSQL'] as const) {
    t.test(`${name} (${engine})`, async (t) => {
      const databaseUrl = engine === 'SQLite' ? undefined : await (await startPostgres(t)).database()
      const store = await openStore({ databaseUrl, dataDir: t.testdir() })
      t.teardown(() => store.close())
      await run(t, store)
    })
  }
}

let made = 0
/** A task that ends at once, with a webhook. @returns the id of its delivery */
async function webhook(store: Store, url: string, { owner = 'alice', at = 1000 } = {}): Promise<string> {
  const tasks = createTaskStore(store)
  const id = `00000000-0000-4000-8000-${String(++made).padStart(12, '0')}`
  await tasks.insert({
    id,
    kind: 'video',
    owner,
    prompt: 'waves',
    options: { speed: 'standard' },
    createdAt: at,
    deadlineAt: null,
    webhookUrl: url,
    baseUrl: 'http://gateway.test'
  })
  await tasks.move(id, 'cancelled', { completedAt: at })
  const [delivery] = await createDeliveryStore(store).list({ taskId: id, limit: 1 })
  return delivery?.id as string
}

const lane = (owner: string) => `${owner} hook.test`
const HOOK = 'https://hook.test/x'

t.test('the schedule lasts for more than a day, and chance only makes it longer', async (t) => {
  const least = RETRY_DELAYS_MS.map((_, n) => retryDelay(n + 1, 0, 0) ?? 0)
  t.strictSame(least, RETRY_DELAYS_MS)
  t.ok(least.reduce((sum, ms) => sum + ms) > 24 * HOUR_MS)
  t.equal(retryDelay(1, 0, 1), 6000)
  t.not(retryDelay(5), retryDelay(5))
  t.equal(retryDelay(RETRY_DELAYS_MS.length + 1), undefined)
  t.equal(retryDelay(1, 60_000), 60_000, 'the receiver can ask for more time')
  t.ok((retryDelay(2, 1000) ?? 0) >= 300_000, 'but not for less')
})

t.test('places are shared out by owner and by host', async (t) => {
  const places = createPlaces({ total: 5, perOwner: 3, perHost: 2 })
  const leave = places.take('alice a.test')
  places.take('alice a.test')
  t.equal(places.free('alice a.test'), 0, 'the host is full')
  t.equal(places.free('bob a.test'), 0, 'for everybody')
  t.equal(places.free('alice b.test'), 1, 'an owner has places left')
  places.take('alice b.test')
  t.equal(places.free('alice c.test'), 0)
  t.equal(places.free(' c.test'), 2, 'callers without a name')
  places.take('bob c.test')
  places.take('bob d.test')
  t.equal(places.free('carol e.test'), 0, 'nothing is left')
  leave()
  t.equal(places.free('carol e.test'), 1)
  t.equal(places.free('alice a.test'), 1)
})

onBoth('the end of a task puts its webhook into the outbox, once', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const tasks = createTaskStore(store)
  const id = await webhook(store, HOOK, { at: 5000 })
  t.match(id, /^msg_[0-9a-f]{32}$/)
  const delivery = await deliveries.get(id)
  t.match(delivery, {
    owner: 'alice',
    url: HOOK,
    baseUrl: 'http://gateway.test',
    event: 'task.cancelled',
    state: 'pending',
    attempts: 0,
    dueAt: 5000,
    endedAt: null
  })
  await tasks.move(delivery?.taskId as string, 'failed', { completedAt: 6000 })
  t.equal((await deliveries.list({ limit: 10 })).length, 1)
  t.equal(await deliveries.get('msg_none'), undefined)
})

onBoth('claims: what is due, each by one worker, lane by lane', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const ids = [] as string[]
  for (const at of [300, 100, 200, 900]) ids.push(await webhook(store, HOOK, { at }))
  const bobs = await webhook(store, HOOK, { owner: 'bob b', at: 150 })
  t.strictSame(await deliveries.dueLanes(50), [])
  t.strictSame(await deliveries.dueLanes(120), [lane('alice')])
  t.strictSame(await deliveries.dueLanes(500), [lane('alice'), lane('bob b')], 'the longest due first')
  t.equal(await deliveries.nextDueAt(300), 900)
  t.equal(await deliveries.nextDueAt(900), undefined)

  const claim = (worker: string, limit: number, of = 'alice') =>
    deliveries.claimDue(worker, 500, lane(of), limit)
  const first = await claim('w1', 2)
  t.strictSame(first.map(({ id }) => id).sort(), [ids[1], ids[2]].sort())
  const [second, third] = await Promise.all([claim('w2', 9), claim('w3', 9)])
  t.strictSame(
    [...second, ...third].map(({ id }) => id),
    [ids[0]],
    'nothing twice'
  )
  t.strictSame(await deliveries.dueLanes(500), [lane('bob b')])
  t.strictSame(
    (await claim('w2', 9, 'bob b')).map(({ id }) => id),
    [bobs]
  )
})

onBoth('many workers at once never claim the same', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  for (let n = 0; n < 40; n++) await webhook(store, HOOK)
  const claims = await Promise.all(
    Array.from({ length: 20 }, (_, n) => deliveries.claimDue(`w${n}`, 2000, lane('alice'), 3))
  )
  const rest = await deliveries.claimDue('last', 2000, lane('alice'), 40)
  const ids = [...claims.flat(), ...rest].map(({ id }) => id)
  t.equal(ids.length, 40)
  t.equal(new Set(ids).size, 40)
})

onBoth('only the worker that has a delivery says how it went', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const id = await webhook(store, HOOK)
  const note = { status: 500, error: 'HTTP 500' }
  const claim = (worker: string, now = 2000) => deliveries.claimDue(worker, now, lane('alice'), 1)
  t.equal(await deliveries.end(id, 'w1', 'delivered', 2000, note), false, 'nobody has it')
  await claim('w1')
  t.equal(await deliveries.putOff(id, 'w2', 9000, note), false)
  t.equal(await deliveries.end(id, 'w2', 'delivered', 2000, note), false)
  t.equal(await deliveries.putOff(id, 'w1', 9000, note), true)
  t.match(await deliveries.get(id), {
    attempts: 1,
    dueAt: 9000,
    worker: null,
    lastStatus: 500,
    lastError: 'HTTP 500'
  })
  t.strictSame(await claim('w1'), [], 'it is not due yet')
  await claim('w1', 9000)
  t.equal(await deliveries.end(id, 'w1', 'delivered', 9500, { status: 200, error: null }), true)
  t.match(await deliveries.get(id), {
    state: 'delivered',
    attempts: 2,
    dueAt: null,
    worker: null,
    lastStatus: 200,
    lastError: null,
    endedAt: 9500
  })
  t.equal(await deliveries.end(id, 'w1', 'failed', 9600, note), false, 'what has ended stays')
  t.strictSame(await deliveries.dueLanes(1e12), [])
})

onBoth("a dead worker's deliveries are given back, a living one's stay", async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const ids = [] as string[]
  for (let n = 0; n < 3; n++) ids.push(await webhook(store, HOOK))
  await deliveries.claimDue('dead', 2000, lane('alice'), 1)
  const [kept, lost] = await deliveries.claimDue('living', 2000, lane('alice'), 2)
  await deliveries.release('dead')
  await deliveries.release('living', [kept?.id as string])
  const again = await deliveries.claimDue('next', 2000, lane('alice'), 9)
  t.equal(again.length, 2)
  t.ok(again.some(({ id }) => id === lost?.id))
  t.match(await deliveries.get(kept?.id as string), { worker: 'living' })
})

onBoth('replay: from the beginning, with the same id', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const id = await webhook(store, HOOK)
  const claim = () => deliveries.claimDue('w1', 1e6, lane('alice'), 1)
  for (const state of ['delivered', 'failed'] as const) {
    await claim()
    t.equal(await deliveries.replay(id, 5000), false, 'not while it is being delivered')
    await deliveries.end(id, 'w1', state, 4000, { status: 410, error: 'gone' })
    t.equal(await deliveries.replay(id, 5000), true, state)
    t.match(await deliveries.get(id), {
      state: 'pending',
      attempts: 0,
      dueAt: 5000,
      endedAt: null,
      lastStatus: 410
    })
  }
  t.equal(await deliveries.replay('msg_none', 5000), false)
})

onBoth('lists, counts, and the removal of what ended long ago', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  t.strictSame(await deliveries.countByState(), { pending: 0, delivered: 0, failed: 0 })
  const ids = [] as string[]
  for (let n = 0; n < 5; n++) ids.push(await webhook(store, HOOK, { at: 1000 + n }))
  await deliveries.claimDue('w1', 2000, lane('alice'), 4)
  for (const n of [0, 1, 2, 3]) {
    const state = n < 2 ? 'failed' : 'delivered'
    await deliveries.end(ids[n] as string, 'w1', state, 3000 + n, { status: 200, error: null })
  }
  t.strictSame(await deliveries.countByState(), { pending: 1, delivered: 2, failed: 2 })
  const list = async (states?: ('pending' | 'delivered' | 'failed')[], limit = 10) =>
    (await deliveries.list({ states, limit })).map(({ id }) => id)
  t.strictSame(await list(), [...ids].reverse(), 'the newest first')
  t.strictSame(await list(['failed']), [ids[1], ids[0]])
  t.strictSame(await list(undefined, 2), [ids[4], ids[3]])

  t.equal(await deliveries.removeEnded(3002, 1), 1)
  t.equal(await deliveries.removeEnded(3002, 10), 1)
  t.equal(await deliveries.removeEnded(3002, 10), 0)
  t.strictSame(await list(), [ids[4], ids[3], ids[2]], 'what is pending stays, however old')
})

interface Logged {
  level: string
  details: Record<string, unknown>
  text: string
}

/** A runner over real HTTP. */
function startRunner(t: Test, store: Store, clock: Clock, more: Partial<DeliveryRunnerSettings> = {}) {
  const logged: Logged[] = []
  const results: string[] = []
  const note = (level: string) => (details: Record<string, unknown>, text: string) => {
    logged.push({ level, details, text })
  }
  const runner = createDeliveryRunner({
    store: createDeliveryStore(store),
    tasks: createTaskStore(store),
    sender: createWebhookSender({
      secret: SECRET,
      rules: {
        allows: isPublicOrPrivateAddress,
        resolve: () => Promise.reject(new Error('no names here'))
      },
      userAgent: 'bing-gateway/test'
    }),
    view: ({ id }, baseUrl) => ({ id, baseUrl }),
    worker: 'w1',
    clock,
    log: { info: note('info'), warn: note('warn'), error: note('error') } as never,
    onResult: (result) => results.push(result),
    ...more
  })
  t.teardown(() => runner.close())
  return { runner, logged, results }
}

/** Waits for something that the runner does after the receiver has been answered. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 500; n++) {
    if (await holds()) return
    await systemClock.sleep(10)
  }
  throw new Error('it did not happen within 5 s')
}

onBoth('what is due is sent at once, and said to be delivered', async (t, store) => {
  const receiver = await startReceiver(t)
  const deliveries = createDeliveryStore(store)
  const id = await webhook(store, `${receiver.url}/a?token=s3cret`, { at: Date.UTC(2026, 0, 1) })
  const { runner, logged, results } = startRunner(t, store, systemClock)
  runner.start()
  await until(async () => (await deliveries.get(id))?.state === 'delivered')
  const delivery = await deliveries.get(id)
  t.match(delivery, { attempts: 1, lastStatus: 204, lastError: null, worker: null })
  t.strictSame(receiver.received[0]?.event, {
    type: 'task.cancelled',
    timestamp: '2026-01-01T00:00:00.000Z',
    data: { id: delivery?.taskId, baseUrl: 'http://gateway.test' }
  })
  t.equal(receiver.received[0]?.headers['webhook-id'], id)
  t.strictSame(results, ['delivered'])
  t.notMatch(JSON.stringify(logged), /s3cret|127\.0\.0\.1/)
})

onBoth(
  'failures are repeated along the schedule, with one id and new timestamps, and then given up',
  async (t, store) => {
    const receiver = await startReceiver(t, (res) => res.writeHead(500).end())
    const deliveries = createDeliveryStore(store)
    // A day in a second: the real schedule, all of it.
    const clock = createClock(100_000)
    const began = clock.now()
    const id = await webhook(store, receiver.url, { at: began })
    const { runner, results } = startRunner(t, store, clock)
    runner.start()
    await until(async () => (await deliveries.get(id))?.state === 'failed')
    const attempts = RETRY_DELAYS_MS.length + 1
    t.equal(receiver.received.length, attempts)
    t.ok(receiver.received.every(({ headers, event }) => headers['webhook-id'] === id && event.type))
    t.match(await deliveries.get(id), { attempts, dueAt: null, lastStatus: 500, lastError: 'HTTP 500' })
    const took = ((await deliveries.get(id))?.endedAt ?? 0) - began
    const least = RETRY_DELAYS_MS.reduce((sum, ms) => sum + ms)
    t.ok(took >= least, `${took / HOUR_MS} h`)
    t.strictSame(results, [...Array(attempts - 1).fill('retried'), 'failed'])
  }
)

onBoth('410 ends it, and Retry-After puts it off', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  const gone = await startReceiver(t, (res) => res.writeHead(410).end())
  const busy = await startReceiver(t, (res) => res.writeHead(503, { 'retry-after': '7200' }).end())
  const first = await webhook(store, gone.url)
  const second = await webhook(store, busy.url)
  const { runner, results, logged } = startRunner(t, store, systemClock)
  const before = Date.now()
  runner.start()
  await until(async () => results.length === 2)
  t.match(await deliveries.get(first), {
    state: 'failed',
    attempts: 1,
    dueAt: null,
    lastStatus: 410,
    lastError: 'the receiver wants no more webhooks'
  })
  const delayed = await deliveries.get(second)
  t.match(delayed, { state: 'pending', attempts: 1, lastStatus: 503 })
  const wait = (delayed?.dueAt ?? 0) - before
  t.ok(wait >= 7_200_000 && wait < 7_210_000, `${wait} ms`)
  t.strictSame(results.sort(), ['gone', 'retried'])
  t.ok(logged.some(({ level, text }) => level === 'warn' && text === 'webhook given up'))
})

onBoth('a task that is not stored any more has no webhook', async (t, store) => {
  const receiver = await startReceiver(t)
  const deliveries = createDeliveryStore(store)
  const id = await webhook(store, receiver.url)
  await store.db.deleteFrom('tasks').execute()
  const { runner, results } = startRunner(t, store, systemClock)
  runner.start()
  await until(async () => results.length === 1)
  t.match(await deliveries.get(id), { state: 'failed', lastError: 'the task is not stored any more' })
  t.equal(receiver.received.length, 0)
})

t.test('a webhook that cannot be made is tried again later, and not in a tight loop', async (t) => {
  const store = await openStore({ dataDir: t.testdir() })
  t.teardown(() => store.close())
  const id = await webhook(store, 'http://127.0.0.1:9/')
  const { runner, results, logged } = startRunner(t, store, systemClock, {
    view() {
      throw new Error('a defect')
    }
  })
  await runner.step()
  await until(async () => results.length === 1)
  t.match(await createDeliveryStore(store).get(id), {
    state: 'pending',
    attempts: 1,
    lastError: 'internal error'
  })
  t.ok(logged.some(({ level }) => level === 'error'))
})

onBoth('a receiver that hangs holds up nobody else', async (t, store) => {
  const hanging = await startReceiver(t, () => {})
  const good = await startReceiver(t, undefined, '127.0.0.2')
  for (let n = 0; n < 10; n++) await webhook(store, hanging.url, { owner: `owner-${n % 3}`, at: 1000 })
  for (let n = 0; n < 10; n++) await webhook(store, good.url, { at: 2000 })
  const { runner } = startRunner(t, store, systemClock, { places: { total: 6, perOwner: 4, perHost: 2 } })
  runner.start()
  await good.count(10)
  t.equal(hanging.received.length, 2, 'and takes up no more than its places')
})

onBoth('closing breaks off what is under way, and the next process sends it', async (t, store) => {
  const deliveries = createDeliveryStore(store)
  let hang = true
  const receiver = await startReceiver(t, (res) => {
    if (!hang) res.writeHead(200).end()
  })
  const id = await webhook(store, receiver.url)
  const first = startRunner(t, store, systemClock)
  first.runner.start()
  await receiver.count(1)
  const before = Date.now()
  await first.runner.close()
  t.ok(Date.now() - before < 2000, 'without waiting for the receiver')
  t.match(await deliveries.get(id), { state: 'pending', worker: null, attempts: 0 })
  t.strictSame(first.results, [])

  hang = false
  const second = startRunner(t, store, systemClock, { worker: 'w2' })
  second.runner.start()
  await until(async () => second.results.length === 1)
  t.equal(receiver.received.length, 2)
  t.equal(receiver.received[0]?.headers['webhook-id'], receiver.received[1]?.headers['webhook-id'])
})

onBoth(
  'what a process that died was sending is sent again, once its claims are given back',
  async (t, store) => {
    const receiver = await startReceiver(t)
    const deliveries = createDeliveryStore(store)
    const id = await webhook(store, receiver.url)
    await deliveries.claimDue('killed', Date.now(), 'alice 127.0.0.1', 1)
    const { runner, results } = startRunner(t, store, systemClock)
    await runner.step()
    t.strictSame(results, [])
    await deliveries.release('killed')
    runner.kick()
    await until(async () => results.length === 1)
    t.match(await deliveries.get(id), { state: 'delivered' })
  }
)

onBoth('two workers never send the same at the same time', async (t, store) => {
  const under = new Set<unknown>()
  let twice = 0
  const receiver = await startReceiver(t, (res, { headers }) => {
    const id = headers['webhook-id']
    if (under.has(id)) twice++
    under.add(id)
    setTimeout(() => {
      under.delete(id)
      res.writeHead(200).end()
    }, 5)
  })
  for (let n = 0; n < 60; n++) await webhook(store, receiver.url, { owner: `owner-${n % 4}` })
  const workers = ['w1', 'w2', 'w3'].map((worker) => startRunner(t, store, systemClock, { worker }))
  for (const { runner } of workers) runner.start()
  await until(async () => (await createDeliveryStore(store).countByState()).delivered === 60)
  t.equal(receiver.received.length, 60)
  t.equal(twice, 0)
})

t.test('a delivery that a command made due again is noticed without being told', async (t) => {
  const store = await openStore({ dataDir: t.testdir() })
  t.teardown(() => store.close())
  const receiver = await startReceiver(t)
  const { runner } = startRunner(t, store, systemClock)
  runner.start()
  await runner.step()
  const before = Date.now()
  await webhook(store, receiver.url)
  await receiver.count(1)
  // The loop's own longest wait is a minute.
  t.ok(Date.now() - before < 20_000)
})
