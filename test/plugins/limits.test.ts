/** What callers may use up: docs/contract.md section 3. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { openStore } from '../../src/store/database.ts'
import { giveBack, peekLimit, removeExpiredLimits, takeLimit } from '../../src/store/limit-store.ts'
import { type Answer, type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'

const ASYNC = { prefer: 'respond-async' }
const image = (gateway: Gateway, headers: Record<string, string> = {}) =>
  gateway.post('/create/image', { query: 'a fox' }, { ...ASYNC, ...headers })
const as = (userId: string) => ({ 'x-user-id': userId })
const limitOf = ({ headers }: Answer) => headers.ratelimit
const policyOf = ({ headers }: Answer) => headers['ratelimit-policy']

function movableClock() {
  let ahead = 0
  return {
    clock: { ...systemClock, now: () => Date.now() + ahead },
    move: (ms: number) => {
      ahead += ms
    }
  }
}

async function until(condition: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + 2500; Date.now() < end; ) {
    if (await condition()) return true
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}

t.test('a limit is told on every answer, and enforced', async (t) => {
  const { clock, move } = movableClock()
  const gateway = await startGateway(t, { clock, whitelist: 'alice images=2/d conversations=9/h\nbob\n' })
  const malformed = await gateway.post('/create/image', {}, as('alice'))
  t.strictSame(
    [malformed.status, policyOf(malformed), limitOf(malformed)],
    [400, '"images";q=2;w=86400', '"images";r=2;t=86400'],
    'before the first use'
  )
  const first = await image(gateway, { ...as('alice'), 'idempotency-key': 'one' })
  t.strictSame([first.status, limitOf(first)], [202, '"images";r=1;t=86400'])
  move(82_800_000)
  const repeated = await image(gateway, { ...as('alice'), 'idempotency-key': 'one' })
  t.strictSame([repeated.status, repeated.headers['idempotency-replayed']], [202, 'true'])
  t.match(
    limitOf(repeated),
    /^"images";r=1;t=(3600|3599|359\d)$/,
    'a repeat uses nothing up; the window goes on'
  )
  t.equal((await image(gateway, as('alice'))).status, 202)
  const over = await image(gateway, as('alice'))
  t.strictSame(
    [over.status, over.json.error.type, over.json.error.code, over.headers['x-should-retry']],
    [429, 'rate_limit_error', 'quota_exceeded', 'false']
  )
  t.match(over.json.error.message, /2 images a day/)
  const wait = Number(over.headers['retry-after'])
  t.ok(wait > 3500 && wait <= 3600, `Retry-After is ${wait}`)
  t.match(limitOf(over), new RegExp(`^"images";r=0;t=${wait}$`))
  t.match((await gateway.get('/metrics')).text, /^bing_gateway_quota_rejections_total\{kind="images"\} 1$/m)
  t.equal((await image(gateway, as('bob'))).status, 202, 'somebody else is not affected')
  const task = await gateway.get(`/task/${first.json.data.taskId}`, as('alice'))
  t.strictSame([task.status, limitOf(task)], [200, undefined], 'looking uses nothing up')
  move(3_600_000)
  t.strictSame(limitOf(await image(gateway, as('alice'))), '"images";r=1;t=86400', 'a new window')
})

t.test('nobody is told to wait longer than a window lasts', async (t) => {
  const { clock, move } = movableClock()
  const gateway = await startGateway(t, { clock, whitelist: 'alice images=1/h conversations=1/m\n' })
  const first = await image(gateway, as('alice'))
  t.strictSame([first.status, limitOf(first)], [202, '"images";r=0;t=3600'])
  // The window was begun by a gateway, or by a request, whose clock was ahead of this one's.
  move(-20_000)
  const over = await image(gateway, as('alice'))
  t.strictSame(
    [over.status, over.headers['retry-after'], limitOf(over)],
    [429, '3600', '"images";r=0;t=3600']
  )
  t.match(over.json.error.message, /possible in 3600 s/)
})

t.test('whose limit it is', async (t) => {
  const gateway = await startGateway(t, {
    whitelist: 'alice images=7/h\nbob videos=0/d\n',
    config: { DEFAULT_LIMITS: 'images=2/m conversations=1/d' }
  })
  t.equal(policyOf(await image(gateway, as('alice'))), '"images";q=7;w=3600', "the user's own")
  t.equal(
    policyOf(await image(gateway, as('bob'))),
    '"images";q=2;w=60',
    'the default where their line says nothing'
  )
  const video = await gateway.post('/create/video', { query: 'waves' }, as('alice'))
  t.strictSame(
    [video.status, policyOf(video), limitOf(video)],
    [200, undefined, undefined],
    'none where nothing says one'
  )
  const none = await gateway.post('/create/video', { query: 'waves' }, as('bob'))
  t.strictSame(
    [none.status, limitOf(none), none.headers['retry-after']],
    [429, '"videos";r=0;t=86400', '86400']
  )
  t.match(none.json.error.message, /0 videos a day/)
  t.equal(
    limitOf(await gateway.post('/create/image', { query: 'x' }, as('mallory'))),
    undefined,
    'strangers have none'
  )

  t.strictSame(
    [(await image(gateway)).status, (await image(gateway)).status, (await image(gateway)).status],
    [202, 202, 429],
    'callers without a name share one'
  )
  const create = (userId: unknown) => gateway.post('/create_conversation', { userId })
  const created = await create('alice')
  t.strictSame(
    [created.status, limitOf(created)],
    [200, '"conversations";r=0;t=86400'],
    'the user in the body'
  )
  t.strictSame([(await create('alice')).status, (await create('bob')).status], [429, 200])
  const unknown = await create(7)
  t.strictSame([unknown.status, limitOf(unknown)], [400, undefined], 'nobody yet')
})

t.test('no limits', async (t) => {
  const gateway = await startGateway(t, { config: { DEFAULT_LIMITS: '' } })
  const res = await image(gateway)
  t.strictSame([res.status, policyOf(res), limitOf(res)], [202, undefined, undefined])
  t.strictSame(await gateway.app.store.database.db.selectFrom('limits').selectAll().execute(), [])
})

t.test('what came to nothing is given back', async (t) => {
  const gateway = await startGateway(t, {
    whitelist: 'alice conversations=1/d images=1/d\n',
    config: { BING_URL: 'http://127.0.0.1:1', CHAT_TIMEOUT_MS: 300 }
  })
  for (const attempt of [1, 2]) {
    const res = await gateway.post('/create_conversation', { userId: 'alice' })
    t.ok(res.status > 500, `attempt ${attempt}: ${res.status}`)
    t.equal(limitOf(res), '"conversations";r=1;t=86400')
  }
  const { app } = gateway
  await t.rejects(
    app.store.database.db.transaction().execute(async (tx) => {
      await app.limits.take(tx, { userId: 'alice', named: true, byKey: false }, 'images')
      throw new Error('the task could not be stored')
    })
  )
  t.equal((await image(gateway, as('alice'))).status, 202, 'with its transaction')
})

t.test('headers that can not be looked up break nothing', async (t) => {
  const gateway = await startGateway(t)
  const { db } = gateway.app.store.database
  const selectFrom = db.selectFrom.bind(db) as (table: unknown) => unknown
  t.intercept(db, 'selectFrom', {
    value: (table: unknown) => {
      if (table === 'limits') throw new Error('the store is away')
      return selectFrom(table)
    }
  })
  const res = await gateway.post('/create/image', {}, as('alice'))
  t.strictSame([res.status, res.json.error.param, limitOf(res)], [400, 'query', undefined])
})

t.test('a changed whitelist changes limits without a restart', async (t) => {
  const gateway = await startGateway(t, { whitelist: 'alice images=1/d\n' })
  t.strictSame(
    [(await image(gateway, as('alice'))).status, (await image(gateway, as('alice'))).status],
    [202, 429]
  )
  writeFileSync(gateway.whitelistFile, 'alice images=3/d\n')
  t.ok(await until(async () => (await image(gateway, as('alice'))).status === 202), 'more')
  // A second or more may have passed.
  t.match(
    limitOf(await gateway.post('/create/image', {}, as('alice'))),
    /^"images";r=1;t=86[34]\d\d$/,
    'what was used counts'
  )
  writeFileSync(gateway.whitelistFile, 'alice images=1/h\n')
  t.ok(
    await until(async () =>
      /^"images";r=1;t=3[56]\d\d$/.test(String(limitOf(await gateway.post('/create/image', {}, as('alice')))))
    ),
    'a shorter window begins anew'
  )
})

t.test('limits survive a restart', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const options: GatewayOptions = { dir, whitelist: 'alice images=2/d\n' }
  const before = await startGateway(t, options)
  t.equal((await image(before, as('alice'))).status, 202)
  await before.app.close()
  const after = await startGateway(t, options)
  t.strictSame(
    [(await image(after, as('alice'))).status, (await image(after, as('alice'))).status],
    [202, 429]
  )
})

t.test('a limit of N is N across replicas', async (t) => {
  const DATABASE_URL = await (await startPostgres(t)).database()
  const options: GatewayOptions = {
    whitelist: 'alice images=37/d conversations=11/h\n',
    config: { DATABASE_URL, IMAGE_CONCURRENCY: 1 }
  }
  const first = await startGateway(t, options)
  const second = await startGateway(t, { ...options, sim: first.sim })
  const count = async (call: (gateway: Gateway) => Promise<Answer>, calls: number) => {
    const answers = await Promise.all(
      Array.from({ length: calls }, (_, n) => call(n % 2 === 0 ? first : second))
    )
    const counts: Record<string, number> = {}
    for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }
  t.strictSame(await count((gateway) => image(gateway, as('alice')), 200), { 202: 37, 429: 163 })
  const { n } = await first.app.store.database.db
    .selectFrom('tasks')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  t.equal(n, 37, 'and as many tasks are stored')
  t.strictSame(await count((gateway) => gateway.post('/create_conversation', { userId: 'alice' }), 60), {
    200: 11,
    429: 49
  })
})

for (const engine of ['sqlite', 'postgres'] as const) {
  t.test(`the store of limits on ${engine}`, async (t) => {
    const databaseUrl = engine === 'postgres' ? await (await startPostgres(t)).database() : undefined
    const store = await openStore({ databaseUrl, dataDir: t.testdir() })
    t.teardown(() => store.close())
    const { db } = store
    const T = 1_700_000_000_000
    const take = (owner: string, count: number, seconds: number, now: number) =>
      takeLimit(db, { owner, thing: 'images', limit: { count, seconds }, now })
    const peek = (owner: string, count: number, seconds: number, now: number) =>
      peekLimit(db, { owner, thing: 'images', limit: { count, seconds }, now })

    t.strictSame(await peek('a', 2, 60, T), { used: 0, windowEnds: T + 60_000 }, 'before the first use')
    t.strictSame(await take('a', 2, 60, T), { taken: true, used: 1, windowEnds: T + 60_000 })
    t.strictSame(await take('a', 2, 60, T + 59_998), { taken: true, used: 2, windowEnds: T + 60_000 })
    t.strictSame(await take('a', 2, 60, T + 59_999), { taken: false, used: 2, windowEnds: T + 60_000 })
    t.strictSame(
      await take('a', 3, 60, T + 59_999),
      { taken: true, used: 3, windowEnds: T + 60_000 },
      'raised'
    )
    t.strictSame(
      await take('a', 1, 60, T + 59_999),
      { taken: false, used: 3, windowEnds: T + 60_000 },
      'lowered'
    )
    t.strictSame(
      await take('a', 2, 60, T + 60_000),
      { taken: true, used: 1, windowEnds: T + 120_000 },
      'a new window'
    )
    t.strictSame(await take('', 2, 60, T), { taken: true, used: 1, windowEnds: T + 60_000 }, 'somebody else')
    t.strictSame(await take('zero', 0, 60, T), { taken: false, used: 0, windowEnds: T + 60_000 })

    await take('skew', 2, 60, T + 5000)
    t.strictSame(
      await take('skew', 2, 60, T),
      { taken: true, used: 2, windowEnds: T + 65_000 },
      'a clock behind'
    )
    t.equal((await take('skew', 2, 60, T)).taken, false)
    await take('shorter', 9, 86_400, T)
    t.strictSame(await peek('shorter', 9, 3600, T + 1), { used: 0, windowEnds: T + 3_600_001 })
    t.strictSame(
      await take('shorter', 9, 3600, T + 1),
      { taken: true, used: 1, windowEnds: T + 3_600_001 },
      'a window of a former, longer limit'
    )

    await giveBack(db, 'a', 'images', T + 60_000)
    t.equal((await peek('a', 2, 60, T + 60_001)).used, 1, 'not into another window')
    for (const used of [0, 0]) {
      await giveBack(db, 'a', 'images', T + 120_000)
      t.equal((await peek('a', 2, 60, T + 60_001)).used, used, 'and never below nothing')
    }

    const many = await Promise.all(Array.from({ length: 200 }, () => take('many', 50, 60, T)))
    t.equal(many.filter(({ taken }) => taken).length, 50, 'exactly N of 200 at once')

    t.equal(await removeExpiredLimits(db, T + 65_000, 1), 1, 'some at a time')
    t.equal(await removeExpiredLimits(db, T + 65_000, 10), 2)
    t.strictSame(
      (await db.selectFrom('limits').select('owner').orderBy('owner').execute()).map(({ owner }) => owner),
      ['a', 'shorter']
    )
  })
}
