import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { Config } from '../../src/config.ts'
import { startSimulator } from '../../src/simulator/index.ts'
import { COOKIE, type Gateway, startGateway } from '../support/gateway.ts'
import { runCli, startProcess } from '../support/process.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'
import { MALFORMED_URLS, UNSAFE_ADDRESSES, UNSAFE_URLS } from '../support/unsafe-targets.ts'

const ALICE = { 'x-user-id': 'alice' }
const WITH_SECRET: Partial<Config> = { WEBHOOK_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: true }

const refusal = (code: string, message: string) => ({
  error: { message, type: 'invalid_request_error', code, param: 'webhookUrl' }
})
const create = (gateway: Gateway, webhookUrl: string, query = 'waves') =>
  gateway.post('/create/video', { query, webhookUrl }, ALICE)

async function metric(gateway: Gateway, line: string): Promise<number> {
  const { text } = await gateway.get('/metrics')
  return Number(new RegExp(`^${line.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm').exec(text)?.[1])
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 1000; n++) {
    if (await holds()) return
    await systemClock.sleep(10)
  }
  throw new Error('it did not happen within 10 s')
}

t.test('without a secret no webhook can be asked for', async (t) => {
  const gateway = await startGateway(t)
  const expected = refusal(
    'webhooks_not_configured',
    'This gateway sends no webhooks: it has no WEBHOOK_SECRET.'
  )
  const video = await create(gateway, 'https://example.com/hook')
  t.strictSame([video.status, video.json], [400, expected])
  const image = await gateway.post(
    '/create/image',
    { query: 'waves', webhookUrl: 'https://example.com/hook' },
    { ...ALICE, prefer: 'respond-async' }
  )
  t.strictSame([image.status, image.json], [400, expected])
  t.strictSame(await gateway.app.store.tasks.list('alice', { limit: 10 }), [])
})

t.test('a target is kept as it was judged', async (t) => {
  const gateway = await startGateway(t, { config: { WEBHOOK_SECRET: SECRET } })
  const { status, json } = await create(gateway, ' http://93.184.216.34/a\u0000b\n')
  t.equal(status, 200)
  const task = await gateway.app.store.tasks.get(json.data.taskId)
  t.equal(task?.webhookUrl, 'http://93.184.216.34/a%00b', 'PostgreSQL takes no text with NUL')
})

t.test('targets that are not allowed are refused before anything is created', async (t) => {
  const gateway = await startGateway(t, {
    config: { WEBHOOK_SECRET: SECRET, DEFAULT_LIMITS: 'none' }
  })
  const address = refusal('webhook_url_refused', 'webhookUrl must lead to a public address.')
  const inUrl = (text: string) => `https://${text.includes(':') ? `[${text}]` : text}/hook`
  for (const url of [...Object.keys(UNSAFE_ADDRESSES).map(inUrl), ...UNSAFE_URLS]) {
    const { status, json } = await create(gateway, url)
    t.strictSame([status, json], [400, address], url)
  }
  const form = refusal(
    'webhook_url_refused',
    'webhookUrl must be an http or https URL without a user name and a password.'
  )
  // The schema has its own word on what is empty or too long.
  for (const url of MALFORMED_URLS.filter(({ length }) => length > 0 && length <= 2048)) {
    const { status, json } = await create(gateway, url)
    t.strictSame([status, json], [400, form], url)
  }
  for (const webhookUrl of ['', `https://example.com/${'a'.repeat(2048)}`, 7]) {
    const { status, json } = await gateway.post('/create/video', { query: 'waves', webhookUrl }, ALICE)
    t.match([status, json], [400, { error: { type: 'invalid_request_error', param: 'webhookUrl' } }])
  }
  t.strictSame(await gateway.app.store.tasks.list('alice', { limit: 10 }), [])
})

t.test('the webhook says what the task says, however it ended', async (t) => {
  const receiver = await startReceiver(t)
  const gateway = await startGateway(t, { config: WITH_SECRET })

  const { json } = await create(gateway, `${receiver.url}/completed`)
  await receiver.count(1)
  const task = await gateway.ended(json.data.taskId, ALICE)
  const [completed] = receiver.received
  // Media URLs are signed anew each time.
  const bare = (view: object) => ({ ...view, media: undefined })
  t.equal(completed?.event.type, 'task.completed')
  t.equal(completed?.event.timestamp, task.completedAt)
  t.strictSame(bare(completed?.event.data), bare(task))
  t.ok((completed?.body.length ?? 0) < 20_000)

  const ajv = new Ajv({ strict: false })
  addFormats.default(ajv)
  ajv.addSchema((await gateway.get('/openapi.json')).json, 'document')
  const media = 'document#/webhooks/taskEnded/post/requestBody/content/application~1json'
  t.equal(ajv.validate(`${media}/schema`, completed?.event), true, 'it is as documented', {
    errors: ajv.errors
  })
  t.equal(ajv.validate(`${media}/schema`, { ...completed?.event, type: 'task.other' }), false)

  gateway.sim.set('videoPoll', { neverReady: true })
  const second = await create(gateway, `${receiver.url}/cancelled`, 'more waves')
  await gateway.app.inject({ method: 'DELETE', url: `/task/${second.json.data.taskId}`, headers: ALICE })
  await receiver.count(2)
  t.equal(receiver.received[1]?.event.type, 'task.cancelled')
  t.equal(receiver.received[1]?.event.data.status, 'cancelled')

  await until(async () => (await metric(gateway, 'bing_gateway_webhooks{state="delivered"}')) === 2)
  t.equal(await metric(gateway, 'bing_gateway_webhook_deliveries_total{result="delivered"}'), 2)
  t.equal(await metric(gateway, 'bing_gateway_webhook_deliveries_total{result="failed"}'), 0)
  t.notMatch(gateway.log(), new RegExp(`${SECRET.slice(6, 20)}|/completed|webhook-signature`))
})

t.test('an image whose caller does not wait has a webhook too', async (t) => {
  const receiver = await startReceiver(t)
  const gateway = await startGateway(t, { config: WITH_SECRET })
  const { status, json } = await gateway.post(
    '/create/image',
    { query: 'a fox', webhookUrl: receiver.url },
    { ...ALICE, prefer: 'respond-async' }
  )
  t.equal(status, 202)
  await receiver.count(1)
  const { type, data } = receiver.received[0]?.event ?? {}
  t.equal(type, 'task.completed')
  t.equal(data.id, json.data.taskId)
  t.ok(data.images.length > 0)
})

async function folder(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const sim = await startSimulator({ cookies: [COOKIE] })
  t.teardown(async () => {
    await sim.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return { dir, sim }
}

t.test('what could not be sent before a stop is sent after the next start', async (t) => {
  let works = false
  const receiver = await startReceiver(t, (res) => {
    if (works) res.writeHead(200).end()
  })
  const same = await folder(t)
  const first = await startGateway(t, { ...same, config: WITH_SECRET })
  await create(first, receiver.url)
  await receiver.count(1)
  const before = Date.now()
  await first.app.close()
  t.ok(Date.now() - before < 5000, 'a hanging receiver holds up no stop')

  const mute = await startGateway(t, same)
  t.equal(await metric(mute, 'bing_gateway_webhooks{state="pending"}'), 1, 'without a secret it waits')
  await mute.app.close()

  works = true
  await startGateway(t, { ...same, config: WITH_SECRET })
  await receiver.count(2)
  const [one, two] = receiver.received
  t.equal(one?.headers['webhook-id'], two?.headers['webhook-id'])
  t.strictSame(one?.event.data.id, two?.event.data.id)
})

t.test('kill -9 while a webhook is under way; list and replay it beside the running gateway', async (t) => {
  let answer: 'hang' | 410 | 200 = 'hang'
  const receiver = await startReceiver(t, (res) => {
    if (answer !== 'hang') res.writeHead(answer).end()
  })
  const { dir, sim } = await folder(t)
  writeFileSync(join(dir, 'whitelist.txt'), 'alice\n')
  const env = {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: COOKIE,
    DATA_DIR: join(dir, 'data'),
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    POLL_INTERVAL_MS: '20',
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_ALLOW_PRIVATE: 'true'
  }
  const first = await startProcess(t, env)
  const created = await fetch(`${first.url}/create/video`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...ALICE },
    body: JSON.stringify({ query: 'waves', webhookUrl: `${receiver.url}/hook?token=s3cret` })
  })
  t.equal(created.status, 200)
  await receiver.count(1)
  await first.end('SIGKILL')

  answer = 410
  const second = await startProcess(t, env)
  await receiver.count(2)
  const id = receiver.received[0]?.headers['webhook-id'] as string
  t.equal(receiver.received[1]?.headers['webhook-id'], id)

  const cli = async (...args: string[]) => {
    const command = runCli(t, ['webhooks', ...args], env)
    const code = await command.exited
    return { code, output: command.output() }
  }
  // biome-ignore lint/suspicious/noExplicitAny: looked into below
  let failed: any[] = []
  await until(async () => {
    failed = JSON.parse((await cli('list', '--failed', '--json')).output)
    return failed.length > 0
  })
  t.match(failed, [
    {
      id,
      userId: 'alice',
      event: 'task.completed',
      url: `${receiver.url}/hook?…`,
      state: 'failed',
      attempts: 1,
      nextAttemptAt: null,
      lastStatus: 410,
      lastError: 'the receiver wants no more webhooks'
    }
  ])
  const list = await cli('list')
  t.match(list.output, new RegExp(`^ID .*\\n${id} +task\\.completed +http.* failed `))

  answer = 200
  const replayed = await cli('replay', id)
  t.strictSame(replayed, {
    code: 0,
    output: `${id} is due again. A running gateway sends it within seconds.\n`
  })
  await receiver.count(3)
  t.equal(receiver.received[2]?.headers['webhook-id'], id)
  t.equal(receiver.received[2]?.body, receiver.received[1]?.body)
  await until(async () => JSON.parse((await cli('list', '--failed', '--json')).output).length === 0)
  t.notMatch(`${first.output()}${second.output()}${list.output}${replayed.output}`, /s3cret/)

  const unknown = await cli('replay', 'msg_none')
  t.equal(unknown.code, 1)
  t.match(unknown.output, 'there is no webhook with the id msg_none')
  t.equal(await second.end('SIGTERM'), 0)
})
