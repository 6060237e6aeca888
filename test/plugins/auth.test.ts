/** Who may do what: docs/contract.md section 3. Keys have a file of their own. */
import { rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createFailedAttempts, networkOf } from '../../plugins/auth/failed-attempts.ts'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type Gateway, startGateway, USER } from '../support/gateway.ts'

const image = (gateway: Gateway, headers: Record<string, string> = {}) =>
  gateway.post('/create/image', { query: 'a fox' }, headers)

/** The whitelist is looked at once a second; the contract promises two. */
async function within2s(condition: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + 2500; Date.now() < end; ) {
    if (await condition()) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

t.test('names in headers', async (t) => {
  const gateway = await startGateway(t, { config: { HOST: '0.0.0.0' } })
  const cases: [string, Record<string, string>, number, string | null][] = [
    ['nobody, where anonymous callers are not allowed', {}, 401, 'identity_required'],
    ['a listed name', { 'x-user-id': USER }, 200, null],
    ['a name that is not listed', { 'x-user-id': 'mallory' }, 403, 'not_whitelisted'],
    ['a listed name as bearer value', { authorization: `Bearer ${USER}` }, 200, null],
    ['an unlisted name as bearer value', { authorization: 'Bearer mallory' }, 403, 'not_whitelisted'],
    ['the scheme in small letters', { authorization: `bearer ${USER}` }, 200, null],
    ['a key that does not exist', { authorization: 'Bearer bgw_nonsense' }, 401, 'invalid_api_key'],
    ['an X-API-Key that does not exist', { 'x-api-key': 'bgw_nonsense' }, 401, 'invalid_api_key'],
    ['another scheme', { authorization: 'Basic b2xpdmllcjo=' }, 401, 'identity_required'],
    ['an empty name', { 'x-user-id': ' ' }, 401, 'identity_required']
  ]
  for (const [name, headers, status, code] of cases) {
    const res = await image(gateway, headers)
    t.strictSame([res.status, status === 200 ? null : res.json.error.code], [status, code], name)
    if (status !== 200) t.equal(res.json.error.type, status === 401 ? 'auth_error' : 'permission_error', name)
    t.equal(
      /^Bearer/.test(String(res.headers['www-authenticate'])),
      status === 401,
      `${name}: WWW-Authenticate`
    )
  }
})

t.test('what is open to everybody', async (t) => {
  const gateway = await startGateway(t, { config: { HOST: '0.0.0.0' } })
  for (const url of [
    '/',
    '/health',
    '/options',
    '/livez',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/openapi.yaml',
    '/docs'
  ]) {
    const { status } = await gateway.get(url)
    t.ok(status === 200 || status === 302, `${url} answers ${status}`)
  }
  for (const url of ['/task/x']) t.equal((await gateway.get(url)).status, 401, url)
  t.equal((await gateway.post('/create/video', { query: 'x' })).status, 401)
})

t.test('anonymous callers: the default is this machine only', async (t) => {
  const gateway = await startGateway(t)
  const cases: [string, Record<string, string>, number][] = [
    ['curl', {}, 200],
    ['by address', { host: '127.0.0.1:7860' }, 200],
    ['IPv6', { host: '[::1]:7860' }, 200],
    [
      'the own studio page',
      { host: 'localhost:7860', origin: 'http://localhost:7860', 'sec-fetch-site': 'same-origin' },
      200
    ],
    [
      'a page of another site',
      { host: 'localhost:7860', origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      401
    ],
    ['a form posted by another site', { host: 'localhost:7860', 'sec-fetch-site': 'cross-site' }, 401],
    ['a sandboxed page', { host: 'localhost:7860', origin: 'null' }, 401],
    [
      'a name that was rebound to loopback',
      { host: 'evil.example:7860', origin: 'http://evil.example:7860' },
      401
    ],
    ['through a reverse proxy', { host: 'gateway.example' }, 401]
  ]
  for (const [name, headers, status] of cases) t.equal((await image(gateway, headers)).status, status, name)

  const named = await image(gateway, { host: 'gateway.example', 'x-user-id': USER })
  t.equal(named.status, 200, 'names are not affected')
})

t.test('anonymous callers: ALLOW_ANONYMOUS decides when it is set', async (t) => {
  const open = await startGateway(t, { config: { HOST: '0.0.0.0', ALLOW_ANONYMOUS: true } })
  t.equal((await image(open, { host: 'gateway.example' })).status, 200)
  const closed = await startGateway(t, { config: { ALLOW_ANONYMOUS: false } })
  t.equal((await image(closed)).status, 401)
  const published = await startGateway(t, { config: { PUBLIC_URL: 'https://gateway.example' } })
  t.equal(
    (await image(published, { host: 'gateway.example' })).status,
    200,
    'PUBLIC_URL is one of its own names'
  )
})

t.test('X-Forwarded headers count from proxies that are trusted', async (t) => {
  const cases: [
    name: string,
    trust: string | undefined,
    forwarded: Record<string, string>,
    status: number
  ][] = [
    ['none trusted: not looked at', undefined, { 'x-forwarded-for': '203.0.113.9' }, 200],
    ['a trusted one: the client is elsewhere', '127.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, 401],
    [
      'a range: the client is elsewhere',
      '10.0.0.0/8, 127.0.0.0/8',
      { 'x-forwarded-for': '203.0.113.9' },
      401
    ],
    ['one proxy, by number', '1', { 'x-forwarded-for': '203.0.113.9' }, 401],
    [
      'one proxy: what the client itself wrote does not count',
      '1',
      { 'x-forwarded-for': '127.0.0.1, 203.0.113.9' },
      401
    ],
    ['no proxy, by number', '0', { 'x-forwarded-for': '203.0.113.9' }, 200],
    ['another one trusted', '10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, 200],
    ['a trusted one, from this machine', '127.0.0.1', { 'x-forwarded-for': '127.0.0.1' }, 200],
    ['a trusted one, under its public name', '127.0.0.1', { 'x-forwarded-host': 'gateway.example' }, 401],
    ['none trusted, under a name', undefined, { 'x-forwarded-host': 'gateway.example' }, 200]
  ]
  for (const [name, TRUST_PROXY, headers, status] of cases) {
    const gateway = await startGateway(t, { config: { TRUST_PROXY } })
    t.equal((await image(gateway, { host: 'localhost:7860', ...headers })).status, status, name)
  }
})

t.test('failed authentications are limited for each address', async (t) => {
  const gateway = await startGateway(t, { config: { TRUST_PROXY: '127.0.0.1' } })
  const from = (address: string, headers: Record<string, string> = {}) => ({
    'x-forwarded-for': address,
    ...headers
  })
  const task = (headers: Record<string, string>) => gateway.get('/task/none', headers)
  const create = (userId: string, address: string) =>
    gateway.post('/create_conversation', { userId }, from(address))
  const { key } = await createKeyStore(gateway.app.store.database).create('alice', Date.now(), null)

  const attempts = [
    () => task(from('203.0.113.1', { 'x-api-key': 'bgw_wrong' })),
    () => task(from('203.0.113.1', { 'x-user-id': 'mallory' })),
    () => create('mallory', '203.0.113.1')
  ]
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => attempts[n % 3]?.()))
  t.strictSame(new Set(answers.map((answer) => answer?.status)), new Set([401, 403]), 'thirty are answered')
  const refused = {
    'a wrong key': await task(from('203.0.113.1', { 'x-api-key': `bgw_${'A'.repeat(43)}` })),
    'an unlisted name': await task(from('203.0.113.1', { 'x-user-id': 'mallory' })),
    'a listed name, which may have been guessed': await task(from('203.0.113.1', { 'x-user-id': USER })),
    'a listed name in the body': await create(USER, '203.0.113.1')
  }
  for (const [name, { status, json, headers }] of Object.entries(refused)) {
    t.strictSame(
      [status, json.error.type, json.error.code, headers['x-should-retry']],
      [429, 'rate_limit_error', 'too_many_failed_authentications', 'false'],
      name
    )
    const wait = Number(headers['retry-after'])
    t.ok(wait >= 1 && wait <= 60, `${name}: Retry-After is ${wait}`)
  }
  t.equal((await task(from('203.0.113.1', { 'x-api-key': key }))).status, 404, 'a valid key passes')
  t.equal((await task(from('203.0.113.2', { 'x-user-id': USER }))).status, 404, 'so does another address')

  for (let n = 0; n < 30; n++) await task(from(`2001:db8:1:2::${n}`, { 'x-user-id': 'mallory' }))
  t.equal(
    (await task(from('2001:db8:1:2:ffff::1', { 'x-user-id': USER }))).status,
    429,
    'a /64 is one client'
  )
  t.equal((await task(from('2001:db8:1:3::1', { 'x-user-id': USER }))).status, 404, 'the next one is another')

  writeFileSync(gateway.whitelistFile, 'mallory\n')
  t.ok(
    await within2s(async () => (await create('mallory', '203.0.113.1')).status === 200),
    'whoever is listed after all is let in at once'
  )
})

t.test('the memory for failed authentications is bounded, and short', async (t) => {
  const attempts = createFailedAttempts({ allowed: 1, windowSeconds: 1, maxAddresses: 2 })
  for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) t.equal(await attempts.count(address), 0)
  t.equal(await attempts.count('10.0.0.1'), 0, 'the oldest was forgotten')
  t.equal(await attempts.count('10.0.0.3'), 1, 'the latest was not')
  t.equal(await attempts.waitOf('10.0.0.3'), 1)
  t.equal(await attempts.waitOf('::ffff:10.0.0.3'), 1, 'written as IPv6')
  t.ok(await within2s(async () => (await attempts.waitOf('10.0.0.3')) === 0), 'after the window all is well')
  t.strictSame(['::1', '0:0:0:0:0:0:0:2', '', 'unknown'].map(networkOf), [
    '0:0:0:0',
    '0:0:0:0',
    '',
    'unknown'
  ])
})

t.test('tasks belong to who made them', async (t) => {
  const gateway = await startGateway(t)
  const create = async (headers: Record<string, string>) =>
    (await gateway.post('/create/video', { query: 'waves' }, headers)).json.data.taskId as string
  const callers: Record<string, Record<string, string>> = {
    alice: { 'x-user-id': 'alice' },
    bob: { 'x-user-id': 'bob' },
    nobody: {}
  }
  const unknown = await gateway.get('/task/123e4567-e89b-12d3-a456-426614174000')
  for (const [owner, ownHeaders] of Object.entries(callers)) {
    const id = await create(ownHeaders)
    for (const [reader, headers] of Object.entries(callers)) {
      const { status, json } = await gateway.get(`/task/${id}`, headers)
      if (reader === owner) t.equal(status, 200, `${reader} sees ${owner}'s task`)
      else t.strictSame([status, json], [404, unknown.json], `${reader} does not see ${owner}'s task`)
    }
  }
})

t.test('the whitelist is re-read without a restart', async (t) => {
  const gateway = await startGateway(t, { whitelist: '# people\n\nalice conversations=10/h images=50/d\n' })
  const create = (userId: string) => gateway.post('/create_conversation', { userId })
  const identity = (await create('alice')).json
  t.equal((await create('bob')).status, 403)

  writeFileSync(gateway.whitelistFile, 'alice\nbob # new\n')
  t.ok(await within2s(async () => (await create('bob')).status === 200), 'a new user is let in')

  writeFileSync(gateway.whitelistFile, 'alice\nbob images=lots\n')
  t.ok(await within2s(async () => /"line":2/.test(gateway.log())), 'a malformed file is logged with its line')
  t.equal((await create('bob')).status, 200, 'and the last good list stays')

  rmSync(gateway.whitelistFile)
  t.ok(await within2s(async () => /whitelist not found: the last good list stays/.test(gateway.log())))
  t.equal((await create('bob')).status, 200)

  writeFileSync(gateway.whitelistFile, 'bob\n')
  t.ok(await within2s(async () => (await create('alice')).status === 403), 'a removed user is shut out')
  const { status, json } = await gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })
  t.strictSame([status, json.error.type], [403, 'permission_error'], 'from the conversations too')
})

t.test('no whitelist at start: nobody is listed, and the log says so', async (t) => {
  const gateway = await startGateway(t, { config: { WHITELIST_FILE: join('/nonexistent', 'whitelist.txt') } })
  t.equal((await gateway.post('/create_conversation', { userId: USER })).status, 403)
  t.match(gateway.log(), /whitelist not found: nobody is whitelisted/)
})

t.test('the cookie file is re-read without a restart', async (t) => {
  const gateway = await startGateway(t, { config: { BING_COOKIE_U: undefined, BING_COOKIE_FILE: undefined } })
  const file = join(gateway.dir, 'cookie.txt')
  writeFileSync(file, 'stale-cookie\n')
  const second = await startGateway(t, {
    sim: gateway.sim,
    config: { BING_COOKIE_U: undefined, BING_COOKIE_FILE: file }
  })
  t.equal((await image(second)).json.error.code, 'cookie_expired')
  t.strictSame(
    [(await second.get('/health')).json.data.session, (await second.get('/readyz')).json.status],
    ['inactive', 'degraded'],
    'degraded, not unready'
  )
  for (const text of [
    '_U=simulated-cookie; MUID=x',
    JSON.stringify([{ name: '_U', value: 'simulated-cookie', domain: '.bing.com' }])
  ]) {
    writeFileSync(file, 'stale-cookie')
    t.ok(await within2s(async () => (await second.get('/health')).json.data.session === 'inactive'))
    writeFileSync(file, text)
    t.ok(await within2s(async () => (await image(second)).status === 200), text.slice(0, 3))
    t.equal((await second.get('/readyz')).json.status, 'ok')
  }
  const without = await image(gateway)
  t.strictSame([without.status, without.json.error.code], [401, 'cookie_missing'])
})

t.test('a caller who resets the connection at once is no defect of the gateway', async (t) => {
  const gateway = await startGateway(t)
  const { port } = new URL(await gateway.listen())
  for (let n = 0; n < 30; n++) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        const head = `POST /create/image HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${n % 2 ? '' : 'x-user-id: nobody\r\n'}`
        socket.write(`${head}content-type: application/json\r\ncontent-length: 20\r\n\r\n{"query":`)
        socket.resetAndDestroy()
      })
      socket.once('error', () => {})
      socket.once('close', () => resolve())
    })
  }
  await gateway.get('/livez')
  t.notMatch(gateway.log(), /"level":50/)
  t.notMatch((await gateway.get('/metrics')).text, /http_response_status_code="500"/)
})
