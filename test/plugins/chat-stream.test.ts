/** Answers as server-sent events: `POST /chatgpt` with `"stream": true` or `Accept: text/event-stream`. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { createParser } from 'eventsource-parser'
import t, { type Test } from 'tap'
import { prefersEvents } from '../../plugins/core/accept.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { CHAT_UPSTREAM, type GatewayOptions, startGateway } from '../support/gateway.ts'

const isSydney = CHAT_UPSTREAM === 'sydney'

// biome-ignore lint/suspicious/noExplicitAny: tests look into data of every shape
type Event = { event: string; data: any }

interface Streamed {
  response: Response
  events: Event[]
  comments: number
}

const until = async (condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; n < 4000; n++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come to that')
}

const post = (url: string, body: object, more: RequestInit = {}) =>
  fetch(`${url}/chatgpt`, {
    method: 'POST',
    ...more,
    headers: { 'content-type': 'application/json', ...more.headers },
    body: JSON.stringify(body)
  })

/** Reads a stream to its end, as any client with a parser of such events does. */
async function read(response: Response, onEvent?: (event: Event) => void): Promise<Streamed> {
  const events: Event[] = []
  let comments = 0
  const parser = createParser({
    onEvent({ event = '', data }) {
      const parsed = { event, data: JSON.parse(data) }
      events.push(parsed)
      onEvent?.(parsed)
    },
    onComment() {
      comments++
    },
    onError(error) {
      throw error
    }
  })
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }))
  return { response, events, comments }
}

const stream = async (url: string, body: object, more?: RequestInit) =>
  read(await post(url, { stream: true, ...body }, more))

/** What somebody who follows the rules has in front of them in the end. */
const shown = (events: Event[]) =>
  events.reduce(
    (text, { event, data }) =>
      event === 'delta' ? text + data.text : event === 'replace' ? data.text : text,
    ''
  )

const names = (events: Event[]) => events.map(({ event }) => event)

/** A clock that stands still until it is told to go on. */
function handClock() {
  let now = Date.now()
  const timers = new Set<{ at: number; ring: () => void }>()
  const clock: Clock = {
    now: () => now,
    sleep: systemClock.sleep,
    timer(ms, ring) {
      const timer = { at: now + ms, ring }
      timers.add(timer)
      return () => timers.delete(timer)
    }
  }
  return {
    clock,
    /** Seconds, one by one: whoever sets a new timer is heard. */
    async advance(seconds: number) {
      for (let n = 0; n < seconds; n++) {
        await new Promise((resolve) => setImmediate(resolve))
        now += 1000
        for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.ring()
      }
    }
  }
}

async function started(t: Test, options?: GatewayOptions) {
  const gateway = await startGateway(t, options)
  const { sim, chat } = gateway
  return { gateway, sim, chat, url: await gateway.listen(), identity: await gateway.conversation() }
}

t.test('an answer as it is written', async (t) => {
  const { gateway, sim, chat, url, identity } = await started(t)
  chat.turn({ search: 'always', charsPerUpdate: 5 })
  const turn = { ...identity, prompt: 'How high is the tower?', invocationId: 0 }
  const { response, events, comments } = await stream(url, turn, {
    headers: { origin: 'https://page.example' }
  })
  t.equal(comments, 0)
  t.equal(response.status, 200)
  t.strictSame(
    ['content-type', 'cache-control', 'x-accel-buffering', 'access-control-allow-origin'].map((name) =>
      response.headers.get(name)
    ),
    ['text/event-stream; charset=utf-8', 'no-cache, no-transform', 'no', '*']
  )
  t.ok(response.headers.get('x-request-id'))
  t.ok(response.headers.get('x-content-type-options'), 'like every answer')
  t.equal(response.headers.get('idempotency-replayed'), null)

  t.ok(events.length > 4, `${events.length} events`)
  t.strictSame(new Set(names(events.slice(0, -1))), new Set(['delta']))
  const last = events.at(-1)
  t.equal(last?.event, 'done')
  t.equal(shown(events), last?.data.message)
  t.match(last?.data, {
    invocationId: 1,
    sources: { length: 2 },
    turns: isSydney ? { used: 1, max: 30 } : undefined
  })

  const plain = await gateway.post('/chatgpt', turn)
  t.strictSame([plain.headers['idempotency-replayed'], plain.json], ['true', last?.data], 'what is stored')

  const again = await stream(url, turn)
  t.equal(again.response.headers.get('idempotency-replayed'), 'true')
  t.strictSame(
    again.events,
    [
      { event: 'delta', data: { text: last?.data.message } },
      { event: 'done', data: last?.data }
    ],
    'a stored answer comes at once'
  )
  t.equal(chat.count('questions'), 1)
  await until(() => gateway.log().includes('"status":200,'))
  t.match(
    (await gateway.get('/metrics')).text,
    /route="\/chatgpt",http_response_status_code="200",error_type=""\} 3/
  )
  t.strictSame(sim.violations, [])
})

t.test('who gets a stream', async (t) => {
  const { gateway, identity } = await started(t)
  let turns = 0
  const type = async (body: object, accept?: string) => {
    const invocationId = turns++
    const { status, headers } = await gateway.post(
      '/chatgpt',
      { ...identity, prompt: 'Hi', invocationId, ...body },
      accept === undefined ? {} : { accept }
    )
    return [status, String(headers['content-type']).split(';')[0]]
  }
  const EVENTS = [200, 'text/event-stream']
  const JSON_ = [200, 'application/json']
  t.strictSame(await type({ stream: true }), EVENTS)
  t.strictSame(await type({ stream: true }, 'application/json'), EVENTS)
  t.strictSame(await type({}, 'text/event-stream'), EVENTS)
  t.strictSame(await type({ stream: false }), JSON_)
  t.strictSame(await type({}, 'application/json, text/event-stream'), JSON_, 'as generated clients send')
  t.strictSame(await type({}), JSON_)
  for (const wrong of ['true', 1, null, {}]) {
    const { status, json } = await gateway.post('/chatgpt', { ...identity, prompt: 'Hi', stream: wrong })
    t.strictSame([status, json.error.type, json.error.param], [400, 'invalid_request_error', 'stream'])
  }

  const cases: [string | undefined, boolean][] = [
    [undefined, false],
    ['', false],
    ['*/*', false],
    ['text/*', false],
    ['TEXT/Event-Stream; charset=utf-8', true],
    ['text/event-stream, application/json;q=0.9', true],
    ['text/event-stream;q=0.5, application/json;q=0.4, */*;q=0.1', true],
    ['text/event-stream;q=0.5, */*;q=0.8', false],
    ['text/event-stream, */*', false],
    ['text/event-stream, application/*', false],
    ['text/event-stream;q=0', false],
    ['text/event-stream;q=lots', false],
    ['text/event-stream-ish', false],
    ['text/html, text/event-stream', true]
  ]
  for (const [accept, expected] of cases) t.equal(prefersEvents(accept), expected, String(accept))
})

t.test('what the upstream takes back is replaced', async (t) => {
  const { chat, url, identity } = await started(t)
  const answer = 'One two three 😀 four five six seven. 👩‍👩‍👧 Eight nine ten!'
  for (const rewrite of ['shrink', 'diverge', 'final-differs'] as const) {
    chat.turn({ rewrite, answer, charsPerUpdate: 7, search: 'never' })
    const { events } = await stream(url, { ...identity, prompt: `Count, ${rewrite}` })
    t.ok(names(events).includes('replace'), rewrite)
    t.strictSame(
      names(events).filter((name) => name === 'done' || name === 'error'),
      ['done']
    )
    t.equal(shown(events), events.at(-1)?.data.message, rewrite)
  }
  if (!isSydney) return
  chat.turn({ filter: 'apology-after', answer, charsPerUpdate: 7 })
  const revoked = (await stream(url, { ...identity, prompt: 'Too much' })).events
  t.match(revoked.at(-1), { event: 'done', data: { truncated: true, notice: 'answer_revoked' } })
  t.equal(shown(revoked), revoked.at(-1)?.data.message)
  chat.turn({ failure: 'deepleo', endAt: 'mid-text', answer, charsPerUpdate: 7 })
  const broken = (await stream(url, { ...identity, prompt: 'Break off' })).events
  t.match(broken.at(-1), { event: 'done', data: { truncated: true, notice: 'answer_truncated' } })
  t.equal(shown(broken), broken.at(-1)?.data.message)
})

t.test('text is cut between characters, wherever the frames are cut', async (t) => {
  const { chat, url, identity } = await started(t)
  let turns = 0
  for (const halfCharacters of [false, true]) {
    for (let before = 0; before < 4; before++) {
      const escapeUnicode = before % 2 === 1
      const answer = `${'x'.repeat(before)}😀𝒳é漢👍🏽${'🦊'.repeat(5)}`
      chat.turn({
        answer,
        charsPerUpdate: 1,
        halfCharacters,
        updateDelayMs: 0,
        split: 'every-char',
        escapeUnicode
      })
      const body = { ...identity, prompt: 'Emoji', invocationId: turns++ }
      const response = await post(url, { stream: true, ...body })
      const { events } = await read(response, ({ data }) => {
        if (data.text !== undefined) t.notMatch(data.text, /\p{Surrogate}/u)
      })
      t.strictSame(
        events.filter(({ event }) => event === 'delta').map(({ data }) => data.text),
        [...answer]
      )
      t.equal(events.at(-1)?.data.message, answer)
    }
  }
})

t.test('200 conversations at once never mix', async (t) => {
  const gateway = await startGateway(t, { config: { CHAT_CONCURRENCY: 0 } })
  const url = await gateway.listen()
  gateway.chat.turn({ thinkMs: 2500, updateDelayMs: 10, charsPerUpdate: 6, search: 'never' })
  const identities = await Promise.all(Array.from({ length: 200 }, () => gateway.conversation()))
  let most = 0
  const answers = await Promise.all(
    identities.map(async (identity, n) => {
      const response = await post(url, { ...identity, prompt: `Tell me about topic${n}x`, stream: true })
      return read(response, () => {
        most = Math.max(most, gateway.chat.count('turns'))
      })
    })
  )
  for (const [n, { events }] of answers.entries()) {
    const done = events.at(-1)
    const topics = [...shown(events).matchAll(/topic\d+x/g)].map(([topic]) => topic)
    const isOwn = topics.length > 0 && topics.every((topic) => topic === `topic${n}x`)
    if (done?.event !== 'done' || shown(events) !== done.data.message || !isOwn)
      t.fail(`conversation ${n}: ${JSON.stringify(events)}`)
    if (done?.data.conversationId !== identities[n]?.conversationId)
      t.fail(`conversation ${n} is another one`)
  }
  t.ok(most > 50, `${most} at the same time`)
  t.equal(gateway.chat.count('completed'), 200)
  t.strictSame(gateway.sim.violations, [])
})

t.test('before the first event a failure is an HTTP error', async (t) => {
  const { chat, url, identity } = await started(t)
  const ofSydney = [
    { turn: { failure: 'throttled' }, status: 429, code: 'throttled' },
    { turn: { filter: 'apology-before' }, status: 422, code: 'content_filtered' },
    // The last one that asks: after it only a person helps.
    { turn: { failure: 'captcha' }, status: 503, code: 'captcha_required' }
  ] as const
  const ofCopilot = [
    { turn: { failure: 'throttled' }, status: 429, code: 'throttled' },
    { turn: { failure: 'text-too-long' } as object, status: 400, code: 'prompt_too_long' }
  ] as const
  const failures = [
    ...(isSydney ? ofSydney : ofCopilot),
    { body: { invocationId: 7 }, status: 409, code: 'wrong_invocation' },
    { body: { conversationSignature: 'x' }, status: 403, code: 'wrong_signature' },
    { body: { prompt: ' ' }, status: 400, code: null }
  ] as const
  for (const { status, code, ...given } of failures) {
    chat.turn('turn' in given ? given.turn : {})
    const body = { ...identity, prompt: 'Hello', stream: true, ...('body' in given ? given.body : {}) }
    const response = await post(url, body)
    const json = (await response.json()) as { error: { code: string } }
    t.strictSame([response.status, json.error.code], [status, code])
    t.match(response.headers.get('content-type'), /^application\/json/)
    t.ok(response.headers.get('x-request-id'))
    t.equal(response.headers.get('x-accel-buffering'), null)
    if (status === 429) t.ok(Number(response.headers.get('retry-after')) > 0)
  }
})

t.test('a hub that leaves, before text and after it', async (t) => {
  const { gateway, chat, url, identity } = await started(t, { speed: 20 })
  chat.turn({ charsPerUpdate: 3 })
  // Copilot takes a question before it answers, and from then on it is not asked again.
  const early = isSydney ? ({ end: 'terminate' } as const) : ({ end: 'terminate', endAt: 'start' } as object)
  const leaves = (isSydney ? 'type-7' : 'close') as 'close'
  chat.nextTurns(early)
  const repeated = (await stream(url, { ...identity, prompt: 'Once more' })).events
  t.equal(repeated.at(-1)?.event, 'done', 'asked again by the gateway')
  t.equal(shown(repeated), repeated.at(-1)?.data.message)
  t.match(gateway.log(), /turn repeated/)

  chat.nextTurns({ ...early, end: leaves }, early)
  const failed = await post(url, { ...identity, prompt: 'And again', stream: true })
  const json = (await failed.json()) as { error: object }
  t.match(
    [failed.status, json.error],
    isSydney
      ? [502, { type: 'upstream_error', code: 'hub_closed' }]
      : [503, { type: 'upstream_unavailable_error', code: 'hub_closed' }]
  )

  for (const end of ['terminate', leaves] as const) {
    chat.nextTurns({ end, endAt: 'mid-text' })
    const { response, events } = await stream(url, { ...identity, prompt: 'To the end' })
    t.equal(response.status, 200)
    t.equal(events[0]?.event, 'delta')
    t.match(events.at(-1), {
      event: 'error',
      data: { error: { message: String, type: 'upstream_error', code: 'answer_truncated', param: null } }
    })
    t.equal(names(events).filter((name) => name !== 'delta').length, 1)
  }
  t.match(gateway.log(), /"code":"answer_truncated".*request failed/, 'and it is in the log')
  t.equal((await stream(url, { ...identity, prompt: 'To the end' })).events.at(-1)?.event, 'done')
})

t.test('a caller who leaves cancels the turn', async (t) => {
  const { gateway, sim, chat, url, identity } = await started(t)
  const leave = async (
    turn: object,
    body: object,
    when: (response: Promise<Response>) => Promise<unknown>
  ) => {
    chat.turn(turn)
    const aborted = chat.count('aborted')
    const questions = chat.count('questions')
    const gone = new AbortController()
    const response = post(
      url,
      { ...identity, prompt: 'A long story', invocationId: 0, ...body },
      { signal: gone.signal }
    )
    response.catch(() => {})
    await until(() => chat.count('questions') === questions + 1)
    await when(response)
    gone.abort()
    await until(() => chat.count('aborted') === aborted + 1)
    await until(() => chat.count('sockets') === 0)
  }
  await leave({ thinkMs: 60_000 }, { stream: true }, async () => {})
  t.pass('before the first token')
  await leave({ charsPerUpdate: 1, updateDelayMs: 100 }, { stream: true }, async (response) => {
    const reader = (await response).body?.getReader()
    t.match(new TextDecoder().decode((await reader?.read())?.value), /^event: delta\ndata: \{"text":"/)
  })
  await leave({ charsPerUpdate: 1, updateDelayMs: 100 }, { stream: false }, async () => {})
  chat.turn({})
  const { events } = await stream(url, { ...identity, prompt: 'Still there?', invocationId: 0 })
  t.match(events.at(-1), { event: 'done', data: { invocationId: 1 } })
  t.match(gateway.log(), /caller left before the answer/)
  t.notMatch(gateway.log(), /"level":[56]0/)
  t.strictSame(sim.violations, [])
})

/** A client that says what it has to say and reads only when it is told to. */
async function rawCall(t: Test, url: string, body: object, version = '1.1'): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  const json = JSON.stringify(body)
  const head = [
    `POST /chatgpt HTTP/${version}`,
    `host: ${hostname}`,
    'content-type: application/json',
    'connection: close',
    `content-length: ${Buffer.byteLength(json)}`
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${json}`)
  return socket
}

async function rest(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  socket.on('data', (part) => parts.push(part))
  socket.on('error', () => {})
  if (!socket.closed) await once(socket, 'close')
  return Buffer.concat(parts).toString()
}

t.test('text does not wait for the store, and `done` does', async (t) => {
  const { gateway, chat, url, identity } = await started(t)
  const { conversations } = gateway.app.store
  const store = conversations.answer.bind(conversations)
  /** Holds up the next answer on its way into the store. */
  const holdUp = () => {
    let letGo = () => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const reached = new Promise<void>((resolve) => {
      conversations.answer = async (...answered) => {
        resolve()
        await held
        return store(...answered)
      }
    })
    return { letGo, reached }
  }
  chat.turn({ answer: 'One two three.', charsPerUpdate: 4, search: 'never' })
  const first = holdUp()
  const seen: Event[] = []
  const whole = read(await post(url, { ...identity, prompt: 'Count', stream: true }), (event) =>
    seen.push(event)
  )
  await first.reached
  await until(() => shown(seen) === 'One two three.')
  t.notOk(names(seen).includes('done'))
  first.letGo()
  t.equal((await whole).events.at(-1)?.event, 'done')

  const second = holdUp()
  const turn = { ...identity, prompt: 'Count again', invocationId: 1 }
  const accepted = once(gateway.app.server, 'connection')
  const caller = await rawCall(t, url, { ...turn, stream: true })
  const [connection] = (await accepted) as [Socket]
  await second.reached
  // Not `once` of node:events: a reset comes before the end, and is no failure here.
  const closed = new Promise((resolve) => connection.once('close', resolve))
  caller.destroy()
  await closed
  second.letGo()
  await until(async () => (await conversations.turn(String(identity.conversationId), 1)) !== undefined)
  const repeat = await stream(url, turn)
  t.equal(
    repeat.response.headers.get('idempotency-replayed'),
    'true',
    'Bing had finished when its caller left'
  )
  t.equal(chat.count('questions'), 2)
  t.equal(chat.count('aborted'), 0)
})

t.test('a reader who does not read holds up nobody', async (t) => {
  // What the operating system takes on its own stands before the gateway's bound: some 4 MB. JSON writes each of these
  // characters as six.
  const answer = '\u0001'.repeat(1_200_000)
  const turn = {
    ...(isSydney ? ({ card: 'absent' } as const) : {}),
    answer,
    charsPerUpdate: 240_000,
    search: 'never'
  } as const

  for (const reader of ['reads at last', 'never reads', 'leaves'] as const) {
    const time = handClock()
    const { gateway, chat, url, identity } = await started(t, { clock: time.clock })
    chat.turn({ ...turn, updateDelayMs: reader === 'leaves' ? 300 : 0 })
    const body = { ...identity, prompt: 'Everything', invocationId: 0 }
    const socket = await rawCall(t, url, { ...body, stream: true })
    await until(() => gateway.log().includes('reader_too_slow'))
    if (reader === 'leaves') socket.destroy()
    const stored = () => gateway.app.store.conversations.turn(String(identity.conversationId), 0)
    await until(async () => (await stored()) !== undefined)
    t.equal((await stored())?.answer.message.length, answer.length, `one who ${reader}: the turn went on`)

    // Nothing as long as the answer is ever put into a message of the test.
    if (reader === 'reads at last') {
      const received = await rest(socket)
      t.ok(received.length < 6 * answer.length - 1_000_000, `${received.length} characters were kept for it`)
      t.match(
        received.slice(-400),
        /event: error\ndata: \{"error":\{[^\n]*"code":"reader_too_slow","param":null\}\}\n\n/
      )
    } else if (reader === 'never reads') {
      const connections = () => promisify(gateway.app.server.getConnections).call(gateway.app.server)
      await time.advance(14)
      t.equal(await connections(), 1, 'it has some time')
      await until(async () => {
        await time.advance(15)
        return (await connections()) === 0
      })
      t.notOk((await rest(socket)).includes('reader_too_slow'), 'who never reads is cut off')
    }

    const repeat = await stream(url, body)
    t.equal(repeat.response.headers.get('idempotency-replayed'), 'true')
    t.ok(shown(repeat.events) === answer)
    t.equal(chat.count('questions'), 1)
    t.equal(chat.count('aborted'), 0)
  }
})

t.test('silence is filled with comments', async (t) => {
  const time = handClock()
  const { gateway, chat, url, identity } = await started(t, { clock: time.clock })
  const asked = async (turn: object, invocationId: number) => {
    chat.turn(turn)
    const questions = chat.count('questions')
    const response = post(url, { ...identity, prompt: 'Think hard', invocationId, stream: true })
    await until(() => chat.count('questions') === questions + 1)
    return response
  }
  const thinking = asked({ thinkMs: 2000 }, 0)
  await until(() => chat.count('turns') === 1)
  await time.advance(15)
  const response = await thinking
  t.equal(chat.count('completed'), 0, 'the head came with the comment')
  const { events, comments } = await read(response)
  t.equal(comments, 1)
  t.equal(events.at(-1)?.event, 'done')

  const silent = asked({ end: 'silence' }, 1)
  await until(() => chat.count('turns') === 1)
  await time.advance(74)
  const late = await read(await silent)
  t.equal(late.response.status, 200)
  t.ok(late.comments >= 2 && late.comments <= 4, `${late.comments} comments in a minute`)
  t.strictSame(names(late.events), ['error'])
  t.match(late.events, [{ data: { error: { type: 'upstream_timeout_error', code: 'timeout' } } }])
  t.notMatch(gateway.log(), /"level":[56]0/)
})

t.test('a gateway that stops gives streams their time, then ends them', async (t) => {
  const { gateway, chat, url, identity } = await started(t)
  const other = await gateway.conversation()
  chat.turn({ charsPerUpdate: 10, updateDelayMs: 20 })
  const short = await post(url, { ...identity, prompt: 'Short', stream: true })
  chat.turn({ charsPerUpdate: 1, updateDelayMs: 1000 })
  const long = await post(url, { ...other, prompt: 'Long', stream: true })
  const ends = Promise.all([read(short), read(long)])
  await gateway.app.lifecycle.drain(3000)
  const [finished, ended] = await ends
  t.equal(finished.events.at(-1)?.event, 'done')
  t.equal(ended.events[0]?.event, 'delta')
  t.match(ended.events.at(-1), {
    event: 'error',
    data: { error: { type: 'service_unavailable_error', code: 'draining' } }
  })
  const refused = await post(url, { ...identity, prompt: 'Too late', stream: true })
  t.equal(refused.status, 503)
})

t.test('HTTP/1.0 and HEAD', async (t) => {
  const { gateway, url, identity } = await started(t)
  const answer = await rest(await rawCall(t, url, { ...identity, prompt: 'Hi', stream: true }, '1.0'))
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  t.notMatch(answer, /transfer-encoding/i)
  t.match(answer, /\r\n\r\nevent: delta\ndata: [^\n]+\n\n(.|\n)*event: done\ndata: [^\n]+\n\n$/)
  const head = await fetch(`${url}/chatgpt`, { method: 'HEAD', headers: { accept: 'text/event-stream' } })
  t.equal(head.status, 404)
  t.equal((await gateway.get('/livez')).status, 200)
})
