/** Copilot's client as the whole gateway uses it, against the simulator: what it sends, and what it bears. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../../src/clock.ts'
import type { Behaviours, Simulator } from '../../../src/simulator/index.ts'
import { createCopilotClient } from '../../../src/upstream/copilot/client.ts'
import { FOLLOWUPS_MS, IDLE_TIMEOUT_MS } from '../../../src/upstream/copilot/constants.ts'
import {
  COPILOT_COOKIE,
  COPILOT_TOKEN,
  type GatewayOptions,
  startGateway,
  USER
} from '../../support/gateway.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const OWNER = { 'x-user-id': USER }

const started = (t: Test, options: GatewayOptions = {}) =>
  startGateway(t, { chatUpstream: 'copilot', ...options })

const until = async (condition: () => boolean) => {
  for (let n = 0; !condition(); n++) {
    if (n === 2000) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

t.test('what is sent', async (t) => {
  const { sim, conversation, post, log } = await started(t)
  const identity = await conversation()
  for (const [tone, mode] of [
    [undefined, 'smart'],
    ['balanced', 'smart'],
    ['creative', 'chat'],
    ['precise', 'reasoning']
  ]) {
    await post('/chatgpt', { ...identity, prompt: `Hi, ${tone}`, ...(tone === undefined ? {} : { tone }) })
    t.match(sim.questions.at(-1), {
      event: 'send',
      conversationId: /^[\w-]{10,}$/,
      content: [{ type: 'text', text: `Hi, ${tone}` }],
      mode,
      context: {}
    })
  }
  const paths = sim.requests.map(({ method, path }) => `${method} ${path}`)
  t.strictSame(paths.slice(0, 3), ['GET /', 'POST /c/api/start', 'GET /c/api/chat'], 'the start page first')
  t.equal(paths.filter((path) => path === 'GET /').length, 1)
  const [, start, upgrade] = sim.requests
  t.match(JSON.parse(start?.body ?? ''), { timeZone: String, startNewConversation: true })
  t.notOk('authorization' in (start?.headers ?? {}), 'cookies only')
  t.match(start?.headers.cookie, new RegExp(`_C_Auth=${COPILOT_COOKIE}`))
  const query = new URLSearchParams(upgrade?.search)
  t.strictSame([...query.keys()], ['api-version', 'clientSessionId', 'accessToken'])
  t.match(query.get('clientSessionId'), UUID)
  t.equal(query.get('accessToken'), COPILOT_TOKEN)
  t.match(upgrade?.headers.cookie, /__cf_bm=/, 'what the start page had set')
  t.strictSame(sim.violations, [])
  for (const canary of [COPILOT_COOKIE, COPILOT_TOKEN])
    t.notOk(log().includes(canary), 'no secret was logged')
  t.match(log(), /"upstream":"copilot".*"constants":"\d{4}-\d\d-\d\d".*chat upstream/)
})

t.test('settings of the account', async (t) => {
  const { sim, conversation, post } = await started(t, {
    config: { COPILOT_TOKEN_ON_HTTP: true, COPILOT_IDENTITY_TYPE: 'google' }
  })
  sim.set('copilot.upgrade', { identityType: 'google', requireToken: true })
  const identity = await conversation()
  t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  const start = sim.requests.find(({ path }) => path === '/c/api/start')
  t.match(start?.headers, { authorization: `Bearer ${COPILOT_TOKEN}`, 'x-useridentitytype': 'google' })
  t.strictSame(sim.violations, [])
})

t.test('files with cookies and a token are followed', async (t) => {
  const gateway = await started(t, { config: { COPILOT_ACCESS_TOKEN: undefined } })
  const { sim, dir, conversation, post, get } = gateway
  const identity = await conversation()
  const ask = (prompt: string) => post('/chatgpt', { ...identity, prompt })
  t.equal((await ask('one')).status, 200, 'cookies alone')
  sim.copilot.cookies.expire(COPILOT_COOKIE)
  const expired = await ask('two')
  t.strictSame([expired.status, expired.json.error.code], [401, 'session_expired'], 'no token was sent')
  t.match(expired.json.error.message, /cookies/)
  const health = async () => (await get('/health')).json.data.upstreams[0]
  t.match(await health(), { name: 'copilot', state: 'expired', action: /Sign in.*new cookies/ })

  sim.copilot.cookies.accept('fresh-cookie')
  writeFileSync(
    join(dir, 'copilot-cookies.txt'),
    JSON.stringify([{ domain: '.microsoft.com', name: '_C_Auth', value: 'fresh-cookie' }])
  )
  await until(
    () => gateway.app.upstream.copilot?.account.cookieHeader(sim.copilotUrl)?.includes('fresh') ?? false
  )
  t.equal((await ask('two')).status, 200)
  t.match(await health(), { state: 'ok' })
  t.strictSame(sim.violations, [])

  const file = join(dir, 'token.json')
  writeFileSync(file, '{"secret":"first-token"}')
  const other = await started(t, {
    dir: gateway.dir,
    sim,
    config: {
      COPILOT_ACCESS_TOKEN: 'loser',
      COPILOT_ACCESS_TOKEN_FILE: file,
      COPILOT_COOKIE_FILE: undefined,
      DATA_DIR: join(dir, 'other')
    }
  })
  t.equal(other.app.upstream.copilot?.token(), 'first-token')
  const refused = await other.post('/chatgpt', { ...(await other.conversation()), prompt: 'one' })
  t.strictSame([refused.status, refused.json.error.code], [401, 'token_invalid'])
  t.match((await other.get('/health')).json.data.upstreams[0], {
    state: 'expired',
    action: /new access token/
  })
  writeFileSync(file, 'second-token')
  await until(() => other.app.upstream.copilot?.token() === 'second-token')
  t.notMatch(gateway.log() + other.log(), /fresh-cookie|first-token|second-token/)
})

t.test('an anonymous visitor', async (t) => {
  const config = { COPILOT_COOKIE_FILE: undefined, COPILOT_ACCESS_TOKEN: undefined }
  const { sim, conversation, post, get, log } = await started(t, { config })
  const state = async () => (await get('/health')).json.data.upstreams[0].state
  t.equal(await state(), 'unconfigured')
  t.match(log(), /asked as an anonymous visitor/)
  sim.set('copilot.upgrade', { anonymous: true })
  const identity = await conversation()
  t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  t.equal(await state(), 'ok')
  t.strictSame(sim.violations, [])
  sim.set('copilot.upgrade', {})
  const refused = await post('/chatgpt', { ...identity, prompt: 'Hi again' })
  t.strictSame([refused.status, refused.json.error.code], [503, 'region_blocked'])
  t.notMatch(log(), /__Host-copilot-anon=/)
})

t.test('starts', async (t) => {
  const { sim, conversation, post } = await started(t)
  sim.set('copilot.start', { needsHome: true })
  const identities = await Promise.all([conversation(), conversation(), conversation()])
  t.equal(sim.counts['copilot.home'], 1, 'one visit for all who wait for it')
  for (const id of ['conversationId', 'id'] as const) {
    sim.set('copilot.start', { id })
    identities.push(await conversation())
  }
  sim.set('copilot.start', { status: 404 })
  identities.push(await conversation())
  t.equal(sim.counts['copilot.conversations'], 1, 'the older call, where the start call is not known')
  for (const identity of identities)
    t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  sim.set('copilot.home', { refusal: 'overloaded' })
  sim.set('copilot.start', {})
  t.strictSame(sim.violations, [])
})

t.test('who leaves does not wait for the start page', async (t) => {
  const { app, sim } = await started(t)
  const { copilot } = app.upstream
  if (copilot === undefined) throw new Error('no Copilot')
  sim.set('copilot.home', { stall: 'before' })
  const clock: Clock = { ...systemClock, timer: () => () => {} }
  const client = createCopilotClient({
    baseUrl: sim.copilotUrl,
    account: copilot.account,
    http: copilot.http,
    clock
  })
  const first = new AbortController()
  const second = new AbortController()
  const created = [client.create(first.signal), client.create(second.signal)] as const
  await until(() => sim.counts['copilot.home'] === 1)
  first.abort(new Error('the first has left'))
  await t.rejects(created[0], { message: 'the first has left' })
  second.abort(new Error('the second has left'))
  await t.rejects(created[1], { message: 'the second has left' })
  t.equal(sim.counts['copilot.start'] ?? 0, 0)
  await client.close()
})

t.test('however it comes over the wire', async (t) => {
  const { sim, conversation, post } = await started(t)
  type Turn = Partial<Behaviours['copilot.turn']>
  const answer = 'A "quoted" {brace} \\ back\\slash, 😀𝒳é漢👍🏽 and }{ more. [1]'
  const cases: { name: string; turn?: Turn; upgrade?: Partial<Behaviours['copilot.upgrade']> }[] = [
    { name: 'several events in a message', turn: { eventsPerMessage: 5 } },
    { name: 'all events in one message', turn: { eventsPerMessage: 1000, between: 'record-separator' } },
    { name: 'lines', turn: { eventsPerMessage: 3, between: 'newline' } },
    { name: 'a character a message', turn: { split: 'every-char', eventsPerMessage: 2, updateDelayMs: 0 } },
    { name: 'cut anywhere', turn: { split: 'random', splitSeed: 7, eventsPerMessage: 4 } },
    { name: 'bytes', turn: { binary: true, eventsPerMessage: 3 } },
    { name: 'bytes, cut inside characters', turn: { binary: true, split: 1, updateDelayMs: 0 } },
    { name: 'bytes, cut anywhere', turn: { binary: true, split: 'random', splitSeed: 3 } },
    { name: 'cut inside escapes', turn: { split: 5, escapeUnicode: true } },
    { name: 'halves of characters', turn: { halfCharacters: true, charsPerUpdate: 1, updateDelayMs: 0 } },
    { name: 'events and members that nobody knows', turn: { unknownEvents: true, unknownFields: true } },
    { name: 'no ids', turn: { ids: 'absent' } },
    { name: 'a record of megabytes', turn: { largeRecordBytes: 5_000_000 } },
    {
      name: 'reasoning, mode, parts',
      turn: { reasoning: 'always', modeSelected: true, partCompleted: true }
    },
    { name: 'suggestions before done', turn: { followups: 'before' } },
    { name: 'closed behind done', turn: { closeAfter: true } },
    { name: 'closed behind done, no suggestions', turn: { closeAfter: true, suggestions: 0 } },
    { name: 'connected twice', upgrade: { connected: 'twice' } },
    { name: 'connected again', upgrade: { connected: 'again' } },
    { name: 'connected late', upgrade: { connectedDelayMs: 300, strictOrder: true } },
    { name: 'connected in pieces', upgrade: { split: 'every-char' } }
  ]
  const identity = await conversation()
  for (const [n, { name, turn = {}, upgrade = {} }] of cases.entries()) {
    sim.set('copilot.turn', { answer, ...turn })
    sim.set('copilot.upgrade', upgrade)
    const asked = await post('/chatgpt', { ...identity, prompt: 'Tell me', invocationId: n })
    t.equal(asked.status, 200, `${name}: ${asked.text}`)
    t.equal(asked.json.message, answer, name)
    t.equal(asked.json.suggestions?.length, turn.suggestions === 0 ? undefined : 3, name)
  }
  t.equal(sim.counts['copilot.early'] ?? 0, 0, 'nothing was sent before connected')
  t.equal(sim.counts['copilot.questions'], cases.length)
  t.strictSame(sim.violations, [])
})

t.test('who never says that it is ready is asked all the same', async (t) => {
  const { sim, conversation, post } = await started(t, { speed: 20 })
  const identity = await conversation()
  sim.set('copilot.upgrade', { connected: 'never' })
  t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  t.equal(sim.counts['copilot.upgrade'], 1)
})

t.test('suggestions are waited for, and not for long', async (t) => {
  const { sim, conversation, post } = await started(t, { speed: 5 })
  const identity = await conversation()
  sim.set('copilot.turn', { followupsDelayMs: 60_000 })
  const { status, json } = await post('/chatgpt', { ...identity, prompt: 'Hi' })
  t.strictSame([status, json.suggestions], [200, undefined])
  t.equal(
    (await post('/chatgpt', { ...identity, prompt: 'Next' })).status,
    200,
    'the next turn has its own socket'
  )
})

t.test('cookies that Copilot rotates go with the next call', async (t) => {
  const { sim, conversation, post } = await started(t, { config: { COPILOT_ACCESS_TOKEN: undefined } })
  sim.set('copilot.start', { rotate: '_C_Auth', expireRotated: true })
  const identity = await conversation()
  t.equal((await post('/chatgpt', { ...identity, prompt: 'Hi' })).status, 200)
  sim.set('copilot.start', { rotate: 'empty-auth' })
  const other = await conversation()
  t.equal((await post('/chatgpt', { ...other, prompt: 'Hi' })).status, 200, 'an empty one changes nothing')
  t.strictSame(sim.violations, [])
})

t.test('a caller who leaves ends the turn in every stage', async (t) => {
  const gateway = await started(t)
  const { sim } = gateway
  const url = await gateway.listen()
  const identity = await gateway.conversation()
  const stages: { name: string; upgrade?: object; turn?: object; counter: string }[] = [
    { name: 'upgrade', upgrade: { delayMs: 60_000 }, counter: 'copilot.upgrade' },
    { name: 'before connected', upgrade: { connectedDelayMs: 60_000 }, counter: 'copilot.sockets' },
    { name: 'before the first text', turn: { thinkMs: 60_000 }, counter: 'copilot.questions' },
    { name: 'in the middle', turn: { charsPerUpdate: 1, updateDelayMs: 100 }, counter: 'copilot.questions' },
    { name: 'behind done', turn: { followupsDelayMs: 60_000 }, counter: 'copilot.completed' }
  ]
  for (const { name, upgrade = {}, turn = {}, counter } of stages) {
    sim.reset()
    sim.set('copilot.upgrade', upgrade)
    sim.set('copilot.turn', turn)
    const gone = new AbortController()
    const call = fetch(`${url}/chatgpt`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...identity, prompt: 'A long story', invocationId: 0 }),
      signal: gone.signal
    })
    call.catch(() => {})
    await until(() => (sim.counts[counter] ?? 0) > 0)
    gone.abort()
    await until(() => (sim.counts['copilot.sockets'] ?? 0) === 0)
    t.pass(name)
    sim.reset()
  }
  await until(() => gateway.log().includes('caller left'))
  for (let n = 0; ; n++) {
    const answer = await gateway.post('/chatgpt', { ...identity, prompt: 'Still there?' })
    // The last turn may still be giving its claim back.
    if (answer.status === 409 && n < 500) continue
    t.equal(answer.status, 200, 'the conversation stays usable')
    break
  }
})

/** A clock that tells how far a turn is: it waits behind `done` for ever, and CHAT_TIMEOUT_MS is over when the test says so. */
function watchedClock(timeoutMs: number) {
  let expire = () => {}
  let isDone = false
  let events = 0
  const clock: Clock = {
    ...systemClock,
    timer(ms, callback) {
      if (ms === FOLLOWUPS_MS) {
        isDone = true
        return () => {}
      }
      if (ms === IDLE_TIMEOUT_MS) events += 1
      if (ms === timeoutMs) expire = callback
      return systemClock.timer(ms, callback)
    }
  }
  return {
    clock,
    timeIsUp: () => expire(),
    /** `done` was read. */
    done: async () => {
      await until(() => isDone)
      isDone = false
    },
    /** The question was sent, and so many events were read after it. */
    read: async (count: number) => {
      await until(() => events === count + 1)
      events = 0
    }
  }
}

t.test('an answer that was complete is kept, however the call ends', async (t) => {
  const CHAT_TIMEOUT_MS = 77_000
  const { clock, timeIsUp, done } = watchedClock(CHAT_TIMEOUT_MS)
  const { app, sim, conversation, post, listen } = await started(t, { clock, config: { CHAT_TIMEOUT_MS } })
  const url = await listen()
  const identity = await conversation()
  sim.set('copilot.turn', { answer: 'All is said.', followupsDelayMs: 600_000 })
  const ask = (invocationId: number, stream: boolean, signal?: AbortSignal) =>
    fetch(`${url}/chatgpt`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...identity, prompt: 'Tell me', invocationId, stream }),
      signal: signal ?? null
    })
  const questions = () => sim.counts['copilot.questions']

  for (const [n, stream] of [false, true].entries()) {
    const gone = new AbortController()
    const left = ask(n, stream, gone.signal).then((res) => res.text())
    left.catch(() => {})
    await done()
    gone.abort()
    for (let tries = 0; ; tries++) {
      const repeat = await post('/chatgpt', { ...identity, prompt: 'Tell me', invocationId: n })
      // The caller's end may not have been noticed yet, nor the answer stored.
      if (repeat.status === 409 && tries < 500) continue
      t.strictSame([repeat.status, repeat.json.message], [200, 'All is said.'], `left, stream: ${stream}`)
      t.equal(repeat.headers['idempotency-replayed'], 'true')
      break
    }
    t.equal(questions(), n + 1, 'asked once')
  }

  for (const [n, stream] of [false, true].entries()) {
    const late = ask(n + 2, stream).then((res) => res.text())
    await done()
    timeIsUp()
    t.match(await late, /All is said\..*"invocationId":/s, `time is up, stream: ${stream}`)
  }

  const draining = ask(4, false).then((res) => res.json())
  await done()
  const drained = app.lifecycle.drain(0)
  t.match(await draining, { message: 'All is said.', invocationId: 5 }, 'the gateway stops')
  await drained
  t.equal(questions(), 5)
  t.strictSame(sim.violations, [])
})

t.test('a preview is an answer when time is up, and none for who has left', async (t) => {
  const CHAT_TIMEOUT_MS = 77_000
  const { clock, timeIsUp, read } = watchedClock(CHAT_TIMEOUT_MS)
  const { sim, conversation, post, listen } = await started(t, { clock, config: { CHAT_TIMEOUT_MS } })
  const url = await listen()
  const identity = await conversation()
  sim.set('copilot.turn', {
    ...{ image: 'always', imageText: false, imageFinal: false, previews: 2, plain: true },
    ...{ end: 'silence', endAt: 'after-text' }
  })
  const body = { ...identity, prompt: 'Draw a fox', invocationId: 0 }
  // received, startMessage, generatingImage and two previews
  const EVENTS = 5

  const gone = new AbortController()
  const left = fetch(`${url}/chatgpt`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: gone.signal
  })
  left.catch(() => {})
  await read(EVENTS)
  gone.abort()
  await until(() => sim.counts['copilot.sockets'] === 0)

  for (let tries = 0; tries < 500; tries++) {
    const call = post('/chatgpt', body)
    const early = await Promise.race([call, read(EVENTS)])
    // The turn of who has left may not be given back yet.
    if (early?.status === 409) continue
    timeIsUp()
    const { status, json, headers } = await call
    t.strictSame([status, headers['idempotency-replayed']], [200, undefined], 'it was asked again')
    t.match(json.attachments, [{ type: 'image', preview: true }])
    t.equal(json.truncated, true)
    break
  }
  t.equal(sim.counts['copilot.questions'], 2)
})

t.test('a conversation of the other chat service', async (t) => {
  const before = await startGateway(t, { chatUpstream: 'sydney' })
  const identity = await before.conversation()
  const first = await before.post('/chatgpt', { ...identity, prompt: 'My name is Ada', invocationId: 0 })
  await before.app.close()
  const after = await started(t, { dir: before.dir, sim: before.sim })
  const repeat = await after.post('/chatgpt', { ...identity, prompt: 'My name is Ada', invocationId: 0 })
  t.strictSame([repeat.status, repeat.json], [200, first.json], 'what was answered can be read')
  const next = await after.post('/chatgpt', { ...identity, prompt: 'What is my name?' })
  t.strictSame(
    [next.status, next.json.error.type, next.json.error.code, next.headers['x-should-retry']],
    [404, 'not_found_error', 'conversation_expired', 'false']
  )
  t.equal((await after.get(`/conversations/${identity.conversationId}`, OWNER)).json.turns.length, 1)
  t.equal(after.sim.counts['copilot.questions'] ?? 0, 0)
})

t.test('pictures are copied, and found again', async (t) => {
  const { sim, conversation, post, get, delete: remove, log } = await started(t)
  const identity = await conversation()
  const read = async () => (await get(`/conversations/${identity.conversationId}`, OWNER)).json.turns
  const fetched = async (address: string) => {
    const { pathname, search } = new URL(address)
    return get(pathname + search)
  }
  sim.set('copilot.turn', { plain: true })
  const { json } = await post('/chatgpt', { ...identity, prompt: 'Draw a fox', invocationId: 0 })
  t.match(json.message, /Here is a picture/)
  t.strictSame(Object.keys(json.attachments[0]).sort(), [
    'contentType',
    'height',
    'prompt',
    'type',
    'url',
    'width'
  ])
  t.match(json.attachments[0], { type: 'image', prompt: 'Draw a fox', contentType: 'image/png', width: 1024 })
  const copy = await fetched(json.attachments[0].url)
  t.strictSame([copy.status, copy.headers['content-type']], [200, 'image/png'])
  t.equal(sim.counts['copilot.picture'], 1)
  const repeat = await post('/chatgpt', { ...identity, prompt: 'Draw a fox', invocationId: 0 })
  t.strictSame(repeat.json, json, 'a stored answer has them too')
  t.strictSame((await read())[0].attachments, json.attachments)

  const cases = [
    {
      name: 'gone: the preview instead',
      picture: { expired: true },
      turn: {},
      want: { preview: true, contentType: 'image/jpeg' }
    },
    {
      name: 'not of Copilot: not fetched',
      picture: {},
      turn: { imageHost: 'foreign' },
      want: { preview: true, contentType: 'image/jpeg' }
    },
    {
      name: 'no copy and no preview: the address',
      picture: { expired: true },
      turn: { previews: 0 },
      want: { url: /\/th\/id\/BCO\./ }
    },
    {
      name: 'an address without a host',
      picture: {},
      turn: { imageHost: 'relative' },
      want: { contentType: 'image/png' }
    },
    {
      name: 'two',
      picture: {},
      turn: { images: 2, previewFormat: 'png' },
      want: { contentType: 'image/png' }
    }
  ] as const
  for (const [n, { name, picture, turn, want }] of cases.entries()) {
    sim.set('copilot.picture', picture)
    sim.set('copilot.turn', { plain: true, imageText: false, ...turn })
    const answer = await post('/chatgpt', { ...identity, prompt: `Draw ${name}`, invocationId: n + 1 })
    t.equal(answer.status, 200, name)
    const { attachments, message } = answer.json
    t.match(attachments[0], want, name)
    t.equal(attachments.length, name === 'two' ? 2 : 1)
    for (const { url } of attachments)
      t.ok(message.includes(`](${url})`), 'a message for who shows that alone')
    if (!('url' in want)) t.equal((await fetched(attachments[0].url)).status, 200)
  }
  t.match(log(), /picture of an answer could not be copied/)
  sim.set('copilot.picture', {})
  sim.enqueue('copilot.picture', { status: 503 })
  const patient = await post('/chatgpt', {
    ...identity,
    prompt: 'Draw once more',
    invocationId: cases.length + 1
  })
  t.match(
    patient.json.attachments[0],
    { contentType: 'image/png' },
    'a hiccup of the media host is waited out'
  )
  t.equal(patient.json.attachments[0].preview, undefined)
  const streamed = await post('/chatgpt', { ...identity, prompt: 'Draw a hare', stream: true })
  const [delta, done] = streamed.text
    .split('\n\n')
    .map((event) => JSON.parse(event.split('\ndata: ')[1] ?? '{}'))
  t.equal(delta.text, done.message, 'a stream says it before it is done')
  t.equal(done.attachments.length, 2)

  const [copied] = json.attachments
  t.equal((await get(new URL(copied.url).pathname, { 'x-user-id': 'alice' })).status, 404)
  t.equal((await remove(`/conversations/${identity.conversationId}`, OWNER)).status, 204)
  t.equal((await fetched(copied.url)).status, 404, 'copies go with their conversation')
  t.strictSame(sim.violations, [])
})

t.test('pictures have the time that is left for the answer', async (t) => {
  const waits: number[] = []
  let sim: Simulator | undefined
  const clock: Clock = {
    ...systemClock,
    timer(ms, callback) {
      const isAnswered = (sim?.counts['copilot.completed'] ?? 0) > 0
      if (isAnswered) waits.push(ms)
      return systemClock.timer(isAnswered ? ms / 50 : ms, callback)
    }
  }
  const gateway = await started(t, { clock, config: { CHAT_TIMEOUT_MS: 14_000 } })
  sim = gateway.sim
  const identity = await gateway.conversation()
  sim.set('copilot.turn', { plain: true })
  sim.set('copilot.picture', { stall: 'before' })
  const { status, json } = await gateway.post('/chatgpt', { ...identity, prompt: 'Draw a fox' })
  t.equal(status, 200)
  t.match(json.attachments, [{ preview: true, contentType: 'image/jpeg' }])
  t.equal(gateway.sim.counts['copilot.picture'], 1, 'it was tried')
  t.ok(
    waits.some((ms) => ms > 5000 && ms < 14_000),
    'what is left'
  )
  t.notOk(waits.includes(15_000), 'and no more')
})

t.test('pictures are copied although their caller has left', async (t) => {
  const { clock, done } = watchedClock(77_000)
  const { sim, conversation, post, listen } = await started(t, { clock, config: { CHAT_TIMEOUT_MS: 77_000 } })
  const url = await listen()
  const identity = await conversation()
  const cases = [
    { name: 'before the copy began', turn: { followupsDelayMs: 600_000 }, leaveAt: done },
    { name: 'while it ran', turn: {}, leaveAt: () => until(() => sim.counts['copilot.picture'] === 2) }
  ]
  for (const [invocationId, { name, turn, leaveAt }] of cases.entries()) {
    sim.set('copilot.turn', { plain: true, image: 'always', ...turn })
    sim.set('copilot.picture', { delayMs: 300 })
    const body = { ...identity, prompt: 'Draw a fox', invocationId }
    const gone = new AbortController()
    const left = fetch(`${url}/chatgpt`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: gone.signal
    })
    left.catch(() => {})
    await leaveAt()
    gone.abort()
    let repeat = await post('/chatgpt', body)
    // The answer is not stored yet.
    for (let tries = 0; repeat.status === 409 && tries < 1000; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      repeat = await post('/chatgpt', body)
    }
    t.strictSame([repeat.status, repeat.headers['idempotency-replayed']], [200, 'true'], name)
    t.match(repeat.json.attachments, [{ contentType: 'image/png', width: 1024 }], name)
    t.notOk('preview' in (repeat.json.attachments?.[0] ?? {}), name)
  }
  t.equal(sim.counts['copilot.questions'], 2)
})

t.test('a repeat that waits for the pace', async (t) => {
  const early = { end: 'close', endAt: 'start' } as const
  const repeats = (log: string) => log.split('"turn repeated"').length - 1

  await t.test('is waiting, not being answered', async (t) => {
    const { sim, conversation, post, log } = await started(t, {
      speed: 30,
      config: { COPILOT_TURNS_PER_MINUTE: 1, CHAT_TIMEOUT_MS: 180_000 }
    })
    const identity = await conversation()
    sim.enqueue('copilot.turn', early)
    const { status, headers } = await post('/chatgpt', { ...identity, prompt: 'Hi' })
    t.equal(status, 200)
    const [, upstream, queue] = /^upstream;dur=([\d.]+), queue;dur=([\d.]+)/.exec(
      String(headers['server-timing'])
    ) ?? ['', '', '']
    // A minute is two seconds here.
    t.ok(Number(queue) > 1000, `it waited: ${queue} ms`)
    t.ok(Number(upstream) > 0, 'the rest is as it was')
    t.equal(repeats(log()), 1)
  })

  await t.test('is none when it would come too late', async (t) => {
    const { sim, conversation, post, log } = await started(t, {
      speed: 10,
      config: { COPILOT_TURNS_PER_MINUTE: 1, CHAT_TIMEOUT_MS: 55_000 }
    })
    const identity = await conversation()
    sim.set('copilot.turn', early)
    const { status, json } = await post('/chatgpt', { ...identity, prompt: 'Hi' })
    t.strictSame([status, json.error.code], [503, 'hub_closed'])
    t.equal(sim.counts['copilot.questions'], 1)
    t.equal(repeats(log()), 0, 'nor does the log tell of one')
  })
})

t.test('repeats wait for their turn in the minute', async (t) => {
  const { sim, conversation, post } = await started(t, {
    speed: 30,
    config: { COPILOT_TURNS_PER_MINUTE: 3, COPILOT_CONCURRENCY: 2, CHAT_TIMEOUT_MS: 90_000 }
  })
  // A minute is two seconds here.
  sim.set('copilot.pace', { turns: 3, windowMs: 1300 })
  const identities = await Promise.all(Array.from({ length: 6 }, () => conversation()))
  sim.set('copilot.turn', { end: 'close', endAt: 'start' })
  const answers = await Promise.all(
    identities.map((identity) => post('/chatgpt', { ...identity, prompt: 'Hi' }))
  )
  const told = answers.map(({ status, json }) => `${status} ${json.error.code}`)
  for (const one of told) t.match(one, /^(503 hub_closed|429 pace_limited)$/)
  t.ok(told.includes('503 hub_closed') && told.includes('429 pace_limited'), told.join(', '))
  for (const { status, headers } of answers)
    if (status === 429) t.ok(Number(headers['retry-after']) > 0, 'a time to come back')
  t.equal(sim.counts['copilot.questions'], 6, 'three a minute, in the time that there was')
  t.equal(sim.counts['copilot.pace.exceeded'] ?? 0, 0)
})

t.test('no more turns a minute than the account bears', async (t) => {
  const { sim, conversation, post, get } = await started(t, {
    speed: 30,
    config: { COPILOT_TURNS_PER_MINUTE: 3, COPILOT_CONCURRENCY: 2, CHAT_TIMEOUT_MS: 90_000 }
  })
  // A minute is two seconds here, of which the way to the simulator takes its share.
  sim.set('copilot.pace', { turns: 3, windowMs: 1300, parallel: 2 })
  const identities = await Promise.all(Array.from({ length: 9 }, () => conversation()))
  const answers = await Promise.all(
    identities.map((identity) => post('/chatgpt', { ...identity, prompt: 'Hi' }))
  )
  const refused = answers.filter(({ status }) => status !== 200)
  t.equal(refused.length, 3, 'those whose turn would come after their deadline')
  for (const { status, json, headers } of refused) {
    t.strictSame([status, json.error.type, json.error.code], [429, 'rate_limit_error', 'pace_limited'])
    t.ok(
      Number(headers['retry-after']) > 60 && Number(headers['retry-after']) <= 120,
      `${headers['retry-after']}`
    )
  }
  t.equal(sim.counts['copilot.questions'], 6, 'and were not sent')
  t.equal(sim.counts['copilot.pace.exceeded'] ?? 0, 0)
  t.ok((sim.counts['copilot.turns.peak'] ?? 0) <= 2)
  t.match((await get('/health')).json.data.upstreams[0], { state: 'ok' })
  t.strictSame(sim.violations, [])
})
