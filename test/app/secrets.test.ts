/** Canaries: values that only the operator or one caller may know, sent through every path, searched in everything that comes out. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startSimulator } from '../../src/simulator/index.ts'
import { startGateway, USER } from '../support/gateway.ts'

const COOKIE = 'CANARYcookie7f3a'
const OTHER = 'CANARYother19bd'
const PROMPT = 'CANARYprompt44c2'

t.test('no secret in any log line, answer or metric', async (t) => {
  const sim = await startSimulator({ cookies: [COOKIE] })
  t.teardown(() => sim.close())
  const gateway = await startGateway(t, {
    sim,
    speed: 100,
    config: {
      BING_COOKIE_U: `_U=${COOKIE}; KievRPSSecAuth=${OTHER}`,
      CHAT_TIMEOUT_MS: 120_000,
      IMAGE_TIMEOUT_MS: 120_000
    }
  })
  const answers: string[] = []
  const post = async (url: string, body: unknown, headers?: Record<string, string>) => {
    const res = await gateway.post(url, body, headers)
    answers.push(`${res.text}\n${JSON.stringify(res.headers)}`)
    return res
  }
  const created = await post('/create_conversation', { userId: USER })
  const identity = created.json
  // The caller's own signature comes back in this one answer, and nowhere else.
  answers.length = 0
  const ask = () => post('/chatgpt', { ...identity, invocationId: undefined, prompt: PROMPT })

  for (const failure of [
    'unauthorized',
    'user-status',
    'forbidden',
    'internal',
    'no-signature',
    'no-ids',
    'empty',
    'html',
    'not-json',
    'region',
    'region-loop',
    'login-redirect',
    'cloudflare-403',
    'not-found',
    'challenge-message'
  ] as const) {
    sim.set('create', { failure })
    await gateway.post('/create_conversation', { userId: USER })
  }
  for (const fault of [
    { reset: true },
    { status: 500 },
    { status: 503 },
    { status: 429 },
    { status: 403, body: '<html>' }
  ]) {
    sim.set('create', fault)
    await post('/create_conversation', { userId: USER })
    sim.set('upgrade', fault)
    await ask()
    sim.set('bootstrap', fault)
    await post('/create/image', { query: PROMPT })
    sim.set('bootstrap', {})
    sim.set('submit', fault)
    await post('/create/image', { query: PROMPT })
    sim.set('submit', {})
  }
  sim.set('create', {})
  sim.set('upgrade', {})
  for (const failure of [
    'throttled',
    'captcha',
    'signature-missing',
    'unauthorized',
    'deepleo',
    'chatgpt',
    'storage',
    'context-length',
    'invalid-request'
  ] as const) {
    sim.set('turn', { failure })
    await ask()
  }
  for (const end of ['close', 'terminate', 'type-7'] as const) {
    for (const endAt of ['start', 'before-text', 'mid-text'] as const) {
      sim.set('turn', { end, endAt })
      await ask()
    }
  }
  sim.set('turn', { notJson: 'before-text' })
  await ask()
  sim.set('turn', {})
  t.equal((await ask()).status, 200)
  await post('/chatgpt', { ...identity, conversationSignature: 'wrong', prompt: PROMPT })
  await post('/chatgpt', { ...identity, prompt: 7 })
  await post('/create/image', { query: PROMPT, model: 'nope' })
  for (const answer of ['start-page', 'no-id', 'login', 'authns', 'lost'] as const) {
    sim.set('submit', { answer })
    await post('/create/image', { query: PROMPT })
  }
  sim.set('submit', {})
  const { taskId } = (await post('/create/image', { query: PROMPT })).json.data
  answers.push((await gateway.get(`/task/${taskId}`)).text)
  sim.cookies.expire(COOKIE)
  await post('/create/image', { query: PROMPT })
  await post('/create_conversation', { userId: USER })
  writeFileSync(join(gateway.dir, 'cookie.txt'), `${COOKIE}\nbroken`)
  const broken = await startGateway(t, {
    sim,
    config: { BING_COOKIE_U: undefined, BING_COOKIE_FILE: join(gateway.dir, 'cookie.txt') }
  })
  await broken.post('/create/image', { query: 'x' })

  for (const url of ['/metrics', '/health', '/readyz', '/', '/openapi.json'])
    answers.push((await gateway.get(url)).text)
  const log = gateway.log() + broken.log()
  t.ok(log.length > 10_000, 'the log holds every path')
  const upstream = sim.requests
    .filter(({ search }) => search.includes('sec_access_token='))
    .map(({ search }) => decodeURIComponent(/sec_access_token=([^&]+)/.exec(search)?.[1] ?? ''))
  t.ok(upstream.length > 0)
  const secrets = {
    cookie: COOKIE,
    'another cookie': OTHER,
    "the caller's signature": identity.conversationSignature,
    'the upstream token': upstream[0] as string
  }
  for (const [name, secret] of Object.entries(secrets)) {
    t.notOk(log.includes(secret) || log.includes(encodeURIComponent(secret)), `${name} is in no log line`)
    t.notOk(
      answers.some((text) => text.includes(secret) || text.includes(encodeURIComponent(secret))),
      `${name} is in no answer`
    )
  }
  t.notOk(log.includes(PROMPT), 'prompts are in no log line either')
})
