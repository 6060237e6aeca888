/** What the HTTP client makes of connections: how large answers may be, and which connection a request takes. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { createAccount } from '../../src/upstream/account.ts'
import { isPassing } from '../../src/upstream/creation-client.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'
import {
  createUpstreamHttp,
  surelyNotSent,
  type TransportStage,
  transportFailure,
  type UpstreamHttpSettings
} from '../../src/upstream/http.ts'
import { retryAfterSeconds } from '../../src/upstream/page-verdict.ts'
import { never, rowOf } from '../support/creator.ts'
import { handClock } from '../support/hand-clock.ts'

/** A server of one's own, because the simulator keeps connections and never sends that much. */
async function serve(
  t: Test,
  answer: (req: IncomingMessage, res: ServerResponse) => void,
  settings: Partial<UpstreamHttpSettings> = {}
) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const http = createUpstreamHttp({ account: createAccount([url]), ...settings })
  t.teardown(async () => {
    await http.close()
    server.closeAllConnections()
    server.close()
  })
  return { http, url }
}

t.test('answers may have large heads', async (t) => {
  const location = `/images/create?q=${'%E4%B8%AD'.repeat(4500)}`
  const { http, url } = await serve(t, (_req, res) => res.writeHead(302, { location }).end())
  const method = 'POST'
  t.equal((await http.request({ method, url, signal: never })).location, new URL(location, url).href)
  t.equal((await http.request({ url, signal: never })).location, new URL(location, url).href)
})

t.test('media may be larger than pages', async (t) => {
  const body = Buffer.alloc(8 * 1024 * 1024 + 1)
  const { http, url } = await serve(t, (_req, res) => res.end(body))
  t.equal((await http.bytes({ maxBytes: 1e9, url, signal: never })).body.length, body.length)
  t.equal(await rowOf(http.request({ url, signal: never })), 'T11')
})

t.test('a submit never meets a connection that is being closed', async (t) => {
  const asked = new Map<Socket, number>()
  // Closes each connection with the second request on it, as a server does that has just run out of patience.
  const { http, url } = await serve(t, ({ socket }, res) => {
    asked.set(socket, (asked.get(socket) ?? 0) + 1)
    if ((asked.get(socket) ?? 0) > 1) socket.destroy()
    else res.end('ok')
  })
  await http.request({ url, signal: never })
  for (let n = 0; n < 3; n++) {
    t.equal((await http.request({ method: 'POST', body: 'q=a', url, signal: never })).text, 'ok')
  }
  t.strictSame([...asked.values()], [1, 1, 1, 1])
  t.equal((await http.request({ url, signal: never })).text, 'ok', 'a read may meet one, and goes once more')
  t.strictSame([...asked.values()], [2, 1, 1, 1, 1], 'over a fresh connection')
})

t.test('which row a broken connection is', async (t) => {
  const cases: [code: string, stage: TransportStage, row: string, notSent: boolean][] = [
    ['ENOTFOUND', 'connecting', 'T1', true],
    ['EAI_AGAIN', 'connecting', 'T1', true],
    ['ECONNREFUSED', 'connecting', 'T1', true],
    ['EHOSTUNREACH', 'connecting', 'T1', true],
    ['CERT_HAS_EXPIRED', 'connecting', 'T1', true],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'connecting', 'T1', true],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'connecting', 'T1', true],
    ['UND_ERR_SOCKET', 'asked', 'T1', false],
    ['UND_ERR_CONNECT_TIMEOUT', 'connecting', 'T2', true],
    ['ETIMEDOUT', 'connecting', 'T2', false],
    ['ECONNRESET', 'connecting', 'T3', false],
    ['EPIPE', 'connecting', 'T3', false],
    ['ECONNRESET', 'asked', 'T1', false],
    ['EPIPE', 'asked', 'T1', false],
    ['UND_ERR_HEADERS_TIMEOUT', 'asked', 'T4', false],
    ['UND_ERR_BODY_TIMEOUT', 'answering', 'T4', false],
    ['ECONNRESET', 'answering', 'T4', false],
    ['HPE_INVALID_CONSTANT', 'asked', 'T11', false],
    ['UND_ERR_HEADERS_OVERFLOW', 'asked', 'T11', false],
    ['HPE_INVALID_EOF_STATE', 'asked', 'T1', false],
    ['HPE_INVALID_CHUNK_SIZE', 'answering', 'T4', false]
  ]
  for (const [code, stage, row, notSent] of cases) {
    const error = new Error('request failed', { cause: Object.assign(new Error(code), { code }) })
    const failure = transportFailure(error, stage)
    t.strictSame([failure.row, surelyNotSent(failure)], [row, notSent], `${code} ${stage}`)
  }
})

t.test('a reset is a blocked region only as long as there is no connection', async (t) => {
  const cases: [name: string, onSocket: (socket: Socket) => void, scheme: string, row: string][] = [
    ['reset at once', (socket) => socket.resetAndDestroy(), 'http', 'T3'],
    ['reset at once, TLS', (socket) => socket.resetAndDestroy(), 'https', 'T3'],
    [
      'reset in the TLS handshake',
      (socket) => socket.once('data', () => socket.resetAndDestroy()),
      'https',
      'T3'
    ],
    [
      'reset after the request',
      (socket) => socket.once('data', () => socket.resetAndDestroy()),
      'http',
      'T1'
    ],
    ['closed after the request', (socket) => socket.once('data', () => socket.destroy()), 'http', 'T1'],
    [
      'reset in the head',
      (socket) =>
        socket.once('data', () =>
          socket.write('HTTP/1.1 200 O', () => setTimeout(() => socket.resetAndDestroy(), 20))
        ),
      'http',
      'T1'
    ],
    [
      'reset in the body',
      (socket) =>
        socket.once('data', () =>
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab', () =>
            setTimeout(() => socket.resetAndDestroy(), 20)
          )
        ),
      'http',
      'T4'
    ]
  ]
  for (const [name, onSocket, scheme, row] of cases) {
    const server = createNetServer((socket) => onSocket(socket.on('error', () => {}))).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const http = createUpstreamHttp({ account: createAccount([url]) })
    for (const method of ['GET', 'POST'] as const) {
      const error = await http.request({ method, url, signal: never }).catch((error: unknown) => error)
      t.match(error, { row }, `${name}, ${method}`)
      t.equal(surelyNotSent(error), false, `${name}, ${method}: the outcome of a submit is unknown`)
    }
    await http.close()
    server.close()
  }
})

t.test('what is no HTTP is no answer', async (t) => {
  const heads = [
    ['no HTTP', 'garbage\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nx-filler: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['a head that is broken', 'HTTP/1.1 200 OK\r\ncontent-length: nine\r\n\r\n']
  ] as const
  for (const [name, head] of heads) {
    const server = createNetServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.end(head))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const http = createUpstreamHttp({ account: createAccount([url]) })
    for (const method of ['GET', 'POST'] as const) {
      const error = await http.request({ method, url, signal: never }).catch((error: unknown) => error)
      t.match(error, { row: 'T11' }, `${name}, ${method}`)
      t.equal(surelyNotSent(error), false, `${name}, ${method}: the outcome of a submit is unknown`)
      t.ok(isPassing(error), 'it says nothing of a creation that is looked at')
    }
    await http.close()
    server.close()
  }
  t.notOk(isPassing(new UpstreamError('T11')), 'other than a page that nobody knows')
})

t.test('a proxy that makes no tunnel', async (t) => {
  let answer = ''
  let asked = 0
  const proxy = createNetServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () => {
        asked++
        if (answer === 'reset') socket.resetAndDestroy()
        else socket.end(answer)
      })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const httpsProxy = `http://someone:hunter2@127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const url = 'https://upstream.example/'
  const http = createUpstreamHttp({ account: createAccount([url]), proxy: { httpsProxy } })
  t.teardown(async () => {
    await http.close()
    proxy.close()
  })
  for (const status of ['', 'reset', 'garbage', 403, 407, 502])
    for (const method of ['GET', 'POST'] as const) {
      answer = typeof status === 'string' ? status : `HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`
      asked = 0
      const error = await http
        .request({ method, url, signal: AbortSignal.timeout(20_000) })
        .catch((error: unknown) => error)
      t.match(error, { row: 'T1' }, `${status} ${method}`)
      t.ok(surelyNotSent(error), 'nobody was sent anything')
      t.equal(asked, 1, 'and it is asked once')
      t.notMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), /hunter2/)
    }
})

t.test('a proxy that resets each connection is no blocked region', async (t) => {
  const proxy = createNetServer((socket) => socket.on('error', () => {}).resetAndDestroy())
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  const httpsProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const url = 'https://upstream.example/'
  const http = createUpstreamHttp({ account: createAccount([url]), proxy: { httpsProxy } })
  const error = await http.request({ method: 'POST', url, signal: never }).catch((error: unknown) => error)
  t.match(error, { row: 'T1' })
  t.ok(surelyNotSent(error))
  await http.close()
  proxy.close()
  await once(proxy, 'close')
  const gone = createUpstreamHttp({ account: createAccount([url]), proxy: { httpsProxy } })
  const refused = await gone.request({ method: 'POST', url, signal: never }).catch((error: unknown) => error)
  t.match(refused, { row: 'T1' }, 'nor is one that is not there')
  t.ok(surelyNotSent(refused))
  await gone.close()
})

t.test('a proxy that never answers is no connection', async (t) => {
  const proxy = createNetServer((socket) => socket.on('error', () => {}).resume())
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  const httpsProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const url = 'https://upstream.example/'
  const http = createUpstreamHttp({
    account: createAccount([url]),
    proxy: { httpsProxy },
    clock: handClock(),
    connectTimeoutMs: 100
  })
  t.teardown(async () => {
    await http.close()
    proxy.close()
  })
  for (const method of ['GET', 'POST'] as const) {
    const error = await http
      .request({ method, url, signal: AbortSignal.timeout(20_000) })
      .catch((error: unknown) => error)
    t.match(error, { row: 'T2' }, method)
    t.ok(surelyNotSent(error), 'nobody was sent anything')
  }
})

t.test('nobody waits for the body of a redirect', async (t) => {
  const clock = handClock()
  const sockets: Socket[] = []
  let body = ''
  const server = createNetServer((socket) => {
    sockets.push(socket)
    socket
      .on('error', () => {})
      .on('data', () => {
        socket.write(
          `HTTP/1.1 302 Found\r\nlocation: /images/create?id=1\r\nset-cookie: a=b\r\ncontent-length: 9\r\n\r\n${body}`
        )
      })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  t.teardown(() => server.close())
  for (const [name, part] of [
    ['stalls', ''],
    ['stalls midway', 'four']
  ] as const)
    for (const method of ['GET', 'POST'] as const) {
      body = part
      const account = createAccount([url])
      const http = createUpstreamHttp({ account, clock })
      const answer = await http.request({ method, url, signal: AbortSignal.timeout(20_000) })
      t.match(answer, { status: 302, location: `${url}images/create?id=1`, text: '' }, `${name}, ${method}`)
      t.equal(account.cookieHeader(url), 'a=b', 'its cookies are kept')
      const socket = sockets.at(-1) as Socket
      const closed = once(socket, 'close')
      clock.pass(1000)
      await closed
      t.pass('its connection is closed at last')
      await http.close()
    }

  body = 'all of it'
  sockets.length = 0
  const http = createUpstreamHttp({ account: createAccount([url]), clock })
  for (let n = 0; n < 3; n++) {
    t.equal((await http.request({ url, signal: never })).status, 302)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(sockets.length, 1, 'or used again, where all has come')
  t.match(
    await http.bytes({ maxBytes: 5, url, signal: never }),
    { status: 302, headers: { location: '/images/create?id=1' }, body: Buffer.alloc(0) },
    'media, too'
  )
  await http.close()
})

t.test('encoded answers are decoded', async (t) => {
  const said = '{"said":"a harbour, 海辺"}'
  const codings: [header: string, body: Buffer][] = [
    ['gzip', gzipSync(said)],
    ['X-GZIP', gzipSync(said)],
    ['br', brotliCompressSync(said)],
    ['deflate', deflateSync(said)],
    ['deflate', deflateRawSync(said)],
    ['deflate, gzip', gzipSync(deflateSync(said))],
    ['identity', Buffer.from(said)]
  ]
  const asked: unknown[] = []
  let answer: (typeof codings)[number] = ['', Buffer.alloc(0)]
  const { http, url } = await serve(t, ({ headers }, res) => {
    asked.push(headers['accept-encoding'])
    const [coding, body] = answer
    res.writeHead(200, { 'content-encoding': coding, 'content-length': body.length, 'x-more': 'y' }).end(body)
  })
  for (answer of codings) {
    const [coding] = answer
    const page = await http.request({ url, signal: never })
    t.equal(page.text, said, coding)
    t.match(
      page.headers,
      { 'x-more': 'y', 'content-encoding': undefined, 'content-length': undefined },
      coding
    )
    t.equal((await http.request({ method: 'POST', body: 'q=a', url, signal: never })).text, said, coding)
    t.equal(
      (await http.bytes({ maxBytes: 1e9, url, signal: never })).body.toString(),
      said,
      `${coding}, media`
    )
  }
  t.strictSame(asked.slice(0, 3), ['gzip, deflate, br', 'gzip, deflate, br', 'identity'])

  answer = ['gzip', Buffer.alloc(0)]
  t.equal((await http.request({ url, signal: never })).text, '', 'nothing is nothing in every coding')
  const bad: typeof codings = [
    ['gzip', Buffer.from(said)],
    ['gzip', gzipSync(said).subarray(0, -12)],
    ['br', Buffer.from(said)],
    ['deflate', Buffer.from(said)],
    ['zstd', Buffer.from(said)],
    ['gzip, gzip, gzip, gzip', gzipSync(said)]
  ]
  for (answer of bad) t.equal(await rowOf(http.request({ url, signal: never })), 'T11', answer[0])

  const large = Buffer.alloc(8 * 1024 * 1024 + 1)
  for (answer of [
    ['gzip', gzipSync(large)],
    ['br', brotliCompressSync(large)],
    ['gzip, gzip', gzipSync(gzipSync(large))]
  ] as typeof codings) {
    t.equal(
      await rowOf(http.request({ url, signal: never })),
      'T11',
      `${answer[0]}: a small body of a large page`
    )
  }
  answer = ['gzip', gzipSync(large.subarray(1))]
  t.equal((await http.request({ url, signal: never })).text.length, large.length - 1, 'just small enough')
})

t.test('a byte order mark is no text', async (t) => {
  const { http, url } = await serve(t, (_req, res) => res.end('\uFEFF{"a":1}'))
  t.equal((await http.request({ url, signal: never })).text, '{"a":1}')
})

/** Sends a little of an answer now and then, so that it is never silent for long and never done. */
function drip(res: ServerResponse) {
  const timer = setInterval(() => res.write('.'), 5)
  res.once('close', () => clearInterval(timer))
}

t.test('an exchange ends at last, whatever drips in', async (t) => {
  const clock = handClock()
  const answers: ServerResponse[] = []
  let isThere = () => {}
  const { http, url } = await serve(
    t,
    (_req, res) => {
      answers.push(res)
      drip(res)
      isThere()
    },
    { clock }
  )
  /** Row of a call whose answer has begun `ms` ago, and whether it was over before. */
  async function after(ms: number, call: () => Promise<unknown>) {
    const begun = new Promise<void>((resolve) => {
      isThere = resolve
    })
    let isOver = false
    const row = rowOf(call()).finally(() => {
      isOver = true
    })
    await begun
    clock.pass(ms - 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const wasOver = isOver
    clock.pass(1)
    return [wasOver, await row]
  }
  t.strictSame(await after(60_000, () => http.request({ url, signal: never })), [false, 'T4'])
  const submit = () => http.request({ method: 'POST', body: 'q=a', url, signal: never })
  t.strictSame(await after(60_000, submit), [false, 'T4'])
  const media = () => http.bytes({ maxBytes: 1e9, url, signal: never })
  t.strictSame(await after(15 * 60_000, media), [false, 'T4'], 'media have more time')
  for (const res of answers) if (!res.closed) await new Promise((resolve) => res.once('close', resolve))
  t.pass('nothing of it goes on')
})

t.test('nobody waits for a connection longer than they want to', async (t) => {
  const clock = handClock()
  const held: Socket[] = []
  // Lets every connection come about, but no TLS: for the client that is one that doesn't stand yet.
  const server = createNetServer((socket) => {
    held.push(socket.on('error', () => {}))
    server.emit('held')
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const http = createUpstreamHttp({ account: createAccount([url]), clock })
  const isHeld = () => new Promise((resolve) => server.once('held', resolve))
  for (const method of ['GET', 'POST'] as const) {
    const caller = new AbortController()
    const startedAt = performance.now()
    let next = isHeld()
    const left = rowOf(http.request({ method, url, signal: caller.signal }))
    await next
    caller.abort('left')
    t.equal(await left, 'left', `${method}: the caller leaves`)
    t.ok(performance.now() - startedAt < 8000, 'long before the connection is given up')

    next = isHeld()
    const late = http.request({ method, url, signal: never }).catch((error: unknown) => error)
    await next
    clock.pass(60_000)
    const error = await late
    t.match(error, { row: 'T2' }, `${method}: the time is over`)
    t.ok(surelyNotSent(error), 'and nothing was sent')
  }
  // What comes of them later is nobody's trouble any more.
  const closed = held.map((socket) => new Promise((resolve) => socket.once('close', resolve).resume()))
  for (const socket of held) socket.resetAndDestroy()
  await Promise.all(closed)
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(held.length, 4)
  await http.close()
  server.close()
})

t.test('how long an upstream asks to wait', async (t) => {
  const inAMinute = new Date(Date.now() + 60_500)
  const utc = inAMinute.toUTCString()
  const [, day, date, month, year, time] = utc.match(/^(\w+), (\d+) (\w+) (\d+) ([\d:]+) GMT$/) ?? []
  const cases: [value: string | undefined, seconds: number | undefined][] = [
    ['7', 7],
    [' 7 ', 7],
    ['0', 1],
    ['3.5', 4],
    ['3.0', 3],
    ['99999999999', 86_400],
    ['9'.repeat(400), 86_400],
    ['-5', undefined],
    ['-3.5', undefined],
    ['1e9', undefined],
    ['Infinity', undefined],
    ['', undefined],
    ['soon', undefined],
    ['7, 7', undefined],
    ['5 minutes', undefined],
    ['2026', 2026],
    ['2100-01-01', undefined],
    ['Sunday', undefined],
    [undefined, undefined],
    [utc, 60],
    [`${day}day, ${date}-${month}-${year?.slice(2)} ${time} GMT`, 60],
    [`${day} ${month} ${date?.replace(/^0/, ' ')} ${time} ${year}`, 60],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 1],
    ['Sun, 06 Nov 2094 08:49:37 GMT', 86_400]
  ]
  for (const [value, seconds] of cases) {
    const headers: Record<string, string> = value === undefined ? {} : { 'retry-after': value }
    const got = retryAfterSeconds({ headers })
    if (seconds === 60) t.ok(got !== undefined && got >= 30 && got <= 61, `${value}: ${got}`)
    else t.equal(got, seconds, `${value}`)
  }
})
