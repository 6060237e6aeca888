/** What the HTTP client makes of connections: how large answers may be, and which connection a request takes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { createAccount } from '../../src/upstream/account.ts'
import {
  createUpstreamHttp,
  surelyNotSent,
  type TransportStage,
  transportFailure
} from '../../src/upstream/http.ts'
import { never, rowOf } from '../support/creator.ts'

/** A server of one's own, because the simulator keeps connections and never sends that much. */
async function serve(t: Test, answer: (req: IncomingMessage, res: ServerResponse) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const http = createUpstreamHttp({ account: createAccount([url]) })
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
    ['ECONNRESET', 'answering', 'T4', false]
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
