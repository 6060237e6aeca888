/** What the gateway says of itself while it works: metrics, one log line for each request, Server-Timing. */
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { codeOfRow } from '../../src/upstream/failures.ts'
import { readExposition, type Sample, sumOf } from '../support/exposition.ts'
import { type Gateway, startGateway, USER } from '../support/gateway.ts'
import { until } from '../support/http.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'

const NAMED = { 'x-user-id': USER }

async function samplesOf(gateway: Gateway): Promise<Sample[]> {
  return readExposition((await gateway.get('/metrics')).text).samples
}

// biome-ignore lint/suspicious/noExplicitAny: log lines have fields of every shape
const lines = (gateway: Gateway): any[] =>
  gateway
    .log()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/** The line of the request with this id; it may come a moment after the answer. */
async function requestLine(gateway: Gateway, requestId: string) {
  const mine = () => lines(gateway).filter((line) => line.msg === 'request' && line.requestId === requestId)
  await until('the request is logged', () => mine().length > 0)
  const found = mine()
  if (found.length !== 1) throw new Error(`${found.length} lines for one request`)
  return found[0]
}

/** `upstream;dur=1.5, queue;dur=0, app;dur=2` as numbers. */
function timingOf(header: unknown): Record<string, number> {
  const parts = String(header)
    .split(', ')
    .map((part) => /^(\w+);dur=(\d+(?:\.\d)?)$/.exec(part))
  if (parts.some((part) => part === null)) throw new Error(`bad Server-Timing: ${header}`)
  return Object.fromEntries(parts.map((part) => [part?.[1], Number(part?.[2])]))
}

t.test('metrics of chat', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  const identity = await gateway.conversation()
  sim.set('turn', { thinkMs: 30, unknownRecord: true })
  const answer = await gateway.post('/chatgpt', { ...identity, prompt: 'CANARY one' }, NAMED)
  t.equal(answer.status, 200)
  sim.set('turn', { failure: 'throttled' })
  t.equal((await gateway.post('/chatgpt', { ...identity, prompt: 'CANARY two' })).status, 429)
  const states = (await samplesOf(gateway)).filter(({ name }) => name === 'bing_gateway_session_state')
  const ofSydney = { upstream: 'sydney', state: 'throttled' }
  t.equal(sumOf(states, 'bing_gateway_session_state', ofSydney), 1)
  for (const upstream of new Set(states.map(({ labels }) => labels.upstream as string)))
    t.equal(sumOf(states, 'bing_gateway_session_state', { upstream }), 1, 'one state at a time')
  sim.set('create', { resultValue: 'CanaryOfTheirs' })
  t.equal((await gateway.post('/create_conversation', { userId: USER })).status, 502)
  t.equal((await gateway.get('/nowhere/CANARY')).status, 404)
  t.equal((await gateway.get(`/task/CANARY`, NAMED)).status, 404)

  const { text } = await gateway.get('/metrics')
  const { samples } = readExposition(text)
  const value = (name: string, labels?: Record<string, string>) => sumOf(samples, name, labels)
  const requests = (labels: Record<string, string>) =>
    value('http_server_request_duration_seconds_count', labels)
  t.equal(
    requests({
      http_request_method: 'POST',
      http_route: '/chatgpt',
      http_response_status_code: '200',
      error_type: ''
    }),
    1
  )
  t.equal(
    requests({ http_route: '/chatgpt', http_response_status_code: '429', error_type: 'rate_limit_error' }),
    1
  )
  t.equal(requests({ http_route: 'unknown', http_response_status_code: '404' }), 1)
  t.equal(requests({ http_route: '/task/:taskId', error_type: 'invalid_request_error' }), 1)
  t.equal(value('http_server_active_requests'), 0, 'the scrape itself does not count')

  const calls = (op: string, outcome: string) =>
    value('bing_gateway_upstream_requests_total', { driver: 'sydney', op, outcome })
  t.equal(calls('turn', 'ok'), 1)
  t.equal(calls('turn', 'throttled'), 1)
  t.equal(calls('create', 'ok'), 1)
  t.equal(calls('create', codeOfRow('C9')), 1, "no word of the upstream's choice is a label")
  t.equal(value('bing_gateway_upstream_request_duration_seconds_count', { driver: 'sydney', op: 'turn' }), 2)
  t.equal(value('bing_gateway_time_to_first_token_seconds_count', { driver: 'sydney' }), 1)
  const firstToken = value('bing_gateway_time_to_first_token_seconds_sum', { driver: 'sydney' }) ?? 0
  t.ok(firstToken >= 0.03, `the think time is in it: ${firstToken}`)
  t.equal(value('bing_gateway_queue_wait_seconds_count', { kind: 'chat' }), 4)
  t.equal(value('bing_gateway_upstream_unknown_events_total', { driver: 'sydney' }), 3)
  t.ok(
    lines(gateway).some(({ msg, kind }) => /does not know/.test(msg) && /^record /.test(kind)),
    'and the log names them'
  )
  t.equal(value('bing_gateway_circuit_state', { circuit: 'sydney', state: 'closed' }), 1)
  t.equal(value('bing_gateway_store_up'), 1)
  t.ok(value('nodejs_eventloop_lag_p99_seconds') !== undefined, 'delay of the event loop')
  t.type(value('bing_gateway_warm_sockets', { driver: 'sydney' }), 'number')
  t.notMatch(text, /CANARY|OlivierShi|CanaryOfTheirs/)
  for (const id of Object.values(identity)) t.notMatch(text, String(id))
})

t.test('metrics of creations, webhooks and limits', async (t) => {
  const receiver = await startReceiver(t)
  const gateway = await startGateway(t, {
    config: { WEBHOOK_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: true },
    whitelist: `${USER} images=2/d\n`
  })
  const { sim } = gateway
  const webhookUrl = `${receiver.url}/CANARY`
  t.equal((await gateway.post('/create/image', { query: 'a fox', webhookUrl }, NAMED)).status, 200)
  sim.set('submit', { marker: 'dq-err' })
  const refused = await gateway.post('/create/image', { query: 'CANARY' }, NAMED)
  t.not(refused.status, 200)
  t.equal((await gateway.post('/create/image', { query: 'one more' }, NAMED)).status, 429)
  await receiver.count(1)
  const settled = async () =>
    sumOf(await samplesOf(gateway), 'bing_gateway_webhook_deliveries_total', { result: 'delivered' }) === 1
  await until('the delivery is counted', settled)
  const { text } = await gateway.get('/metrics')
  const { samples } = readExposition(text)
  const value = (name: string, labels?: Record<string, string>) => sumOf(samples, name, labels)
  t.equal(value('bing_gateway_task_duration_seconds_count', { kind: 'image', status: 'completed' }), 1)
  t.equal(value('bing_gateway_task_duration_seconds_count', { kind: 'image', status: 'failed' }), 1)
  t.equal(value('bing_gateway_queue_wait_seconds_count', { kind: 'image' }), 2)
  t.equal(value('bing_gateway_tasks', { status: 'completed' }), 1)
  t.equal(value('bing_gateway_tasks', { status: 'failed' }), 1)
  t.equal(value('bing_gateway_oldest_queued_task_age_seconds', { kind: 'image' }), 0)
  t.equal(value('bing_gateway_quota_rejections_total', { kind: 'images' }), 1)
  t.equal(
    value('bing_gateway_upstream_requests_total', { driver: 'image-creator', op: 'submit', outcome: 'ok' }),
    1
  )
  t.ok((value('bing_gateway_upstream_requests_total', { driver: 'image-creator', op: 'poll' }) ?? 0) > 0)
  t.notMatch(text, /CANARY|OlivierShi/)
})

t.test('a creation that waits shows how long', async (t) => {
  const gateway = await startGateway(t, { config: { VIDEO_CONCURRENCY: 1 } })
  gateway.sim.set('videoPoll', { neverReady: true })
  for (const query of ['one', 'two'])
    t.equal((await gateway.post('/create/video', { query }, NAMED)).status, 200)
  const age = async () =>
    sumOf(await samplesOf(gateway), 'bing_gateway_oldest_queued_task_age_seconds', { kind: 'video' }) ?? 0
  await until('it has an age', age, (seconds) => seconds > 0)
})

t.test('one line for each request', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('turn', { thinkMs: 60 })
  const identity = await gateway.conversation()
  const asked = await gateway.post(
    '/chatgpt',
    { ...identity, prompt: 'Hi' },
    { ...NAMED, 'x-request-id': 'chat-1' }
  )
  const line = await requestLine(gateway, 'chat-1')
  t.match(line, { method: 'POST', route: '/chatgpt', status: 200, caller: USER, level: 30 })
  t.ok(line.upstreamMs >= 50, `the upstream's time is in it: ${line.upstreamMs}`)
  t.ok(line.ms >= line.upstreamMs, 'and part of the whole')
  t.ok(Math.abs(line.ms - line.upstreamMs - (line.queueMs ?? 0) - line.ownMs) < 0.5, 'the rest is our own')
  t.notOk('left' in line || 'code' in line || 'type' in line)
  const timing = timingOf(asked.headers['server-timing'])
  t.strictSame(Object.keys(timing), ['upstream', 'queue', 'app'])
  t.ok((timing.upstream ?? 0) >= 50 && (timing.app ?? 0) >= 0)

  gateway.sim.set('turn', { failure: 'captcha' })
  const failed = await gateway.post(
    '/chatgpt',
    { ...identity, prompt: 'Hi again' },
    { 'x-request-id': 'chat-2' }
  )
  t.match(await requestLine(gateway, 'chat-2'), {
    status: 503,
    type: 'upstream_unavailable_error',
    code: 'captcha_required'
  })
  t.ok('upstream' in timingOf(failed.headers['server-timing']), 'failures have the header too')

  for (const url of ['/options', '/nowhere', '/livez'])
    t.match(timingOf((await gateway.get(url)).headers['server-timing']), { upstream: 0, queue: 0 })
  await gateway.get('/livez', { 'x-request-id': 'probe-1' })
  t.equal((await requestLine(gateway, 'probe-1')).level, 20, 'probes only at debug')
})

t.test('time in a queue, and at Bing, of a creation', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  gateway.sim.set('poll', { pendingPolls: 4 })
  const [first, second] = await Promise.all(
    ['image-1', 'image-2'].map((id) =>
      gateway.post('/create/image', { query: `a fox, ${id}` }, { ...NAMED, 'x-request-id': id })
    )
  )
  t.strictSame([first?.status, second?.status], [200, 200])
  const both = [await requestLine(gateway, 'image-1'), await requestLine(gateway, 'image-2')]
  for (const line of both) t.ok(line.upstreamMs >= 60, `four polls of 20 ms: ${line.upstreamMs}`)
  const waits = both.map(({ queueMs = 0 }) => queueMs).sort((a, b) => a - b)
  t.ok((waits[1] ?? 0) >= 60, `the later one waited for the other: ${waits}`)
  for (const answer of [first, second]) t.ok((timingOf(answer?.headers['server-timing']).upstream ?? 0) >= 60)
  // One that asks for a creation that ended before has waited for nothing.
  const task = first?.json.data.taskId
  const looked = await gateway.get(`/task/${task}`, { ...NAMED, prefer: 'wait=5', 'x-request-id': 'look' })
  t.equal(looked.status, 200)
  t.match(await requestLine(gateway, 'look'), { upstreamMs: 0 })
})

t.test('a stream: the header tells of the time to its first byte, the line of all of it', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('turn', { thinkMs: 40, answer: 'one two three', charsPerUpdate: 1, updateDelayMs: 10 })
  const identity = await gateway.conversation()
  const response = await fetch(`${url}/chatgpt`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'stream-1' },
    body: JSON.stringify({ ...identity, prompt: 'Hi', stream: true })
  })
  const timing = timingOf(response.headers.get('server-timing'))
  t.match(await response.text(), /event: done/)
  const line = await requestLine(gateway, 'stream-1')
  t.ok((timing.upstream ?? 0) >= 30)
  t.ok(line.upstreamMs > (timing.upstream ?? 0), 'the rest of the answer came later')
})

t.test('who leaves a stream is in the log and in the metrics', async (t) => {
  const gateway = await startGateway(t)
  const url = new URL(await gateway.listen())
  const identity = await gateway.conversation()

  /** Sends a request and hangs up as soon as the answer has got to `after`. */
  async function leave(id: string, body: object, after: RegExp): Promise<void> {
    const socket = connect(Number(url.port), url.hostname)
    const text = JSON.stringify(body)
    socket.write(
      `POST /chatgpt HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-request-id: ${id}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
    )
    let read = ''
    socket.on('data', (chunk) => {
      read += chunk
    })
    while (!after.test(read)) await once(socket, 'data')
    socket.destroy()
  }

  const slow = { answer: 'words and words and words', charsPerUpdate: 1, updateDelayMs: 100 }
  gateway.sim.set('turn', slow)
  await leave('left-1', { ...identity, prompt: 'Hi', stream: true }, /event: delta/)
  const line = await requestLine(gateway, 'left-1')
  t.match(line, { route: '/chatgpt', status: 200, left: true }, 'the head had been sent')
  const left = async (status: string) =>
    sumOf(await samplesOf(gateway), 'http_server_request_duration_seconds_count', {
      http_route: '/chatgpt',
      http_response_status_code: status,
      error_type: 'caller_left'
    })
  t.equal(await left('200'), 1)
  t.equal(await left('499'), undefined)
  t.equal(sumOf(await samplesOf(gateway), 'http_server_active_requests'), 0)
  const cancelled = async () =>
    sumOf(await samplesOf(gateway), 'bing_gateway_upstream_requests_total', { outcome: 'cancelled' })
  await until('the turn is counted as cancelled', cancelled, (n) => n === 1)
})
