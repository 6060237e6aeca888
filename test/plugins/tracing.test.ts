/** OpenTelemetry traces, as a collector receives them. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { parseOtlpHeaders } from '../../src/otlp-headers.ts'
import { COOKIE, type Gateway, type GatewayOptions, startGateway, USER } from '../support/gateway.ts'
import { until } from '../support/http.ts'
import { startProcess } from '../support/process.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'

const NAMED = { 'x-user-id': USER }
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const traceparent = `00-${TRACE}-${PARENT}-01`
const SERVER = 2
const CLIENT = 3
const PRODUCER = 4

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  links: { traceId: string; spanId: string }[]
  status: { code?: number; message?: string }
  attributes: { key: string; value: Record<string, unknown> }[]
}

interface Collector {
  url: string
  /** Bodies as they came. */
  bodies: Buffer[]
  headers: IncomingHttpHeaders[]
  spans(): Span[]
}

/** A collector that speaks OTLP over HTTP, as far as JSON goes. */
async function startCollector(t: Test, status = 200): Promise<Collector> {
  const bodies: Buffer[] = []
  const headers: IncomingHttpHeaders[] = []
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      if (req.url === '/v1/traces') {
        bodies.push(Buffer.concat(chunks))
        headers.push(req.headers)
      }
      res.writeHead(status, { 'content-type': req.headers['content-type'] ?? '' }).end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    headers,
    spans: () =>
      bodies
        .flatMap((body) => JSON.parse(String(body)).resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
  }
}

async function traced(t: Test, collector: string, options: GatewayOptions = {}): Promise<Gateway> {
  return startGateway(t, {
    ...options,
    config: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      ...options.config
    }
  })
}

const attribute = ({ attributes }: Span, key: string) =>
  Object.values(attributes.find((one) => one.key === key)?.value ?? {})[0]

t.test('a request, and what it leads to', async (t) => {
  const collector = await startCollector(t)
  const receiver = await startReceiver(t)
  const gateway = await traced(t, collector.url, {
    config: {
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20CANARYtoken',
      WEBHOOK_SECRET: SECRET,
      WEBHOOK_ALLOW_PRIVATE: true
    }
  })
  const { sim } = gateway
  const identity = await gateway.conversation()
  const asked = await gateway.post(
    '/chatgpt',
    { ...identity, prompt: 'CANARYprompt' },
    { ...NAMED, traceparent, 'x-request-id': 'traced-1' }
  )
  t.equal(asked.status, 200)
  t.match(asked.headers['server-timing'], new RegExp(`, traceparent;desc="00-${TRACE}-[0-9a-f]{16}-01"$`))
  sim.set('turn', { failure: 'signature-missing' })
  await gateway.post('/chatgpt', { ...identity, prompt: 'CANARYprompt again' }, { traceparent })
  await gateway.get('/task/CANARYid?sig=CANARYsig', NAMED)
  await gateway.get('/livez', { traceparent })
  t.equal((await gateway.get('/unknown', { traceparent })).status, 404)
  const image = await gateway.post(
    '/create/image',
    { query: 'CANARYprompt drawn', webhookUrl: `${receiver.url}/CANARYhook` },
    { ...NAMED, traceparent }
  )
  t.equal(image.status, 200)
  const video = await gateway.post(
    '/create/video',
    { query: 'CANARYprompt filmed' },
    { ...NAMED, traceparent }
  )
  await gateway.ended(video.json.data.taskId, NAMED)
  await receiver.count(1)
  // Closing sends what is left.
  await gateway.app.close()

  const spans = collector.spans()
  const named = (name: string) => spans.filter((span) => span.name === name)
  const [turn, refused] = named('POST /chatgpt')
  t.match(turn, { traceId: TRACE, parentSpanId: PARENT, kind: SERVER })
  t.equal(attribute(turn as Span, 'http.response.status_code'), 200)
  t.equal(attribute(turn as Span, 'http.route'), '/chatgpt')
  t.match(refused, { status: { code: 2 } })
  t.equal(attribute(refused as Span, 'error.type'), 'api_error')
  const calls = named('turn sydney')
  t.match(calls[0], { traceId: TRACE, parentSpanId: turn?.spanId, kind: CLIENT })
  t.equal(attribute(calls[0] as Span, 'gen_ai.operation.name'), 'chat')
  t.match(calls[1], { parentSpanId: refused?.spanId, status: { code: 2 } })
  t.equal(attribute(calls[1] as Span, 'error.type'), 'protocol_error')
  t.equal(named('create sydney').length, 1)
  t.not(named('create sydney')[0]?.traceId, TRACE, 'a request without a trace begins one')

  t.strictSame(
    spans.filter(({ name }) => name.startsWith('notFoundHandler')),
    [],
    'no span that the documentation does not name'
  )
  const [drawing] = named('POST /create/image')
  const submit = named('task submit').find(({ parentSpanId }) => parentSpanId === drawing?.spanId)
  t.ok(submit, 'the submit belongs to the request that asked for it')
  t.ok(named('submit image-creator').some(({ parentSpanId }) => parentSpanId === submit?.spanId))
  const looks = named('task look')
  const imageLooks = looks.filter((span) => attribute(span, 'bing_gateway.task.kind') === 'image')
  t.ok(imageLooks.length > 0 && imageLooks.every(({ parentSpanId }) => parentSpanId === drawing?.spanId))
  const [filming] = named('POST /create/video')
  const videoLooks = looks.filter((span) => attribute(span, 'bing_gateway.task.kind') === 'video')
  t.ok(videoLooks.length > 0)
  for (const { parentSpanId, traceId, links } of videoLooks) {
    t.not(parentSpanId, filming?.spanId)
    t.not(traceId, TRACE)
    t.match(links, [{ traceId: TRACE, spanId: filming?.spanId }])
  }
  const [webhook] = named('webhook')
  t.match(webhook, { traceId: TRACE, parentSpanId: drawing?.spanId, kind: PRODUCER })
  t.equal(receiver.received[0]?.headers.traceparent, `00-${TRACE}-${webhook?.spanId}-01`)

  t.notOk(
    spans.some(({ name }) => /livez/.test(name)),
    'probes are not traced'
  )
  t.notOk(
    sim.requests.some(({ headers }) => 'traceparent' in headers || 'tracestate' in headers),
    'Microsoft is told nothing'
  )
  t.equal(collector.headers[0]?.authorization, 'Bearer CANARYtoken')
  const sent = collector.bodies.join('\n')
  t.match(sent, /"service\.name","value":\{"stringValue":"bing-gateway"\}/)
  const secrets = [
    'CANARY',
    COOKIE,
    USER,
    SECRET,
    ...Object.values(identity).map(String),
    image.json.data.taskId,
    video.json.data.taskId
  ]
  for (const secret of secrets) t.notOk(sent.includes(secret), `${secret.slice(0, 6)}… is in no span`)
  t.notOk(gateway.log().includes('CANARY'), 'nor in the log')
  const line = gateway
    .log()
    .split('\n')
    .find((text) => text.includes('"traced-1"') && text.includes('"msg":"request"'))
  t.equal(JSON.parse(line as string).traceId, TRACE)
})

t.test('a stream is traced to its end, also when its caller leaves', async (t) => {
  const collector = await startCollector(t)
  const gateway = await traced(t, collector.url)
  const url = new URL(await gateway.listen())
  gateway.sim.set('turn', { answer: 'some words', charsPerUpdate: 1, updateDelayMs: 20 })
  const identity = await gateway.conversation()
  const body = JSON.stringify({ ...identity, prompt: 'Hi', stream: true })
  const response = await fetch(new URL('/chatgpt', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent },
    body
  })
  t.match(await response.text(), /event: done/)
  gateway.sim.set('turn', { answer: 'many words '.repeat(50), charsPerUpdate: 1, updateDelayMs: 50 })
  const socket = connect(Number(url.port), url.hostname)
  socket.write(
    `POST /chatgpt HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
  let text = ''
  while (!text.includes('event: delta')) text += (await once(socket, 'data'))[0]
  socket.destroy()
  await until('the caller is missed', () => gateway.log().includes('"left":true'))
  await gateway.app.close()

  const spans = collector.spans()
  const [whole, left] = spans.filter(({ name }) => name === 'POST /chatgpt') as [Span, Span]
  const turns = spans.filter(({ name }) => name === 'turn sydney')
  const turn = turns.find(({ parentSpanId }) => parentSpanId === whole.spanId) as Span
  t.ok(BigInt(whole.endTimeUnixNano) >= BigInt(turn.endTimeUnixNano), 'not merely to its first byte')
  t.notOk(attribute(whole, 'error.type'))
  t.equal(attribute(left, 'error.type'), 'caller_left')
  const given = turns.find(({ parentSpanId }) => parentSpanId === left.spanId) as Span
  t.equal(attribute(given, 'error.type'), 'cancelled')
  t.notOk(given.status.code, 'who was told to stop has not failed')
})

t.test('what a circuit refuses was no call', async (t) => {
  const collector = await startCollector(t)
  const gateway = await traced(t, collector.url)
  gateway.sim.set('create', { failure: 'challenge-message' })
  for (let n = 0; n < 3; n++)
    t.equal((await gateway.post('/create_conversation', { userId: USER })).status, 503)
  await gateway.app.close()
  const calls = collector.spans().filter(({ name }) => name === 'create sydney')
  t.equal(calls.length, 1, 'one of three was made')
  t.equal(attribute(calls[0] as Span, 'error.type'), 'challenge_required')
})

t.test('a collector is sent no empty lists', async (t) => {
  // So that the span which is left out is alone in its list.
  process.env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE = '1'
  t.teardown(() => delete process.env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE)
  const collector = await startCollector(t)
  const gateway = await traced(t, collector.url)
  t.equal((await gateway.get('/unknown')).status, 404)
  await gateway.app.close()
  t.ok(collector.spans().length > 0)
  for (const body of collector.bodies) t.not(JSON.parse(String(body)).resourceSpans.length, 0)
})

t.test('a collector that is away harms nothing', async (t) => {
  const gateway = await traced(t, 'http://127.0.0.1:1')
  const identity = await gateway.conversation()
  t.equal((await gateway.post('/chatgpt', { ...identity, prompt: 'Hi' }, NAMED)).status, 200)
  const from = performance.now()
  await gateway.app.close()
  t.ok(performance.now() - from < 30_000, 'closing does not wait for it')

  const refusing = await startCollector(t, 400)
  const refused = await traced(t, refusing.url)
  t.equal((await refused.get('/options')).status, 200)
  await refused.app.close()
  t.match(refused.log(), /traces could not be sent/, 'and the operator is told')
})

t.test('the built service sends protobuf, as collectors expect it', async (t) => {
  const collector = await startCollector(t)
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const gateway = await startProcess(t, {
    DATA_DIR: dir,
    BING_COOKIE_U: 'CANARYcookie',
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=a%20b, authorization=CANARYtoken',
    OTEL_SERVICE_NAME: 'another-name'
  })
  t.equal((await fetch(`${gateway.url}/options`)).status, 200)
  t.equal(await gateway.end('SIGTERM'), 0)
  t.match(collector.headers[0], { 'content-type': 'application/x-protobuf', 'x-tenant': 'a b' })
  const [body] = collector.bodies
  t.ok(body?.includes('GET /options') && body.includes('another-name'))
  t.notOk(body?.includes('CANARY') || gateway.output().includes('CANARY'))
})

t.test('headers for the collector', async (t) => {
  t.strictSame(parseOtlpHeaders('A=b%2Cc , x-y = d=e,'), { a: 'b,c', 'x-y': 'd=e' })
  for (const text of ['CANARY', '=CANARY', 'a b=CANARY', 'a=%CANARY'])
    t.throws(() => loadConfig({ OTEL_EXPORTER_OTLP_HEADERS: text }), {
      message:
        'Bad configuration: OTEL_EXPORTER_OTLP_HEADERS must be a list of name=value, separated by commas'
    })
})

t.test('without a collector nothing is traced', async (t) => {
  const gateway = await startGateway(t)
  t.equal(gateway.app.tracing, undefined)
  const { headers } = await gateway.get('/options', { traceparent })
  t.notMatch(headers['server-timing'], /traceparent/)
})
