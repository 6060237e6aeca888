/** Copilot's account as an operator meets it: how it is looked at, the way to it through a proxy, and the command line. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { formatAnswer } from '../../../src/cli-chat.ts'
import type { Config } from '../../../src/config.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { COPILOT_COOKIE, COPILOT_TOKEN, startGateway, USER } from '../../support/gateway.ts'
import { handClock } from '../../support/hand-clock.ts'
import { runCli } from '../../support/process.ts'

const HALF_HOUR = 30 * 60_000
const COOKIES_ALONE = { COPILOT_ACCESS_TOKEN: undefined }

/** A gateway whose time stands still until a test lets it pass. */
async function rig(t: Test, config: Partial<Config> = {}) {
  const clock = handClock()
  const gateway = await startGateway(t, { chatUpstream: 'copilot', clock, config })
  const { app, sim, get, post } = gateway
  const looks = () => sim.counts['copilot.user'] ?? 0
  return {
    ...gateway,
    looks,
    start: () => post('/create_conversation', { userId: USER }),
    ask: (identity: object) => post('/chatgpt', { ...identity, prompt: 'Hi' }),
    circuit: () => app.upstream.circuits.find(({ name }) => name === 'copilot-account')?.state,
    shown: async () => (await get('/health')).json.data.upstreams[0] as { state: string; action?: string },
    /** Lets half an hour pass, with the look at its end. */
    async look() {
      const ended = new Promise<string>((resolve) => {
        app.upstream.onCall(({ name, operation, outcome }) => {
          if (name === 'copilot' && operation === 'bootstrap') resolve(outcome)
        })
      })
      clock.pass(HALF_HOUR)
      return ended
    }
  }
}

t.test('a challenge: a look finds out that it is still there, and only a turn that it is over', async (t) => {
  const { sim, conversation, ask, start, look, looks, circuit, shown } = await rig(t, {
    SESSION_CHECK_MINUTES: 0
  })
  const identity = await conversation()
  sim.set('copilot.turn', { challenge: 'cloudflare', challengeAt: 'before' })
  t.equal((await ask(identity)).json.error.code, 'challenge_required')
  t.equal(circuit(), 'open')

  sim.set('copilot.user', { refusal: 'cloudflare' })
  const asked = () => [sim.counts['copilot.start'], sim.counts['copilot.upgrade']]
  const before = asked()
  t.equal(await look(), 'challenge_required')
  t.equal(circuit(), 'open')
  for (const call of [start, () => ask(identity)])
    t.equal((await call()).json.error.code, 'challenge_required', 'no caller is the trial')
  t.strictSame(asked(), before, 'nobody else was asked')

  sim.set('copilot.user', {})
  t.equal(await look(), 'ok')
  t.equal(circuit(), 'half-open', 'who is signed in says nothing of challenges')
  t.match(await shown(), { state: 'challenged', action: /pass the check/ })
  t.equal((await start()).status, 200)
  t.equal(circuit(), 'half-open', 'a turn has met it')
  sim.set('copilot.turn', {})
  t.equal((await ask(identity)).status, 200)
  t.equal(circuit(), 'closed')
  t.match(await shown(), { state: 'ok' })
  t.equal(looks(), 2)
  t.strictSame(sim.violations, [])
})

t.test('a look that shows nothing leaves it to a call', async (t) => {
  const { sim, conversation, ask, start, look, circuit, shown } = await rig(t, { SESSION_CHECK_MINUTES: 0 })
  const identity = await conversation()
  const unclear = [
    { name: 'nobody is signed in by cookie, but there is a token', user: { anonymous: true } },
    { name: 'the route is gone', user: { status: 404 } },
    { name: 'a page in its place', user: { status: 200, body: '<!doctype html><title>Copilot</title>' } },
    { name: 'another shape', user: { status: 200, body: '{"user":{"name":"Olivier"}}' } },
    { name: 'not for this kind of client', user: { refusal: 'client-refused' as const } }
  ]
  for (const { name, user } of unclear) {
    sim.set('copilot.start', { refusal: 'cloudflare' })
    t.equal((await start()).json.error.code, 'challenge_required', name)
    sim.set('copilot.user', user)
    t.equal(await look(), 'inconclusive', name)
    t.equal(circuit(), 'half-open', name)
    t.match(await shown(), { state: 'challenged' }, name)
    sim.set('copilot.start', {})
    t.equal((await start()).status, 200)
    t.equal(circuit(), 'closed', name)
  }

  sim.set('copilot.turn', { challenge: 'null', challengeAt: 'before' })
  await ask(identity)
  sim.set('copilot.user', {})
  sim.copilot.cookies.expire(COPILOT_COOKIE)
  t.equal(await look(), 'session_expired')
  t.equal(circuit(), 'open', 'dead cookies are no sign that the check was passed')
})

t.test('an account that nothing is heard of is looked at', async (t) => {
  const { sim, app, log, conversation, ask, look, shown } = await rig(t, COOKIES_ALONE)
  const state = async () => (await shown()).state
  t.equal(sim.requests.length, 0, 'not at the start')
  t.equal(await look(), 'ok')
  t.strictSame(
    sim.requests
      .map(({ method, path, search }) => `${method} ${path}${search}`)
      .filter((request) => request !== 'GET /images/create'),
    ['GET /', 'GET /c/api/user?api-version=2'],
    'as a browser does, with the start page before it'
  )
  t.strictSame(app.upstream.states[0]?.accepted, true)

  await t.test('and found out to be signed out', async (t) => {
    sim.set('copilot.user', { anonymous: true })
    t.equal(await look(), 'session_expired')
    t.match(await shown(), { state: 'expired', action: /Sign in at copilot\.microsoft\.com/ })
    sim.set('copilot.user', {})
    t.equal(await look(), 'ok')
    t.equal(await state(), 'ok', 'a hiccup')
    sim.copilot.cookies.expire(COPILOT_COOKIE)
    t.equal(await look(), 'session_expired')
    t.equal(await state(), 'expired')
    sim.copilot.cookies.accept(COPILOT_COOKIE)
    t.equal(await look(), 'ok')
  })

  await t.test('which is no answer to what the chat has met', async (t) => {
    const identity = await conversation()
    const met = [
      { upgrade: { refusal: 'unauthorized' as const }, want: 'expired', action: /cookies.*access token/ },
      { upgrade: { refusal: 'client-refused' as const }, want: 'forbidden', action: /newer version/ },
      { turn: { failure: 'chat-service-unavailable' as const }, want: 'forbidden', action: /region/ }
    ]
    for (const { upgrade = {}, turn = {}, want, action } of met) {
      sim.set('copilot.upgrade', upgrade)
      sim.set('copilot.turn', turn)
      t.not((await ask(identity)).status, 200)
      t.match(await shown(), { state: want, action })
      t.equal(await look(), 'ok')
      t.match(await shown(), { state: want, action }, 'after a good look')
      sim.set('copilot.upgrade', {})
      sim.set('copilot.turn', {})
      t.equal((await ask(identity)).status, 200)
      t.equal(await state(), 'ok', 'after a good turn')
    }
  })
  t.notMatch(log(), /could not be looked at/)
  t.strictSame(sim.violations, [])
})

t.test('who is turned away three times in a row is not asked again', async (t) => {
  const kinds = [
    {
      config: COOKIES_ALONE,
      op: 'copilot.start',
      code: 'session_expired'
    },
    { config: COOKIES_ALONE, op: 'copilot.upgrade', code: 'session_expired' },
    { config: {}, op: 'copilot.upgrade', code: 'token_invalid' }
  ] as const
  for (const { config, op, code } of kinds) {
    const { app, sim, conversation, ask, start, look, circuit, shown } = await rig(t, {
      ...config,
      SESSION_CHECK_MINUTES: 0
    })
    const identity = await conversation()
    const call = () => (op === 'copilot.start' ? start() : ask(identity))
    const refused = async () => {
      const { status, json, headers } = await call()
      t.strictSame([status, json.error.code, headers['x-should-retry']], [401, code, 'false'])
    }
    const good = async () => {
      sim.set(op, {})
      t.equal((await call()).status, 200)
      sim.set(op, { refusal: 'unauthorized' })
    }

    sim.set(op, { refusal: 'unauthorized' })
    await refused()
    await refused()
    await good()
    await refused()
    await refused()
    t.equal(circuit(), 'closed', `${op}: a good call in between`)
    if (op === 'copilot.upgrade') t.equal((await start()).status, 200, 'a start proves nothing for the chat')
    await refused()
    t.equal(circuit(), 'open', op)
    t.match(await shown(), { state: 'expired', action: /give the gateway|Give the gateway/ })
    const before = sim.requests.length
    await refused()
    t.equal((await start()).json.error.code, code)
    t.equal(sim.requests.length, before, 'nobody was asked')

    t.equal(await look(), 'ok')
    t.equal(circuit(), 'half-open')
    await refused()
    t.equal(circuit(), 'open', 'the trial')
    app.upstream.reload()
    t.equal(circuit(), 'closed', 'a person has acted')
    await refused()
    t.equal(circuit(), 'closed', 'and it is counted anew')
    await good()
    t.match(await shown(), { state: 'ok' })
  }

  const { sim, start, circuit } = await rig(t, COOKIES_ALONE)
  sim.set('copilot.start', { refusal: 'unauthorized' })
  await Promise.all(Array.from({ length: 8 }, () => start()))
  t.equal(circuit(), 'closed', 'those that were under way together are one hiccup')
})

t.test('a session that is sent to sign in is not asked again', async (t) => {
  const { sim, start, look, circuit, shown } = await rig(t, { ...COOKIES_ALONE, SESSION_CHECK_MINUTES: 0 })
  const redirect = 'https://login.live.com/oauth20'
  sim.set('copilot.start', { redirect })
  const { status, json } = await start()
  t.strictSame([status, json.error.code], [401, 'cookie_expired'])
  t.match(json.error.message, /copilot\.microsoft\.com/)
  t.equal(circuit(), 'open')
  t.match(await shown(), { state: 'expired', action: /Sign in at copilot\.microsoft\.com/ })
  sim.set('copilot.user', { redirect })
  t.equal(await look(), 'cookie_expired')
  t.equal(circuit(), 'open')
  t.equal(sim.counts['copilot.start'], 1)

  const alone = await rig(t, { COPILOT_COOKIE_FILE: undefined })
  alone.sim.set('copilot.user', { redirect })
  t.equal(await alone.look(), 'inconclusive', 'who shows nothing is sent to sign in')
  t.equal(alone.circuit(), 'closed')
})

t.test('dates beyond all bounds', async (t) => {
  const { sim, conversation, ask, get } = await rig(t)
  const identity = await conversation()
  const END_OF_TIME = 8_640_000_000_000_000 - Date.now() - 86_400_000
  sim.set('copilot.turn', { failure: 'throttled', nextAvailableInMs: END_OF_TIME })
  const { status, headers } = await ask(identity)
  t.strictSame([status, headers['retry-after']], [429, '86400'])
  const health = await get('/health')
  t.equal(health.status, 200)
  const { state, until } = health.json.data.upstreams[0]
  t.equal(state, 'throttled')
  t.match(until, /^\d{4}-\d\d-\d\dT/)
  t.equal(new UpstreamError('P13', { retryAfter: Number.NaN }).retryAfter, 60)
  t.equal(new UpstreamError('P13', { retryAfter: Number.POSITIVE_INFINITY }).retryAfter, 86_400)
  t.equal(new UpstreamError('P3-until', { retryAfter: 1e12 }).asksToWait, 30 * 86_400)
})

t.test('a look beside an access token', async (t) => {
  const { sim, look, shown } = await rig(t)
  const cases = [
    { name: 'nobody signed in by cookie', user: { anonymous: true }, want: 'inconclusive', state: 'ok' },
    {
      name: 'cookies are refused',
      user: { refusal: 'unauthorized' as const },
      want: 'session_expired',
      state: 'expired'
    },
    { name: 'nothing is shown', user: { anonymous: true }, want: 'inconclusive', state: 'expired' },
    { name: 'all is well', user: {}, want: 'ok', state: 'ok' }
  ]
  for (const { name, user, want, state } of cases) {
    sim.set('copilot.user', user)
    t.equal(await look(), want, name)
    t.equal((await shown()).state, state, name)
  }

  const alone = await rig(t, { COPILOT_COOKIE_FILE: undefined })
  alone.sim.set('copilot.user', { refusal: 'unauthorized' })
  t.equal(await alone.look(), 'inconclusive', 'nothing was shown that could be refused')
  t.equal((await alone.shown()).state, 'ok')

  const bearer = await rig(t, { COPILOT_COOKIE_FILE: undefined, COPILOT_TOKEN_ON_HTTP: true })
  t.equal(await bearer.look(), 'ok')
  t.equal(bearer.sim.requests.at(-1)?.headers.authorization, `Bearer ${COPILOT_TOKEN}`)
  bearer.sim.copilot.tokens.expire(COPILOT_TOKEN)
  t.equal(await bearer.look(), 'session_expired')
})

/**
 * A proxy that knows one way only, CONNECT, and leads every host to the simulator, behind TLS.
 * @param simUrl where the simulator listens
 */
async function connectProxy(t: Test, simUrl: string) {
  const pem = (name: string) =>
    readFileSync(new URL(`../../webhooks/fixtures/hook-test-${name}.pem`, import.meta.url))
  const sockets = new Set<Socket>()
  const tunnels: { to: string | undefined; first: string }[] = []
  const state = { status: 200, tunnels }
  const site = createTlsServer({ key: pem('key'), cert: pem('cert') }, (secure) => {
    const inner = connect(Number(new URL(simUrl).port), '127.0.0.1')
    sockets.add(inner)
    secure.once('data', (head) => {
      tunnels.push({ to: secure.servername || undefined, first: head.toString().split(' HTTP/')[0] ?? '' })
    })
    secure.on('error', () => inner.destroy())
    inner.on('error', () => secure.destroy())
    secure.pipe(inner).pipe(secure)
  })
  const proxy = createServer((_req, res) => res.writeHead(405).end()).listen(0, '127.0.0.1')
  proxy.on('connect', (_req, socket: Socket) => {
    sockets.add(socket.on('error', () => {}))
    if (state.status !== 200) return socket.end(`HTTP/1.1 ${state.status} No\r\ncontent-length: 0\r\n\r\n`)
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    site.emit('connection', socket)
  })
  await new Promise((resolve) => proxy.once('listening', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return Object.assign(state, { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` })
}

t.test('calls and sockets go through the proxy', async (t) => {
  // The certificate of the tests is not Copilot's.
  const { NODE_TLS_REJECT_UNAUTHORIZED: before } = process.env
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
  })
  const { sim } = await startGateway(t, { chatUpstream: 'copilot' })
  const proxy = await connectProxy(t, sim.url)
  const { conversation, post, get, log } = await startGateway(t, {
    chatUpstream: 'copilot',
    sim,
    speed: 20,
    config: { COPILOT_URL: 'https://copilot.microsoft.com', HTTPS_PROXY: proxy.url, NO_PROXY: 'example.org' }
  })
  const identity = await conversation()
  const { status, json } = await post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 0 })
  t.equal(status, 200, JSON.stringify(json))
  const site = 'copilot.microsoft.com'
  t.match(proxy.tunnels, [
    { to: site, first: 'GET /' },
    { to: site, first: 'POST /c/api/start' },
    { to: site, first: /^GET \/c\/api\/chat\?api-version=2&/ }
  ])
  t.equal(sim.counts['copilot.questions'], 1)
  t.strictSame(sim.violations, [])

  for (const no of [403, 407, 502]) {
    proxy.status = no
    const refused = await post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 1 })
    t.strictSame(
      [refused.status, refused.json.error.code],
      [503, 'unreachable'],
      `the proxy answers with ${no}`
    )
    t.equal((await get('/health')).json.data.upstreams[0].state, 'unreachable')
  }
  proxy.status = 200
  t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 1 })).status, 200)
  t.notMatch(log(), new RegExp(`${COPILOT_TOKEN}|${COPILOT_COOKIE}`))
})

t.test('bing-gateway chat names the pictures', async (t) => {
  const { sim, listen } = await startGateway(t, { chatUpstream: 'copilot' })
  const env = { BING_GATEWAY_URL: await listen(), BING_GATEWAY_USER: USER }
  const chat = async (prompt: string) => {
    const { child, output, exited } = runCli(t, ['chat', prompt], env)
    child.stdin?.end()
    t.equal(await exited, 0)
    return output()
  }
  const address = String.raw`http:\/\/\S+\/media\/\S+`
  sim.set('copilot.turn', { plain: true, images: 2, answer: 'Here they are.' })
  t.match(await chat('Draw a fox'), new RegExp(String.raw`^Here they are\.\n\n${address}\n${address}\n$`))
  sim.set('copilot.turn', { plain: true, images: 1, imageText: false })
  t.match(
    await chat('Draw a fox'),
    new RegExp(String.raw`^!\[Draw a fox\]\(${address}\)\n$`),
    'once, where they are all that there is'
  )
  t.strictSame(sim.violations, [])

  const answer = { message: 'A fox.', conversationId: 'c', invocationId: 1 }
  const attachments = [{ type: 'image' as const, url: 'http://127.0.0.1/media/1' }]
  const sources = [{ title: 'Foxes', url: 'https://foxes.example/' }]
  t.equal(formatAnswer(answer), 'A fox.')
  const drawn = '![A fox](http://127.0.0.1/media/1)'
  t.equal(formatAnswer({ ...answer, message: drawn, attachments }), drawn)
  t.equal(
    formatAnswer({ ...answer, attachments, sources }),
    'A fox.\n\nhttp://127.0.0.1/media/1\n\n[1] Foxes: https://foxes.example/'
  )
})
