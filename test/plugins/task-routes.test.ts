/** The routes of tasks beside seed B's: lists, cancelling, following, and `Prefer`. */
import { createParser } from 'eventsource-parser'
import t from 'tap'
import { type Gateway, startGateway } from '../support/gateway.ts'

const as = (userId: string) => ({ 'x-user-id': userId })
const ALICE = as('alice')

const until = async (condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; n < 500; n++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come to that')
}

const video = async (gateway: Gateway, query: string, headers: Record<string, string> = ALICE) =>
  (await gateway.post('/create/video', { query }, headers)).json.data.taskId as string

/** Reads a stream of events to its end. */
async function events(url: string, headers: Record<string, string>, signal?: AbortSignal) {
  const response = await fetch(url, { headers, signal })
  const found: { event?: string | undefined; data: { status: string; id: string } }[] = []
  const parser = createParser({
    onEvent: ({ event, data }) => found.push({ event, data: JSON.parse(data) })
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }))
  return { response, found }
}

t.test('lists show the own tasks, page by page', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  sim.set('videoPoll', { neverReady: true })
  const videos: string[] = []
  for (let n = 0; n < 3; n++) videos.unshift(await video(gateway, `v${n}`))
  await video(gateway, "bob's", as('bob'))
  t.equal((await gateway.post('/create/image', { query: 'a fox' }, ALICE)).status, 200)

  const list = async (query = '', headers: Record<string, string> = ALICE) =>
    (await gateway.get(`/tasks${query}`, headers)).json.data
  const all = await list()
  t.equal(all.tasks.length, 4)
  t.equal(all.nextCursor, null)
  t.match(all.tasks[0], { kind: 'image', status: 'completed', images: { length: 4 } })
  t.strictSame(
    (await list('?kind=video')).tasks.map(({ id }: { id: string }) => id),
    videos
  )
  t.equal((await list('?status=completed')).tasks.length, 1)
  t.equal((await list('?status=processing&kind=video')).tasks.length, 3)
  t.equal((await list('?status=cancelled')).tasks.length, 0)
  t.equal((await list('', as('bob'))).tasks.length, 1)

  const first = await gateway.get('/tasks?limit=3', ALICE)
  const { tasks, nextCursor } = first.json.data
  t.equal(tasks.length, 3)
  t.match(String(first.headers.link), `cursor=${nextCursor}`)
  const rest = await list(`?limit=3&cursor=${nextCursor}`)
  t.strictSame([rest.tasks.map(({ prompt }: { prompt: string }) => prompt), rest.nextCursor], [['v0'], null])
  t.equal(
    (await list(`?cursor=${nextCursor}`, as('bob'))).tasks.length,
    0,
    "a cursor opens nobody else's list"
  )

  for (const [query, param] of [
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['cursor=x', 'cursor'],
    ['status=done', 'status'],
    ['kind=song', 'kind']
  ]) {
    const { status, json } = await gateway.get(`/tasks?${query}`, ALICE)
    t.match([status, json.error], [400, { type: 'invalid_request_error', param }], String(query))
  }
})

t.test('cancelling', async (t) => {
  const gateway = await startGateway(t, { config: { VIDEO_CONCURRENCY: 1 } })
  const { sim } = gateway
  sim.set('videoPoll', { neverReady: true })
  const running = await video(gateway, 'running')
  const waiting = await video(gateway, 'waiting')
  t.equal((await gateway.delete(`/task/${waiting}`, as('bob'))).status, 404)

  const cancelled = await gateway.delete(`/task/${waiting}`, ALICE)
  t.match(cancelled.json.data, { id: waiting, status: 'cancelled', error: null, completedAt: String })
  const again = await gateway.delete(`/task/${waiting}`, ALICE)
  t.strictSame([again.status, again.json.data], [200, cancelled.json.data], 'it can be sent again')
  t.equal(sim.counts['received:waiting'] ?? 0, 0)

  await gateway.delete(`/task/${running}`, ALICE)
  const polls = sim.counts['creator.video.poll.received'] ?? 0
  sim.set('videoPoll', {})
  const next = await video(gateway, 'next')
  t.equal((await gateway.ended(next, ALICE)).status, 'completed', 'its place is free')
  t.equal((await gateway.ended(running, ALICE)).status, 'cancelled')
  t.ok((sim.counts['creator.video.poll.received'] ?? 0) >= polls)
  t.match((await gateway.delete(`/task/${next}`, ALICE)).json.data, { status: 'completed', video: /^http/ })
  t.equal((await gateway.delete('/task/123e4567-e89b-12d3-a456-426614174000', ALICE)).status, 404)
})

t.test('cancelling what is being submitted', async (t) => {
  const gateway = await startGateway(t)
  const { sim, app } = gateway
  sim.set('videoSubmit', { delayMs: 200 })
  const call = gateway.post('/create/video', { query: 'hasty', speed: 'fast' }, ALICE)
  await until(() => sim.counts['creator.video.submit.received'] === 1)
  const [task] = await app.store.tasks.list('alice', { limit: 1 })
  t.equal(task?.state, 'submitting')
  t.equal((await gateway.delete(`/task/${task?.id}`, ALICE)).json.data.status, 'cancelled')
  t.strictSame([(await call).status, (await call).json.data.taskId], [200, task?.id])
  await until(
    async () => app.taskRunner !== undefined && (await app.store.tasks.ofWorker(app.worker.id)).length === 0
  )
  t.equal((await gateway.ended(task?.id as string, ALICE)).status, 'cancelled')
  t.equal(sim.counts['received:hasty'], 1)
})

t.test('cancelling images that somebody waits for', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('poll', { neverReady: true })
  const call = gateway.post('/create/image', { query: 'a fox' }, ALICE)
  await until(async () => (await gateway.app.store.tasks.list('alice', { limit: 1 }))[0]?.state === 'polling')
  const [task] = await gateway.app.store.tasks.list('alice', { limit: 1 })
  await gateway.delete(`/task/${task?.id}`, ALICE)
  const { status, json, headers } = await call
  t.match([status, json.error], [409, { type: 'conflict_error', code: 'task_cancelled' }])
  t.equal(headers['x-should-retry'], 'false')
})

t.test('following a task', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('videoPoll', { readyAfterMs: 150 })
  const id = await video(gateway, 'waves')
  const { response, found } = await events(`${url}/task/${id}/events`, ALICE)
  t.match(response.headers.get('content-type'), /^text\/event-stream/)
  t.strictSame(
    [response.headers.get('x-accel-buffering'), response.headers.get('cache-control')],
    ['no', 'no-cache, no-transform']
  )
  t.strictSame(
    found.map(({ event, data }) => [event, data.id, data.status]),
    [
      ['status', id, 'processing'],
      ['status', id, 'completed']
    ]
  )
  const seen = (await (await fetch(`${url}/task/${id}`, { headers: ALICE })).json()) as { data: object }
  t.strictSame(found[1]?.data, seen.data)
  const after = await events(`${url}/task/${id}/events`, ALICE)
  t.strictSame(
    after.found.map(({ data }) => data.status),
    ['completed'],
    'one that has ended says so at once'
  )
  t.equal((await gateway.get(`/task/${id}/events`, as('bob'))).status, 404)

  gateway.sim.set('videoPoll', { neverReady: true })
  const other = await video(gateway, 'more waves')
  const cancelled = events(`${url}/task/${other}/events`, ALICE)
  await gateway.delete(`/task/${other}`, ALICE)
  t.equal((await cancelled).found.at(-1)?.data.status, 'cancelled')

  const third = await video(gateway, 'even more')
  const left = new AbortController()
  const stream = events(`${url}/task/${third}/events`, ALICE, left.signal)
  await until(() => gateway.log().includes(`/task/${third}/events`) || true)
  left.abort()
  await t.rejects(stream)
  const open = events(`${url}/task/${third}/events`, ALICE)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await gateway.app.lifecycle.drain(5000)
  t.strictSame(
    (await open).found.map(({ data }) => data.status),
    ['processing'],
    'a stop ends the stream, and does not wait for it'
  )
})

t.test('Prefer: respond-async', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  sim.set('poll', { readyAfterMs: 300 })
  const accepted = await gateway.post(
    '/create/image',
    { query: 'a fox', model: 'MAI1' },
    { ...ALICE, prefer: 'respond-async' }
  )
  t.equal(accepted.status, 202)
  const { taskId } = accepted.json.data
  t.strictSame(accepted.json.data, { taskId, prompt: 'a fox' })
  t.strictSame(
    [accepted.headers.location, accepted.headers['preference-applied']],
    [`/task/${taskId}`, 'respond-async']
  )
  t.match(await gateway.ended(taskId, ALICE), { kind: 'image', status: 'completed', images: { length: 1 } })

  sim.set('poll', { readyAfterMs: 50 })
  const quick = await gateway.post(
    '/create/image',
    { query: 'quick' },
    { ...ALICE, prefer: 'respond-async; wait=20' }
  )
  t.match([quick.status, quick.json.data.images], [200, { length: 4 }], 'what is ready in time is the answer')
  t.equal(quick.headers['preference-applied'], 'respond-async, wait=20')

  sim.set('submit', { text: 'blocked' })
  const refused = await gateway.post('/create/image', { query: 'bad' }, { ...ALICE, prefer: 'respond-async' })
  t.equal(refused.status, 202, 'what Bing says of it is in the task')
  t.match(await gateway.ended(refused.json.data.taskId, ALICE), {
    status: 'failed',
    errorDetail: { type: 'prompt_rejected_error' }
  })
})

t.test('a caller who was given the task may leave before it is submitted', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  gateway.sim.set('poll', { readyAfterMs: 150 })
  const ids: string[] = []
  for (const query of ['one', 'two', 'three'])
    ids.push(
      (await gateway.post('/create/image', { query }, { ...ALICE, prefer: 'respond-async' })).json.data.taskId
    )
  for (const id of ids) t.equal((await gateway.ended(id, ALICE)).status, 'completed')
})

t.test('Prefer: wait', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  sim.set('videoPoll', { readyAfterMs: 100 })
  const done = await gateway.post('/create/video', { query: 'waves' }, { ...ALICE, prefer: 'wait=30' })
  t.strictSame(Object.keys(done.json.data), ['taskId', 'prompt', 'task'])
  t.match(done.json.data.task, { id: done.json.data.taskId, status: 'completed', video: /^http/ })
  t.equal(done.headers['preference-applied'], 'wait=30')

  sim.set('videoPoll', { neverReady: true })
  const slow = await gateway.post('/create/video', { query: 'slow' }, { ...ALICE, prefer: 'wait=0' })
  t.equal(slow.json.data.task.status, 'processing')
  const { taskId } = slow.json.data
  const waited = gateway.get(`/task/${taskId}`, { ...ALICE, prefer: 'wait=3600, something-else' })
  await until(() => true)
  await gateway.delete(`/task/${taskId}`, ALICE)
  t.equal((await waited).json.data.status, 'cancelled', 'it answers as soon as it has ended')
  t.equal((await waited).headers['preference-applied'], 'wait=60', 'a minute is the longest wait')
  const started = Date.now()
  const third = await video(gateway, 'third')
  const short = await gateway.get(`/task/${third}`, { ...ALICE, prefer: 'wait=1' })
  t.equal(short.json.data.status, 'processing')
  t.ok(Date.now() - started >= 900)
  const draining = gateway.get(`/task/${third}`, { ...ALICE, prefer: 'wait=60' })
  await new Promise((resolve) => setTimeout(resolve, 30))
  await gateway.app.lifecycle.drain(5000)
  t.strictSame([(await draining).status, (await draining).json.data.status], [200, 'processing'])
  const bad = await gateway.get(`/task/${third}`, { ...ALICE, prefer: 'wait=soon' })
  t.match([bad.status, bad.json.error.param], [400, 'Prefer'])
})
