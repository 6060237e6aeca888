import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { createWebhookSender, type WebhookSenderSettings } from '../../src/webhooks/sender.ts'
import {
  checkTarget,
  isPublicAddress,
  isPublicOrPrivateAddress,
  type TargetRules
} from '../../src/webhooks/target.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'
import { MALFORMED_URLS, UNSAFE_ADDRESSES, UNSAFE_URLS } from '../support/unsafe-targets.ts'

const nobody = async () => {
  throw Object.assign(new Error('unknown'), { code: 'ENOTFOUND' })
}
const open: TargetRules = { allows: isPublicOrPrivateAddress, resolve: nobody }
const strict: TargetRules = { allows: isPublicAddress, resolve: nobody }
/** The receiver's address stands for the public internet; everything else is judged as it is. */
const onlyReceiver: TargetRules = {
  allows: (address) => address === '127.0.0.1' || isPublicAddress(address),
  resolve: nobody
}

const sender = (more: Partial<WebhookSenderSettings> = {}) =>
  createWebhookSender({ secret: SECRET, rules: open, userAgent: 'bing-gateway/1.2.3', ...more })
const never = new AbortController().signal
const message = (url: string) => ({ id: 'msg_1', url, body: '{"type":"task.completed"}' })
const send = (url: string, more?: Partial<WebhookSenderSettings>) => sender(more).send(message(url), never)
const inUrl = (address: string) => `http://${address.includes(':') ? `[${address}]` : address}/`

const respond =
  (status: number, headers: Record<string, string> = {}, body = '') =>
  (res: ServerResponse) => {
    res.writeHead(status, headers).end(body)
  }

t.test('a webhook is a signed POST', async (t) => {
  const receiver = await startReceiver(t)
  t.strictSame(await send(`${receiver.url}/hook?token=1#x`), { result: 'delivered', status: 204 })
  const [one] = receiver.received
  t.equal(one?.method, 'POST')
  t.equal(one?.path, '/hook?token=1')
  t.strictSame(one?.event, { type: 'task.completed' }, 'verified by the standard library')
  const { headers } = one ?? {}
  t.equal(headers?.['webhook-id'], 'msg_1')
  t.ok(Math.abs(Number(headers?.['webhook-timestamp']) - Date.now() / 1000) < 5)
  t.equal(headers?.['content-type'], 'application/json')
  t.equal(headers?.['user-agent'], 'bing-gateway/1.2.3')
  t.equal(headers?.host, `127.0.0.1:${receiver.port}`)
  t.equal(headers?.cookie, undefined)
})

t.test('the signature is that of this secret', async (t) => {
  const receiver = await startReceiver(t)
  await send(receiver.url, { secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}` })
  t.match(receiver.received[0]?.event, { name: 'WebhookVerificationError' })
})

t.test('what an answer means', async (t) => {
  const cases: [number, object][] = [
    [200, { result: 'delivered', status: 200 }],
    [202, { result: 'delivered', status: 202 }],
    [410, { result: 'gone', status: 410 }],
    [300, { result: 'retry', status: 300, error: 'HTTP 300' }],
    [301, { result: 'retry', status: 301, error: 'HTTP 301' }],
    [302, { result: 'retry', status: 302, error: 'HTTP 302' }],
    [303, { result: 'retry', status: 303, error: 'HTTP 303' }],
    [304, { result: 'retry', status: 304, error: 'HTTP 304' }],
    [307, { result: 'retry', status: 307, error: 'HTTP 307' }],
    [400, { result: 'retry', status: 400, error: 'HTTP 400' }],
    [404, { result: 'retry', status: 404, error: 'HTTP 404' }],
    [429, { result: 'retry', status: 429, error: 'HTTP 429' }],
    [500, { result: 'retry', status: 500, error: 'HTTP 500' }]
  ]
  let status = 200
  const receiver = await startReceiver(t, (res) => res.writeHead(status).end())
  for (const [code, outcome] of cases) {
    status = code
    t.strictSame(await send(receiver.url), outcome, String(code))
  }
  t.equal(receiver.received.length, cases.length, 'each was asked once')
})

t.test('Retry-After: seconds or a date, at most a day', async (t) => {
  let value = ''
  const receiver = await startReceiver(t, (res) => respond(503, { 'retry-after': value })(res))
  const asked = async (text: string) => {
    value = text
    return ((await send(receiver.url)) as { retryAfterMs?: number }).retryAfterMs
  }
  t.equal(await asked('120'), 120_000)
  t.equal(await asked('0'), 0)
  t.equal(await asked('99999999999'), 86_400_000)
  t.equal(await asked(new Date(Date.now() - 60_000).toUTCString()), 0)
  t.equal(await asked(new Date(Date.now() + 10 * 86_400_000).toUTCString()), 86_400_000)
  const inAnHour = (await asked(new Date(Date.now() + 3_600_000).toUTCString())) ?? 0
  t.ok(inAnHour > 3_590_000 && inAnHour <= 3_600_000, `${inAnHour} ms`)
  for (const nonsense of ['soon', '-5', '1.5x']) t.equal(await asked(nonsense), undefined, nonsense)
})

t.test('307 and 308 are followed with method, body and signature, three times', async (t) => {
  const receiver = await startReceiver(t, (res, { path }) => {
    const left = Number(path.slice(1))
    if (left === 0) respond(200)(res)
    else respond(left % 2 ? 307 : 308, { location: `/${left - 1}` })(res)
  })
  t.strictSame(await send(`${receiver.url}/3`), { result: 'delivered', status: 200 })
  t.strictSame(
    receiver.received.map(({ path, method, event }) => [method, path, event]),
    ['/3', '/2', '/1', '/0'].map((path) => ['POST', path, { type: 'task.completed' }])
  )
  receiver.received.length = 0
  t.strictSame(await send(`${receiver.url}/4`), { result: 'retry', status: 307, error: 'too many redirects' })
  t.equal(receiver.received.length, 4)
})

t.test('other redirects are failures and are not followed', async (t) => {
  for (const status of [301, 302, 303]) {
    const receiver = await startReceiver(t, respond(status, { location: '/elsewhere' }))
    t.strictSame(await send(receiver.url), { result: 'retry', status, error: `HTTP ${status}` })
    t.equal(receiver.received.length, 1)
  }
})

t.test(
  'redirects to what is no target, or to an address that is not allowed, are not followed',
  async (t) => {
    const trap = await startReceiver(t, undefined, '127.0.0.2')
    let location = ''
    const receiver = await startReceiver(t, (res) => respond(308, { location })(res))
    const unsafe = [
      trap.url,
      `http://[::ffff:127.0.0.2]:${trap.port}/`,
      ...Object.keys(UNSAFE_ADDRESSES)
        .filter((address) => address !== '127.0.0.1')
        .map(inUrl)
    ]
    for (location of unsafe) {
      const outcome = await send(receiver.url, { rules: onlyReceiver })
      t.strictSame(outcome, { result: 'retry', status: null, error: 'the address is not allowed' }, location)
    }
    // Malformed ones that are no reference relative to the receiver either.
    for (location of MALFORMED_URLS.filter((url) =>
      /^(ftp|file|data|javascript|ws|unix|http:\/\/.*@)/.test(url)
    )) {
      const { error } = (await send(receiver.url, { rules: onlyReceiver })) as { error: string }
      t.match(error, /^not an http or https URL/, location)
    }
    t.equal(trap.received.length, 0)
  }
)

t.test('nothing is sent to an address that is not allowed, however it is written', async (t) => {
  const trap = await startReceiver(t)
  const urls = [
    trap.url,
    `http://localhost:${trap.port}/`,
    `http://127.1:${trap.port}/`,
    `http://2130706433:${trap.port}/`,
    `http://0x7f000001:${trap.port}/`,
    `http://0177.0.0.1:${trap.port}/`,
    `http://[::ffff:127.0.0.1]:${trap.port}/`,
    ...Object.keys(UNSAFE_ADDRESSES).map(inUrl),
    ...UNSAFE_URLS
  ]
  for (const url of urls) {
    const outcome = await send(url, { rules: strict })
    t.strictSame(outcome, { result: 'retry', status: null, error: 'the address is not allowed' }, url)
  }
  for (const address of Object.keys(UNSAFE_ADDRESSES)) {
    for (const addresses of [[address], ['8.8.8.8', address], [address, '8.8.8.8']]) {
      const rules = { ...strict, resolve: async () => addresses }
      const outcome = await send(`http://hook.test:${trap.port}/`, { rules })
      t.match(outcome, { error: 'the address is not allowed' }, `behind a name: ${addresses}`)
    }
  }
  t.equal(trap.received.length, 0)
})

t.test('a name that changes its address after it was checked leads nowhere', async (t) => {
  const trap = await startReceiver(t)
  const answers = [['8.8.8.8'], ['127.0.0.1']]
  const rules = { ...strict, resolve: async () => answers.shift() ?? ['127.0.0.1'] }
  const url = `http://rebind.test:${trap.port}/`
  await t.resolves(checkTarget(url, rules), 'at creation it is public')
  t.match(await send(url, { rules }), { error: 'the address is not allowed' })
  t.equal(trap.received.length, 0)
})

t.test('between check and connection nobody is asked again', async (t) => {
  const trap = await startReceiver(t, undefined, '127.0.0.2')
  const server = await startReceiver(t)
  let asked = 0
  const rules: TargetRules = {
    ...onlyReceiver,
    resolve: async () => (++asked === 1 ? ['127.0.0.1'] : ['127.0.0.2'])
  }
  const url = `http://rebind.test:${server.port}/`
  t.match(await send(url, { rules }), { result: 'delivered' })
  t.equal(asked, 1)
  t.equal(server.received[0]?.headers.host, `rebind.test:${server.port}`)
  t.match(await send(url, { rules }), { error: 'the address is not allowed' }, 'the next attempt asks anew')
  t.equal(asked, 2)
  t.equal(trap.received.length, 0)
})

t.test('a redirect resolves and checks its own name', async (t) => {
  const receiver = await startReceiver(t, (res, { headers }) => {
    respond(307, { location: `http://inner.test:${headers.host?.split(':')[1]}/` })(res)
  })
  const asked: string[] = []
  const rules: TargetRules = {
    ...onlyReceiver,
    async resolve(name) {
      asked.push(name)
      return name === 'outer.test' ? ['127.0.0.1'] : ['8.8.8.8', '10.0.0.1']
    }
  }
  t.match(await send(`http://outer.test:${receiver.port}/`, { rules }), {
    error: 'the address is not allowed'
  })
  t.strictSame(asked, ['outer.test', 'inner.test'])
})

t.test('of several addresses one that answers is enough', async (t) => {
  const receiver = await startReceiver(t)
  const rules = { ...open, resolve: async () => ['127.0.0.9', '127.0.0.1'] }
  t.match(await send(`http://hook.test:${receiver.port}/`, { rules }), { result: 'delivered' })
})

/** A receiver behind TLS, with the certificate of hook.test. */
async function tlsReceiver(t: Test) {
  const read = (name: string) =>
    readFileSync(new URL(`fixtures/hook-test-${name}.pem`, import.meta.url), 'utf8')
  const cert = read('cert')
  const names: unknown[] = []
  const server = createTlsServer({ cert, key: read('key') }, (req, res) => {
    names.push((req.socket as TLSSocket & { servername?: string }).servername, req.headers.host)
    res.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { cert, names, port: (server.address() as AddressInfo).port }
}

t.test('https: the name of the URL is asked for and must be in a trusted certificate', async (t) => {
  const { cert, names, port } = await tlsReceiver(t)
  const rules = { ...open, resolve: async () => ['127.0.0.1'] }
  const url = `https://hook.test:${port}/`
  t.match(await send(url, { rules, ca: cert }), { result: 'delivered' })
  t.strictSame(names, ['hook.test', `hook.test:${port}`])
  t.match(await send(url, { rules }), { error: 'connection failed: DEPTH_ZERO_SELF_SIGNED_CERT' })
  const other = await send(`https://other.test:${port}/`, { rules, ca: cert })
  t.match(other, { error: 'connection failed: ERR_TLS_CERT_ALTNAME_INVALID' })
  t.equal(names.length, 2, 'and nothing was sent to the others')
})

t.test('a redirect never leads from https to http', async (t) => {
  const plain = await startReceiver(t)
  const read = (name: string) =>
    readFileSync(new URL(`fixtures/hook-test-${name}.pem`, import.meta.url), 'utf8')
  const server = createTlsServer({ cert: read('cert'), key: read('key') }, (_req, res) =>
    respond(308, { location: plain.url })(res)
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const rules = { ...open, resolve: async () => ['127.0.0.1'] }
  const url = `https://hook.test:${(server.address() as AddressInfo).port}/`
  t.match(await send(url, { rules, ca: read('cert') }), { error: 'redirect from https to http' })
  t.equal(plain.received.length, 0)
})

t.test('a receiver that hangs costs one attempt its time and no more', async (t) => {
  const sockets: Socket[] = []
  const silent = createTcpServer((socket) => sockets.push(socket.on('error', () => {}))).listen(
    0,
    '127.0.0.1'
  )
  await once(silent, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`
  const late = { result: 'retry', status: null, error: 'no answer within 0.1 s' }
  t.strictSame(await send(url, { timeoutMs: 100 }), late, 'no answer')
  const rules = { ...open, resolve: () => new Promise<never>(() => {}) }
  t.strictSame(await send('http://hook.test/', { rules, timeoutMs: 100 }), late, 'no address')
  const slow = await startReceiver(t, (res, { path }) => {
    setTimeout(() => respond(307, { location: `${path}x` })(res), 60)
  })
  t.strictSame(await send(slow.url, { timeoutMs: 100 }), late, 'the time is that of all redirects together')
})

t.test('the status counts, whatever becomes of the body', async (t) => {
  const before = Date.now()
  const endless = await startReceiver(t, (res) => {
    res.writeHead(200)
    const more = () => {
      while (res.write(Buffer.alloc(65_536)));
    }
    res.on('drain', more)
    more()
  })
  t.strictSame(await send(endless.url), { result: 'delivered', status: 200 }, 'an endless one is cut off')
  const broken = await startReceiver(t, (res) => {
    res.writeHead(200, { 'content-length': '1000' })
    res.write('a', () => res.destroy())
  })
  t.strictSame(await send(broken.url), { result: 'delivered', status: 200 }, 'a broken one')
  const hanging = await startReceiver(t, (res) => {
    res.writeHead(410)
    res.write('a')
  })
  t.strictSame(await send(hanging.url), { result: 'gone', status: 410 }, 'one that never ends')
  t.ok(Date.now() - before < 7500, 'and none of them costs the time of an attempt')
})

t.test('failures are told without the URL', async (t) => {
  const closed = createTcpServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  await new Promise((resolve) => closed.close(resolve))
  t.match(await send(`http://127.0.0.1:${port}/s3cret`), { error: 'connection failed: ECONNREFUSED' })
  t.match(await send('http://s3cret.test/'), { error: 'connection failed: ENOTFOUND' })
  const garbage = createTcpServer((socket) => socket.on('error', () => {}).end('s3cret\r\n\r\n')).listen(
    0,
    '127.0.0.1'
  )
  await once(garbage, 'listening')
  t.teardown(() => garbage.close())
  const outcome = await send(`http://127.0.0.1:${(garbage.address() as AddressInfo).port}/`)
  t.match(outcome, { result: 'retry', status: null, error: 'connection failed: HTTPParserError' })
})

t.test('an attempt that is broken off has no outcome', async (t) => {
  const stop = new AbortController()
  const receiver = await startReceiver(t, () => stop.abort(new Error('closing')))
  await t.rejects(sender().send(message(receiver.url), stop.signal), { message: 'closing' })
  await t.rejects(sender().send(message(receiver.url), stop.signal), { message: 'closing' })
  t.equal(receiver.received.length, 1)
})
