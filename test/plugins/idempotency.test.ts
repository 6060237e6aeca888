/** `Idempotency-Key` on every route that creates something. */
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { type Gateway, startGateway, USER } from '../support/gateway.ts'
import { privatePostgres } from '../support/postgres.ts'

const ALICE = { 'x-user-id': 'alice' }
const keyed = (key: string, headers: Record<string, string> = ALICE) => ({
  ...headers,
  'idempotency-key': key
})

/** POSTs over a real socket and hangs up after a while. */
async function hangUpAfter(ms: number, url: string, body: object, headers: object): Promise<void> {
  const call = request(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } })
  call.on('error', () => {})
  call.end(JSON.stringify(body))
  await pause(ms)
  call.destroy()
}

const received = (gateway: Gateway, prompt: string) => gateway.sim.counts[`received:${prompt}`] ?? 0

const routes = [
  { name: 'image', path: '/create/image', body: { query: 'a fox' }, headers: ALICE },
  { name: 'video', path: '/create/video', body: { query: 'a fox' }, headers: ALICE },
  { name: 'conversation', path: '/create_conversation', body: { userId: USER }, headers: {} }
]

for (const { name, path, body, headers } of routes) {
  t.test(`${name}: a repeat gets the first answer`, async (t) => {
    const gateway = await startGateway(t)
    const first = await gateway.post(path, body, keyed('first-key', headers))
    t.equal(first.status, 200)
    t.equal(first.headers['idempotency-replayed'], undefined)
    const again = await gateway.post(path, body, keyed('first-key', headers))
    t.strictSame([again.status, again.text], [200, first.text])
    t.equal(again.headers['idempotency-replayed'], 'true')
    t.equal(again.headers['content-type'], first.headers['content-type'])
    const other = await gateway.post(path, body, keyed('k2', headers))
    t.not(other.text, first.text, 'another key is another request')
    t.equal(other.headers['idempotency-replayed'], undefined)
    const { db } = gateway.app.store.database
    const rows = await db.selectFrom('idempotency').selectAll().execute()
    t.equal(rows.length, 2)
    const { conversationSignature = 'x-y-z' } = JSON.parse(first.text)
    t.notMatch(JSON.stringify(rows), conversationSignature, 'what is kept is sealed')
    t.notMatch(JSON.stringify(rows), /first-key|a fox/)
  })

  t.test(`${name}: many at once are one`, async (t) => {
    const gateway = await startGateway(t)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => gateway.post(path, body, keyed('same', headers)))
    )
    t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
    t.equal(new Set(answers.map(({ text }) => text)).size, 1)
    t.equal(answers.filter((answer) => answer.headers['idempotency-replayed'] === 'true').length, 19)
    t.ok(gateway.sim.violations.length === 0)
    if (name !== 'conversation') t.equal(received(gateway, 'a fox'), 1)
    else t.equal(gateway.sim.counts['sydney.create'], 1)
  })

  t.test(`${name}: another body is refused`, async (t) => {
    const gateway = await startGateway(t)
    await gateway.post(path, { ...body, extra: 1 }, keyed('k', headers))
    const {
      status,
      json,
      headers: sent
    } = await gateway.post(path, { ...body, extra: 2 }, keyed('k', headers))
    t.match([status, json.error], [422, { type: 'invalid_request_error', code: 'idempotency_key_reused' }])
    t.equal(sent['x-should-retry'], 'false')
    t.equal(sent['idempotency-replayed'], undefined)
  })

  t.test(`${name}: what was refused before Bing was asked frees the key`, async (t) => {
    const gateway = await startGateway(t, { config: { BING_COOKIE_U: undefined } })
    const refused = await gateway.post(path, body, keyed('k', headers))
    t.match([refused.status, refused.json.error.code], [401, 'cookie_missing'])
    gateway.app.upstream.account.replace('simulated-cookie')
    const again = await gateway.post(path, body, keyed('k', headers))
    t.strictSame([again.status, again.headers['idempotency-replayed']], [200, undefined])
  })

  t.test(`${name}: keys that can't be used`, async (t) => {
    const gateway = await startGateway(t)
    for (const key of ['', ' ', 'x'.repeat(256)]) {
      const { status, json } = await gateway.post(path, body, keyed(key, headers))
      t.match([status, json.error], [400, { type: 'invalid_request_error', param: 'Idempotency-Key' }])
    }
  })
}

t.test('the same fields in another order or form are the same body', async (t) => {
  const gateway = await startGateway(t)
  const first = await gateway.post('/create/image', { query: 'a fox', model: 'MAI1' }, keyed('k'))
  const other = await gateway.post('/create/image', { model: 'MAI1', query: 'a fox' }, keyed('k'))
  t.equal(other.text, first.text)
  const form = await gateway.post('/create/image', 'query=a+fox&model=MAI1' as never, {
    ...keyed('k'),
    'content-type': 'application/x-www-form-urlencoded'
  })
  t.equal(form.text, first.text)
})

t.test('keys belong to a caller and a route', async (t) => {
  const gateway = await startGateway(t)
  const body = { query: 'a fox' }
  const texts = new Set([
    (await gateway.post('/create/image', body, keyed('k'))).text,
    (await gateway.post('/create/image', body, keyed('k', { 'x-user-id': 'bob' }))).text,
    (await gateway.post('/create/image', body, keyed('k', {}))).text,
    (await gateway.post('/create/video', body, keyed('k'))).text
  ])
  t.equal(texts.size, 4)
})

t.test('a failure after Bing was asked is an answer too', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.enqueue('submit', { text: 'blocked' })
  const refused = await gateway.post('/create/image', { query: 'bad' }, keyed('k'))
  t.match([refused.status, refused.json.error.type], [422, 'prompt_rejected_error'])
  const again = await gateway.post('/create/image', { query: 'bad' }, keyed('k'))
  t.strictSame([again.status, again.text, again.headers['x-should-retry']], [422, refused.text, 'false'])
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.equal(received(gateway, 'bad'), 1)

  gateway.sim.enqueue('create', { status: 429, headers: { 'retry-after': '30' } })
  const start = (key: string) => gateway.post('/create_conversation', { userId: USER }, keyed(key))
  const throttled = await start('busy')
  t.strictSame(
    [throttled.status, throttled.headers['retry-after'], throttled.headers['x-should-retry']],
    [429, '30', 'false'],
    'a repeat under this key can not help'
  )
  const repeated = await start('busy')
  t.strictSame(
    [repeated.status, repeated.headers['x-should-retry'], repeated.headers['idempotency-replayed']],
    [429, 'false', 'true']
  )
  t.equal((await start('another')).status, 200)
})

t.test('a caller who hung up gets the answer with a repeat', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('poll', { readyAfterMs: 300 })
  await hangUpAfter(100, `${url}/create/image`, { query: 'a fox' }, keyed('k'))
  const again = await gateway.post('/create/image', { query: 'a fox' }, keyed('k'))
  t.match([again.status, again.json.data.images], [200, { length: 4 }])
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.equal(received(gateway, 'a fox'), 1)
})

t.test('a keyed image whose caller leaves before its turn is made all the same', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  const url = await gateway.listen()
  gateway.sim.set('poll', { readyAfterMs: 300 })
  const first = gateway.post('/create/image', { query: 'first' }, ALICE)
  await hangUpAfter(100, `${url}/create/image`, { query: 'second' }, keyed('k'))
  t.equal((await first).status, 200)
  const again = await gateway.post('/create/image', { query: 'second' }, keyed('k'))
  t.equal(again.status, 200)
  t.equal(received(gateway, 'second'), 1)
})

t.test('who joined a request that came to nothing runs itself, and is told so', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('create', { delayMs: 300 })
  const first = hangUpAfter(200, `${url}/create_conversation`, { userId: USER }, keyed('k', {}))
  await pause(100)
  const joined = await gateway.post('/create_conversation', { userId: USER }, keyed('k', {}))
  await first
  t.strictSame([joined.status, joined.headers['idempotency-replayed']], [200, undefined])
  const again = await gateway.post('/create_conversation', { userId: USER }, keyed('k', {}))
  t.strictSame([again.text, again.headers['idempotency-replayed']], [joined.text, 'true'])
})

t.test('who joined before there was a task gets its answer when the first caller leaves', async (t) => {
  const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
  const gateway = await startGateway(t, { config: { WEBHOOK_SECRET } })
  const url = await gateway.listen()
  const { webhooks } = gateway.app
  const { check } = webhooks
  // A slow name server.
  webhooks.check = async (target) => {
    await pause(300)
    await check(target)
  }
  const body = { query: 'a fox', webhookUrl: 'http://93.184.216.34/hook' }
  gateway.sim.set('poll', { readyAfterMs: 500 })
  const first = hangUpAfter(500, `${url}/create/image`, body, keyed('k'))
  await pause(100)
  const joined = await gateway.post('/create/image', body, keyed('k'))
  await first
  t.strictSame([joined.status, joined.headers['idempotency-replayed']], [200, 'true'])
  t.equal(received(gateway, 'a fox'), 1)
})

t.test('while it runs, a repeat that does not wait gets the same task', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('poll', { readyAfterMs: 300 })
  const first = gateway.post('/create/image', { query: 'a fox' }, keyed('k'))
  await pause(100)
  const async = await gateway.post(
    '/create/image',
    { query: 'a fox' },
    { ...keyed('k'), prefer: 'respond-async' }
  )
  t.equal(async.status, 202)
  const { status, json, text } = await first
  const again = await gateway.post('/create/image', { query: 'a fox' }, keyed('k'))
  t.match(again.headers, { location: `/task/${json.data.taskId}`, 'preference-applied': 'respond-async' })
  t.equal(status, 202, 'the first answer that is given is the answer')
  t.strictSame([json.data.taskId, text], [async.json.data.taskId, async.text])
  t.equal(received(gateway, 'a fox'), 1)
})

t.test('an answer survives a restart, and a day', async (t) => {
  const gateway = await startGateway(t)
  const first = await gateway.post('/create/image', { query: 'a fox' }, keyed('k'))
  await gateway.app.close()
  const next = await startGateway(t, { dir: gateway.dir, sim: gateway.sim })
  t.equal((await next.post('/create/image', { query: 'a fox' }, keyed('k'))).text, first.text)
  const { db } = next.app.store.database
  await db.updateTable('idempotency').set({ expires_at: 1 }).execute()
  const later = await next.post('/create/image', { query: 'a fox' }, keyed('k'))
  t.not(later.text, first.text)
  t.equal(later.headers['idempotency-replayed'], undefined)
})

t.test('a key whose request died with its process before anything was stored is free again', async (t) => {
  const gateway = await startGateway(t)
  const { db } = gateway.app.store.database
  gateway.sim.set('create', { delayMs: 200 })
  const call = gateway.post('/create_conversation', { userId: USER }, keyed('k', {}))
  await pause(50)
  await db.updateTable('idempotency').set({ worker: 'ended' }).execute()
  const joined = gateway.post('/create_conversation', { userId: USER }, keyed('k', {}))
  await pause(20)
  const { createIdempotencyStore } = await import('../../src/store/idempotency-store.ts')
  await createIdempotencyStore(gateway.app.store.database).freeOf('ended')
  t.strictSame([(await joined).status, (await joined).headers['idempotency-replayed']], [200, undefined])
  t.equal((await call).status, 200)
})

t.test('a key that the store could not be told of does not stay taken', async (t) => {
  const server = await privatePostgres(t)
  const config = { DATABASE_URL: await server.database() }
  const a = await startGateway(t, { config })
  const b = await startGateway(t, { config, sim: a.sim })
  a.sim.set('create', { delayMs: 500 })
  const call = a.post('/create_conversation', { userId: USER }, keyed('k', {}))
  await pause(200)
  await server.stop({ immediate: true })
  t.equal((await call).status, 503)
  await server.start()
  // It runs through the gateway that never heard of it.
  t.equal((await b.post('/create_conversation', { userId: USER }, keyed('k', {}))).status, 200)
})

t.test('a body that is nested without end is refused, not compared', async (t) => {
  const gateway = await startGateway(t)
  const deep = `{"query":"a fox","x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
  const { status, json } = await gateway.post('/create/image', deep, {
    'content-type': 'application/json',
    'idempotency-key': 'deep'
  })
  t.strictSame([status, json.error.type], [400, 'invalid_request_error'])
})
