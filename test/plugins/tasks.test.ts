/** Creations as stored tasks: leaving callers, waiting for places, restarts. */
import { request } from 'node:http'
import t from 'tap'
import { type Gateway, startGateway, USER } from '../support/gateway.ts'
import { creeping, handClock } from '../support/hand-clock.ts'

const until = async (condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; n < 500 && !(await condition()); n++)
    await new Promise((resolve) => setTimeout(resolve, 10))
}

/** POSTs over a real socket and hangs up when `when` holds. */
async function hangUpWhen(
  url: string,
  body: object,
  when: () => boolean | Promise<boolean>,
  headers = {}
): Promise<void> {
  const call = request(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } })
  call.on('error', () => {})
  call.end(JSON.stringify(body))
  await until(when)
  const closed = new Promise((resolve) => call.once('close', resolve))
  call.destroy()
  await closed
}

const newest = async (gateway: Gateway) => (await gateway.app.store.tasks.list('', { limit: 1 }))[0]

t.test('a caller who hangs up after the submit finds the pictures in the task', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('poll', { readyAfterMs: 400 })
  await hangUpWhen(
    `${url}/create/image`,
    { query: 'a fox' },
    async () => (await newest(gateway))?.state === 'polling'
  )
  const id = (await newest(gateway))?.id as string
  const task = await gateway.ended(id)
  t.strictSame([task.status, (task.images as string[]).length], ['completed', 4])
  t.equal(gateway.sim.counts['received:a fox'], 1)
})

t.test('a caller who hangs up before the submit stops the creation', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  const url = await gateway.listen()
  gateway.sim.set('poll', { readyAfterMs: 500 })
  const first = gateway.post('/create/image', { query: 'first' })
  await until(() => gateway.sim.counts['received:first'] === 1)
  await hangUpWhen(
    `${url}/create/image`,
    { query: 'second' },
    async () => (await newest(gateway))?.prompt === 'second'
  )
  await until(async () => (await newest(gateway))?.state === 'cancelled')
  const { id } = (await newest(gateway)) as { id: string }
  t.equal((await gateway.ended(id)).status, 'cancelled')
  t.equal((await first).status, 200)
  t.equal(gateway.sim.counts['received:second'] ?? 0, 0, 'nothing was sent')
})

t.test('more creations than places wait, fairly between users', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  gateway.sim.set('poll', { pendingPolls: 2, images: 1 })
  const order: string[] = []
  const create = (user: string, n: number) =>
    gateway.post('/create/image', { query: `${user} ${n}` }, { 'x-user-id': user }).then(({ status }) => {
      order.push(`${user} ${n}`)
      return status
    })
  const busy = create('alice', 0)
  await until(() => gateway.sim.counts['received:alice 0'] === 1)
  const all = [busy]
  for (let n = 1; n <= 4; n++) all.push(create('alice', n))
  await until(async () => (await gateway.app.store.tasks.countProcessing()) === 5)
  all.push(create('bob', 1))
  t.strictSame(await Promise.all(all), Array(6).fill(200))
  t.strictSame(order.slice().sort(), ['alice 0', 'alice 1', 'alice 2', 'alice 3', 'alice 4', 'bob 1'])
  t.ok(order.indexOf('bob 1') < order.indexOf('alice 4'), `bob does not wait for all of alice's (${order})`)
})

t.test('videos beyond VIDEO_CONCURRENCY are accepted and submitted when a place is free', async (t) => {
  const gateway = await startGateway(t, {
    config: { VIDEO_CONCURRENCY: 2 },
    simulator: { behave: { videoSubmit: { maxParallel: 2 } } }
  })
  gateway.sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (let n = 0; n < 5; n++) {
    const { status, json } = await gateway.post('/create/video', { query: `video ${n}` })
    t.equal(status, 200)
    ids.push(json.data.taskId)
  }
  t.equal(gateway.sim.counts['creator.video.submit'], 2)
  t.equal((await gateway.get(`/task/${ids[4]}`)).json.data.status, 'processing')
  gateway.sim.set('videoPoll', {})
  for (const [n, id] of ids.entries()) {
    t.equal((await gateway.ended(id)).status, 'completed')
    t.equal(gateway.sim.counts[`received:video ${n}`], 1)
  }
  t.strictSame(gateway.sim.violations, [])
})

t.test('an account that takes fewer at once than the settings allow: none is lost', async (t) => {
  for (const [kind, places, count] of [
    ['image', 1, 10],
    ['image', 2, 10],
    ['video', 2, 8]
  ] as const) {
    await t.test(`${count} ${kind}s, ${places} at once`, async (t) => {
      const gateway = await startGateway(t)
      const { sim } = gateway
      sim.set(kind === 'image' ? 'submit' : 'videoSubmit', { maxParallel: places })
      sim.set(kind === 'image' ? 'poll' : 'videoPoll', { readyAfterMs: 100 })
      const prompts = Array.from({ length: count }, (_, n) => `${kind} ${n}`)
      const made = await Promise.all(
        prompts.map((query) => gateway.post(`/create/${kind}`, { query }, { prefer: 'respond-async' }))
      )
      for (const { json } of made)
        t.match(await gateway.ended(json.data.taskId), { status: 'completed', error: null })
      for (const prompt of prompts) t.equal(sim.counts[`submit:${prompt}`], 1, `${prompt} is accepted once`)
      const refused = sim.counts[`creator.${kind === 'image' ? '' : 'video.'}submit.refused`] ?? 0
      // Of the three that the settings let go at first; one for each place that another one has left would be many more.
      t.ok(refused >= 1 && refused <= 3, `${refused} refused submits`)
      t.strictSame(sim.violations, [])
    })
  }

  await t.test('a restart learns it again, by what is tried at first', async (t) => {
    const gateway = await startGateway(t)
    const { sim, app, dir } = gateway
    sim.set('submit', { maxParallel: 1 })
    sim.set('poll', { neverReady: true })
    const prompts = Array.from({ length: 6 }, (_, n) => `fox ${n}`)
    const ids: string[] = []
    for (const query of prompts)
      ids.push((await gateway.post('/create/image', { query }, { prefer: 'respond-async' })).json.data.taskId)
    await until(async () => {
      const { queued, polling } = await app.store.tasks.countByState()
      return queued === 5 && polling === 1
    })
    await app.close()
    const refused = sim.counts['creator.submit.refused'] ?? 0
    sim.set('poll', {})
    const after = await startGateway(t, { dir, sim })
    for (const id of ids) t.match(await after.ended(id), { status: 'completed', error: null })
    for (const prompt of prompts) t.equal(sim.counts[`submit:${prompt}`], 1)
    const more = (sim.counts['creator.submit.refused'] ?? 0) - refused
    t.ok(more <= 3, `${more} more refused submits`)
  })

  await t.test('fairly between users', async (t) => {
    const gateway = await startGateway(t)
    const { sim, app } = gateway
    sim.set('submit', { maxParallel: 1 })
    sim.set('poll', { neverReady: true })
    const create = async (user: string, query: string): Promise<string> =>
      (await gateway.post('/create/image', { query }, { 'x-user-id': user, prefer: 'respond-async' })).json
        .data.taskId
    const ids = [await create('alice', 'alice 0')]
    await until(() => sim.counts['submit:alice 0'] === 1)
    for (let n = 1; n <= 4; n++) ids.push(await create('alice', `alice ${n}`))
    await until(async () => {
      const { queued, submitting } = await app.store.tasks.countByState()
      return queued === 4 && submitting === undefined
    })
    const bob = await create('bob', 'bob')
    sim.set('poll', {})
    await gateway.ended(bob, { 'x-user-id': 'bob' })
    for (const id of ids) t.match(await gateway.ended(id, { 'x-user-id': 'alice' }), { status: 'completed' })
    const order = sim.requests
      .filter(({ method }) => method === 'POST')
      .map(({ search }) => new URLSearchParams(search).get('q') as string)
    t.ok(order.lastIndexOf('bob') < order.lastIndexOf('alice 2'), `${order}`)
  })
})

t.test('one more is tried than the account was seen to take, once a minute', async (t) => {
  const clock = handClock()
  const gateway = await startGateway(t, { clock, config: { IMAGE_TIMEOUT_MS: 3_600_000 } })
  const { sim, app } = gateway
  const count = (name: string) => sim.counts[`creator.submit${name}`] ?? 0
  /** Lets time pass, and what falls due by then happen. */
  const pass = async (ms: number) => {
    clock.pass(ms)
    await app.taskRunner.step()
    await until(async () => (await app.store.tasks.countByState()).submitting === undefined)
    await app.taskRunner.step()
  }
  sim.set('submit', { maxParallel: 1 })
  sim.set('poll', { neverReady: true })
  const create = async (query: string) =>
    (await creeping(clock, gateway.post('/create/image', { query }, { prefer: 'respond-async' }))).status
  t.equal(await create('fox 0'), 202)
  await until(() => count('') === 1)
  for (let n = 1; n < 8; n++) t.equal(await create(`fox ${n}`), 202)
  await pass(1000)
  t.strictSame([count(''), count('.refused')], [1, count('.refused')])
  const refused = count('.refused')
  t.ok(refused <= 2)
  await pass(58_000)
  t.equal(count('.refused'), refused, 'not within a minute')
  await pass(17_000)
  t.strictSame([count(''), count('.refused')], [1, refused + 1], 'one is tried')
  await pass(59_000)
  t.equal(count('.refused'), refused + 1)

  sim.set('submit', {})
  await pass(17_000)
  t.strictSame([count(''), count('.refused')], [2, refused + 1], 'and one is accepted, when there is a place')
  await pass(59_000)
  t.equal(count(''), 2)
  await pass(17_000)
  t.equal(count(''), 3, 'up to IMAGE_CONCURRENCY')
  await pass(600_000)
  t.equal(count(''), 3)

  // Everything that waits is held by the setting now. Three end, and there is one place again.
  sim.set('submit', { maxParallel: 1 })
  sim.set('poll', {})
  await until(async () => {
    await pass(1000)
    return count('') === 4
  })
  sim.set('poll', { neverReady: true })
  sim.set('submit', {})
  app.upstream.account.replace('_U=simulated-cookie; serial=1')
  await until(() => count('') >= 6)
  t.ok(count('') >= 6, 'another account may take more')
  t.strictSame(sim.violations, [])
})

t.test('a refused video is an answer, not a task to ask for', async (t) => {
  const gateway = await startGateway(t)
  const { status, json } = await gateway.post('/create/video', { query: 'a forbidden thing' })
  t.strictSame([status, json.error.type, json.error.code], [422, 'prompt_rejected_error', 'content_policy'])
  t.equal((await gateway.get('/health')).json.data.activeTasks, 0)
})

t.test('restart: creations go on where they were, waiting ones are submitted', async (t) => {
  const gateway = await startGateway(t, { config: { VIDEO_CONCURRENCY: 1 } })
  const { sim } = gateway
  sim.set('videoPoll', { neverReady: true })
  sim.set('poll', { neverReady: true })
  const url = await gateway.listen()
  const running = (await gateway.post('/create/video', { query: 'running' })).json.data.taskId
  const waiting = (await gateway.post('/create/video', { query: 'waiting' })).json.data.taskId
  await hangUpWhen(
    `${url}/create/image`,
    { query: 'a picture' },
    async () => (await newest(gateway))?.state === 'polling'
  )
  const picture = (await newest(gateway))?.id as string
  const stored = (await gateway.app.store.tasks.get(running))?.upstreamId
  t.match(stored, /^4-[0-9a-f]{32}$/)
  await gateway.app.close()

  sim.set('videoPoll', { onlyNewSession: true })
  sim.set('poll', {})
  const after = await startGateway(t, { dir: gateway.dir, sim, config: { VIDEO_CONCURRENCY: 1 } })
  t.equal((await after.ended(running)).status, 'completed', 'looked at with a fresh session')
  sim.set('videoPoll', {})
  t.equal((await after.ended(waiting)).status, 'completed')
  t.equal((await after.ended(picture)).status, 'completed')
  for (const prompt of ['running', 'waiting', 'a picture'])
    t.equal(sim.counts[`received:${prompt}`], 1, `${prompt}: one submit`)
  t.strictSame(sim.violations, [])
})

t.test('shutting down: a caller whose picture is not ready is told where to look', async (t) => {
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  gateway.sim.set('poll', { neverReady: true })
  const call = fetch(`${url}/create/image`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"late"}'
  })
  await until(async () => (await newest(gateway))?.state === 'polling')
  await gateway.app.lifecycle.drain(50)
  const response = await call
  const { error } = (await response.json()) as { error: { code: string; message: string } }
  t.strictSame(
    [response.status, error.code, response.headers.get('x-should-retry')],
    [503, 'draining', 'false']
  )
  t.match(error.message, new RegExp(`/task/${(await newest(gateway))?.id}`))
})

t.test('a new cookie wakes paused videos', async (t) => {
  const gateway = await startGateway(t)
  const { sim, app } = gateway
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (let n = 0; n < 3; n++)
    ids.push(
      (await gateway.post('/create/video', { query: `v${n}` }, { 'x-user-id': USER })).json.data.taskId
    )
  sim.cookies.expire('simulated-cookie')
  await until(async () => (await app.store.tasks.countByState()).paused === 3)
  const view = (await gateway.get(`/task/${ids[0]}`, { 'x-user-id': USER })).json.data
  t.strictSame([view.status, view.error], ['processing', null], 'to the caller it is still processing')
  sim.cookies.accept('fresh-cookie')
  sim.set('videoPoll', {})
  app.upstream.account.replace('fresh-cookie')
  for (const id of ids) t.equal((await gateway.ended(id, { 'x-user-id': USER })).status, 'completed')
  t.equal(sim.counts['creator.video.submit.received'], 3)
})

t.test('a challenge while a video is made pauses it; the reason is told when its time is over', async (t) => {
  const gateway = await startGateway(t, { speed: 20, config: { VIDEO_TIMEOUT_MS: 60_000 } })
  const { sim, app } = gateway
  sim.set('videoPoll', { status: 403, body: '<html>Just a moment</html>' })
  sim.set('bootstrap', {})
  const create = async (query: string) =>
    (await gateway.post('/create/video', { query })).json.data.taskId as string
  const [passed, never] = [await create('passed'), await create('never')]
  await until(async () => (await app.store.tasks.countByState()).paused === 2)
  t.equal((await gateway.get(`/task/${passed}`)).json.data.status, 'processing')
  sim.set('videoPoll', {})
  sim.cookies.accept('checked-cookie')
  // Only one of the two is woken before its time is over: the other one's deadline is pulled forward.
  await app.store.tasks.move(never, 'polling', { deadlineAt: 1, dueAt: null })
  await app.store.tasks.move(never, 'paused', { dueAt: null })
  app.upstream.account.replace('checked-cookie')
  t.equal((await gateway.ended(passed)).status, 'completed')
  t.match(await gateway.ended(never), {
    status: 'failed',
    errorDetail: { type: 'upstream_unavailable_error', code: 'challenge_required' }
  })
})

t.test('"too many creations" at a poll is no verdict on what was accepted', async (t) => {
  const gateway = await startGateway(t, { speed: 50 })
  gateway.sim.enqueue('poll', { text: 'ongoing' }, { text: 'queue-limit' })
  t.equal((await gateway.post('/create/image', { query: 'a fox' })).status, 200)
  gateway.sim.enqueue('videoPoll', { text: 'video-concurrent' })
  const { taskId } = (await gateway.post('/create/video', { query: 'waves' })).json.data
  t.equal((await gateway.ended(taskId)).status, 'completed')
})

t.test('what falls due while the loop looks at the store is not forgotten', async (t) => {
  const gateway = await startGateway(t)
  const { tasks } = gateway.app.store
  const { claimDue } = tasks
  tasks.claimDue = async (...args) => {
    const due = await claimDue(...args)
    await new Promise((resolve) => setTimeout(resolve, 40))
    return due
  }
  gateway.sim.set('poll', { pendingPolls: 3, images: 1 })
  const startedAt = Date.now()
  t.equal((await gateway.post('/create/image', { query: 'a fox' })).status, 200)
  t.ok(Date.now() - startedAt < 5000, 'no look had to wait for the longest timer')
})

t.test('what was finished while the gateway was away is found, late as it is', async (t) => {
  const first = await startGateway(t, { config: { IMAGE_TIMEOUT_MS: 60_000 } })
  first.sim.set('poll', { neverReady: true })
  const { json } = await first.post('/create/image', { query: 'a fox' }, { prefer: 'respond-async' })
  const { taskId } = json.data
  await until(async () => (await first.app.store.tasks.get(taskId))?.state === 'polling')
  const { db } = first.app.store.database
  await first.app.taskRunner.close(0)
  await db.updateTable('tasks').set({ deadline_at: 1, due_at: 1, worker: null }).execute()
  await first.app.close()
  first.sim.set('poll', { pendingPolls: 0, readyAfterMs: 0 })
  const next = await startGateway(t, { dir: first.dir, sim: first.sim })
  t.equal((await next.ended(taskId)).status, 'completed')
  next.sim.set('poll', { neverReady: true })
  const { taskId: late } = (await next.post('/create/image', { query: 'slow' }, { prefer: 'respond-async' }))
    .json.data
  await until(async () => (await next.app.store.tasks.get(late))?.state === 'polling')
  await next.app.store.database.db
    .updateTable('tasks')
    .set({ deadline_at: 1 })
    .where('id', '=', late)
    .execute()
  t.match(
    await next.ended(late),
    { status: 'failed', errorDetail: { code: 'timeout' } },
    'one look, not for ever'
  )
})

t.test('a task that is due again before its last step has quite ended is not forgotten', async (t) => {
  const gateway = await startGateway(t, { config: { POLL_INTERVAL_MS: 10 } })
  const { taskRunner, store } = gateway.app
  // Over a network the next pass can see what a step has stored before the step itself hears of it.
  const slowly =
    <A extends unknown[], R>(change: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const result = await change(...args)
      await new Promise((resolve) => setTimeout(resolve, 15))
      taskRunner.kick()
      await new Promise((resolve) => setTimeout(resolve, 15))
      return result
    }
  store.tasks.move = slowly(store.tasks.move)
  store.tasks.update = slowly(store.tasks.update)
  gateway.sim.set('poll', { pendingPolls: 4 })
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) => gateway.post('/create/image', { query: `fox ${n}` }))
  )
  t.strictSame(
    answers.map(({ status }) => status),
    Array(6).fill(200)
  )
})

t.test('a caller who leaves while the task is being stored stops it too', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_CONCURRENCY: 1 } })
  const url = await gateway.listen()
  gateway.sim.set('poll', { readyAfterMs: 500 })
  const first = gateway.post('/create/image', { query: 'first' })
  await until(() => gateway.sim.counts['received:first'] === 1)
  const { tasks } = gateway.app.store
  const { insert } = tasks
  let left = () => {}
  const gone = new Promise<void>((resolve) => {
    left = resolve
  })
  tasks.insert = async (...args) => {
    const stored = await insert(...args)
    await gone
    return stored
  }
  await hangUpWhen(
    `${url}/create/image`,
    { query: 'second' },
    async () => (await newest(gateway))?.prompt === 'second'
  )
  setTimeout(left, 50)
  await until(async () => (await newest(gateway))?.state === 'cancelled')
  t.equal((await newest(gateway))?.state, 'cancelled')
  t.equal((await first).status, 200)
  t.equal(gateway.sim.counts['received:second'] ?? 0, 0, 'nothing was sent')
  t.notMatch(gateway.log(), /"request failed"/)
})

t.test('a video that is stored is the answer, whatever comes between it and its caller', async (t) => {
  await t.test('a shutdown while the submit is under way', async (t) => {
    const gateway = await startGateway(t)
    gateway.sim.set('videoSubmit', { delayMs: 300 })
    const call = gateway.post('/create/video', { query: 'late' })
    await until(() => gateway.sim.counts['creator.video.submit.received'] === 1)
    await gateway.app.lifecycle.drain(20)
    const { status, json } = await call
    t.equal(status, 200)
    t.equal((await gateway.ended(json.data.taskId)).status, 'completed')
    t.equal(gateway.sim.counts['received:late'], 1)
  })

  await t.test('a store that fails for a moment', async (t) => {
    const gateway = await startGateway(t)
    const { tasks } = gateway.app.store
    const { overdue } = tasks
    tasks.overdue = async () => {
      tasks.overdue = overdue
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' })
    }
    const { status, json } = await gateway.post('/create/video', { query: 'stored' })
    t.equal(status, 200)
    t.equal((await gateway.ended(json.data.taskId)).status, 'completed')
    t.equal(gateway.sim.counts['received:stored'], 1)
  })

  await t.test('a first look that finds nobody signed in', async (t) => {
    const gateway = await startGateway(t)
    gateway.sim.set('videoPoll', { expireCookie: true })
    const { taskRunner } = gateway.app
    const { step } = taskRunner
    taskRunner.step = async () => {
      await step()
      await until(async () => (await newest(gateway))?.state === 'paused')
    }
    const { status, json } = await gateway.post('/create/video', { query: 'accepted' })
    t.strictSame([status, json.data.prompt], [200, 'accepted'])
  })
})

t.test('the prompt that is stored is the prompt that is sent', async (t) => {
  const gateway = await startGateway(t)
  for (const query of ['a\0b', ' a\ud800b ']) {
    const { json } = await gateway.post('/create/video', { query })
    t.equal(json.data.prompt, 'a\ufffdb')
    const task = await gateway.ended(json.data.taskId)
    t.strictSame([task.status, task.prompt], ['completed', 'a\ufffdb'])
  }
})

t.test('a caller whose image is late, and not lost, is told so', async (t) => {
  const gateway = await startGateway(t, { config: { IMAGE_TIMEOUT_MS: 4000 }, speed: 10 })
  // It is finished in time, but its copies do not come.
  gateway.sim.set('media', { stall: 'before' })
  const answer = await gateway.post('/create/image', { query: 'a fox' }, { 'idempotency-key': 'a late fox' })
  t.strictSame([answer.status, answer.json.error.code], [504, 'timeout'])
  t.equal(answer.headers['x-should-retry'], 'false')
  const id = (await newest(gateway))?.id as string
  t.match(answer.json.error.message, id)
  gateway.sim.set('media', { plain: true })
  gateway.sim.cut()
  t.equal((await gateway.ended(id)).status, 'completed')
  const again = await gateway.post('/create/image', { query: 'a fox' }, { 'idempotency-key': 'a late fox' })
  t.strictSame([again.status, again.json.data?.taskId], [200, id], 'the key stands for the task')
})
