/** Every row of the error table in docs/contract.md, reached over HTTP; and what holds for all answers. */
import { connect } from 'node:net'
import t from 'tap'
import { ERROR_TYPES } from '../../schemas/common.ts'
import { STATUS } from '../../src/errors.ts'
import { COOKIE, startGateway, USER } from '../support/gateway.ts'

t.test('the published types are exactly those with a status', async (t) => {
  t.strictSame(Object.keys(STATUS).sort(), [...ERROR_TYPES].sort())
})

t.test('requests that no route can read', async (t) => {
  const gateway = await startGateway(t)
  const json = { 'content-type': 'application/json' }
  const cases = [
    { name: 'unknown route', method: 'GET', url: '/nope', want: [404, null] },
    { name: 'known route, other method', method: 'GET', url: '/chatgpt', want: [404, null] },
    {
      name: 'PUT on a POST route',
      method: 'PUT',
      url: '/create/image',
      payload: '{}',
      headers: json,
      want: [404, null]
    },
    { name: 'an id of no task', method: 'GET', url: `/task/${'a'.repeat(200)}`, want: [404, null] },
    { name: 'longer than any id', method: 'GET', url: `/task/${'a'.repeat(600)}`, want: [404, null] },
    { name: 'path that cannot be decoded', method: 'GET', url: '/task/%zz', want: [400, null] },
    {
      name: 'not JSON',
      method: 'POST',
      url: '/create_conversation',
      payload: '{"userId":',
      headers: json,
      want: [400, null]
    },
    {
      name: 'empty body',
      method: 'POST',
      url: '/create_conversation',
      payload: '',
      headers: json,
      want: [400, null]
    },
    {
      name: 'JSON null',
      method: 'POST',
      url: '/create_conversation',
      payload: 'null',
      headers: json,
      want: [400, null]
    },
    {
      name: 'JSON array',
      method: 'POST',
      url: '/create_conversation',
      payload: '[]',
      headers: json,
      want: [400, null]
    },
    { name: 'no body at all', method: 'POST', url: '/chatgpt', want: [400, null] },
    {
      name: 'XML',
      method: 'POST',
      url: '/create/image',
      payload: '<a/>',
      headers: { 'content-type': 'text/xml' },
      want: [415, null]
    },
    {
      name: 'a form on a chat route',
      method: 'POST',
      url: '/chatgpt',
      payload: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      want: [415, null]
    },
    {
      name: 'plain text',
      method: 'POST',
      url: '/create/image',
      payload: 'a fox',
      headers: { 'content-type': 'text/plain' },
      want: [415, null]
    },
    {
      name: 'compressed',
      method: 'POST',
      url: '/create/image',
      payload: '{"query":"a fox"}',
      headers: { ...json, 'content-encoding': 'gzip' },
      want: [415, null]
    },
    {
      name: 'too large',
      method: 'POST',
      url: '/create/image',
      payload: JSON.stringify({ query: 'x'.repeat(1_100_000) }),
      headers: json,
      want: [413, null]
    },
    {
      name: 'prototype pollution',
      method: 'POST',
      url: '/create/image',
      payload: '{"__proto__":{"x":1}}',
      headers: json,
      want: [400, null]
    }
  ] as const
  for (const { name, want, ...request } of cases) {
    const res = await gateway.app.inject(request as never)
    const body = res.json()
    t.strictSame(
      [res.statusCode, body.error.type, body.error.param],
      [want[0], 'invalid_request_error', want[1]],
      name
    )
    t.strictSame(Object.keys(body), ['error'], name)
    t.strictSame(Object.keys(body.error), ['message', 'type', 'code', 'param'], name)
    t.match(res.headers['x-request-id'], /.+/, `${name}: has a request id`)
    t.match(res.headers['content-type'], /^application\/json/, name)
  }
})

t.test('fields of a wrong type are named, and never converted', async (t) => {
  const gateway = await startGateway(t)
  const identity = await gateway.conversation()
  const ask = { ...identity, prompt: 'Hi' }
  const cases: [string, object, string][] = [
    ['/create_conversation', {}, 'userId'],
    ['/create_conversation', { userId: '' }, 'userId'],
    ['/create_conversation', { userId: 42 }, 'userId'],
    ['/create_conversation', { userId: null }, 'userId'],
    ['/create_conversation', { userId: [USER] }, 'userId'],
    ['/chatgpt', { ...ask, prompt: undefined }, 'prompt'],
    ['/chatgpt', { ...ask, prompt: '' }, 'prompt'],
    ['/chatgpt', { ...ask, prompt: 7 }, 'prompt'],
    ['/chatgpt', { ...ask, conversationId: undefined }, 'conversationId'],
    ['/chatgpt', { ...ask, clientId: undefined }, 'clientId'],
    ['/chatgpt', { ...ask, conversationSignature: null }, 'conversationSignature'],
    ['/chatgpt', { ...ask, invocationId: '0' }, 'invocationId'],
    ['/chatgpt', { ...ask, invocationId: -1 }, 'invocationId'],
    ['/chatgpt', { ...ask, invocationId: 0.5 }, 'invocationId'],
    ['/chatgpt', { ...ask, tone: 'angry' }, 'tone'],
    ['/create/image', {}, 'query'],
    ['/create/image', { query: '' }, 'query'],
    ['/create/image', { query: ' \n' }, 'query'],
    ['/create/image', { query: 3 }, 'query'],
    ['/create/image', { query: 'a', model: 'PICASSO' }, 'model'],
    ['/create/image', { query: 'a', model: 2 }, 'model'],
    ['/create/image', { query: 'a', model: null }, 'model'],
    ['/create/image', { query: 'a', model: {} }, 'model'],
    ['/create/image', { query: 'a', aspect: 'ROUND' }, 'aspect'],
    ['/create/image', { query: 'a', aspect: 0 }, 'aspect'],
    ['/create/image', { query: 'x'.repeat(4001) }, 'query'],
    ['/create/video', {}, 'query'],
    ['/create/video', { query: 'a', speed: 'warp' }, 'speed'],
    ['/create/video', { query: true }, 'query']
  ]
  for (const [url, payload, param] of cases) {
    const { status, json } = await gateway.post(url, payload)
    const name = `${url} ${JSON.stringify(payload).slice(0, 80)}`
    t.strictSame([status, json.error.type, json.error.param], [400, 'invalid_request_error', param], name)
    t.ok(json.error.message.includes(param), `${name}: the message names the field`)
  }
  t.equal(
    (await gateway.post('/create_conversation', { userId: USER, extra: { a: 1 } })).status,
    200,
    'unknown fields pass'
  )
  t.equal(gateway.sim.counts['creator.submit.received'] ?? 0, 0)
})

t.test('each type of failure', async (t) => {
  const gateway = await startGateway(t, { speed: 100, config: { IMAGE_TIMEOUT_MS: 60_000 } })
  const { sim } = gateway
  const identity = await gateway.conversation()
  const chat = () => gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })
  const image = (query = 'a fox') => gateway.post('/create/image', { query })
  const cases: {
    type: string
    status: number
    code?: string | null
    retryAfter?: boolean
    noRetry?: boolean
    before?: () => void
    run: () => Promise<{
      status: number
      json: { error: { type: string; code: string } }
      headers: Record<string, unknown>
    }>
  }[] = [
    { type: 'invalid_request_error', status: 404, code: null, run: () => gateway.get('/task/x') },
    {
      type: 'permission_error',
      status: 403,
      noRetry: true,
      run: () => gateway.post('/create_conversation', { userId: 'mallory' })
    },
    {
      type: 'not_found_error',
      status: 404,
      noRetry: true,
      run: () => gateway.post('/chatgpt', { ...identity, conversationId: 'x', prompt: 'Hi' })
    },
    {
      type: 'conflict_error',
      status: 409,
      noRetry: true,
      run: () => gateway.post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 9 })
    },
    {
      type: 'prompt_rejected_error',
      status: 422,
      code: 'content_policy',
      noRetry: true,
      run: () => image('a forbidden thing')
    },
    {
      type: 'rate_limit_error',
      status: 429,
      code: 'throttled',
      retryAfter: true,
      noRetry: true,
      before: () => sim.enqueue('turn', { failure: 'throttled' }),
      run: chat
    },
    {
      type: 'upstream_error',
      status: 502,
      code: 'answer_truncated',
      before: () => sim.enqueue('turn', { end: 'terminate', endAt: 'mid-text' }),
      run: chat
    },
    {
      type: 'upstream_unavailable_error',
      status: 503,
      code: 'captcha_required',
      retryAfter: true,
      noRetry: true,
      before: () => sim.enqueue('turn', { failure: 'captcha' }),
      run: chat
    },
    {
      type: 'upstream_timeout_error',
      status: 504,
      code: 'timeout',
      run: () => {
        // A person has passed the check.
        gateway.app.upstream.reload()
        sim.set('poll', { neverReady: true })
        return image('never ready').finally(() => sim.set('poll', {}))
      }
    },
    {
      type: 'auth_error',
      status: 401,
      code: 'cookie_expired',
      noRetry: true,
      before: () => sim.cookies.expire(COOKIE),
      run: image
    }
  ]
  for (const { type, status, code, retryAfter, noRetry, before, run } of cases) {
    before?.()
    const res = await run()
    t.strictSame([res.status, res.json.error.type], [status, type], type)
    if (code !== undefined) t.equal(res.json.error.code, code, type)
    if (retryAfter) t.match(res.headers['retry-after'], /^[1-9]\d*$/, type)
    t.equal(res.headers['x-should-retry'], noRetry ? 'false' : undefined, `${type}: x-should-retry`)
  }
})

t.test('our own side: a store that fails, a defect, a shutdown', async (t) => {
  const gateway = await startGateway(t)
  const { app } = gateway
  const tasks = app.store.tasks as { shown: unknown }
  const { shown } = tasks
  tasks.shown = async () => {
    throw Object.assign(new Error('disk I/O error at /secret/path'), { code: 'SQLITE_IOERR_WRITE' })
  }
  const store = await gateway.get('/task/x')
  t.strictSame(
    [store.status, store.json.error.type, store.json.error.code],
    [503, 'service_unavailable_error', 'store_unavailable']
  )
  t.match(store.headers['retry-after'], /^\d+$/)
  tasks.shown = async () => {
    throw new TypeError('secret internals')
  }
  const defect = await gateway.get('/task/x')
  t.strictSame([defect.status, defect.json.error.type], [500, 'api_error'])
  t.notMatch(defect.text, /secret/, 'says nothing internal')
  t.match(gateway.log(), /secret internals/, 'the log does')
  tasks.shown = shown

  const counting = app.store.tasks as { countProcessing: unknown }
  const { countProcessing } = counting
  counting.countProcessing = async () => {
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' })
  }
  const health = await gateway.get('/health')
  t.strictSame(
    [health.status, health.json.data.activeTasks],
    [200, 0],
    '/health: 200 while the process serves'
  )
  counting.countProcessing = countProcessing

  t.equal((await gateway.get('/readyz')).status, 200)
  await app.lifecycle.drain(0)
  const ready = await gateway.get('/readyz')
  t.strictSame([ready.status, ready.json.status, ready.json.checks.draining], [503, 'unavailable', true])
  for (const [url, payload] of [
    ['/create_conversation', { userId: USER }],
    ['/chatgpt', {}],
    ['/create/image', { query: 'a' }],
    ['/create/video', { query: 'a' }]
  ] as const) {
    const { status, json, headers } = await gateway.post(url, payload)
    t.strictSame(
      [status, json.error.type, json.error.code],
      [503, 'service_unavailable_error', 'draining'],
      url
    )
    t.match(headers['retry-after'], /^\d+$/)
  }
  t.equal((await gateway.get('/livez')).status, 200)
  t.equal((await gateway.get('/task/x')).status, 404, 'stored results stay readable')
})

t.test('request ids', async (t) => {
  const { app } = await startGateway(t)
  const ask = async (id?: string) =>
    (await app.inject({ url: '/options', headers: id === undefined ? {} : { 'x-request-id': id } })).headers[
      'x-request-id'
    ]
  t.equal(await ask('my-id.1'), 'my-id.1', "the caller's own is taken over")
  t.match(await ask(), /^[0-9a-f-]{36}$/)
  t.match(await ask('bad id\twith spaces'), /^[0-9a-f-]{36}$/, 'not when it is not sane')
  t.match(await ask('x'.repeat(300)), /^[0-9a-f-]{36}$/)
})

t.test('bytes that are no HTTP, or not quite', async (t) => {
  const gateway = await startGateway(t)
  const { port } = new URL(await gateway.listen())
  const say = (bytes: string) =>
    new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end(bytes))
      let text = ''
      socket.on('data', (chunk) => (text += chunk)).on('close', () => resolve(text))
    })
  for (const [name, bytes, status, says] of [
    ['no HTTP', 'this is not HTTP\r\n\r\n', 400, /"type":"invalid_request_error"/],
    ['no host', 'GET /livez HTTP/1.1\r\n\r\n', 400, /"param":"Host"/],
    ['no host, as HTTP/1.0 allows', 'GET /livez HTTP/1.0\r\n\r\n', 200, /"status":"ok"/],
    [
      'an expectation that nobody knows',
      'GET /livez HTTP/1.1\r\nhost: x\r\nexpect: tea\r\n\r\n',
      200,
      /"status":"ok"/
    ]
  ] as const) {
    const answer = await say(bytes)
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), name)
    t.match(answer, /x-request-id: /, name)
    t.match(answer, says, name)
  }
})

t.test('a host that no URL can be made of, where one is needed', async (t) => {
  const gateway = await startGateway(t)
  for (const host of ['a b', 'a"b', '[::1', 'x>; rel="next', 'a:99999']) {
    const { status, json } = await gateway.post(
      '/create/image',
      { query: 'a fox' },
      { host, 'x-user-id': USER }
    )
    t.strictSame([status, json.error.param], [400, 'Host'], host)
  }
  const good = await gateway.post(
    '/create/image',
    { query: 'a fox' },
    { host: '[::1]:7860', 'x-user-id': USER }
  )
  t.match(good.json.data.media[0].url, /^http:\/\/\[::1\]:7860\/media\//)
})

t.test('headers on every answer', async (t) => {
  const { app } = await startGateway(t)
  const preflight = await app.inject({
    method: 'OPTIONS',
    url: '/create/image',
    headers: {
      origin: 'https://app.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'x-user-id'
    }
  })
  t.equal(preflight.statusCode, 204)
  t.equal(preflight.headers['access-control-allow-origin'], '*')
  t.match(preflight.headers['access-control-allow-headers'], /x-user-id/)
  const plain = await app.inject({ url: '/options', headers: { origin: 'https://app.example' } })
  t.match(plain.headers['access-control-expose-headers'], /x-request-id/)
  t.equal(plain.headers['x-content-type-options'], 'nosniff')
})

t.test('data says that it is no page, pages get all of the security headers', async (t) => {
  const { app } = await startGateway(t)
  const names = ['content-security-policy', 'x-content-type-options', 'x-frame-options', 'referrer-policy']
  const found = async (url: string) => {
    const { headers } = await app.inject(url)
    return names.map((name) => headers[name])
  }
  for (const url of ['/options', '/task/x', '/no-such-route'])
    t.strictSame(
      await found(url),
      ["default-src 'none';frame-ancestors 'none'", 'nosniff', undefined, undefined],
      url
    )
  for (const url of ['/docs/', '/studio']) {
    const [policy, sniffing, frames, referrer] = await found(url)
    t.match(policy, /frame-ancestors 'none'/, url)
    t.strictSame([sniffing, referrer], ['nosniff', 'no-referrer'], url)
    t.match(frames, /^(DENY|SAMEORIGIN)$/, url)
  }
})
