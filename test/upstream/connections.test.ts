/** What the HTTP client makes of connections: how large answers may be, and which connection a request takes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createAccount } from '../../src/upstream/account.ts'
import { createUpstreamHttp, surelyNotSent, transportFailure } from '../../src/upstream/http.ts'
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
  t.equal((await http.bytes({ url, signal: never })).body.length, body.length)
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
  t.equal(await rowOf(http.request({ url, signal: never })), 'T1', 'a read may meet one: it is repeated')
})

t.test('which row a broken connection is', async (t) => {
  const cases: [code: string, started: boolean, row: string, notSent: boolean][] = [
    ['ENOTFOUND', false, 'T1', true],
    ['EAI_AGAIN', false, 'T1', true],
    ['ECONNREFUSED', false, 'T1', true],
    ['EHOSTUNREACH', false, 'T1', true],
    ['CERT_HAS_EXPIRED', false, 'T1', true],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', false, 'T1', true],
    ['ERR_TLS_CERT_ALTNAME_INVALID', false, 'T1', true],
    ['UND_ERR_SOCKET', false, 'T1', false],
    ['UND_ERR_CONNECT_TIMEOUT', false, 'T2', true],
    ['ETIMEDOUT', false, 'T2', false],
    ['ECONNRESET', false, 'T3', false],
    ['EPIPE', false, 'T3', false],
    ['UND_ERR_HEADERS_TIMEOUT', false, 'T4', false],
    ['UND_ERR_BODY_TIMEOUT', true, 'T4', false],
    ['ECONNRESET', true, 'T4', false]
  ]
  for (const [code, started, row, notSent] of cases) {
    const error = new Error('request failed', { cause: Object.assign(new Error(code), { code }) })
    const failure = transportFailure(error, started)
    t.strictSame([failure.row, surelyNotSent(failure)], [row, notSent], `${code} ${started}`)
  }
})
