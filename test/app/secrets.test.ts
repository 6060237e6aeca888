/**
 * Canaries: values that only the operator, Microsoft or one caller may know, sent through every path and searched in
 * everything that comes out. Where each of them may stand is said in SECURITY.md, and in the table below.
 */
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Config } from '../../src/config.ts'
import { startSimulator } from '../../src/simulator/index.ts'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type Answer, type Gateway, startGateway, USER } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { startReceiver } from '../support/receiver.ts'

const COOKIE = 'CANARYcookie7f3a'
const COPILOT_COOKIE = 'CANARYcopilotCookie81c0'
const COPILOT_TOKEN = 'CANARYcopilotToken2b9e'
const ROTATED = 'CANARYrotated90dd'
const PROMPT = 'CANARYprompt44c2'
const HOOK_TOKEN = 'CANARYhookToken5e07'
const COLLECTOR_KEY = 'CANARYcollectorKey11'
const WEBHOOK_KEY = Buffer.from('CANARY of webhooks, 32 bytes long').toString('base64')

/** A secret, and the places in which it may stand. Nowhere else, as it is or encoded. */
interface Secret {
  name: string
  value: string
  at?: readonly RegExp[]
}

/** Rotated cookies are kept over a restart, in a file that nobody else may read. */
const COOKIE_FILE = /^file session-\w+\.json$/
const STORE_FILES = /^file bing-gateway\.sqlite/
/** Microsoft's own, which each turn needs: docs/architecture.md, "Chat". */
const CONVERSATION = [/^store conversations\.upstream$/, STORE_FILES]
/** For webhooks: their place is the outbox, and the task that they are for. */
const OUTBOX = [/^store (tasks\.webhook_url|deliveries\.url)$/, STORE_FILES]
/** What callers say is theirs, and is shown to them and to their receivers; logs, metrics and traces are not. */
const CONTENT = [/^(answers|webhooks)$/, /^store (turns|tasks|conversations)\./, STORE_FILES]
/** Handed out in URLs, to callers and to their receivers. */
const HANDED_OUT = [/^(answers|webhooks)$/]

/** What a busy gateway leaves behind, by place. */
type Places = Map<string, string>

/** A gateway in the middle of all that can happen to it; with what comes out of it. */
async function watched(t: Test, config: Partial<Config>) {
  const sim = await startSimulator({
    cookies: [COOKIE],
    copilotCookies: [COPILOT_COOKIE],
    copilotTokens: [COPILOT_TOKEN]
  })
  sim.set('media', { plain: true })
  t.teardown(() => sim.close())
  // Not in DATA_DIR, all of which is searched.
  const inputs = mkdtempSync(join(tmpdir(), 'bing-gateway-inputs-'))
  t.teardown(() => rmSync(inputs, { recursive: true, force: true }))
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const copilotCookies = join(inputs, 'copilot.txt')
  writeFileSync(copilotCookies, `_C_Auth=${COPILOT_COOKIE}`)
  const receiver = await startReceiver(t)
  const traces: Buffer[] = []
  const collector = createServer((req, res) => {
    req.on('data', (chunk) => traces.push(chunk))
    req.on('end', () => res.writeHead(200).end())
  }).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  t.teardown(() => {
    collector.closeAllConnections()
    return new Promise((resolve) => collector.close(resolve))
  })
  const gateway = await startGateway(t, {
    sim,
    dir,
    speed: 100,
    config: {
      BING_COOKIE_U: `_U=${COOKIE}; KievRPSSecAuth=CANARYother19bd`,
      COPILOT_URL: sim.copilotUrl,
      COPILOT_COOKIE_FILE: copilotCookies,
      COPILOT_ACCESS_TOKEN: COPILOT_TOKEN,
      COPILOT_TURNS_PER_MINUTE: 0,
      WEBHOOK_SECRET: `whsec_${WEBHOOK_KEY}`,
      WEBHOOK_ALLOW_PRIVATE: true,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=${COLLECTOR_KEY}`,
      CHAT_TIMEOUT_MS: 120_000,
      IMAGE_TIMEOUT_MS: 120_000,
      ...config
    }
  })
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const answers: string[] = []
  /** Keeps what came back, to be searched. */
  const kept = async (answer: Promise<Answer>) => {
    const res = await answer
    answers.push(`${res.text}\n${JSON.stringify(res.headers)}`)
    return res
  }
  const { key } = await createKeyStore(gateway.app.store.database).create(USER, Date.now(), null)

  return {
    sim,
    gateway,
    receiver,
    key,
    post: (url: string, body: unknown, headers?: Record<string, string>) =>
      kept(gateway.post(url, body, headers)),
    get: (url: string, headers?: Record<string, string>) => kept(gateway.get(url, headers)),
    /** A conversation. The caller's signature is in this one answer, which is theirs, and nowhere else. */
    async converse(headers: Record<string, string> = {}) {
      const { status, json, text } = await gateway.post('/create_conversation', { userId: USER }, headers)
      if (status !== 200) throw new Error(`create_conversation answered ${status}: ${text}`)
      return json as Record<string, string>
    },
    /** Ends the gateway. @returns everything that came out of it */
    async places(): Promise<Places> {
      for (const url of ['/health', '/readyz', '/', '/openapi.json', '/openapi.yaml', '/docs', '/studio'])
        answers.push((await gateway.get(url)).text)
      const places: Places = new Map([['metrics', (await gateway.get('/metrics')).text]])
      for (const [column, text] of await columnsOf(gateway)) places.set(`store ${column}`, text)
      await gateway.app.close()
      places.set('answers', answers.join('\n'))
      places.set('log', gateway.log())
      places.set('traces', Buffer.concat(traces).toString('latin1'))
      places.set(
        'webhooks',
        receiver.received.map(({ headers, body }) => JSON.stringify(headers) + body).join('\n')
      )
      for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        if (!statSync(join(dir, name)).isFile()) continue
        places.set(`file ${name}`, readFileSync(join(dir, name), 'latin1'))
        if (COOKIE_FILE.test(`file ${name}`))
          t.equal(statSync(join(dir, name)).mode & 0o777, 0o600, `${name} is for the gateway alone`)
      }
      return places
    }
  }
}

type Watched = Awaited<ReturnType<typeof watched>>

/** Every column of every table, as text. */
async function columnsOf({ app }: Gateway): Promise<Map<string, string>> {
  // biome-ignore lint/suspicious/noExplicitAny: tables that no type names, too
  const db = app.store.database.db as any
  const columns = new Map<string, string>()
  for (const { name } of await db.introspection.getTables()) {
    for (const row of await db.selectFrom(name).selectAll().execute()) {
      for (const [column, value] of Object.entries(row)) {
        const at = `${name}.${column}`
        columns.set(at, `${columns.get(at) ?? ''}\n${String(value)}`)
      }
    }
  }
  return columns
}

/** Failures of every kind, with images, films, webhooks and keys between them. */
async function creations({ sim, gateway, post, get, key, receiver }: Watched): Promise<string[]> {
  for (const fault of [
    { reset: true },
    { status: 500 },
    { status: 503, headers: { 'set-cookie': `_ROT=${ROTATED}; path=/; max-age=99999` } },
    { status: 429 },
    { status: 403, body: '<html>' }
  ]) {
    sim.set('bootstrap', fault)
    await post('/create/image', { query: PROMPT })
    sim.set('bootstrap', {})
    sim.set('submit', fault)
    await post('/create/image', { query: PROMPT })
    sim.set('submit', {})
    await renew(gateway)
  }
  for (const answer of ['start-page', 'no-id', 'login', 'authns', 'lost'] as const) {
    sim.set('submit', { answer })
    await post('/create/image', { query: PROMPT })
    await renew(gateway)
  }
  sim.set('submit', {})
  await post('/create/image', { query: PROMPT, model: 'nope' })
  const asKey = { authorization: `Bearer ${key}`, 'idempotency-key': 'one' }
  await post('/create/image', { query: PROMPT }, asKey)
  await post('/create/image', { query: PROMPT }, asKey)
  await post('/create/image', { query: 'another' }, asKey)
  const filmed = await post(
    '/create/video',
    { query: PROMPT, webhookUrl: `${receiver.url}/hook?token=${HOOK_TOKEN}` },
    { 'x-api-key': key, prefer: 'wait=60' }
  )
  await get(`/task/${filmed.json.data.taskId}`, { 'x-api-key': key })
  await get('/tasks', { 'x-api-key': key })
  await get('/tasks', { 'x-api-key': `${key}x` })
  await receiver.count(1)
  const url = await copied(post)
  const { pathname, search, searchParams } = new URL(url)
  await get(pathname + search)
  await get(`${pathname}${search}x`)
  await get(pathname, { range: 'bytes=0-3', 'x-api-key': key })
  return [searchParams.get('sig') as string]
}

/** The URL of a copy. Where time runs fast and the machine is slow, one may be given up before it is made. */
async function copied(post: Watched['post']): Promise<string> {
  for (let n = 0; n < 20; n++) {
    const { json } = await post('/create/image', { query: PROMPT }, { 'x-user-id': USER })
    const url = json.data?.media?.[0]?.url
    if (url !== undefined) return url
  }
  throw new Error('no picture was copied')
}

/** The operator has done what the gateway asked for: circuits close with a changed cookie. */
async function renew({ app }: Gateway): Promise<void> {
  app.upstream.account.replace(`_U=${COOKIE}; KievRPSSecAuth=CANARYother19bd; n=${Math.random()}`)
}

/** Searches each secret everywhere. */
function search(t: Test, secrets: readonly Secret[], places: Places): void {
  for (const { name, value, at = [] } of secrets) {
    t.ok(value.length >= 12, `${name} is long enough to be found by itself`)
    const forms = [value, encodeURIComponent(value), Buffer.from(value).toString('base64').replace(/=+$/, '')]
    const found = [...places]
      .filter(
        ([place, text]) =>
          !at.some((allowed) => allowed.test(place)) && forms.some((form) => text.includes(form))
      )
      .map(([place]) => place)
    t.strictSame(found, [], `${name} is nowhere but in its place`)
  }
}

const common = (key: string, signatures: string[], sigs: string[]): Secret[] => [
  { name: 'the cookie', value: COOKIE, at: [COOKIE_FILE] },
  { name: 'another cookie', value: 'CANARYother19bd', at: [COOKIE_FILE] },
  { name: 'a cookie that Bing has set', value: ROTATED, at: [COOKIE_FILE] },
  { name: "Copilot's cookie", value: COPILOT_COOKIE, at: [COOKIE_FILE] },
  { name: "Copilot's access token", value: COPILOT_TOKEN },
  { name: 'the API key', value: key },
  { name: 'the key of webhooks', value: WEBHOOK_KEY },
  { name: "the collector's key", value: COLLECTOR_KEY },
  { name: "a token in a webhook's URL", value: HOOK_TOKEN, at: OUTBOX },
  { name: 'the prompt', value: PROMPT, at: CONTENT },
  ...signatures.map((value) => ({ name: "a conversation's signature", value })),
  ...sigs.map((value) => ({ name: "a media URL's signature", value, at: HANDED_OUT }))
]

t.test('with Bing Chat, over SQLite', async (t) => {
  const all = await watched(t, { CHAT_UPSTREAM: 'sydney' })
  const { sim, gateway, post, get, key } = all
  const identity = await all.converse()
  const ask = (more: object = {}) =>
    post('/chatgpt', { ...identity, invocationId: undefined, prompt: PROMPT, ...more })
  for (const failure of [
    'unauthorized',
    'user-status',
    'forbidden',
    'internal',
    'no-signature',
    'no-ids',
    'empty',
    'html',
    'not-json',
    'region',
    'region-loop',
    'login-redirect',
    'cloudflare-403',
    'not-found',
    'challenge-message'
  ] as const) {
    sim.set('create', { failure })
    await post('/create_conversation', { userId: USER })
    await renew(gateway)
  }
  for (const fault of [
    { reset: true },
    { status: 500 },
    { status: 503 },
    { status: 429 },
    { status: 403, body: '<html>' }
  ]) {
    sim.set('create', fault)
    await post('/create_conversation', { userId: USER })
    sim.set('upgrade', fault)
    await ask()
    await renew(gateway)
  }
  sim.set('create', {})
  sim.set('upgrade', {})
  for (const failure of [
    'throttled',
    'captcha',
    'signature-missing',
    'unauthorized',
    'deepleo',
    'chatgpt',
    'storage',
    'context-length',
    'invalid-request'
  ] as const) {
    sim.set('turn', { failure })
    await ask()
    await renew(gateway)
  }
  for (const end of ['close', 'terminate', 'type-7'] as const) {
    for (const endAt of ['start', 'before-text', 'mid-text'] as const) {
      sim.set('turn', { end, endAt })
      await ask()
      await renew(gateway)
    }
  }
  sim.set('turn', { notJson: 'before-text' })
  await ask()
  sim.set('turn', {})
  await renew(gateway)
  const second = await all.converse({ 'idempotency-key': 'two', authorization: `Bearer ${key}` })
  // Sealed, so that it can be told again to whoever has the key.
  t.strictSame(await all.converse({ 'idempotency-key': 'two', authorization: `Bearer ${key}` }), second)
  const turn = { ...second, invocationId: undefined, prompt: PROMPT }
  t.equal((await post('/chatgpt', turn)).status, 200)
  t.match((await post('/chatgpt', { ...turn, stream: true })).text, /^event: done$/m)
  await post('/chatgpt', { ...second, conversationSignature: 'wrong', prompt: PROMPT })
  await post('/chatgpt', { ...second, prompt: 7 })
  await get(`/conversations/${second.conversationId}`, { 'x-user-id': USER })
  await get('/conversations', { 'x-user-id': USER })
  const sigs = await creations(all)

  sim.cookies.expire(COOKIE)
  await post('/create/image', { query: PROMPT })
  await post('/create_conversation', { userId: USER })
  const inputs = mkdtempSync(join(tmpdir(), 'bing-gateway-inputs-'))
  t.teardown(() => rmSync(inputs, { recursive: true, force: true }))
  writeFileSync(join(inputs, 'cookie.txt'), `${COOKIE}\nbroken`)
  const broken = await startGateway(t, {
    sim,
    config: { BING_COOKIE_U: undefined, BING_COOKIE_FILE: join(inputs, 'cookie.txt') }
  })
  await broken.post('/create/image', { query: 'x' })

  const tokens = sim.requests.flatMap(({ search }) => {
    const token = new URLSearchParams(search).get('sec_access_token')
    return token === null ? [] : [token]
  })
  t.ok(tokens.length > 0)
  const places = await all.places()
  places.set('log of a gateway with a broken cookie file', broken.log())
  t.ok((places.get('log') ?? '').length > 10_000, 'the log holds every path')
  t.ok((places.get('traces') ?? '').includes('/chatgpt'), 'traces came')
  t.ok(places.get('store conversations.upstream')?.includes('conversationSignature'), 'the store was read')
  const upstream = [
    ...(places.get('store conversations.upstream') ?? '').matchAll(/"conversationSignature":"([^"]+)"/g)
  ]
  search(
    t,
    [
      ...common(
        key,
        [identity.conversationSignature as string, second.conversationSignature as string],
        sigs
      ),
      ...[...new Set(tokens)].map((value) => ({ name: "Bing's access token", value, at: CONVERSATION })),
      ...upstream.map(([, value]) => ({ name: "Bing's signature", value: value as string, at: CONVERSATION }))
    ],
    places
  )
})

t.test('with Copilot, over PostgreSQL', async (t) => {
  const database = await (await startPostgres(t)).database()
  const all = await watched(t, { CHAT_UPSTREAM: 'copilot', DATABASE_URL: database })
  const { sim, gateway, post, get, key } = all
  const identity = await all.converse()
  const ask = (more: object = {}) =>
    post('/chatgpt', { ...identity, invocationId: undefined, prompt: PROMPT, ...more })
  const renewCopilot = () => {
    gateway.app.upstream.copilot?.account.replace(`_C_Auth=${COPILOT_COOKIE}; n=${Math.random()}`)
  }
  for (const fault of [
    { reset: true },
    { status: 500 },
    { status: 503, headers: { 'set-cookie': `_ROT=${ROTATED}; path=/; max-age=99999` } },
    { status: 429 },
    { status: 401 },
    { status: 403, body: '<html>' }
  ]) {
    sim.set('copilot.start', fault)
    await post('/create_conversation', { userId: USER })
    sim.set('copilot.start', {})
    sim.set('copilot.upgrade', fault)
    await ask()
    sim.set('copilot.upgrade', {})
    renewCopilot()
  }
  for (const failure of [
    'invalid-event',
    'chat-service-unavailable',
    'text-too-long',
    'throttled'
  ] as const) {
    sim.set('copilot.turn', { failure })
    await ask()
    renewCopilot()
  }
  sim.set('copilot.turn', {})
  const second = await all.converse()
  const turn = { ...second, invocationId: undefined, prompt: PROMPT }
  t.equal((await post('/chatgpt', turn)).status, 200)
  t.match((await post('/chatgpt', { ...turn, stream: true })).text, /^event: done$/m)
  await get('/conversations', { 'x-user-id': USER })
  const sigs = await creations(all)
  const places = await all.places()
  t.ok(places.get('store turns.prompt')?.includes(PROMPT), 'the store was read')
  t.ok((places.get('traces') ?? '').includes('/chatgpt'), 'traces came')
  search(
    t,
    [
      ...common(
        key,
        [identity.conversationSignature as string, second.conversationSignature as string],
        sigs
      ),
      { name: "the database's password", value: new URL(database).password }
    ],
    places
  )
})
