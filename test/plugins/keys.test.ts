/** API keys: docs/contract.md section 3. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hashApiKey } from '../../src/api-key.ts'
import { systemClock } from '../../src/clock.ts'
import { openStore, type Store } from '../../src/store/database.ts'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type Gateway, type GatewayOptions, startGateway, USER } from '../support/gateway.ts'
import { privatePostgres, startPostgres } from '../support/postgres.ts'

const keysOf = ({ app }: Gateway) => createKeyStore(app.store.database)
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const UNKNOWN_KEY = `bgw_${'A'.repeat(43)}`

/** A time that the test moves. */
function movableClock() {
  let ahead = 0
  return {
    clock: { ...systemClock, now: () => Date.now() + ahead },
    move: (ms: number) => {
      ahead += ms
    }
  }
}

/** A gateway, a key of alice and one of a user who is not listed. */
async function withKeys(t: Test, options: GatewayOptions) {
  const gateway = await startGateway(t, options)
  const make = async (userId: string, expiresAt: number | null = null) =>
    keysOf(gateway).create(userId, Date.now(), expiresAt)
  return { gateway, make, alice: (await make('alice')).key, unlisted: (await make('mallory')).key }
}

async function until(condition: () => Promise<boolean>, ms = 5000): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return true
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return false
}

/** Answers of GET /task/none tell whether a caller was let in: 404. */
const STATUS_IN = 404

type Case = [name: string, headers: Record<string, string>, status: number, code: string | null]

async function check(t: Test, gateway: Gateway, cases: Case[]) {
  for (const [name, headers, status, code] of cases) {
    const res = await gateway.get('/task/none', headers)
    t.strictSame([res.status, status === STATUS_IN ? null : res.json.error.code], [status, code], name)
    t.equal(res.headers['www-authenticate'] !== undefined, status === 401, `${name}: WWW-Authenticate`)
  }
}

t.test('AUTH_MODE=whitelist: keys and names', async (t) => {
  const { gateway, make, alice, unlisted } = await withKeys(t, { config: { ALLOW_ANONYMOUS: false } })
  const expired = (await make('alice', Date.now() - 1)).key
  const gone = await make('alice')
  await keysOf(gateway).revoke(gone.id, Date.now())
  await check(t, gateway, [
    ['nothing', {}, 401, 'identity_required'],
    ['a key as bearer value', bearer(alice), STATUS_IN, null],
    ['a key as X-API-Key', { 'x-api-key': alice }, STATUS_IN, null],
    ['the same key twice', { ...bearer(alice), 'x-api-key': alice }, STATUS_IN, null],
    ['two keys', { ...bearer(alice), 'x-api-key': unlisted }, 400, 'ambiguous_credentials'],
    [
      'a key, and a bearer value that some client always sends',
      { ...bearer('sk-none'), 'x-api-key': alice },
      STATUS_IN,
      null
    ],
    [
      'a key, and the name of somebody else: the key says more',
      { ...bearer(alice), 'x-user-id': 'bob' },
      STATUS_IN,
      null
    ],
    ['a name', { 'x-user-id': 'alice' }, STATUS_IN, null],
    ['a name as bearer value', bearer('alice'), STATUS_IN, null],
    ['an unknown key', bearer(UNKNOWN_KEY), 401, 'invalid_api_key'],
    ['a cut off key', bearer(alice.slice(0, -1)), 401, 'invalid_api_key'],
    ['a key in other letters', bearer(alice.toUpperCase().replace('BGW_', 'bgw_')), 401, 'invalid_api_key'],
    ['an expired key', bearer(expired), 401, 'invalid_api_key'],
    ['a revoked key', { 'x-api-key': gone.key }, 401, 'invalid_api_key'],
    [
      'a wrong key and a right name',
      { 'x-api-key': UNKNOWN_KEY, 'x-user-id': 'alice' },
      401,
      'invalid_api_key'
    ],
    ['an empty key', { 'x-api-key': ' ', 'x-user-id': 'alice' }, STATUS_IN, null],
    ['a key of a user who is not listed', bearer(unlisted), 403, 'not_whitelisted']
  ])

  const create = (userId: unknown, headers = {}) => gateway.post('/create_conversation', { userId }, headers)
  t.equal((await create('alice')).status, 200, 'a name in the body needs no key')
  t.equal((await create('alice', bearer(alice))).status, 200)
  t.equal((await create('mallory', bearer(alice))).json.error.code, 'not_whitelisted')
  t.equal((await create(undefined, bearer(alice))).json.error.param, 'userId', 'a key does not replace it')
  const { conversationId } = (await create('bob', bearer(alice))).json
  t.equal((await gateway.app.store.conversations.get(conversationId))?.owner, 'alice', 'the key says more')

  const { taskId } = (await gateway.post('/create/video', { query: 'waves' }, bearer(alice))).json.data
  t.equal(
    (await gateway.get(`/task/${taskId}`, { 'x-user-id': 'alice' })).status,
    200,
    'key and name are one caller'
  )
  t.equal((await gateway.get(`/task/${taskId}`, { 'x-user-id': 'bob' })).status, 404)
})

t.test('AUTH_MODE=key: keys and nothing else', async (t) => {
  const { gateway, make, alice, unlisted } = await withKeys(t, {
    config: { AUTH_MODE: 'key', ALLOW_ANONYMOUS: true }
  })
  const expired = (await make('alice', Date.now() - 1)).key
  await check(t, gateway, [
    ['nothing, whatever ALLOW_ANONYMOUS says', {}, 401, 'api_key_required'],
    ['a name', { 'x-user-id': 'alice' }, 401, 'api_key_required'],
    ['a name as bearer value', bearer('alice'), 401, 'invalid_api_key'],
    ['a key as bearer value', bearer(alice), STATUS_IN, null],
    ['a key as X-API-Key', { 'x-api-key': alice }, STATUS_IN, null],
    ['a key and its owner', { ...bearer(alice), 'x-user-id': 'alice' }, STATUS_IN, null],
    ['a key and somebody else', { ...bearer(alice), 'x-user-id': 'bob' }, 403, 'not_key_owner'],
    [
      'a key and a bearer value that is none',
      { ...bearer('sk-none'), 'x-api-key': alice },
      400,
      'ambiguous_credentials'
    ],
    ['an unknown key', bearer(UNKNOWN_KEY), 401, 'invalid_api_key'],
    ['an expired key', bearer(expired), 401, 'invalid_api_key'],
    ['a key of a user who is not listed', bearer(unlisted), 403, 'not_whitelisted']
  ])

  const create = (userId: unknown, headers = {}) => gateway.post('/create_conversation', { userId }, headers)
  t.equal((await create('alice')).status, 401)
  const other = await create('bob', bearer(alice))
  t.strictSame(
    [other.status, other.json.error.type, other.json.error.param],
    [403, 'permission_error', 'userId']
  )
  const identity = (await create('alice', bearer(alice))).json
  const turn = { ...identity, prompt: 'Hi' }
  t.equal((await gateway.post('/chatgpt', turn)).status, 401, 'a signature alone is not enough')
  const bob = (await make('bob')).key
  t.equal((await gateway.post('/chatgpt', turn, bearer(bob))).status, 404, 'nor is the key of somebody else')
  t.equal((await gateway.post('/chatgpt', turn, bearer(alice))).status, 200)
})

t.test('AUTH_MODE=key: every route that is not open on purpose needs a key', async (t) => {
  const { gateway, alice } = await withKeys(t, { config: { AUTH_MODE: 'key' } })
  const OPEN = new Set(['/', '/health', '/options', '/livez', '/readyz', '/metrics', '/studio'])
  const { paths } = gateway.app.swagger() as unknown as { paths: Record<string, Record<string, object>> }
  let closed = 0
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) {
      const call = (headers = {}) =>
        gateway.app.inject({
          method: method.toUpperCase() as 'GET',
          url: path.replace(/\{\w+\}/g, '123e4567-e89b-12d3-a456-426614174000'),
          headers,
          ...(method === 'post' ? { payload: {} } : {})
        })
      const { statusCode } = await call()
      const name = `${method.toUpperCase()} ${path}`
      if (OPEN.has(path)) t.equal(statusCode, 200, name)
      // Its URLs may be signed; without a signature it is not there.
      else if (path.startsWith('/media/') && method !== 'delete') t.equal(statusCode, 404, name)
      else {
        closed++
        t.equal(statusCode, 401, name)
        t.not((await call(bearer(alice))).statusCode, 401, `${name} with a key`)
      }
    }
  }
  t.ok(closed >= 5, `${closed} routes are closed`)
  for (const url of ['/openapi.json', '/openapi.yaml', '/docs/'])
    t.equal((await gateway.get(url)).status, 200, url)
})

t.test('keys are kept as hashes, and turn up nowhere else', async (t) => {
  const { gateway, alice } = await withKeys(t, {})
  await gateway.get('/task/none', bearer(alice))
  await gateway.get('/task/none', { 'x-api-key': UNKNOWN_KEY })
  const stored = JSON.stringify(await gateway.app.store.database.db.selectFrom('keys').selectAll().execute())
  t.ok(stored.includes(hashApiKey(alice)))
  const metrics = (await gateway.get('/metrics')).text
  for (const [name, text] of Object.entries({ store: stored, log: gateway.log(), metrics })) {
    t.notOk(text.includes(alice.slice(10)), `${name}: a valid key`)
    t.notOk(text.includes(UNKNOWN_KEY), `${name}: a wrong one`)
  }
})

t.test('a key ends when its time is over', async (t) => {
  const { clock, move } = movableClock()
  const { gateway, make } = await withKeys(t, { clock, config: { AUTH_MODE: 'key' } })
  const { key } = await make('alice', clock.now() + 60_000)
  t.equal((await gateway.get('/task/none', bearer(key))).status, STATUS_IN)
  move(60_000)
  t.match((await gateway.get('/task/none', bearer(key))).json.error, {
    code: 'invalid_api_key',
    message: /expired/
  })
})

t.test('the last use is noted, at most once a minute', async (t) => {
  const { clock, move } = movableClock()
  const { gateway, alice } = await withKeys(t, { clock })
  const lastUse = async () => (await keysOf(gateway).find(hashApiKey(alice)))?.lastUsedAt ?? null
  t.equal(await lastUse(), null)
  const call = () => gateway.get('/task/none', bearer(alice))
  await call()
  t.ok(await until(async () => (await lastUse()) !== null), 'the first use')
  const first = (await lastUse()) as number
  t.ok(Math.abs(first - clock.now()) < 5000)

  let writes = 0
  const { db } = gateway.app.store.database
  const updateTable = db.updateTable.bind(db)
  t.intercept(db, 'updateTable', {
    value: (table: 'keys') => {
      if (table === 'keys') writes++
      return updateTable(table)
    }
  })
  move(59_000 - (clock.now() - first))
  await call()
  move(61_000)
  for (let n = 0; n < 20; n++) await call()
  t.ok(await until(async () => ((await lastUse()) ?? 0) > first), 'a use after a minute')
  t.equal(writes, 1, 'twenty uses are one write, and the one within the minute is none')
})

t.test('uses that were not noted yet are noted when the gateway stops', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const { gateway, alice } = await withKeys(t, { dir })
  await gateway.get('/task/none', bearer(alice))
  await gateway.app.close()
  const store = await openStore({ dataDir: dir })
  t.teardown(() => store.close())
  t.type((await createKeyStore(store).find(hashApiKey(alice)))?.lastUsedAt, 'number')
})

t.test('a revocation counts within 2 s, also when another process makes it on SQLite', async (t) => {
  const { gateway, make } = await withKeys(t, {})
  const { id, key } = await make('alice')
  const status = async () => (await gateway.get('/task/none', bearer(key))).status
  t.equal(await status(), STATUS_IN)
  const beside = await openStore({ dataDir: gateway.dir })
  t.teardown(() => beside.close())
  await createKeyStore(beside).revoke(id, Date.now())
  t.ok(await until(async () => (await status()) === 401, 2000))
})

t.test('a revocation counts within 2 s on every replica', async (t) => {
  const server = await startPostgres(t)
  const DATABASE_URL = await server.database()
  const first = await startGateway(t, { config: { DATABASE_URL } })
  const second = await startGateway(t, { sim: first.sim, config: { DATABASE_URL } })
  const { id, key } = await keysOf(first).create('alice', Date.now(), null)
  const statuses = async () =>
    Promise.all([first, second].map(async (on) => (await on.get('/task/none', bearer(key))).status))
  t.strictSame(await statuses(), [STATUS_IN, STATUS_IN], 'a key of one counts on the other')

  let heard = 0
  const both = new Promise<void>((resolve) => {
    for (const { app } of [first, second]) {
      app.store.database.changes.listenAll('key', () => {
        if (++heard >= 2) resolve()
      })
    }
  })
  const beside = await openStore({ databaseUrl: DATABASE_URL, dataDir: first.dir })
  t.teardown(() => beside.close())
  await createKeyStore(beside).revoke(id, Date.now())
  await both
  t.strictSame(await statuses(), [401, 401], 'as soon as they have heard of it')
})

t.test('without the store, a key is neither right nor wrong', async (t) => {
  const server = await privatePostgres(t)
  const gateway = await startGateway(t, { config: { DATABASE_URL: await server.database() } })
  const { key } = await keysOf(gateway).create('alice', Date.now(), null)
  await server.stop()
  const res = await gateway.get('/task/none', bearer(key))
  t.strictSame([res.status, res.json.error.code], [503, 'store_unavailable'])
  await server.start()
  t.ok(await until(async () => (await gateway.get('/task/none', bearer(key))).status === STATUS_IN))
})

for (const engine of ['sqlite', 'postgres'] as const) {
  t.test(`the store of keys on ${engine}`, async (t) => {
    const databaseUrl = engine === 'postgres' ? await (await startPostgres(t)).database() : undefined
    const store: Store = await openStore({ databaseUrl, dataDir: t.testdir() })
    t.teardown(() => store.close())
    t.equal(store.engine, engine)
    const keys = createKeyStore(store)
    const created = await keys.create(USER, 1000, 5000)
    const { key, ...kept } = created
    t.match(key, /^bgw_[\w-]{43}$/)
    t.ok(key.startsWith(kept.prefix) && kept.prefix.length === 10)
    t.strictSame(await keys.find(hashApiKey(key)), kept)
    t.equal(await keys.find(key), undefined, 'the key itself finds nothing')

    const second = await keys.create(USER, 2000, null)
    t.strictSame(
      (await keys.list()).map(({ id }) => id),
      [kept.id, second.id],
      'oldest first'
    )

    await keys.noteUse(kept.id, 100_000)
    await keys.noteUse(kept.id, 159_999)
    t.equal((await keys.find(hashApiKey(key)))?.lastUsedAt, 100_000, 'to the minute')
    await keys.noteUse(kept.id, 160_000)
    t.equal((await keys.find(hashApiKey(key)))?.lastUsedAt, 160_000)

    const heard: string[] = []
    store.changes.listenAll('key', (id) => heard.push(id ?? ''))
    t.equal((await keys.revoke(kept.id, 3000))?.revokedAt, 3000)
    t.equal((await keys.revoke(kept.id, 4000))?.revokedAt, 3000, 'once and for all')
    t.strictSame(heard, [kept.id])
    t.equal(await keys.revoke('key_none', 3000), undefined)
    t.equal((await keys.list()).filter(({ revokedAt }) => revokedAt === null).length, 1)
  })
}
