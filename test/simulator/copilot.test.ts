import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { type PartialBehaviours, type Simulator, startSimulator } from '../../src/simulator/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: raw objects of a foreign protocol, looked at field by field
type Json = any

const COOKIE = '_C_Auth=simulated-copilot-cookie'
const BROWSER = {
  'user-agent': 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36',
  origin: 'https://copilot.microsoft.com'
}
const START = { timeZone: 'America/Los_Angeles', startNewConversation: true, teenSupportEnabled: true }

async function simulator(t: Test, behave?: PartialBehaviours): Promise<Simulator> {
  const sim = await startSimulator({ behave })
  t.teardown(() => sim.close())
  return sim
}

const call = (sim: Simulator, path: string, init: RequestInit = {}) =>
  fetch(sim.copilotUrl + path, {
    redirect: 'manual',
    ...init,
    headers: { ...BROWSER, cookie: COOKIE, ...init.headers }
  })

const postStart = (sim: Simulator, headers: Record<string, string> = {}, body: unknown = START) =>
  call(sim, '/c/api/start', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body)
  })

async function start(sim: Simulator): Promise<string> {
  return ((await (await postStart(sim)).json()) as Json).currentConversationId
}

const QUERY = () => ({ 'api-version': '2', clientSessionId: randomUUID() })

interface OpenOptions {
  query?: Record<string, string>
  headers?: Record<string, string>
}

function open(sim: Simulator, { query = QUERY(), headers = { cookie: COOKIE } }: OpenOptions = {}) {
  const url = `${sim.copilotUrl.replace('http', 'ws')}/c/api/chat?${new URLSearchParams(query)}`
  return new WebSocket(url, { perMessageDeflate: false, headers: { ...BROWSER, ...headers } })
}

/** Objects at the beginning of a text, and what is left of it: a scanner that knows strings and braces. */
function scan(text: string): { objects: Json[]; bad: string[]; rest: string } {
  const objects: Json[] = []
  const bad: string[] = []
  let from = 0
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (quoted) {
      if (char === '\\') at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '{') {
      if (depth++ === 0) {
        if (text.slice(from, at).trim().replaceAll('\u001e', '') !== '') bad.push(text.slice(from, at))
        from = at
      }
    } else if (char === '}' && --depth === 0) {
      try {
        objects.push(JSON.parse(text.slice(from, at + 1)))
      } catch {
        bad.push(text.slice(from, at + 1))
      }
      from = at + 1
    }
  }
  return { objects, bad, rest: text.slice(from) }
}

/** Collects what one socket says. */
function listen(ws: WebSocket) {
  const heard = {
    events: [] as Json[],
    /** WebSocket messages as they came. */
    frames: [] as string[],
    bad: [] as string[],
    closeCode: undefined as number | undefined,
    /** HTTP status of a refused upgrade. */
    status: undefined as number | undefined,
    names: () => heard.events.map(({ event }) => event as string),
    /** Text of the whole answer, parts in their order, as section 5 has it. */
    answer() {
      const parts = new Map<string, string>()
      for (const { event, partId, text } of heard.events) {
        if (event === 'appendText') parts.set(partId, (parts.get(partId) ?? '') + text)
        if (event === 'replaceText') parts.set(partId, text)
      }
      return [...parts.values()].join('\n\n')
    },
    of: (name: string): Json[] => heard.events.filter(({ event }) => event === name)
  }
  let rest = ''
  const waiting: { until: () => boolean; go: () => void }[] = []
  const check = () => {
    for (const one of waiting) if (one.until()) one.go()
  }
  ws.on('message', (data) => {
    heard.frames.push(data.toString())
    const found = scan(rest + data)
    rest = found.rest
    heard.events.push(...found.objects)
    heard.bad.push(...found.bad)
    check()
  })
  ws.on('unexpected-response', (_, res) => {
    heard.status = res.statusCode
    res.resume()
    check()
  })
  ws.on('error', () => {})
  ws.on('close', (code) => {
    heard.closeCode = code
    check()
  })
  const until = (condition: () => boolean) =>
    new Promise<void>((go) => {
      waiting.push({ until: condition, go })
      check()
    })
  return { heard, until }
}

type Heard = ReturnType<typeof listen>['heard']

const OPTIONS = {
  event: 'setOptions',
  supportedFeatures: ['partial-generated-images'],
  supportedCards: [],
  supportedUIComponents: {},
  ads: { supportedTypes: [] },
  supportedActions: []
}
const CONSENTS = { event: 'reportLocalConsents', grantedConsents: [] }
const question = (conversationId: string, text: string, more: object = {}) => ({
  event: 'send',
  conversationId,
  content: [{ type: 'text', text }],
  mode: 'smart',
  context: {},
  ...more
})

const say = (ws: WebSocket, ...events: object[]) => {
  for (const event of events) ws.send(JSON.stringify(event))
}

const ended = (heard: Heard) =>
  heard.names().includes('titleUpdate') ||
  heard.names().includes('suggestedFollowups') ||
  heard.names().includes('error') ||
  heard.closeCode !== undefined

interface AskOptions extends OpenOptions {
  until?: (heard: Heard) => boolean
  more?: object
}

/** One whole turn over a socket of its own, as a careful client does it. */
async function ask(sim: Simulator, id: string, text: string, options: AskOptions = {}): Promise<Heard> {
  const ws = open(sim, options)
  const { heard, until } = listen(ws)
  await until(() => heard.names().includes('connected') || heard.closeCode !== undefined)
  say(ws, OPTIONS, CONSENTS, question(id, text, options.more))
  await until(() => (options.until ?? ended)(heard))
  ws.terminate()
  return heard
}

/** Waits for what the simulator sees a moment after the client. */
async function come(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((go) => setTimeout(go, 5))
}

const titled = (heard: Heard) => heard.names().includes('titleUpdate')
const closed = (heard: Heard) => heard.closeCode !== undefined

t.test('a good turn', async (t) => {
  const sim = await simulator(t)
  const res = await postStart(sim)
  const answer = (await res.json()) as Json
  t.match(answer.currentConversationId, /^[\w-]{21}$/)
  t.match(answer, { remainingTurns: Number, isBlocked: false, banExpiresAt: null, isNewUser: false })
  t.match(res.headers.get('set-cookie'), /^__cf_bm=.*Secure; HttpOnly/)

  const id = answer.currentConversationId
  const heard = await ask(sim, id, 'Tell me about blue whales', { until: titled })
  t.strictSame(
    [...new Set(heard.names())],
    [
      'connected',
      'received',
      'startMessage',
      'appendText',
      'partCompleted',
      'done',
      'suggestedFollowups',
      'titleUpdate'
    ]
  )
  t.strictSame(
    heard.events.map(({ id }) => id),
    heard.events.map((_, n) => String(n)),
    'numbered'
  )
  t.ok(heard.of('appendText').length > 2)
  t.match(heard.answer(), /^You wrote “Tell me about blue whales”\. This is a \*\*simulated\*\* answer/)
  t.equal(Buffer.from(heard.answer()).toString(), heard.answer(), 'no half characters')
  t.equal(heard.of('received')[0].conversationId, id)
  const messageId = heard.of('startMessage')[0].messageId
  for (const { event, messageId: own } of heard.events) {
    if (['appendText', 'partCompleted', 'done', 'suggestedFollowups'].includes(event)) t.equal(own, messageId)
  }
  t.equal(heard.of('suggestedFollowups')[0].suggestions.length, 3)
  t.match(heard.of('titleUpdate')[0], { conversationId: id, title: 'Tell me about blue whales' })
  t.strictSame(sim.violations, [])
  t.match(sim.counts, {
    'copilot.start': 1,
    'copilot.create': 1,
    'copilot.upgrade': 1,
    'copilot.questions': 1,
    'copilot.completed': 1,
    'copilot.aborted': 0,
    'copilot.turns': 0,
    'copilot.turns.peak': 1
  })
  t.match(sim.questions.at(-1), { event: 'send', mode: 'smart' })
})

t.test('many turns over one socket; memory belongs to the conversation', async (t) => {
  const sim = await simulator(t)
  const [ada, bob] = [await start(sim), await start(sim)]
  const ws = open(sim)
  const { heard, until } = listen(ws)
  await until(() => heard.names().includes('connected'))
  say(ws, OPTIONS, CONSENTS)
  const turn = async (text: string, more = {}) => {
    const before = heard.of('done').length
    const from = heard.events.length
    say(ws, question(ada, text, more))
    await until(() => heard.of('done').length > before)
    return heard.events
      .slice(from)
      .filter(({ event }) => event === 'appendText')
      .map(({ text }) => text)
      .join('')
  }
  await turn('My name is Ada.')
  await ask(sim, bob, 'hello, my name is Bob')
  t.match(await turn('What is my name?'), /\*\*Ada\*\*/)
  t.match((await ask(sim, bob, 'What is my name?')).answer(), /\*\*Bob\*\*/)
  t.match(await turn('What did I say first?'), /My name is Ada/)
  t.match(await turn('Which tone do you use?', { mode: 'chat' }), /creative/i)
  t.match(await turn('Which tone do you use?', { mode: 'study' }), /study/)
  t.equal(await turn('say 海🙂'), '海🙂')
  say(ws, { event: 'ping' })
  await until(() => heard.names().includes('pong'))
  t.equal(sim.counts['copilot.sockets'], 1)
  t.equal(sim.counts['copilot.sockets.idle'], 1)
  const gone = once(ws, 'close')
  ws.close()
  await gone

  const list = (await (await call(sim, '/c/api/conversations')).json()) as Json
  t.strictSame(
    list.results.map(({ id, title }: Json) => [id, title]),
    [
      [bob, 'Hello my name is bob'],
      [ada, 'My name is ada']
    ]
  )
  const history = (await (await call(sim, `/c/api/conversations/${bob}/history`)).json()) as Json
  t.strictSame(
    history.results.map(({ author }: Json) => author.type),
    ['ai', 'human', 'ai', 'human']
  )
  t.equal((await call(sim, '/c/api/conversations/nope/history')).status, 404)
  t.strictSame(sim.violations, [])
})

t.test('who is signed in', async (t) => {
  const sim = await simulator(t)
  const none = { cookie: '' }
  t.equal((await postStart(sim, { cookie: '_C_Auth=old' })).status, 401)
  t.equal((await postStart(sim, { ...none, authorization: 'Bearer simulated-token' })).status, 200)
  t.equal((await postStart(sim, { ...none, authorization: 'Bearer other' })).status, 401)
  sim.enqueue('copilot.start', { bearer: 'refused' }, { bearer: 'ignored' }, { anonymous: false })
  t.equal((await postStart(sim, { authorization: 'Bearer simulated-token' })).status, 401)
  t.equal((await postStart(sim, { authorization: 'Bearer other' })).status, 200)
  t.equal((await postStart(sim, none)).status, 401)
  t.equal((await call(sim, '/c/api/conversations', { method: 'POST', headers: none })).status, 401)

  const anonymous = await postStart(sim, none)
  const cookie = /__Host-copilot-anon=[^;]+/.exec(anonymous.headers.getSetCookie().join('\n'))?.[0] ?? ''
  t.ok(cookie)
  const id = ((await anonymous.json()) as Json).currentConversationId
  const refused = await ask(sim, id, 'Hi', { headers: { cookie } })
  t.equal(refused.events.at(-1).errorCode, 'chat-service-unavailable')
  sim.enqueue('copilot.upgrade', { anonymous: true })
  t.match((await ask(sim, id, 'Hi', { headers: { cookie } })).answer(), /Hello/)

  const status = async (options: OpenOptions) => {
    const ws = open(sim, options)
    const { heard, until } = listen(ws)
    await until(() => heard.status !== undefined || heard.names().includes('connected'))
    ws.terminate()
    return heard.status ?? 101
  }
  const token = (accessToken: string) => ({ query: { ...QUERY(), accessToken }, headers: none })
  t.equal(await status(token('simulated-token')), 101)
  t.equal(await status(token('of another audience')), 401)
  t.equal(await status({ headers: none }), 401)
  t.equal(await status({ headers: { cookie: '_C_Auth=old' } }), 401)
  t.equal(await status({ headers: { cookie: '_U=simulated-copilot-cookie' } }), 401, 'no login here')
  sim.enqueue('copilot.upgrade', { requireToken: true }, { requireToken: true }, { identityType: 'google' })
  t.equal(await status({}), 401)
  t.equal(await status(token('simulated-token')), 101)
  t.equal(await status({}), 401, 'identity type')
  sim.copilot.tokens.accept('new')
  sim.copilot.tokens.expire('simulated-token')
  t.strictSame([await status(token('new')), await status(token('simulated-token'))], [101, 401])
  sim.copilot.cookies.expire('simulated-copilot-cookie')
  t.equal((await postStart(sim)).status, 401)
  t.strictSame(sim.violations, [])
})

t.test('start answers', async (t) => {
  const sim = await simulator(t)
  const json = async () => (await (await postStart(sim)).json()) as Json
  sim.enqueue('copilot.start', { id: 'id' }, { id: 'conversationId' }, { id: 'none' })
  for (const field of ['id', 'conversationId', 'none']) {
    const answer = await json()
    const ids = ['currentConversationId', 'conversationId', 'id'].filter((name) => name in answer)
    t.strictSame(ids, field === 'none' ? [] : [field])
  }
  sim.enqueue('copilot.start', { isBlocked: true, banExpiresInMs: 3_600_000, remainingTurns: 0 })
  const banned = await json()
  t.match(banned, { isBlocked: true, remainingTurns: 0 })
  const left = Date.parse(banned.banExpiresAt) - Date.now()
  t.ok(left > 3_000_000 && left <= 3_600_000, `${left}`)

  for (const [refusal, status] of [
    ['unauthorized', 401],
    ['cloudflare', 403],
    ['client-refused', 460],
    ['too-many', 429],
    ['overloaded', 502]
  ] as const) {
    for (const op of ['copilot.start', 'copilot.conversations', 'copilot.home', 'copilot.user'] as const) {
      sim.enqueue(op, { refusal })
    }
    t.equal((await postStart(sim)).status, status)
    const res = await call(sim, '/c/api/conversations', { method: 'POST' })
    t.equal(res.status, status)
    if (status === 403)
      t.match([res.headers.get('content-type'), await res.text()], [/html/, /Just a moment/])
    if (status === 429) t.equal(res.headers.get('retry-after'), '7')
    t.equal((await call(sim, '/')).status, status)
    t.equal((await call(sim, '/c/api/user?api-version=2')).status, status)
  }
  sim.enqueue('copilot.start', { oddBody: 'empty' }, { oddBody: 'html' }, { oddBody: 'not-json' })
  for (let n = 0; n < 3; n++) await t.rejects(json())
  sim.enqueue('copilot.start', { oddBody: 'array' }, { status: 418, body: 'tea' }, { reset: true })
  t.strictSame(await json(), [])
  t.equal((await postStart(sim)).status, 418)
  await t.rejects(postStart(sim))

  sim.enqueue('copilot.start', { rotate: '_C_Auth', expireRotated: true })
  const fresh = (await postStart(sim)).headers.getSetCookie()[0]?.split(';')[0] ?? ''
  t.match(fresh, /^_C_Auth=./)
  t.equal((await postStart(sim)).status, 401, 'the old one is gone')
  t.equal((await postStart(sim, { cookie: fresh })).status, 200)
  sim.enqueue('copilot.start', { rotate: 'empty-auth' })
  t.match((await postStart(sim, { cookie: fresh })).headers.get('set-cookie'), /^_C_Auth=;/)
  t.strictSame(sim.violations, [])
})

t.test('the rest of the page', async (t) => {
  const sim = await simulator(t)
  const needs = { needsHome: true }
  sim.enqueue('copilot.start', needs, needs)
  t.equal((await postStart(sim)).status, 403)
  sim.enqueue('copilot.home', { clearance: true })
  const visit = (await call(sim, '/')).headers.getSetCookie().map((line) => line.split(';')[0])
  t.match(visit, [/^__cf_bm=/, /^cf_clearance=/])
  t.equal((await postStart(sim, { cookie: `${COOKIE}; ${visit[0]}` })).status, 200)

  const get = async (path: string, headers = {}) =>
    (await (await call(sim, path, { headers })).json()) as Json
  t.equal((await get('/c/api/user?api-version=4')).firstName, 'Olivier')
  t.equal((await get('/c/api/user?api-version=2', { cookie: '' })).firstName, null)
  t.equal((await get('/c/api/config')).maxTextMessageLength, 10_240)
  const { id } = (await (await call(sim, '/c/api/conversations', { method: 'POST' })).json()) as Json
  t.match((await ask(sim, id, 'Hi')).answer(), /Hello/)
  t.strictSame(sim.violations, [])
  t.equal((await call(sim, '/c/api/user')).status, 400)
  t.equal((await call(sim, '/c/api/chat')).status, 400)
  t.strictSame(
    sim.violations.map(({ area, rule }) => [area, rule]),
    [
      ['copilot', 'api-version'],
      ['copilot', 'not-an-upgrade']
    ]
  )
})

t.test('HTTP calls that break the rules', async (t) => {
  const sim = await simulator(t)
  const cases: [rule: string, headers: Record<string, string>, body?: unknown][] = [
    ['user-agent', { 'user-agent': 'node' }],
    ['origin', { origin: 'https://elsewhere.example' }],
    ['origin', { 'user-agent': 'CopilotNative/30.0.440505001-prod (Android 14; Google; Pixel 8 Pro)' }],
    ['bing-cookie', { cookie: `${COOKIE}; _U=simulated-cookie` }],
    ['content-type', { 'content-type': 'text/plain' }],
    ['time-zone', {}, { startNewConversation: true }],
    ['start-new', {}, { timeZone: 'Europe/Paris' }]
  ]
  for (const [rule, headers, body] of cases) {
    t.equal((await postStart(sim, headers, body)).status, 400, rule)
    t.equal(sim.violations.at(-1)?.rule, rule)
  }
  t.equal(sim.violations.length, cases.length)
  sim.reset()
  t.equal((await postStart(sim, { origin: sim.copilotUrl }, { ...START, timeZone: 'UTC' })).status, 200)
  t.strictSame(sim.violations, [])
})

t.test('sockets that break the rules', async (t) => {
  const sim = await simulator(t)
  const id = await start(sim)
  const cases: [rule: string, says: (object | string)[], query?: Record<string, string>][] = [
    ['api-version', [OPTIONS], { clientSessionId: randomUUID() }],
    ['client-session-id', [OPTIONS], { 'api-version': '2' }],
    ['client-session-id', [OPTIONS], { 'api-version': '2', clientSessionId: 'mine' }],
    ['options-first', [question(id, 'Hi')]],
    ['options-first', [CONSENTS]],
    ['options-twice', [OPTIONS, OPTIONS]],
    ['options', [{ ...OPTIONS, supportedCards: {} }]],
    ['consents', [OPTIONS, { event: 'reportLocalConsents' }]],
    ['conversation-unknown', [OPTIONS, question('Kq3vT7mWn2Xb9LcR5sYdA', 'Hi')]],
    ['conversation-id', [OPTIONS, question('', 'Hi')]],
    ['content', [OPTIONS, { ...question(id, ''), content: [] }]],
    ['content', [OPTIONS, question(id, '')]],
    [
      'content-order',
      [
        OPTIONS,
        question(id, '', {
          content: [
            { type: 'text', text: 'a' },
            { type: 'image', url: 'b' }
          ]
        })
      ]
    ],
    ['mode', [OPTIONS, question(id, 'Hi', { mode: 'balanced' })]],
    ['context', [OPTIONS, question(id, 'Hi', { context: 'x' })]],
    ['unknown-event', [{ event: 'hello' }]],
    ['challenge-answered', [{ event: 'challengeResponse', token: 'x', method: 'hashcash' }]],
    ['not-json', ['{"event":']],
    ['not-json', [`${JSON.stringify(OPTIONS)}${JSON.stringify(CONSENTS)}`]]
  ]
  for (const [rule, says, query] of cases) {
    const ws = open(sim, { query: query ?? QUERY() })
    const { heard, until } = listen(ws)
    await until(() => heard.names().includes('connected'))
    for (const one of says) ws.send(typeof one === 'string' ? one : JSON.stringify(one))
    await until(() => heard.of('error').length > 0)
    ws.terminate()
    t.equal(heard.of('error')[0].errorCode, 'invalid-event', rule)
    t.equal(sim.violations.at(-1)?.rule, rule)
  }
  t.equal(sim.violations.length, cases.length)

  const stranger = open(sim, { headers: { cookie: COOKIE, origin: 'https://elsewhere.example' } })
  const { heard, until } = listen(stranger)
  await until(() => heard.status !== undefined)
  t.strictSame([heard.status, sim.violations.at(-1)?.rule], [400, 'origin'])
})

t.test('one turn at a time', async (t) => {
  const sim = await simulator(t)
  const [first, second] = [await start(sim), await start(sim)]
  sim.set('copilot.turn', { thinkMs: 60_000 })
  const ws = open(sim)
  const { heard, until } = listen(ws)
  await until(() => heard.names().includes('connected'))
  say(ws, OPTIONS, question(first, 'one'), question(second, 'two'))
  await until(() => heard.of('error').length === 1)
  const other = await ask(sim, first, 'three')
  t.equal(other.events.at(-1).errorCode, 'invalid-event')
  t.strictSame(
    sim.violations.map(({ rule }) => rule),
    ['one-turn-at-a-time', 'one-turn-at-a-time']
  )
  ws.terminate()
  await come(() => sim.counts['copilot.aborted'] === 1)
  sim.set('copilot.turn', {})
  t.match((await ask(sim, first, 'What did I say first?')).answer(), /This is the first thing you said/)
  t.match(sim.counts, {
    'copilot.refused': 2,
    'copilot.aborted': 1,
    'copilot.completed': 1,
    'copilot.turns': 0
  })
})

t.test('events may be cut and joined anywhere', async (t) => {
  const sim = await simulator(t)
  const id = await start(sim)
  const whole = (await ask(sim, id, 'list of 海 and 🙂', { until: titled })).answer()
  const cases: [string, NonNullable<PartialBehaviours['copilot.turn']>][] = [
    ['every character', { split: 'every-char' }],
    ['at random', { split: 'random', splitSeed: 7 }],
    ['five at a time, escaped', { split: 5, escapeUnicode: true }],
    ['three objects per message', { eventsPerMessage: 3 }],
    ['with new lines, cut', { eventsPerMessage: 2, between: 'newline', split: 40 }],
    ['with 0x1E', { eventsPerMessage: 5, between: 'record-separator' }]
  ]
  for (const [name, behaviour] of cases) {
    sim.enqueue('copilot.turn', { titleUpdate: 'always', ...behaviour })
    const heard = await ask(sim, id, 'list of 海 and 🙂', { until: titled })
    t.equal(heard.answer(), whole, name)
    t.strictSame(heard.bad, [], name)
    t.not(heard.frames.length, heard.events.length, name)
  }
  for (const [between, pattern] of [
    ['nothing', /"\}\{"/],
    ['newline', /"\}\n\{"/],
    ['record-separator', /"\}\u001e\{"/]
  ] as const) {
    sim.enqueue('copilot.turn', { eventsPerMessage: 2, between, titleUpdate: 'always' })
    const { frames } = await ask(sim, id, 'list', { until: titled })
    t.match(frames[1], pattern, between)
  }
  sim.enqueue('copilot.turn', { split: 1, escapeUnicode: true, titleUpdate: 'always' })
  const { frames } = await ask(sim, id, 'list of 海 and 🙂', { until: titled })
  t.ok(frames.slice(1).every((one) => /^[\x20-\x7e]$/.test(one)))

  sim.enqueue('copilot.turn', { halfCharacters: true, charsPerUpdate: 1, titleUpdate: 'always' })
  const halves = await ask(sim, id, 'list of 海 and 🙂', { until: titled })
  t.ok(
    halves.of('appendText').some(({ text }) => /^[\ud800-\udbff]$/.test(text)),
    'half a character'
  )
  t.equal(halves.answer(), whole)

  sim.enqueue('copilot.upgrade', { split: 'every-char' })
  const { frames: first } = await ask(sim, id, 'hi')
  t.equal(first[0], '{')
  t.strictSame(sim.violations, [])
})

t.test('connected: late, twice, again, never', async (t) => {
  const sim = await simulator(t)
  const id = await start(sim)
  const until = (heard: Heard) => heard.names().includes('done')
  const count = (heard: Heard) => heard.of('connected').length
  sim.enqueue('copilot.upgrade', { connectedDelayMs: 50 }, { connected: 'twice' }, { connected: 'again' })
  t.equal(count(await ask(sim, id, 'Hi', { until })), 1)
  t.equal(count(await ask(sim, id, 'Hi', { until })), 2)
  const again = await ask(sim, id, 'Hi', { until })
  t.strictSame(again.names().slice(0, 3), ['connected', 'connected', 'received'])

  const hasty = async () => {
    const ws = open(sim)
    const { heard, until } = listen(ws)
    ws.on('open', () => say(ws, OPTIONS, question(id, 'Hi')))
    await until(() => heard.names().some((name) => name === 'done' || name === 'error'))
    ws.terminate()
    return heard
  }
  sim.enqueue('copilot.upgrade', { connected: 'never' })
  t.notOk((await hasty()).names().includes('connected'))
  t.equal(sim.counts['copilot.early'], 2)
  sim.enqueue('copilot.upgrade', { connectedDelayMs: 100 })
  t.strictSame((await hasty()).names().slice(0, 2), ['connected', 'received'], 'read when it is connected')
  t.strictSame(sim.violations, [])
  sim.enqueue('copilot.upgrade', { connectedDelayMs: 500, strictOrder: true })
  t.strictSame([...new Set((await hasty()).names())], ['error'])
  t.equal(sim.violations[0]?.rule, 'connected-first')
})

t.test('what a turn can be told', async (t) => {
  const sim = await simulator(t)
  const cases: {
    name: string
    turn: PartialBehaviours['copilot.turn']
    until?: (heard: Heard) => boolean
    prompt?: string
    want: (heard: Heard) => unknown[]
    is: unknown[]
  }[] = [
    {
      name: 'citations',
      turn: { sources: 2, duplicateCitations: true },
      prompt: 'How high is the tower?',
      want: (heard) => [
        heard.of('citation').length,
        new Set(heard.of('citation').map(({ url }) => url)).size
      ],
      is: [4, 2]
    },
    {
      name: 'citations in the middle of the text',
      turn: { search: 'always', citationsAt: 'mid-text' },
      want: (heard) => [
        heard.names().indexOf('citation') > heard.names().indexOf('appendText'),
        heard.names().lastIndexOf('citation') < heard.names().lastIndexOf('appendText')
      ],
      is: [true, true]
    },
    {
      name: 'citations before the text',
      turn: { search: 'always', citationsAt: 'before-text' },
      want: (heard) => [heard.names().lastIndexOf('citation') < heard.names().indexOf('appendText')],
      is: [true]
    },
    {
      name: 'reasoning',
      turn: { reasoning: 'always', modeSelected: true },
      want: (heard) => [
        heard.of('modeSelected')[0].mode,
        heard.of('chainOfThought').length > 0,
        heard.answer().includes('I should answer')
      ],
      is: ['smart', true, false]
    },
    {
      name: 'less, then all of it',
      turn: { rewrite: 'shrink', answer: 'One two three four five six', charsPerUpdate: 4 },
      want: (heard) => [heard.of('replaceText').length, heard.answer()],
      is: [1, 'One two three four five six']
    },
    {
      name: 'another beginning',
      turn: { rewrite: 'diverge', answer: 'One two three', charsPerUpdate: 4 },
      want: (heard) => [heard.of('replaceText').length, heard.answer()],
      is: [1, 'Let me put it another way. One two three']
    },
    {
      name: 'another text at the end',
      turn: { rewrite: 'final-differs', answer: 'One two three' },
      want: (heard) => [heard.answer()],
      is: ['In short: One two three']
    },
    {
      name: 'two parts',
      turn: { secondPart: true, answer: 'One' },
      prompt: 'blue whales',
      want: (heard) => [heard.answer(), heard.of('partCompleted').map(({ partId }) => partId)],
      is: ['One\n\nAnd one thing more about blue whales. ✨', ['p1', 'p2']]
    },
    {
      name: 'followups before done',
      turn: { followups: 'before', partCompleted: false },
      until: titled,
      want: (heard) => [heard.names().slice(-3)],
      is: [['suggestedFollowups', 'done', 'titleUpdate']]
    },
    {
      name: 'nothing after done',
      turn: { suggestions: 0, titleUpdate: 'never' },
      until: (heard) => heard.names().includes('done'),
      want: (heard) => [heard.names().at(-1)],
      is: ['done']
    },
    {
      name: 'followups without done',
      turn: { end: 'no-done' },
      until: titled,
      want: (heard) => [heard.names().slice(-2), heard.names().includes('done')],
      is: [['suggestedFollowups', 'titleUpdate'], false]
    },
    {
      name: 'an empty answer',
      turn: { answer: '' },
      want: (heard) => [heard.answer(), heard.names().includes('done')],
      is: ['', true]
    },
    {
      name: 'the whole text at once',
      turn: { charsPerUpdate: 0 },
      want: (heard) => [heard.of('appendText').length],
      is: [1]
    },
    {
      name: 'unknown events and fields',
      turn: { unknownEvents: true, unknownFields: true, ids: 'dotted' },
      want: (heard) => [
        heard.names().filter((name) => /hologram|Card/.test(name)),
        heard.events.slice(1).every((one) => one.nonce2 !== undefined),
        heard.of('received')[0].id
      ],
      is: [['hologramReady', 'appendCard'], true, '0.0001']
    },
    {
      name: 'no ids',
      turn: { ids: 'absent' },
      want: (heard) => [heard.events.slice(1).some((one) => 'id' in one)],
      is: [false]
    },
    {
      name: 'not JSON before the text',
      turn: { notJson: 'before-text' },
      want: (heard) => [heard.bad],
      is: [['<html>not an event</html>']]
    },
    {
      name: 'not JSON in the middle',
      turn: { notJson: 'mid-text' },
      want: (heard) => [heard.bad],
      is: [['{"event":appendText}']]
    },
    {
      name: 'a large event',
      turn: { largeRecordBytes: 100_000 },
      want: (heard) => [heard.of('done')[0].padding.length],
      is: [100_000]
    },
    {
      name: 'noise while it thinks',
      turn: { thinkMs: 100, noiseEveryMs: 5 },
      want: (heard) => [heard.of('pong').length > 0],
      is: [true]
    },
    {
      name: 'closes after the turn',
      turn: { closeAfter: true },
      until: closed,
      want: (heard) => [heard.names().at(-1), heard.closeCode],
      is: ['titleUpdate', 1000]
    },
    {
      name: 'stops in the middle, well',
      turn: { endAt: 'mid-text', answer: 'One two three four', charsPerUpdate: 2 },
      want: (heard) => [heard.answer(), heard.names().includes('done')],
      is: ['One two th', true]
    }
  ]
  for (const { name, turn, until = titled, prompt = 'Tell me about blue whales', want, is } of cases) {
    sim.enqueue('copilot.turn', { titleUpdate: 'always', ...turn })
    const stop = until === titled && turn?.titleUpdate === 'never' ? ended : until
    t.strictSame(want(await ask(sim, await start(sim), prompt, { until: stop })), is, name)
  }
  t.strictSame(sim.violations, [])
})

t.test('turns that break off', async (t) => {
  const sim = await simulator(t)
  for (const end of ['close', 'terminate'] as const) {
    for (const [endAt, texts] of [
      ['start', false],
      ['before-text', false],
      ['mid-text', true],
      ['after-text', true]
    ] as const) {
      sim.enqueue('copilot.turn', { end, endAt })
      const heard = await ask(sim, await start(sim), 'Hi', { until: closed })
      t.strictSame(
        [heard.closeCode, heard.names().includes('appendText'), heard.names().includes('received')],
        [end === 'close' ? 1000 : 1006, texts, endAt !== 'start'],
        `${end} ${endAt}`
      )
      t.notOk(heard.names().includes('done'))
    }
  }
  t.equal(sim.counts['copilot.failed'], 8)
  const id = await start(sim)
  sim.enqueue('copilot.turn', { end: 'silence', endAt: 'after-text' })
  const silent = await ask(sim, id, 'Hi', { until: (heard) => heard.names().includes('partCompleted') })
  t.notOk(silent.names().includes('done'))
  await come(() => sim.counts['copilot.turns'] === 0)
  t.equal(sim.counts['copilot.aborted'], 1, 'the client had to leave')

  sim.enqueue('copilot.upgrade', { questionEnd: 'terminate' }, { idleMs: 20, idleEnd: 'close' })
  const swallowed = await ask(sim, id, 'Hi', { until: closed })
  t.strictSame([swallowed.closeCode, swallowed.names()], [1006, ['connected']])
  const idle = open(sim)
  const { heard, until } = listen(idle)
  await until(() => closed(heard))
  t.strictSame([heard.names(), heard.closeCode], [['connected'], 1000])
  t.equal(sim.counts['copilot.given-up'], 2)
  await come(() => sim.counts['copilot.sockets.idle'] === 0)
  t.strictSame(sim.violations, [])
})

t.test('challenges', async (t) => {
  const sim = await simulator(t)
  const challenged = (heard: Heard) => heard.names().includes('challenge')
  for (const challenge of ['hashcash', 'copilot', 'cloudflare', 'clarity', 'null'] as const) {
    sim.enqueue('copilot.turn', { challenge })
    const { events, ...heard } = await ask(sim, await start(sim), 'Hi')
    t.equal(heard.of('challenge')[0].method, challenge === 'null' ? null : challenge)
    t.equal(typeof heard.of('challenge')[0].parameter, challenge === 'null' ? 'object' : 'string')
    t.strictSame(heard.names(), ['connected', 'received', 'challenge', 'error'])
    t.equal(events.at(-1).errorCode, 'invalid-event')
  }
  sim.enqueue(
    'copilot.turn',
    { challenge: 'hashcash', challengeAt: 'before', challengeThen: 'close' },
    { challenge: 'hashcash', challengeAt: 'during', challengeThen: 'terminate' },
    { challenge: 'null', challengeAt: 'during', challengeThen: 'silence' },
    { challenge: 'clarity', challengeAt: 'before', challengeThen: 'answer' }
  )
  const id = await start(sim)
  const before = await ask(sim, id, 'Hi', { until: closed })
  t.strictSame([before.names(), before.closeCode], [['connected', 'challenge'], 1000])
  const during = await ask(sim, id, 'Hi', { until: closed })
  t.strictSame([during.names().slice(-2), during.closeCode], [['appendText', 'challenge'], 1006])
  const silent = await ask(sim, id, 'Hi', { until: challenged })
  t.equal(silent.names().at(-1), 'challenge')
  await come(() => sim.counts['copilot.turns'] === 0)
  const solved = await ask(sim, id, 'Hi')
  t.strictSame([solved.names()[1], solved.answer().startsWith('Hello')], ['challenge', true])

  const atOnce = (challengeThen: 'invalid-event' | 'silence' | 'close' | 'answer') =>
    sim.enqueue('copilot.upgrade', { challenge: 'cloudflare', challengeThen })
  atOnce('close')
  const ws = open(sim)
  const { heard, until } = listen(ws)
  await until(() => closed(heard))
  t.strictSame(heard.names(), ['connected', 'challenge'])
  atOnce('invalid-event')
  t.strictSame((await ask(sim, id, 'Hi')).names(), ['connected', 'challenge', 'error'])
  atOnce('answer')
  t.ok((await ask(sim, id, 'Hi')).names().includes('done'))
  t.equal(sim.counts['copilot.challenges'], 12)
  t.strictSame(sim.violations, [])
})

t.test('errors', async (t) => {
  const sim = await simulator(t)
  const id = await start(sim)
  const codes = ['invalid-event', 'chat-service-unavailable', 'text-too-long'] as const
  for (const failure of codes) {
    sim.enqueue('copilot.turn', { failure })
    const heard = await ask(sim, id, 'Hi')
    t.strictSame([heard.names(), heard.events.at(-1).errorCode], [['connected', 'error'], failure])
  }
  sim.enqueue('copilot.turn', { errorCode: 'no-such-code', endAt: 'mid-text', afterFailure: 'close' })
  const other = await ask(sim, id, 'Hi', { until: closed })
  t.strictSame([other.events.at(-1).errorCode, other.closeCode], ['no-such-code', 1000])
  t.ok(other.names().includes('appendText'))

  sim.set('copilot.turn', { maxTextLength: 20 })
  t.equal((await ask(sim, id, 'x'.repeat(21))).events.at(-1).errorCode, 'text-too-long')
  t.ok((await ask(sim, id, 'x'.repeat(20))).names().includes('done'))

  for (const nextAvailable of ['date', 'absent', 'garbage'] as const) {
    sim.enqueue('copilot.turn', { failure: 'throttled', nextAvailableInMs: 90_000, nextAvailable })
    const heard = await ask(sim, id, 'Hi', { until: closed })
    t.strictSame(heard.names(), ['connected', 'chatMessageError', 'challenge'])
    const { errorCode, errorDetail } = heard.of('chatMessageError')[0]
    t.strictSame([errorCode, errorDetail.type], ['throttled', 'throttled'])
    t.match(heard.of('challenge')[0], { method: null, parameter: null })
    const left = Date.parse(errorDetail.nextAvailableAt) - Date.now()
    t.equal(left > 60_000 && left <= 90_000, nextAvailable === 'date')
  }
  t.strictSame(sim.violations, [])
})

t.test('pictures', async (t) => {
  const sim = await simulator(t, { 'copilot.turn': { plain: true } })
  const id = await start(sim)
  const heard = await ask(sim, id, 'Draw a red fox', { until: titled })
  t.equal(heard.of('generatingImage')[0].prompt, 'Draw a red fox')
  const previews = heard.of('partialImageGenerated').map(({ content }) => Buffer.from(content, 'base64'))
  t.equal(previews.length, 3)
  for (const one of previews) t.match(await sharp(one).metadata(), { format: 'jpeg', width: 256 })
  const { url, partId } = heard.of('imageGenerated')[0]
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/th\/id\/BCO\.[0-9a-f-]{36}\.png$/)
  t.equal(partId, heard.of('generatingImage')[0].partId)
  t.match(heard.answer(), /Draw a red fox/)

  const res = await fetch(url)
  t.equal(res.headers.get('content-type'), 'image/png')
  t.match(await sharp(Buffer.from(await res.arrayBuffer())).metadata(), { format: 'png', width: 1024 })
  const small = await fetch(heard.of('imageGenerated')[0].thumbnailUrl)
  t.match(await sharp(Buffer.from(await small.arrayBuffer())).metadata(), { format: 'png', width: 270 })
  sim.enqueue('copilot.picture', { expired: true }, { status: 503 })
  t.strictSame([(await fetch(url)).status, (await fetch(url)).status], [404, 503])
  t.equal((await fetch(url.replace(/BCO\.[0-9a-f]{8}/, 'BCO.00000000'))).status, 404)

  sim.enqueue(
    'copilot.turn',
    { image: 'always', imageFinal: false, previewFormat: 'png', previews: 2, plain: true, imageText: false },
    { image: 'always', images: 2, imageHost: 'real' },
    { image: 'never' }
  )
  const until = (one: Heard) => one.names().includes('done')
  const lost = await ask(sim, id, 'A boat', { until })
  t.strictSame([lost.of('imageGenerated').length, lost.of('partialImageGenerated').length], [0, 2])
  t.equal(lost.answer(), '')
  const last = Buffer.from(lost.of('partialImageGenerated')[1].content, 'base64')
  t.equal((await sharp(last).metadata()).format, 'png')
  const two = await ask(sim, id, 'A boat', { until })
  t.strictSame(
    two.of('imageGenerated').map(({ url }) => new URL(url).host),
    ['copilot.microsoft.com', 'copilot.microsoft.com']
  )
  t.equal((await ask(sim, id, 'Draw a boat', { until })).of('generatingImage').length, 0)

  const ws = open(sim)
  const plain = listen(ws)
  await plain.until(() => plain.heard.names().includes('connected'))
  say(ws, { ...OPTIONS, supportedFeatures: [] }, question(id, 'Draw a boat'))
  await plain.until(() => until(plain.heard))
  ws.terminate()
  t.strictSame(
    [plain.heard.of('partialImageGenerated').length, plain.heard.of('imageGenerated').length],
    [0, 1],
    'previews come to who asked for them'
  )
  t.strictSame(sim.violations, [])
})

t.test('upgrades that fail', async (t) => {
  const sim = await simulator(t)
  const cases: [NonNullable<PartialBehaviours['copilot.upgrade']>, number | undefined][] = [
    [{ refusal: 'unauthorized' }, 401],
    [{ refusal: 'cloudflare' }, 403],
    [{ refusal: 'client-refused' }, 460],
    [{ refusal: 'too-many' }, 429],
    [{ refusal: 'overloaded' }, 502],
    [{ status: 503, delayMs: 5 }, 503],
    [{ redirect: '/elsewhere' }, 302],
    [{ reset: true }, undefined]
  ]
  for (const [behaviour, status] of cases) {
    sim.enqueue('copilot.upgrade', behaviour)
    const { heard, until } = listen(open(sim))
    await until(() => heard.status !== undefined || closed(heard))
    t.equal(heard.status, status)
  }
  t.equal(sim.counts['copilot.upgrade.refused'], cases.length)
  sim.enqueue('copilot.upgrade', { rotate: true })
  const ws = open(sim)
  const [response] = await once(ws, 'upgrade')
  ws.terminate()
  t.match(response.headers['set-cookie'], [/^__cf_bm=/])
  t.strictSame(sim.violations, [])
})

t.test('pace', async (t) => {
  const sim = await simulator(t, { 'copilot.pace': { turns: 2, windowMs: 600_000 } })
  const id = await start(sim)
  await ask(sim, id, 'one')
  await ask(sim, id, 'two')
  t.strictSame(sim.violations, [])
  t.equal((await postStart(sim)).status, 502)
  const { heard, until } = listen(open(sim))
  await until(() => heard.status !== undefined)
  t.equal(heard.status, 502)
  sim.set('copilot.pace', { turns: 2, windowMs: 600_000, refuses: 'start' })
  t.match((await ask(sim, id, 'three')).answer(), /three/, 'a socket that got through is served')
  t.equal(sim.counts['copilot.pace.exceeded'], 3)
  t.strictSame(
    sim.violations.map(({ rule }) => rule),
    ['pace', 'pace', 'pace']
  )
  sim.set('copilot.pace', { turns: 2, windowMs: 1 })
  await new Promise((go) => setTimeout(go, 5))
  t.equal((await postStart(sim)).status, 200, 'the window moves on')

  sim.reset()
  sim.set('copilot.pace', { parallel: 1 })
  sim.set('copilot.turn', { thinkMs: 60_000 })
  const ws = open(sim)
  const busy = listen(ws)
  await busy.until(() => busy.heard.names().includes('connected'))
  say(ws, OPTIONS, question(id, 'long'))
  await busy.until(() => busy.heard.names().includes('received'))
  t.equal((await postStart(sim)).status, 502)
  ws.terminate()
  await come(() => sim.counts['copilot.turns'] === 0)
  t.equal((await postStart(sim)).status, 200)
  t.equal(sim.counts['copilot.turns.peak'], 1)
})

t.test('control over HTTP', async (t) => {
  const sim = await simulator(t)
  const post = (path: string, body: object) =>
    fetch(`${sim.url}/__simulator/${path}`, { method: 'POST', body: JSON.stringify(body) })
  t.equal((await post('behave', { set: { 'copilot.turn': { failure: 'throttled' } } })).status, 200)
  const wrong = await post('behave', { set: { 'copilot.turn': { failure: 'nope' } } })
  t.match(
    [wrong.status, ((await wrong.json()) as Json).error],
    [400, /'copilot\.turn\.failure' must be one of/]
  )
  t.throws(() => sim.set('copilot.turn', { fialure: 'none' } as object), /has no field 'fialure'/)
  await post('copilot/cookies', { accept: ['a'], expire: ['simulated-copilot-cookie'] })
  await post('copilot/tokens', { accept: ['b'] })
  t.equal((await postStart(sim)).status, 401)
  t.equal((await postStart(sim, { cookie: 'any=a' })).status, 200)
  t.equal((await postStart(sim, { cookie: '', authorization: 'Bearer b' })).status, 200)
  await post('reset', {})
  t.equal(sim.counts['copilot.start'], 0)
})
