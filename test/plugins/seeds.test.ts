/** Every request and answer that the two seeds' documents show: statuses, fields, types, envelopes. */
import t from 'tap'
import { COOKIE, startGateway, USER } from '../support/gateway.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

t.test('seed A: conversation and turns', async (t) => {
  const gateway = await startGateway(t)
  const created = await gateway.post('/create_conversation', { userId: USER })
  t.equal(created.status, 200)
  t.strictSame(Object.keys(created.json), [
    'conversationId',
    'clientId',
    'conversationSignature',
    'invocationId'
  ])
  for (const field of ['conversationId', 'clientId', 'conversationSignature'])
    t.type(created.json[field], 'string')
  t.equal(created.json.invocationId, 0)

  const { conversationId, clientId, conversationSignature } = created.json
  const identity = { conversationId, clientId, conversationSignature }
  const first = await gateway.post('/chatgpt', {
    prompt: "I love watching 'Three-Body'.",
    invocationId: 0,
    ...identity
  })
  t.equal(first.status, 200)
  t.type(first.json.message, 'string')
  t.match(first.json.message, /Three-Body/)
  t.equal(first.json.conversationId, conversationId)
  t.equal(first.json.invocationId, 1, 'one plus the request')

  const second = await gateway.post('/chatgpt', {
    prompt: 'What did I say first?',
    invocationId: first.json.invocationId,
    ...identity
  })
  t.match(second.json.message, /Three-Body/, 'the conversation remembers')
  t.equal(second.json.invocationId, 2)

  const third = await gateway.post('/chatgpt', { prompt: 'And what did I say before?', ...identity })
  t.equal(third.json.invocationId, 3, 'invocationId left out is the next one')

  const stranger = await gateway.post('/create_conversation', { userId: 'mallory' })
  t.strictSame([stranger.status, stranger.json.error.type], [403, 'permission_error'])
  t.strictSame(gateway.sim.violations, [])
})

t.test('seed B: info', async (t) => {
  const { status, json } = await (await startGateway(t)).get('/')
  t.equal(status, 200)
  t.equal(json.success, true)
  for (const field of ['name', 'version', 'author', 'repository']) t.type(json[field], 'string')
  t.match(json.timestamp, ISO)
  for (const [name, route] of Object.entries({
    info: 'GET /',
    health: 'GET /health',
    create_image: 'POST /create/image',
    create_video: 'POST /create/video',
    get_task: 'GET /task/:taskId',
    options: 'GET /options'
  })) {
    t.equal(json.endpoints[name], route)
  }
  t.notOk('data' in json, 'not wrapped')
})

/** The seed's fields; `upstreams` is an addition. */
function withoutUpstreams({ upstreams, ...data }: Record<string, unknown>) {
  return data
}

t.test('seed B: health', async (t) => {
  const gateway = await startGateway(t)
  const before = await gateway.get('/health')
  t.equal(before.status, 200)
  t.match(before.json.timestamp, ISO)
  t.strictSame(
    { success: before.json.success, data: withoutUpstreams(before.json.data) },
    { success: true, data: { status: 'ok', cookie: 'set', session: 'inactive', activeTasks: 0 } }
  )
  gateway.sim.set('videoPoll', { neverReady: true })
  await gateway.post('/create/video', { query: 'one' })
  await gateway.post('/create/video', { query: 'two' })
  t.strictSame(withoutUpstreams((await gateway.get('/health')).json.data), {
    status: 'ok',
    cookie: 'set',
    session: 'active',
    activeTasks: 2
  })

  const without = await startGateway(t, { config: { BING_COOKIE_U: undefined } })
  t.strictSame(withoutUpstreams((await without.get('/health')).json.data), {
    status: 'ok',
    cookie: 'not set',
    session: 'inactive',
    activeTasks: 0
  })
})

t.test('seed B: options', async (t) => {
  const { status, json } = await (await startGateway(t)).get('/options')
  t.equal(status, 200)
  t.match(json.timestamp, ISO)
  t.strictSame(
    { success: json.success, data: json.data },
    {
      success: true,
      data: {
        models: [
          { id: 'DALLE', value: 0, description: 'DALL-E — fast, general purpose' },
          { id: 'GPT4O', value: 1, description: 'GPT-4o — higher quality, slower' },
          { id: 'MAI1', value: 4, description: 'MAI Image 1 — Microsoft model' }
        ],
        aspects: [
          { id: 'SQUARE', value: 1, ratio: '1:1' },
          { id: 'LANDSCAPE', value: 2, ratio: '7:4' },
          { id: 'PORTRAIT', value: 3, ratio: '4:7' }
        ]
      }
    }
  )
})

t.test('seed B: images', async (t) => {
  const gateway = await startGateway(t)
  const cases = [
    {
      body: { query: 'a futuristic city at sunset', model: 'DALLE', aspect: 'LANDSCAPE' },
      model: 'DALLE',
      aspect: 'LANDSCAPE',
      images: 4
    },
    {
      body: { query: 'cyberpunk street scene', model: 'GPT4O', aspect: 'PORTRAIT' },
      model: 'GPT4O',
      aspect: 'PORTRAIT',
      images: 1
    },
    { body: { query: 'beautiful sunset' }, model: 'DALLE', aspect: 'SQUARE', images: 4 },
    {
      body: { query: 'detailed fantasy landscape', model: 'gpt4o', aspect: 'Landscape' },
      model: 'GPT4O',
      aspect: 'LANDSCAPE',
      images: 1
    },
    { body: { query: 'numbers', model: 4, aspect: 3 }, model: 'MAI1', aspect: 'PORTRAIT', images: 1 },
    {
      body: { query: 'unknown fields', style: 'ignored', n: 7 },
      model: 'DALLE',
      aspect: 'SQUARE',
      images: 4
    },
    {
      body: 'query=from+a+form&model=1&aspect=2',
      headers: FORM,
      model: 'GPT4O',
      aspect: 'LANDSCAPE',
      images: 1
    }
  ]
  for (const { body, headers, model, aspect, images } of cases) {
    const name = JSON.stringify(body)
    const { status, json } = await gateway.post('/create/image', body, headers)
    t.equal(status, 200, name)
    t.match(json.timestamp, ISO)
    t.equal(json.success, true)
    t.strictSame([json.data.model, json.data.aspect, json.data.images.length], [model, aspect, images], name)
    for (const url of json.data.images)
      t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/th\/id\/OIG[^?]+\?pid=ImgGn$/)
    t.equal(new Set(json.data.images).size, images, 'no repeats')
    t.ok(
      json.data.prompt.length > String((body as { query?: string }).query ?? '').length,
      "the upstream's enhanced prompt"
    )
    t.match(json.data.taskId, UUID)
    const task = (await gateway.get(`/task/${json.data.taskId}`)).json.data
    t.strictSame([task.kind, task.status, task.images], ['image', 'completed', json.data.images])
  }
  t.strictSame(gateway.sim.violations, [])
})

t.test('seed B: video, from processing to completed', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('videoPoll', { neverReady: true })
  const created = await gateway.post('/create/video', { query: 'ocean waves at sunset' })
  t.equal(created.status, 200)
  t.match(created.json.timestamp, ISO)
  t.strictSame(Object.keys(created.json.data), ['taskId', 'prompt'])
  t.equal(created.json.data.prompt, 'ocean waves at sunset')
  const { taskId } = created.json.data
  t.match(taskId, UUID)

  const processing = await gateway.get(`/task/${taskId}`)
  t.equal(processing.status, 200)
  t.match(processing.json.data.createdAt, ISO)
  const { createdAt, ...rest } = processing.json.data
  t.strictSame(rest, {
    id: taskId,
    kind: 'video',
    status: 'processing',
    prompt: 'ocean waves at sunset',
    video: null,
    error: null,
    completedAt: null
  })

  gateway.sim.set('videoPoll', {})
  const done = await gateway.ended(taskId)
  t.equal(done.status, 'completed')
  t.match(String(done.video), /^http:\/\/127\.0\.0\.1:\d+\/th\/id\/OVID\./)
  t.equal(done.error, null)
  t.equal(done.createdAt, createdAt)
  t.match(String(done.completedAt), ISO)
  t.equal(gateway.sim.counts['submit:ocean waves at sunset'], 1)

  const form = await gateway.post('/create/video', 'query=dancing+flames', FORM)
  t.equal(form.json.data.prompt, 'dancing flames')
  t.equal((await gateway.ended(form.json.data.taskId)).status, 'completed')
  t.strictSame(gateway.sim.violations, [])
})

t.test('seed B: a video that fails while it is polled', async (t) => {
  const gateway = await startGateway(t)
  const { taskId } = (await gateway.post('/create/video', { query: 'something unsafe' })).json.data
  const failed = await gateway.ended(taskId)
  t.strictSame(
    { status: failed.status, video: failed.video, error: failed.error, errorDetail: failed.errorDetail },
    {
      status: 'failed',
      video: null,
      error: 'Prompt rejected for content policy.',
      errorDetail: { type: 'prompt_rejected_error', code: 'content_policy' }
    }
  )
  t.match(String(failed.completedAt), ISO)
})

t.test('seed B: errors', async (t) => {
  const gateway = await startGateway(t)
  const missing = await gateway.get('/task/123e4567-e89b-12d3-a456-426614174000')
  t.equal(missing.status, 404)
  t.match(missing.json.error, { message: 'Task not found.', type: 'invalid_request_error' })

  const empty = await gateway.post('/create/image', {})
  t.strictSame(
    [empty.status, empty.json.error.type, empty.json.error.param],
    [400, 'invalid_request_error', 'query']
  )

  const rejected = await gateway.post('/create/image', { query: 'a forbidden thing' })
  t.strictSame([rejected.status, rejected.json.error.type], [422, 'prompt_rejected_error'])

  gateway.sim.cookies.expire(COOKIE)
  const expired = await gateway.post('/create/image', { query: 'anything' })
  t.strictSame([expired.status, expired.json.error.type], [401, 'auth_error'])
})
