import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TRANSITIONS, taskStates } from '../../src/jobs/task-states.ts'
import { createConversationStore } from '../../src/store/conversation-store.ts'
import { claimFolder, isStoreFault, openStore, pingStore } from '../../src/store/database.ts'
import { createTaskStore, type NewTask } from '../../src/store/task-store.ts'

async function fresh(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const database = await openStore(dir)
  t.teardown(async () => {
    await database.destroy()
    rmSync(dir, { recursive: true, force: true })
  })
  return { dir, database, tasks: createTaskStore(database), conversations: createConversationStore(database) }
}

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

t.test('the file belongs to its owner', async (t) => {
  const { dir, database } = await fresh(t)
  t.equal(statSync(join(dir, 'bing-gateway.sqlite')).mode & 0o777, 0o600)
  t.equal(await pingStore(database), true)
  await database.destroy()
  t.equal(await pingStore(database), false)
})

t.test('a folder is claimed by one gateway at a time', async (t) => {
  const { dir, tasks } = await fresh(t)
  const release = claimFolder(dir)
  t.throws(() => claimFolder(dir), { message: /is in use by another gateway/ })
  await tasks.insert(video('one'))
  t.ok(await tasks.get('one'), 'which keeps nobody from the store itself')
  release()
  claimFolder(dir)()
})

t.test('migrations run once and keep what is there', async (t) => {
  const { dir, tasks } = await fresh(t)
  await tasks.insert(video('one'))
  const again = await openStore(dir)
  t.equal((await createTaskStore(again).get('one'))?.prompt, 'prompt one')
  await again.destroy()
})

t.test('tasks move only along the table', async (t) => {
  const { tasks, database } = await fresh(t)
  for (const from of taskStates) {
    for (const to of taskStates) {
      const id = `${from}-${to}`
      await tasks.insert(video(id))
      await database.updateTable('tasks').set({ state: from }).where('id', '=', id).execute()
      const moved = await tasks.move(id, to, { looks: 7 })
      const allowed = (TRANSITIONS[from] as readonly string[]).includes(to)
      t.equal(moved?.state, allowed ? to : undefined, id)
      const stored = await tasks.get(id)
      t.strictSame([stored?.state, stored?.looks], allowed ? [to, 7] : [from, 0], id)
    }
  }
})

t.test('a task keeps what is stored with it', async (t) => {
  const { tasks } = await fresh(t)
  const inserted = await tasks.insert(video('x'))
  t.strictSame(await tasks.get('x'), inserted)
  await tasks.move('x', 'submitting', { dueAt: null })
  const patch = {
    upstreamId: '4-00',
    resultUrl: 'https://bing.example/r',
    submittedAt: 5,
    dueAt: 6,
    memory: { opened: true, hollow: 1 },
    deadlineAt: 99
  }
  t.match(await tasks.move('x', 'polling', patch), patch)
  const result = { images: [], video: 'https://v', prompt: 'p' }
  await tasks.move('x', 'completed', { result, completedAt: 7 })
  t.match(await tasks.get('x'), { result, completedAt: 7, error: null, state: 'completed' })
  await tasks.update('x', { looks: 99 })
  t.equal((await tasks.get('x'))?.looks, 0, 'a terminal task is not updated')
})

t.test('what is due', async (t) => {
  const { tasks } = await fresh(t)
  for (const [id, dueAt] of [
    ['b', 20],
    ['a', 10],
    ['c', 30]
  ] as const) {
    await tasks.insert(video(id))
    await tasks.move(id, 'submitting', {})
    await tasks.move(id, 'polling', { dueAt, deadlineAt: 100 })
  }
  t.strictSame(
    (await tasks.duePolls(20, 10)).map(({ id }) => id),
    ['a', 'b']
  )
  t.strictSame(
    (await tasks.duePolls(99, 2)).map(({ id }) => id),
    ['a', 'b']
  )
  t.equal(await tasks.nextDueAt(20), 30)
  t.equal(await tasks.nextDueAt(30), 100, 'then the deadline')
  t.strictSame((await tasks.overdue(100)).length, 3)
  t.equal(await tasks.countInFlight('video'), 3)
  t.equal(await tasks.countInFlight('image'), 0)
  t.equal(await tasks.countProcessing(), 3)
  t.strictSame(await tasks.countByState(), { polling: 3 })
})

t.test('whose turn it is', async (t) => {
  const { tasks } = await fresh(t)
  for (let n = 0; n < 3; n++) await tasks.insert(video(`a${n}`, { owner: 'alice', createdAt: n }))
  await tasks.insert(video('b0', { owner: 'bob', createdAt: 50 }))
  const order: string[] = []
  for (
    let next = await tasks.nextQueued('video', 100);
    next !== undefined;
    next = await tasks.nextQueued('video', 100)
  ) {
    order.push(next.id)
    await tasks.move(next.id, 'submitting', {})
  }
  t.strictSame(order, ['a0', 'b0', 'a1', 'a2'])
  t.strictSame(
    (await tasks.recent('alice', 2)).map(({ id }) => id),
    ['a2', 'a1']
  )
})

t.test('choosing from a long queue does not count all that is finished', async (t) => {
  const { database, tasks } = await fresh(t)
  const { id: _, ...row } = await database
    .selectFrom('tasks')
    .selectAll()
    .where('id', '=', (await tasks.insert(video('x'))).id)
    .executeTakeFirstOrThrow()
  const rows = (n: number, state: 'queued' | 'completed') =>
    Array.from({ length: n }, (_, at) => ({ ...row, id: `${state} ${at}`, state, submitted_at: at }))
  for (let n = 0; n < 20; n++) {
    await database
      .insertInto('tasks')
      .values(rows(500, 'completed').map((task) => ({ ...task, id: `${n} ${task.id}` })))
      .execute()
  }
  await database.insertInto('tasks').values(rows(300, 'queued')).execute()
  const startedAt = performance.now()
  t.ok(await tasks.nextQueued('video', 5000))
  const ms = performance.now() - startedAt
  // It takes a millisecond; without an index for each of its questions more than half a second.
  t.ok(ms < 150, `${ms} ms`)
})

t.test('a turn is answered once', async (t) => {
  const { conversations } = await fresh(t)
  await conversations.insert({
    id: 'c',
    owner: 'alice',
    clientId: '1',
    signatureHash: 'h',
    upstreamKind: 'sydney',
    upstream: { conversationId: 'u' },
    state: 'open',
    nextInvocation: 0,
    contextChars: 0,
    expiresAt: null,
    createdAt: 1,
    updatedAt: 1
  })
  const answer = { message: 'ok', sources: [], suggestions: [], turns: undefined, notice: undefined }
  const turn = {
    invocationId: 0,
    prompt: 'hello',
    tone: undefined,
    answer,
    askedAt: 1,
    answeredAt: 2,
    state: 'open' as const,
    upstream: { conversationId: 'u2' },
    expiresAt: 9
  }
  await conversations.answer('c', turn)
  t.match(await conversations.get('c'), {
    nextInvocation: 1,
    contextChars: 7,
    upstream: { conversationId: 'u2' },
    expiresAt: 9,
    updatedAt: 2
  })
  t.match(await conversations.turn('c', 0), { prompt: 'hello', answer: { message: 'ok' } })
  await t.rejects(conversations.answer('c', turn), { code: /SQLITE_CONSTRAINT/ })
  t.equal((await conversations.get('c'))?.nextInvocation, 1, 'nothing half done')
  await conversations.close('c', 'full', 3)
  await conversations.close('c', 'expired', 4)
  t.equal((await conversations.get('c'))?.state, 'full', 'closed once')
})

t.test("which errors are the store's", async (t) => {
  t.ok(isStoreFault({ code: 'SQLITE_FULL' }))
  t.ok(isStoreFault({ code: 'SQLITE_READONLY_DBMOVED' }))
  t.ok(isStoreFault({ code: 'SQLITE_ERROR', message: 'cannot rollback - no transaction is active' }))
  t.notOk(isStoreFault({ code: 'SQLITE_ERROR', message: 'no such table: x' }))
  t.notOk(isStoreFault({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' }), 'a broken rule is a defect')
  t.notOk(isStoreFault(new TypeError('x')))
  t.notOk(isStoreFault(undefined))
})
