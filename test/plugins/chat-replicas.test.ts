/** Chat where several gateways share a store, and where the store is not always there. */
import { join } from 'node:path'
import { sql } from 'kysely'
import Database from 'libsql'
import t, { type Test } from 'tap'
import { type Answer, type Gateway, startGateway } from '../support/gateway.ts'
import { privatePostgres, startPostgres } from '../support/postgres.ts'

const until = async (condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; n < 1000; n++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come to that')
}

/** Two gateways on one store, in front of one upstream. */
async function replicas(t: Test, options: { leaseMs?: number; speed?: number; url?: string } = {}) {
  const { leaseMs, speed, url = await (await startPostgres(t)).database() } = options
  const config = { DATABASE_URL: url }
  const a = await startGateway(t, { config, leaseMs, speed })
  const b = await startGateway(t, { config, leaseMs, speed, sim: a.sim })
  return { a, b, sim: a.sim }
}

const asker = (identity: object) => (gateway: Gateway, prompt: string, invocationId: number) =>
  gateway.post('/chatgpt', { ...identity, prompt, invocationId })

const outcome = ({ status, json, headers }: Answer) =>
  [status, json.error?.code, headers['idempotency-replayed']].filter((it) => it !== undefined)

t.test('one turn asked many times at once is asked upstream once', async (t) => {
  const { a, b, sim } = await replicas(t)
  const identity = await a.conversation()
  const ask = asker(identity)
  for (let turn = 0; turn < 3; turn++) {
    sim.set('turn', { thinkMs: turn * 100 })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => ask(n % 2 === 0 ? a : b, `question ${turn}`, turn))
    )
    t.equal(sim.counts['sydney.questions'], turn + 1)
    const good = answers.filter(({ status }) => status === 200)
    t.equal(good.filter(({ headers }) => headers['idempotency-replayed'] === undefined).length, 1)
    for (const { json } of good) t.strictSame(json, good[0]?.json)
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      t.strictSame(outcome(answer), [409, 'turn_in_progress'])
      t.match(answer.headers['retry-after'], /^\d+$/)
    }
    for (const gateway of [a, b])
      t.strictSame(outcome(await ask(gateway, `question ${turn}`, turn)), [200, 'true'])
  }
  t.strictSame(sim.violations, [])
})

t.test('turns go on in whichever gateway they are asked', async (t) => {
  const { a, b, sim } = await replicas(t)
  const identity = await a.conversation()
  const ask = asker(identity)
  t.equal((await ask(b, 'My name is Ada', 0)).status, 200)
  t.match((await ask(a, 'What is my name?', 1)).json.message, /Ada/)
  sim.enqueue('turn', { failure: 'captcha' })
  t.strictSame(outcome(await ask(a, 'Hm', 2)).slice(1), ['captcha_required'])
  t.equal((await ask(b, 'Hm', 2)).status, 200, 'a turn that failed can be asked anywhere')
  t.equal(
    (await b.delete(`/conversations/${identity.conversationId}`, { 'x-user-id': 'OlivierShi' })).status,
    204
  )
  t.equal((await ask(a, 'Hm', 3)).status, 404)
  t.strictSame(sim.violations, [])
})

t.test('a gateway that dies in the middle of a turn', async (t) => {
  const { a, b, sim } = await replicas(t, { leaseMs: 600 })
  const ask = asker(await a.conversation())
  sim.set('turn', { thinkMs: 60_000 })
  const lost = ask(a, 'Hi', 0)
  await until(() => sim.counts['sydney.questions'] === 1)
  // Without its store it can neither renew its lease nor give anything back.
  await a.app.store.database.close()
  sim.set('turn', {})
  t.strictSame(outcome(await ask(b, 'Hi', 0)), [409, 'turn_in_progress'])
  await a.app.close()
  t.ok((await lost).status >= 500)
  await until(async () => (await ask(b, 'Hi', 0)).status === 200)
  t.equal(sim.counts['sydney.questions'], 2)
  t.strictSame(sim.violations, [])
})

t.test('a gateway that is stopped gives its turns back at once', async (t) => {
  const { a, b, sim } = await replicas(t)
  const ask = asker(await a.conversation())
  sim.enqueue('turn', { thinkMs: 60_000 })
  const ended = ask(a, 'Hi', 0)
  await until(() => sim.counts['sydney.questions'] === 1)
  await a.app.close()
  t.strictSame(outcome(await ended), [503, 'draining'])
  t.equal((await ask(b, 'Hi', 0)).status, 200)
})

t.test('whose turn was taken over stores nothing', async (t) => {
  const { a, b, sim } = await replicas(t)
  const identity = await a.conversation()
  const ask = asker(identity)
  sim.set('turn', { thinkMs: 300 })
  const late = ask(a, 'Hi', 0)
  await until(() => sim.counts['sydney.questions'] === 1)
  // As the other one does when the lease has ended and it is asked the same.
  const { conversations } = b.app.store
  await conversations.unclaimAll(a.app.worker.id)
  const claim = {
    conversationId: identity.conversationId as string,
    worker: b.app.worker.id,
    askedAt: Date.now()
  }
  const claimed = await conversations.claim(claim)
  await conversations.answer(claim, {
    invocationId: 0,
    prompt: 'Hi',
    tone: undefined,
    answer: {
      message: 'Hello from the other one.',
      sources: [],
      suggestions: [],
      turns: undefined,
      notice: undefined
    },
    answeredAt: Date.now(),
    state: 'open',
    upstream: claimed?.upstream ?? { conversationId: '' },
    expiresAt: null
  })

  const refused = await late
  t.strictSame(outcome(refused), [409, 'turn_in_progress'])
  t.match(refused.headers['retry-after'], /^\d+$/)
  for (const gateway of [a, b]) {
    const repeated = await ask(gateway, 'Hi', 0)
    t.strictSame(outcome(repeated), [200, 'true'])
    t.equal(repeated.json.message, 'Hello from the other one.')
  }
})

t.test('a claim under which nothing runs is found', async (t) => {
  // Fast enough to wait for, and too slow to come between two statements.
  const { a, b } = await replicas(t, { speed: 2 })
  const identity = await a.conversation()
  const ask = asker(identity)
  const leftOver = () =>
    a.app.store.conversations.claim({
      conversationId: identity.conversationId as string,
      worker: a.app.worker.id,
      askedAt: 1
    })
  // As when the database carries out a claim and its connection breaks before it can say so.
  await leftOver()
  t.equal((await ask(a, 'Hi', 0)).status, 200, 'it is no obstacle to the one who has it')
  await leftOver()
  t.strictSame(outcome(await ask(b, 'Hello', 1)), [409, 'turn_in_progress'])
  await until(async () => (await ask(b, 'Hello', 1)).status === 200)
})

t.test('PostgreSQL is away when an answer comes', async (t) => {
  const postgres = await privatePostgres(t)
  const { a, b, sim } = await replicas(t, { speed: 20, url: await postgres.database() })
  const ask = asker(await a.conversation())
  sim.set('turn', { thinkMs: 300 })
  const asked = ask(a, 'Hi', 0)
  await until(() => sim.counts['sydney.questions'] === 1)
  await postgres.stop({ immediate: true })
  t.strictSame(outcome(await asked), [503, 'store_unavailable'])
  t.strictSame(outcome(await ask(b, 'Hi', 0)), [503, 'store_unavailable'])
  await postgres.start()
  // Until the answer is stored nobody else may ask, and then nobody needs to.
  let answer: Answer | undefined
  await until(async () => {
    answer = await ask(b, 'Hi', 0)
    return answer.status === 200
  })
  t.equal(answer?.headers['idempotency-replayed'], 'true')
  t.strictSame(outcome(await ask(a, 'Hi', 0)), [200, 'true'])
  t.equal(sim.counts['sydney.questions'], 1)
  t.strictSame(sim.violations, [])
})

t.test('SQLite can not be written when an answer comes', async (t) => {
  for (const how of ['asked again', 'stopped'] as const) {
    const gateway = await startGateway(t)
    const { sim } = gateway
    const ask = asker(await gateway.conversation())
    sim.set('turn', { thinkMs: 200 })
    const asked = ask(gateway, 'Hi', 0)
    await until(() => sim.counts['sydney.questions'] === 1)
    const other = new Database(join(gateway.dir, 'bing-gateway.sqlite'))
    other.exec('BEGIN IMMEDIATE')
    t.strictSame(outcome(await asked), [503, 'store_unavailable'])
    other.exec('ROLLBACK')
    other.close()
    if (how === 'stopped') await gateway.app.close()
    const after = how === 'stopped' ? await startGateway(t, { dir: gateway.dir, sim }) : gateway
    t.strictSame(outcome(await ask(after, 'Hi', 0)), [200, 'true'], how)
    t.equal(sim.counts['sydney.questions'], 1)
  }
})

t.test('SQLite can not be written when a first turn is broken off', async (t) => {
  const gateway = await startGateway(t, { config: { CHAT_TIMEOUT_MS: 500 } })
  const { sim } = gateway
  const ask = asker(await gateway.conversation())
  sim.enqueue('turn', { thinkMs: 60_000 })
  const asked = ask(gateway, 'Hi', 0)
  await until(() => sim.counts['sydney.questions'] === 1)
  const other = new Database(join(gateway.dir, 'bing-gateway.sqlite'))
  other.exec('BEGIN IMMEDIATE')
  t.strictSame(outcome(await asked), [504, 'timeout'])
  other.exec('ROLLBACK')
  other.close()
  t.equal((await ask(gateway, 'Hi', 0)).status, 200)
  t.equal(
    sim.counts['sydney.create'],
    2,
    'a session is not begun twice, though the store did not hear of the first'
  )
})

t.test('the disk is full when an answer comes', async (t) => {
  const gateway = await startGateway(t)
  const identity = await gateway.conversation()
  const ask = asker(identity)
  const remove = () =>
    gateway.delete(`/conversations/${identity.conversationId}`, { 'x-user-id': 'OlivierShi' })
  const { db } = gateway.app.store.database
  const pages = (n: number) => sql.raw(`pragma max_page_count = ${n}`).execute(db)
  const long = 'x'.repeat(16_000)
  // Fewer than the file has: it stays as it is, and can't grow.
  await pages(1)
  t.strictSame(outcome(await ask(gateway, long, 0)), [503, 'store_unavailable'])
  t.strictSame(outcome(await remove()), [409, 'turn_in_progress'], 'the turn is not over')
  t.strictSame(outcome(await ask(gateway, long, 0)), [503, 'store_unavailable'])
  await pages(1_000_000)
  t.strictSame(outcome(await ask(gateway, long, 0)), [200, 'true'])
  t.equal(gateway.sim.counts['sydney.questions'], 1)
  t.equal((await remove()).status, 204)
})
