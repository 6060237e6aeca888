/** `session.changed`: the webhook by which the gateway tells how the account stands. */
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import t, { type Test } from 'tap'
import { type Config, type ConfigError, loadConfig } from '../../src/config.ts'
import { createDeliveryStore, type NewMessage } from '../../src/store/delivery-store.ts'
import type { StateChange } from '../../src/upstream/health.ts'
import type { SessionStateName } from '../../src/upstream/session-state.ts'
import { createSessionNews } from '../../src/webhooks/session-news.ts'
import { startGateway } from '../support/gateway.ts'
import { handClock } from '../support/hand-clock.ts'
import { runCli } from '../support/process.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'
import { sessionRig, until } from '../support/session-rig.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const NAMES = ['image-creator', 'sydney', 'video-creator']

const settings = (url: string): Partial<Config> => ({
  WEBHOOK_SECRET: SECRET,
  WEBHOOK_ALLOW_PRIVATE: true,
  SESSION_WEBHOOK_URL: url
})

const turns = () => new Promise((resolve) => setImmediate(resolve))

t.test('the cookie expires, and a person brings a new one', async (t) => {
  const receiver = await startReceiver(t)
  const rig = await sessionRig(t, {
    chatUpstream: 'sydney',
    speed: 4,
    config: settings(`${receiver.url}/hook?token=s3cret`)
  })
  const of = (events: typeof receiver.received) =>
    events.map(({ event }) => event).sort((a, b) => (a.data.name < b.data.name ? -1 : 1))

  rig.sim.set('bootstrap', { page: 'signed-out' })
  t.equal((await rig.image()).status, 401)
  await receiver.count(3)
  const expired = of(receiver.received.slice(0, 3))
  t.strictSame(
    expired.map(({ data }) => data.name),
    NAMES
  )
  const { upstreams } = (await rig.get('/health')).json.data
  for (const { type, timestamp, data } of expired) {
    t.equal(type, 'session.changed')
    t.ok(timestamp >= data.since)
    const shown = upstreams.find(({ name }: { name: string }) => name === data.name)
    t.strictSame(data, { ...shown, previous: 'ok' }, 'what /health shows')
    t.match(data, { state: 'expired', action: /^Sign in at bing\.com/ })
  }
  t.match(receiver.received[0], { method: 'POST', path: '/hook?token=s3cret' })

  rig.sim.reset()
  rig.accept('new-cookie')
  rig.save('new-cookie')
  await receiver.count(6)
  const well = of(receiver.received.slice(3))
  t.strictSame(
    well.map(({ data: { since, ...rest } }) => rest),
    NAMES.map((name) => ({ name, state: 'ok', previous: 'expired' }))
  )

  const ajv = new Ajv({ strict: false })
  addFormats.default(ajv)
  ajv.addSchema((await rig.get('/openapi.json')).json, 'document')
  const media = 'document#/webhooks/sessionChanged/post/requestBody/content/application~1json'
  for (const event of [...expired, ...well]) t.ok(ajv.validate(`${media}/schema`, event), 'as documented')
  t.notOk(ajv.validate(`${media}/schema`, { ...expired[0], type: 'task.completed' }))

  await until('all are counted', async () =>
    /^bing_gateway_webhook_deliveries_total{result="delivered"} 6$/m.test((await rig.get('/metrics')).text)
  )
  t.notMatch(rig.log(), /s3cret/)
  t.notMatch(receiver.received.map(({ body }) => body).join(), /new-cookie|simulated-cookie/)
  t.equal(receiver.received.length, 6)
})

t.test('it stays in the outbox, through a 500 and a stop; it is listed, replayed and removed', async (t) => {
  let answer = 500
  const receiver = await startReceiver(t, (res) => void res.writeHead(answer).end())
  const clock = handClock()
  const rig = await sessionRig(t, {
    chatUpstream: 'sydney',
    clock,
    config: { ...settings(`${receiver.url}/hook?token=s3cret`), SESSION_CHECK_MINUTES: 0 }
  })
  const outbox = createDeliveryStore(rig.app.store.database)
  const pending = () => outbox.list({ states: ['pending'], limit: 10 })
  rig.sim.set('create', { failure: 'forbidden' })
  t.equal((await rig.start()).status, 403)
  clock.pass(2000)
  await receiver.count(1)
  await until('it is put off', async () => (await pending())[0]?.attempts === 1)
  const id = receiver.received[0]?.headers['webhook-id'] as string
  t.match(receiver.received[0]?.event.data, { name: 'sydney', state: 'forbidden', action: String })
  t.match(await pending(), [{ id, taskId: null, event: 'session.changed', lastStatus: 500, worker: null }])

  answer = 204
  clock.pass(6000)
  await receiver.count(2)
  t.equal(receiver.received[1]?.headers['webhook-id'], id)
  t.equal(receiver.received[1]?.body, receiver.received[0]?.body)
  await until('it is delivered', async () => (await outbox.get(id))?.state === 'delivered')

  const cli = async (...args: string[]) => {
    const command = runCli(t, ['webhooks', ...args], { DATA_DIR: rig.dir })
    return { code: await command.exited, output: command.output() }
  }
  clock.pass(5 * MINUTE_MS)
  t.match(await cli('replay', id), { code: 0 })
  await receiver.count(3)
  t.equal(receiver.received[2]?.headers['webhook-id'], id)
  await until('it is delivered again', async () => (await outbox.get(id))?.state === 'delivered')
  const { output } = await cli('list', '--json')
  const url = `${receiver.url}/hook?…`
  t.match(JSON.parse(output), [
    { id, taskId: null, userId: null, event: 'session.changed', url, attempts: 1 }
  ])

  t.equal(await outbox.removeEnded(Date.now() + DAY_MS, 10), 1)
  t.strictSame(await outbox.list({ limit: 10 }), [])
  t.notMatch(rig.log() + output, /s3cret/)
})

t.test('what has only just changed outlasts a stop', async (t) => {
  const receiver = await startReceiver(t)
  const dir = t.testdir()
  const { sim, app, post } = await startGateway(t, {
    dir,
    chatUpstream: 'sydney',
    clock: handClock(),
    config: settings(receiver.url)
  })
  sim.set('create', { failure: 'forbidden' })
  t.equal((await post('/create_conversation', { userId: 'alice' })).status, 403)
  await app.close()
  t.equal(receiver.received.length, 0)
  await startGateway(t, { dir, chatUpstream: 'sydney', config: settings(receiver.url) })
  await receiver.count(1)
  t.match(receiver.received[0]?.event.data, { name: 'sydney', state: 'forbidden', previous: 'ok' })
})

t.test('settings that can not work are refused at the start', async (t) => {
  const problems = (env: Record<string, string>) => {
    try {
      loadConfig(env)
      return []
    } catch (error) {
      return (error as ConfigError).problems
    }
  }
  const url = 'https://example.com/hook?token=s3cret'
  const WEBHOOK_SECRET = SECRET
  t.strictSame(problems({ SESSION_WEBHOOK_URL: url, WEBHOOK_SECRET }), [])
  t.equal(loadConfig({ SESSION_WEBHOOK_URL: url, WEBHOOK_SECRET }).SESSION_WEBHOOK_URL, url)
  t.match(problems({ SESSION_WEBHOOK_URL: url }), [/^SESSION_WEBHOOK_URL needs WEBHOOK_SECRET/])
  t.match(problems({ SESSION_WEBHOOK_URL: url, WEBHOOK_SECRET: 'whsec_short' }), [/^WEBHOOK_SECRET must/])
  const cases: [url: string, why: RegExp, more?: Record<string, string>][] = [
    ['ftp://example.com', /http or https/],
    ['example.com/hook', /http or https/],
    ['https://user:s3cret@example.com', /user name or password/],
    ['https://[example', /http or https/],
    [`https://example.com/${'a'.repeat(2048)}`, /2048/],
    ['http://127.0.0.1:9000', /public address, unless WEBHOOK_ALLOW_PRIVATE/],
    ['http://localhost/hook', /public address, unless WEBHOOK_ALLOW_PRIVATE/],
    ['http://0x0a000001/', /public address, unless WEBHOOK_ALLOW_PRIVATE/],
    ['http://169.254.169.254/', /private or loopback address/, { WEBHOOK_ALLOW_PRIVATE: 'true' }]
  ]
  for (const [SESSION_WEBHOOK_URL, why, more] of cases) {
    const found = problems({ SESSION_WEBHOOK_URL, WEBHOOK_SECRET, ...more })
    t.equal(found.length, 1, SESSION_WEBHOOK_URL)
    t.match(found[0], /^SESSION_WEBHOOK_URL /)
    t.match(found[0], why)
    t.notMatch(found[0], /s3cret/)
  }
  t.strictSame(
    problems({ SESSION_WEBHOOK_URL: 'http://10.0.0.1/', WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' }),
    []
  )
})

/** News over a store that is told when to fail. */
function newsRig(t: Test) {
  const clock = handClock(0)
  const added: NewMessage[] = []
  const warnings: string[] = []
  const rig = {
    clock,
    warnings,
    storeFails: false,
    /** Ids of the messages that it was given, taken or not. */
    asked: [] as string[],
    note: (state: SessionStateName, name: StateChange['name'] = 'sydney') =>
      news.note({ name, state, previous: 'ok', since: clock.now(), until: undefined, action: undefined }),
    told: () =>
      added.map(({ payload }) => {
        const { name, previous, state } = JSON.parse(payload).data
        return `${name}: ${previous} -> ${state}`
      }),
    async pass(ms: number) {
      clock.pass(ms)
      await turns()
    },
    close: () => news.close()
  }
  const news = createSessionNews({
    url: 'https://hook.test/',
    clock,
    async add(message) {
      rig.asked.push(message.id)
      if (rig.storeFails) throw new Error('the store is away')
      added.push(message)
    },
    onAdded() {},
    log: { warn: (_details: object, text: string) => void warnings.push(text) } as never
  })
  t.teardown(() => news.close())
  return rig
}

t.test('a storm of changes is told as few', async (t) => {
  const { note, told, pass } = newsRig(t)
  note('throttled')
  note('challenged')
  note('expired')
  note('challenged', 'image-creator')
  await pass(1999)
  t.strictSame(told(), [])
  note('forbidden')
  await pass(1)
  t.strictSame(told(), ['sydney: ok -> forbidden', 'image-creator: ok -> challenged'], 'the last one of each')

  note('ok')
  note('forbidden')
  await pass(DAY_MS)
  t.equal(told().length, 2, 'nothing when it is back')

  for (let n = 0; n < 3600; n++) {
    note((['ok', 'throttled', 'unreachable'] as const)[n % 3] as SessionStateName)
    await pass(1001)
  }
  const many = told().length
  t.ok(many > 5 && many < 30, `an hour of it is ${many} messages`)
  note('ok')
  await pass(5 * MINUTE_MS)
  t.match(told().at(-1), /-> ok$/, 'the last word is told')

  await pass(10 * MINUTE_MS)
  note('unreachable')
  await pass(2000)
  t.equal(told().at(-1), 'sydney: ok -> unreachable', 'after a rest it is quick again')
})

t.test('with the store away the latest state is told later', async (t) => {
  const rig = newsRig(t)
  const { note, told, pass, asked, warnings } = rig
  rig.storeFails = true
  note('throttled')
  await pass(2000)
  await pass(5000)
  t.equal(asked.length, 2)
  t.equal(asked[0], asked[1], 'the same message: the first answer may have been lost')
  t.strictSame(warnings, Array(2).fill('session.changed could not be stored, to be tried again'))
  for (const state of ['challenged', 'expired'] as const) note(state)
  rig.storeFails = false
  await pass(5000)
  t.strictSame(told(), ['sydney: ok -> expired'])
  t.not(asked[2], asked[1])

  rig.storeFails = true
  note('ok')
  await pass(5000)
  note('expired')
  rig.storeFails = false
  await pass(DAY_MS)
  t.equal(told().length, 1, 'it is back to what was told')

  note('ok')
  await rig.close()
  t.strictSame(told().slice(1), ['sydney: expired -> ok'], 'told before the end')
  note('expired')
  await pass(DAY_MS)
  t.equal(told().length, 2)
})
