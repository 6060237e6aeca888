import { connect } from 'node:net'
import { mutateBytes, pieces } from './mutate-bytes.ts'
import type { Random } from './random.ts'
import type { FuzzAnswer } from './rules.ts'

const request = (line: string, headers: string[], body = '') =>
  `${line}\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n${body}`
const HOST = 'host: gateway'
const JSON_TYPE = 'content-type: application/json'
const WHO = 'x-user-id: alice'
const QUERY = '{"query":7}'

/** Requests in which something of HTTP itself is wrong: lengths, chunks, heads, ends. */
const BROKEN: readonly string[] = [
  request('GET / HTTP/1.1', [HOST]),
  request('GET / HTTP/1.1', []),
  request('GET / HTTP/1.0', []),
  request('GET / HTTP/9.9', [HOST]),
  request('GET /', []),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '\0\0\0\0',
  '\r\n\r\n\r\n',
  request('BREW /tasks HTTP/1.1', [HOST]),
  request('CONNECT example.com:443 HTTP/1.1', [HOST]),
  request('GET http://elsewhere/tasks HTTP/1.1', [HOST, WHO]),
  request('GET * HTTP/1.1', [HOST]),
  request('OPTIONS * HTTP/1.1', [HOST]),
  request('GET tasks HTTP/1.1', [HOST, WHO]),
  request('GET /tasks\0 HTTP/1.1', [HOST, WHO]),
  request('GET /\xff\xfe HTTP/1.1', [HOST, WHO]),
  request('GET /task/a b HTTP/1.1', [HOST, WHO]),
  request('GET /tasks HTTP/1.1', [HOST, HOST, WHO]),
  request('GET /tasks HTTP/1.1', ['host: a b', WHO]),
  request('GET /tasks?limit=1 HTTP/1.1', ['host: [::1', WHO]),
  request('GET /tasks?limit=1 HTTP/1.1', ['host: \xe9vil"<>', WHO]),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'folded: a', ' b']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'no colon']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'sp ace: 1']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'bare\n: 1']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'nul: a\0b']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, `big: ${'x'.repeat(20_000)}`]),
  request('GET /tasks HTTP/1.1', [HOST, WHO, ...Array.from({ length: 2100 }, (_, n) => `h${n}: 1`)]),
  request(`GET /task/${'x'.repeat(20_000)} HTTP/1.1`, [HOST, WHO]),
  request('GET /tasks HTTP/1.1', [
    HOST,
    WHO,
    'upgrade: websocket',
    'connection: upgrade',
    'sec-websocket-key: x'
  ]),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'upgrade: h2c', 'connection: Upgrade, HTTP2-Settings']),
  request('GET /tasks HTTP/1.1', [HOST, WHO, 'content-length: 5'], 'hello'),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE], QUERY),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE, 'content-length: 11'], QUERY),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE, 'content-length: 3'], QUERY),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE, 'content-length: 99'], QUERY),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE, 'content-length: -1'], QUERY),
  request('POST /create/image HTTP/1.1', [HOST, WHO, JSON_TYPE, 'content-length: 1e3'], QUERY),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'content-length: 99999999999999999999'],
    QUERY
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'content-length: 3', 'content-length: 4'],
    QUERY
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'content-length: 11', 'transfer-encoding: chunked'],
    QUERY
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: chunked'],
    `b\r\n${QUERY}\r\n0\r\n\r\n`
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: chunked'],
    `zz\r\n${QUERY}`
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: chunked'],
    `ffffffffffffffffff\r\n${QUERY}`
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: chunked'],
    `b;ext="\0"\r\n${QUERY}\r\n0\r\nt: 1\r\n\r\n`
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: gzip, chunked'],
    `b\r\n${QUERY}\r\n0\r\n\r\n`
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'transfer-encoding: chunked, identity'],
    QUERY
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'expect: 100-continue', 'content-length: 11'],
    QUERY
  ),
  request(
    'POST /create/image HTTP/1.1',
    [HOST, WHO, JSON_TYPE, 'expect: 200-ok', 'content-length: 11'],
    QUERY
  ),
  request('POST /chatgpt HTTP/1.1', [HOST, JSON_TYPE, 'content-length: 2'], '{}') +
    request('GET /health HTTP/1.1', [HOST]) +
    request('GET /\xff HTTP/1.1', [HOST])
]
export const BROKEN_REQUESTS: readonly Buffer[] = BROKEN.map((text) => Buffer.from(text, 'latin1'))
const WORDS = [
  '\r\n',
  '\n',
  '\r',
  ': ',
  ' HTTP/1.1\r\n',
  '\r\n\r\n',
  'transfer-encoding: chunked\r\n',
  'content-length: 1\r\n',
  '0\r\n\r\n',
  'GET ',
  '\0',
  '\t'
]

/** Bytes that are no request, or nearly one. */
export const rawRequest = (random: Random): Buffer =>
  random.chance(0.4)
    ? random.pick(BROKEN_REQUESTS)
    : mutateBytes(random, { seeds: BROKEN_REQUESTS, words: WORDS, maxBytes: 64 * 1024 })

/**
 * Sends bytes over a connection of their own, in pieces, then says that no more will come.
 * @returns everything that came back, once the other side has hung up, too
 * @throws {Error} when it does not within `deadlineMs`
 */
export function sendRaw(url: string, bytes: Buffer, random: Random, deadlineMs: number): Promise<Buffer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true })
    const received: Buffer[] = []
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end within ${deadlineMs} ms`))
    }, deadlineMs)
    const done = () => {
      clearTimeout(timer)
      resolve(Buffer.concat(received))
    }
    socket.on('data', (chunk) => received.push(chunk))
    // Who is refused in the middle of what they say may find the connection reset.
    socket.on('error', () => socket.destroy())
    socket.once('close', done)
    socket.once('end', () => socket.destroy())
    const rest = pieces(random, bytes.toString('latin1'))
    // Each piece in a turn of its own, so that they arrive apart.
    const more = () => {
      const piece = rest.shift()
      if (piece === undefined) socket.end()
      else socket.write(Buffer.from(piece, 'latin1'), () => setImmediate(more))
    }
    socket.once('connect', more)
  })
}

/** The answers in what came back, bodies by their length. Those without one take the rest. */
export function answersIn(bytes: Buffer): FuzzAnswer[] {
  const answers: FuzzAnswer[] = []
  for (let rest = bytes; rest.length > 0; ) {
    const end = rest.indexOf('\r\n\r\n')
    const [line = '', ...lines] = rest
      .subarray(0, end === -1 ? rest.length : end)
      .toString('latin1')
      .split('\r\n')
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(line)?.[1] ?? Number.NaN)
    const headers = Object.fromEntries(
      lines.map((header) => {
        const at = header.indexOf(':')
        return [header.slice(0, at).toLowerCase(), header.slice(at + 1).trim()]
      })
    )
    const body = end === -1 ? Buffer.alloc(0) : rest.subarray(end + 4)
    const length = status < 200 ? 0 : Number(headers['content-length'] ?? body.length)
    answers.push({ status, headers, text: body.subarray(0, length).toString() })
    rest = body.subarray(length)
  }
  return answers
}
