/** How the service says that it, or the account, is in trouble. */
import t from 'tap'
import { startGateway, USER } from '../support/gateway.ts'

interface Upstream {
  name: string
  state: string
  since: string
  until?: string
  action?: string
}

t.test('/health tells how each upstream stands', async (t) => {
  const gateway = await startGateway(t, { speed: 50 })
  const { sim } = gateway
  const upstreams = async (): Promise<Upstream[]> => (await gateway.get('/health')).json.data.upstreams
  const one = async (name: string) =>
    (await upstreams()).find((upstream) => upstream.name === name) as Upstream
  t.strictSame(
    (await upstreams()).map(({ name, state }) => [name, state]),
    [
      ['sydney', 'ok'],
      ['image-creator', 'ok'],
      ['video-creator', 'ok']
    ]
  )

  let serial = 0
  const newCookie = () => {
    const value = `cookie-${++serial}`
    sim.cookies.accept(value)
    gateway.app.upstream.account.replace(value)
  }
  const identity = await gateway.conversation()
  const ask = () => gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })
  const chat = [
    [{ failure: 'captcha' }, 'challenged', /browser/],
    [{ failure: 'unauthorized' }, 'expired', /new _U cookie/],
    [{ failure: 'deepleo' }, 'ok', undefined]
  ] as const
  for (const [turn, state, action] of chat) {
    sim.set('turn', turn)
    await ask()
    const seen = await one('sydney')
    t.equal(seen.state, state)
    const others = new Set((await upstreams()).slice(1).map((upstream) => upstream.state))
    // A cookie that the hub alone does not like may be a hiccup.
    t.strictSame([...others], [state === 'challenged' ? state : 'ok'], 'whether the whole account waits')
    newCookie()
    if (action === undefined) t.notOk('action' in seen)
    else t.match(seen.action, action)
  }
  sim.set('turn', { failure: 'throttled' })
  await ask()
  const throttled = await one('sydney')
  t.equal(throttled.state, 'throttled')
  t.ok(Date.parse(throttled.until as string) > Date.parse(throttled.since), 'with an end that is known')
  sim.set('turn', {})
  t.equal((await ask()).status, 200)
  t.equal((await one('sydney')).state, 'ok')

  sim.set('create', { failure: 'forbidden' })
  await gateway.post('/create_conversation', { userId: USER })
  t.equal((await one('sydney')).state, 'forbidden')
  t.equal((await one('image-creator')).state, 'ok', 'upstreams stand apart')
  sim.set('bootstrap', { status: 503 })
  await gateway.post('/create/image', { query: 'a fox' })
  t.equal((await one('image-creator')).state, 'unreachable')
  gateway.app.upstream.account.replace('another')
  t.strictSame([...new Set((await upstreams()).map(({ state }) => state))], ['ok'], 'new cookies, new luck')

  const without = await startGateway(t, { config: { BING_COOKIE_U: undefined } })
  t.strictSame(
    [
      ...new Set(
        (await without.get('/health')).json.data.upstreams.map((upstream: Upstream) => upstream.state)
      )
    ],
    ['unconfigured']
  )
  t.strictSame((await without.get('/readyz')).json, {
    status: 'degraded',
    checks: { store: 'ok', draining: false, cookie: 'missing' }
  })
})

t.test('/readyz tells the two accounts apart', async (t) => {
  const gateway = await startGateway(t, { chatUpstream: 'copilot' })
  const checks = async () => (await gateway.get('/readyz')).json
  t.match(await checks(), { status: 'ok', checks: { cookie: 'ok', copilot: 'ok' } })
  gateway.sim.set('copilot.start', { refusal: 'cloudflare' })
  t.equal((await gateway.post('/create_conversation', { userId: USER })).status, 503)
  t.match(await checks(), { status: 'degraded', checks: { cookie: 'ok', copilot: 'challenged' } })
  gateway.sim.set('bootstrap', { page: 'signed-out' })
  t.equal((await gateway.post('/create/image', { query: 'a fox' })).status, 401)
  t.match(await checks(), { status: 'degraded', checks: { cookie: 'expired', copilot: 'challenged' } })
})

t.test('/metrics', async (t) => {
  const gateway = await startGateway(t)
  await gateway.post('/create/image', { query: 'a fox named CANARY' }, { 'x-user-id': USER })
  await gateway.get('/task/some-id')
  const { text, headers } = await gateway.get('/metrics')
  t.match(headers['content-type'], /^text\/plain/)
  t.match(
    text,
    /http_server_request_duration_seconds_count\{http_request_method="POST",http_route="\/create\/image",http_response_status_code="200",error_type=""\} 1/
  )
  t.match(text, /http_route="\/task\/:taskId"/, 'routes, not paths')
  t.match(text, /bing_gateway_tasks\{status="completed"\} 1/)
  t.notMatch(text, /CANARY|OlivierShi|some-id/)
})
