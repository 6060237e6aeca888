/** What the stores promise, on each engine. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type TaskState, TRANSITIONS, taskStates } from '../../src/jobs/task-states.ts'
import { isStoreFault, openStore, type Store } from '../../src/store/database.ts'
import { createIdempotencyStore } from '../../src/store/idempotency-store.ts'
import { sharedSecret } from '../../src/store/secret-store.ts'
import { createTaskStore, type NewTask } from '../../src/store/task-store.ts'
import { createWorkerStore } from '../../src/store/worker-store.ts'
import { freshStore, onBothEngines } from '../support/stores.ts'

const video = (id: string, more: Partial<NewTask> = {}): NewTask =>
  ({
    id,
    kind: 'video',
    owner: 'alice',
    prompt: `prompt ${id}`,
    options: { speed: 'standard' },
    createdAt: 1000,
    deadlineAt: null,
    ...more
  }) as NewTask

/** Inserts a task and puts it into a state without asking the table. */
async function stored(store: Store, id: string, state: TaskState, more: Partial<NewTask> = {}) {
  await createTaskStore(store).insert(video(id, more))
  await store.db.updateTable('tasks').set({ state }).where('id', '=', id).execute()
}

t.test('the SQLite file belongs to its owner, and to one gateway at a time', async (t) => {
  const { store, settings } = await freshStore(t, 'sqlite')
  t.equal(statSync(join(settings.dataDir, 'bing-gateway.sqlite')).mode & 0o777, 0o600)
  const gateway = await openStore({ ...settings, exclusive: true })
  await t.rejects(openStore({ ...settings, exclusive: true }), { message: /is in use by another gateway/ })
  const tasks = createTaskStore(store)
  await tasks.insert(video('one'))
  t.ok(await createTaskStore(gateway).get('one'), 'which keeps no command from the store')
  await gateway.close()
  await (await openStore({ ...settings, exclusive: true })).close()
})

onBothEngines(t, 'migrations run once and keep what is there', async (t, { store, reopen }) => {
  await createTaskStore(store).insert(video('one'))
  t.equal((await createTaskStore(await reopen()).get('one'))?.prompt, 'prompt one')
  t.equal(await store.ping(), true)
})

onBothEngines(t, 'gateways that start at the same time migrate once', async (t, { settings }) => {
  const stores = await Promise.all([1, 2, 3].map(() => openStore(settings)))
  t.equal(stores.length, 3)
  await Promise.all(stores.map((store) => store.close()))
  t.equal(await stores[0]?.ping(), false)
})

onBothEngines(t, 'tasks move only along the table', async (t, { store }) => {
  const tasks = createTaskStore(store)
  for (const from of taskStates) {
    for (const to of taskStates) {
      const id = `${from}-${to}`
      await stored(store, id, from)
      const moved = await tasks.move(id, to, { looks: 7 })
      const allowed = (TRANSITIONS[from] as readonly string[]).includes(to)
      t.equal(moved?.state, allowed ? to : undefined, id)
      const present = await tasks.get(id)
      t.strictSame([present?.state, present?.looks], allowed ? [to, 7] : [from, 0], id)
    }
  }
})

onBothEngines(
  t,
  'a move can be tied to who claimed the task, and to where it stood',
  async (t, { store }) => {
    const tasks = createTaskStore(store)
    await tasks.insert(video('x'))
    const [claimed] = await tasks.claimQueued('w1', 'video', 1000, () => 3, 10)
    t.strictSame([claimed?.state, claimed?.worker], ['submitting', 'w1'])
    t.equal(await tasks.move('x', 'polling', {}, { worker: 'w2' }), undefined)
    t.equal(await tasks.move('x', 'failed', {}, { from: 'queued' }), undefined)
    t.match(await tasks.move('x', 'polling', { dueAt: 5 }, { worker: 'w1' }), {
      state: 'polling',
      worker: null
    })
  }
)

onBothEngines(t, 'a task keeps what is stored with it', async (t, { store }) => {
  const tasks = createTaskStore(store)
  const inserted = await tasks.insert(video('x', { webhookUrl: 'https://a.example', baseUrl: 'http://b' }))
  t.strictSame(await tasks.get('x'), inserted)
  await tasks.claimQueued('w', 'video', 1000, () => Infinity, 1)
  const patch = {
    upstreamId: '4-00',
    resultUrl: 'https://bing.example/r',
    submittedAt: 1_763_776_000_000,
    dueAt: 6,
    memory: { opened: true, hollow: 1 },
    deadlineAt: 99
  }
  t.match(await tasks.move('x', 'polling', patch, { worker: 'w' }), patch)
  const result = { images: [], video: 'https://v', prompt: 'p' }
  await tasks.move('x', 'completed', { result, completedAt: 7 })
  t.match(await tasks.get('x'), { result, completedAt: 7, error: null, state: 'completed' })
  await tasks.update('x', 'w', { looks: 99 })
  t.equal((await tasks.get('x'))?.looks, 0, 'a terminal task is not updated')
  t.equal(await tasks.get('x\0'), undefined, 'an id that no engine could keep')
})

onBothEngines(t, 'what is due is claimed once, the longest due first', async (t, { store }) => {
  const tasks = createTaskStore(store)
  for (const [id, dueAt] of Object.entries({ b: 20, a: 10, c: 30 })) {
    await stored(store, id, 'submitting')
    await tasks.move(id, 'polling', { dueAt, deadlineAt: 100 })
  }
  t.equal(await tasks.nextDueAt(0), 10)
  const ids = async (worker: string, now: number, limit: number) =>
    (await tasks.claimDue(worker, now, limit)).map(({ id }) => id)
  t.strictSame(await ids('w1', 20, 10), ['a', 'b'])
  t.strictSame(await ids('w2', 99, 10), ['c'], 'what one has claimed, no other one gets')
  t.equal(await tasks.nextDueAt(0), 100, 'what is claimed is not due; the deadline is')
  await tasks.update('a', 'w2', { dueAt: 40 })
  t.strictSame(await ids('w2', 99, 10), [], 'nor can another one give it back')
  await tasks.update('a', 'w1', { dueAt: 40 })
  t.strictSame(await ids('w2', 39, 10), [])
  t.strictSame(await ids('w2', 40, 10), ['a'])
  await tasks.release('w2', ['c'])
  t.strictSame(await ids('w3', 99, 10), ['a'], 'all but those that are still worked on')
  t.strictSame(
    (await tasks.ofWorker('w2')).map(({ id }) => id),
    ['c']
  )
  t.strictSame(await tasks.overdue(100, 10), [], 'who is being looked at is not late')
  await tasks.release('w1')
  t.strictSame(await tasks.overdue(100, 10), [], 'nor is who is due to be looked at')
  t.match(await tasks.countAtBing('video', 0, ''), { inFlight: 3, accepted: 3, ended: 0 })
  t.match(await tasks.countAtBing('image', 0, ''), { inFlight: 0, accepted: 0, ended: 0 })
  t.equal(await tasks.countProcessing(), 3)
  t.strictSame(await tasks.countByState(), { polling: 3 })
})

onBothEngines(t, 'claims of many at once never overlap', async (t, { store, reopen }) => {
  const tasks = createTaskStore(store)
  for (let n = 0; n < 60; n++) await tasks.insert(video(`q${n}`, { owner: `o${n % 7}`, createdAt: n }))
  // An SQLite file has one gateway, whose one connection does everything in turn.
  const others = store.engine === 'sqlite' ? [store, store] : await Promise.all([reopen(), reopen()])
  const stores = [tasks, ...others.map(createTaskStore)]
  const taken = await Promise.all(
    Array.from(
      { length: 30 },
      (_, n) => stores[n % 3]?.claimQueued(`w${n}`, 'video', 2000, () => 20, 3) ?? []
    )
  )
  const ids = taken.flat().map(({ id }) => id)
  t.equal(ids.length, 20, 'all of them together take as many as there are places')
  t.equal(new Set(ids).size, 20)
  for (const id of ids) await tasks.move(id, 'polling', { dueAt: 1 })
  const looked = (
    await Promise.all(Array.from({ length: 12 }, (_, n) => stores[n % 3]?.claimDue(`w${n}`, 5, 4) ?? []))
  ).flat()
  t.equal(looked.length, 20)
  t.equal(new Set(looked.map(({ id }) => id)).size, 20)
})

onBothEngines(t, 'whose turn it is', async (t, { store }) => {
  const tasks = createTaskStore(store)
  for (let n = 0; n < 3; n++) await tasks.insert(video(`a${n}`, { owner: 'alice', createdAt: n }))
  await tasks.insert(video('b0', { owner: 'bob', createdAt: 50 }))
  await tasks.insert(video('later', { owner: 'carol', createdAt: 5000 }))
  const claimed = await tasks.claimQueued('w', 'video', 100, () => 10, 10)
  t.strictSame(
    claimed.map(({ id }) => id),
    ['a0', 'b0', 'a1', 'a2']
  )
  await tasks.move('b0', 'polling', { submittedAt: 100 })
  await tasks.move('b0', 'completed', {})
  for (const owner of ['alice', 'bob', 'dora'])
    await tasks.insert(video(`next of ${owner}`, { owner, createdAt: 200 }))
  await store.db.updateTable('tasks').set({ state: 'completed' }).where('state', '=', 'submitting').execute()
  const order = await tasks.claimQueued('w', 'video', 300, () => 10, 10)
  t.strictSame(
    order.map(({ id }) => id),
    ['next of alice', 'next of dora', 'next of bob'],
    'with as many in flight, the one goes first who was not submitted for longest'
  )
})

onBothEngines(t, 'choosing from a long queue does not depend on its length', async (t, { store }) => {
  const tasks = createTaskStore(store)
  await tasks.insert(video('x'))
  const { id: _, ...row } = await store.db.selectFrom('tasks').selectAll().executeTakeFirstOrThrow()
  const rows = (state: 'queued' | 'completed', from: number) =>
    Array.from({ length: 500 }, (_, n) => ({ ...row, id: `${state} ${from + n}`, state, submitted_at: n }))
  for (let n = 0; n < 20; n++) {
    await store.db
      .insertInto('tasks')
      .values(rows('completed', n * 500))
      .execute()
    await store.db
      .insertInto('tasks')
      .values(rows('queued', n * 500))
      .execute()
  }
  const startedAt = performance.now()
  t.equal((await tasks.claimQueued('w', 'video', 5000, () => 3, 10)).length, 3)
  const ms = performance.now() - startedAt
  // It takes a few milliseconds; without an index for each of its questions more than a second.
  t.ok(ms < 250, `${ms} ms`)
})

onBothEngines(t, 'pages of the newest', async (t, { store }) => {
  const tasks = createTaskStore(store)
  for (let n = 0; n < 5; n++) await tasks.insert(video(`t${n}`, { createdAt: n < 3 ? 7 : 8 }))
  await stored(store, 'other', 'completed', { createdAt: 9, owner: 'bob' })
  const ids = async (filter: Parameters<typeof tasks.list>[1]) =>
    (await tasks.list('alice', filter)).map(({ id }) => id)
  t.strictSame(await ids({ limit: 2 }), ['t4', 't3'])
  t.strictSame(await ids({ limit: 2, after: { createdAt: 8, id: 't3' } }), ['t2', 't1'])
  t.strictSame(await ids({ limit: 2, after: { createdAt: 7, id: 't1' } }), ['t0'])
  t.strictSame(await ids({ limit: 9, kind: 'image' }), [])
  t.strictSame(await ids({ limit: 9, states: ['completed'] }), [])
})

onBothEngines(t, 'what a task ends with is stored in one piece', async (t, { store }) => {
  const tasks = createTaskStore(store)
  await store.db
    .insertInto('limits')
    .values({ owner: 'alice', thing: 'videos', window_ends: 500, used: 2 })
    .execute()
  for (const id of ['done', 'refunded']) {
    await tasks.insert(video(id, { webhookUrl: 'https://hook.example', baseUrl: 'http://gw' }), async () => ({
      limitWindow: 500
    }))
  }
  const media = [
    {
      id: 'm',
      position: 0,
      storageKey: 'done/0',
      contentType: 'video/mp4',
      bytes: 9,
      width: 1,
      height: 2,
      sha256: 's'
    }
  ]
  await tasks.claimQueued('w', 'video', 2000, () => Infinity, 1)
  await tasks.move('done', 'polling', {})
  await tasks.move('done', 'completed', { completedAt: 77 }, { media })
  await tasks.move('refunded', 'failed', { completedAt: 78 }, { refund: true })
  await tasks.move('refunded', 'failed', { completedAt: 79 }, { refund: true })
  t.match(await store.db.selectFrom('media').selectAll().execute(), [{ task_id: 'done', owner: 'alice' }])
  const deliveries = await store.db.selectFrom('deliveries').selectAll().orderBy('created_at').execute()
  t.match(deliveries, [
    { task_id: 'done', event: 'task.completed', state: 'pending', due_at: 77 },
    { task_id: 'refunded', event: 'task.failed', state: 'pending', due_at: 78 }
  ])
  t.equal(deliveries.length, 2, 'an end is told once')
  t.equal((await store.db.selectFrom('limits').select('used').executeTakeFirstOrThrow()).used, 1)
})

onBothEngines(t, 'what a worker can not look at is left to others', async (t, { store }) => {
  const tasks = createTaskStore(store)
  const NOW = 100_000
  for (const [id, dueAt, paused, deadlineAt] of [
    ['just due', NOW - 2999, false, null],
    ['nobody came', NOW - 3000, false, null],
    ['paused, just due', NOW - 64_999, true, null],
    ['paused, nobody came', NOW - 65_000, true, null],
    ['paused, its time is over', NOW - 1, true, NOW]
  ] as const) {
    await stored(store, id, 'submitting')
    await tasks.move(id, 'polling', { upstreamId: '4-x', dueAt, deadlineAt })
    if (paused) await tasks.move(id, 'paused', { dueAt })
  }
  const claim = async (kinds: ('image' | 'video')[], worker: string) => {
    const times = { dueBefore: NOW - 3000, pausedBefore: NOW - 65_000 }
    return (await tasks.claimDue(worker, NOW, 9, { kinds, ...times })).map(({ id }) => id).sort()
  }
  t.equal(await tasks.hasOthers('w1'), false)
  await createWorkerStore(store).renew('w2', 60_000)
  t.equal(await tasks.hasOthers('w1'), true)
  t.strictSame(await claim(['image', 'video'], 'w1'), [
    'nobody came',
    'paused, its time is over',
    'paused, nobody came'
  ])
  t.strictSame(await claim(['image'], 'w2'), ['just due', 'paused, just due'], 'who can look takes all')
})

onBothEngines(t, 'workers and their leases', async (t, { store }) => {
  const workers = createWorkerStore(store)
  const dead = async (self: string, all: boolean) =>
    (await workers.dead(self, all)).map(({ id }) => id).sort()
  t.equal(await workers.renew('a', 60_000), false, 'a lease that begins')
  t.equal(await workers.renew('a', 60_000), true)
  await workers.renew('b', -1)
  t.strictSame(await dead('a', false), ['b'])
  t.strictSame(await dead('b', false), [], 'nobody takes over from themselves')
  t.strictSame(await dead('c', true), ['a', 'b'])
  await workers.remove('a', false)
  t.strictSame(await dead('c', true), ['a', 'b'], 'who lives is not removed')
  await workers.end('a')
  t.strictSame(
    (await workers.dead('c', true)).sort((one, other) => one.id.localeCompare(other.id)),
    [
      { id: 'a', inOrder: true },
      { id: 'b', inOrder: false }
    ]
  )
  t.strictSame(await dead('b', false), ['a'])
  await workers.remove('b', false)
  t.equal(await workers.renew('b', 60_000), false, 'who was taken over learns of it')
  const tasks = createTaskStore(store)
  await tasks.insert(video('orphan'))
  await tasks.claimQueued('nobody', 'video', 2000, () => Infinity, 1)
  t.strictSame(await dead('b', false), ['a', 'nobody'], 'whose claims outlived their lease')
})

onBothEngines(t, "a prompt that is about to leave is nobody else's", async (t, { store }) => {
  const tasks = createTaskStore(store)
  await tasks.insert(video('x'))
  await tasks.claimQueued('w', 'video', 2000, () => Infinity, 1)
  t.equal(await tasks.markSent('x', 'other', 1), false)
  t.equal(await tasks.markSent('x', 'w', 5), true)
  const taken = await tasks.move('x', 'queued', {}, { worker: 'w', unsent: true })
  t.equal(taken, undefined, 'who took the worker for dead may not send it again')
  t.match(await tasks.move('x', 'queued', {}, { worker: 'w' }), { sentAt: null }, 'the worker itself may')
  await tasks.move('x', 'cancelled', {})
  t.equal(await tasks.markSent('x', 'w', 6), false, 'what was cancelled is not sent')
})

onBothEngines(t, 'who is late is looked at before the end', async (t, { store }) => {
  const tasks = createTaskStore(store)
  for (const [id, dueAt] of [
    ['due', 50],
    ['later', 500]
  ] as const) {
    await stored(store, id, 'submitting')
    await tasks.move(id, 'polling', { dueAt, deadlineAt: 100 })
  }
  t.strictSame(
    (await tasks.overdue(200, 10)).map(({ id }) => id),
    ['later']
  )
})

onBothEngines(t, 'idempotency keys', async (t, { store, reopen }) => {
  const keys = createIdempotencyStore(store)
  const other = createIdempotencyStore(await reopen())
  const claims = await Promise.all(
    Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? keys : other).claim('k', 'h', `w${n}`, 1000))
  )
  t.equal(claims.filter((use) => use === undefined).length, 1, 'one of many gets it')
  await store.db.updateTable('idempotency').set({ worker: 'w' }).execute()
  t.equal(await keys.bind(store.db, 'k', 'somebody', 'task'), false)
  t.equal(await keys.bind(store.db, 'k', 'w', 'task'), true)
  await keys.freeOf('w')
  await keys.free('k', { taskId: 'another' })
  t.match(await keys.get('k'), { task_id: 'task', worker: null, response: null }, 'the task decides now')
  t.equal(await keys.finish('k', { taskId: 'task' }, 'first'), 'first')
  t.equal(await keys.finish('k', { taskId: 'task' }, 'second'), 'first')
  await keys.free('k', { taskId: 'task' })
  t.match(await keys.claim('k', 'h', 'w', 2000), { response: 'first' })
  t.equal(await keys.claim('k', 'h2', 'w', 1000 + 24 * 3_600_000), undefined, 'after a day it is new')
  await keys.freeOf('w')
  t.equal(await keys.get('k'), undefined)
  t.equal(await keys.finish('k', { taskId: 'task' }, 'late'), undefined)
  await keys.claim('k', 'h', 'w2', 3000)
  t.equal(
    await keys.finish('k', { worker: 'w', createdAt: 3000 }, 'not theirs'),
    undefined,
    'a key that stands for another request by now'
  )
  t.equal(await keys.finish('k', { worker: 'w2', createdAt: 3000 }, 'theirs'), 'theirs')
  await keys.claim('old', 'h', 'w', 0)
  t.equal(await keys.removeExpired(24 * 3_600_000, 10), 1)
})

onBothEngines(t, 'secrets are made once', async (t, { store, reopen }) => {
  const other = await reopen()
  const made = await Promise.all([store, other, store, other].map((at) => sharedSecret(at, 'x')))
  t.equal(new Set(made.map((secret) => secret.toString('hex'))).size, 1)
  t.equal(made[0]?.length, 32)
  t.notSame(await sharedSecret(store, 'y'), made[0])
})

t.test("which errors are the store's", async (t) => {
  t.ok(isStoreFault({ code: 'SQLITE_FULL' }))
  t.ok(isStoreFault({ code: 'SQLITE_READONLY_DBMOVED' }))
  t.ok(isStoreFault({ code: 'SQLITE_ERROR', message: 'cannot rollback - no transaction is active' }))
  t.notOk(isStoreFault({ code: 'SQLITE_ERROR', message: 'no such table: x' }))
  t.notOk(isStoreFault({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' }), 'a broken rule is a defect')
  t.notOk(
    isStoreFault(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })),
    'nor is it any refused connection'
  )
  t.notOk(isStoreFault(new TypeError('x')))
  t.notOk(isStoreFault(undefined))
})

onBothEngines(t, 'what waits for a place at Bing', async (t, { store }) => {
  const tasks = createTaskStore(store)
  const error = { type: 'rate_limit_error', code: 'throttled', message: 'Later.' } as const
  const forPlace = { ...error, code: 'too_many_jobs', forPlace: true } as const
  for (const [id, patch] of Object.entries({
    plain: {},
    refused: { error: forPlace },
    'put off': { error }
  })) {
    await stored(store, id, 'submitting')
    await tasks.move(id, 'queued', { dueAt: 5000, ...patch })
  }
  const due = async () => {
    const rows = await store.db.selectFrom('tasks').select('id').where('due_at', '<=', 2000).execute()
    return rows.map(({ id }) => id).sort()
  }
  await tasks.makeDue('queued', 2000, { spareRefusedMs: 1000 })
  t.strictSame(await due(), ['plain', 'put off'], 'is not had by another cookie')
  t.equal((await tasks.get('refused'))?.dueAt, 3000, 'but whatever else put it off is over')
  await tasks.makeDue('queued', 2000, { spareRefusedMs: 5000 })
  t.equal((await tasks.get('refused'))?.dueAt, 3000, 'nothing is put off by it')
  await tasks.makeDue('queued', 2000)
  t.strictSame(await due(), ['plain', 'put off', 'refused'])

  await tasks.unmarkHeld('video')
  t.strictSame((await tasks.get('refused'))?.error, forPlace, 'goes on to wait for it')
  t.equal((await tasks.get('put off'))?.error, null)
  await tasks.markHeld('video', { ...error, byCircuit: true }, 9000)
  for (const id of ['plain', 'refused', 'put off'])
    t.match(
      await tasks.get(id),
      { error: { byCircuit: true }, deadlineAt: 9000 },
      'and is held like all others'
    )

  for (const id of ['plain', 'refused', 'put off'])
    await store.db.updateTable('tasks').set({ state: 'submitting' }).where('id', '=', id).execute()
  await tasks.move('plain', 'polling', { upstreamId: '4-a' })
  await tasks.move('refused', 'polling', { upstreamId: '4-b' })
  await tasks.move('refused', 'completed', { completedAt: 3000 })
  t.strictSame(await tasks.countAtBing('video', 3000, 'put off'), { inFlight: 1, accepted: 1, ended: 1 })
  t.strictSame(await tasks.countAtBing('video', 3001, ''), { inFlight: 2, accepted: 1, ended: 0 })
  t.strictSame(await tasks.countAtBing('image', 0, ''), { inFlight: 0, accepted: 0, ended: 0 })
})
