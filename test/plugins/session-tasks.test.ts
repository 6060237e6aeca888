/**
 * What becomes of creations while Microsoft waits for a person, asks for a pause, or can't be reached: they wait too, and
 * each is sent once. Whoever still waits for an answer is told.
 */
import t from 'tap'
import { CHALLENGE, COOKIE_EXPIRED, checkAnswer, TROUBLE } from '../support/failure-table.ts'
import { COOKIE, type Gateway, startGateway } from '../support/gateway.ts'
import { creeping, handClock } from '../support/hand-clock.ts'
import { startPostgres } from '../support/postgres.ts'
import { type SessionRig, sessionRig, until } from '../support/session-rig.ts'

/** Creations by prompt as the simulator has received and accepted them. */
const received = ({ sim }: Gateway, prompt: string) => sim.counts[`received:${prompt}`] ?? 0

t.test('the cookie expires in the middle of ten videos: they wait, and go on with the new one', async (t) => {
  const rig = await sessionRig(t, { config: { VIDEO_CONCURRENCY: 3 } })
  const { sim, app } = rig
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  const prompts = Array.from({ length: 10 }, (_, n) => `video ${n}`)
  for (const prompt of prompts) {
    const { status, json } = await rig.video(prompt)
    t.equal(status, 200)
    ids.push(json.data.taskId)
  }
  await until('three are looked at', () => (sim.counts['creator.video.poll'] ?? 0) >= 3)
  sim.cookies.expire(COOKIE)
  await until('they are paused', async () => (await app.store.tasks.countByState()).paused === 3)
  const asked = rig.asked()
  t.strictSame(await app.store.tasks.countByState(), { queued: 7, paused: 3 })
  checkAnswer(t, 'an eleventh', await rig.video('video 11'), COOKIE_EXPIRED)
  for (const id of ids)
    t.match((await rig.get(`/task/${id}`)).json.data, { status: 'processing', error: null })
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(rig.asked(), asked, 'waiting asks nobody')

  sim.set('videoPoll', {})
  rig.accept('a-new-cookie')
  rig.save('MUID=1; _U=a-new-cookie')
  await until('noticed', () => rig.circuit('bing-account') === 'closed')
  for (const id of ids) t.match(await rig.ended(id), { status: 'completed', error: null, video: /OVID/ })
  for (const prompt of prompts) t.equal(received(rig, prompt), 1, `${prompt}: sent once`)
  t.equal(sim.counts['creator.video.submit'], 10)
  t.equal(received(rig, 'video 11'), 0)
  t.strictSame(sim.violations, [])
  t.notMatch(rig.log(), /simulated-cookie|a-new-cookie/)
})

t.test('it expires just before queued videos are sent', async (t) => {
  for (const [name, behaviour] of [
    ['an expired cookie', { expireCookie: true }],
    ['a challenge', { answer: 'authns' }],
    ['a login page', { answer: 'login' }]
  ] as const) {
    await t.test(name, async (t) => {
      const rig = await sessionRig(t, { config: { VIDEO_CONCURRENCY: 1 } })
      const { sim } = rig
      sim.set('videoPoll', { neverReady: true })
      const ids: string[] = []
      for (const prompt of ['first', 'second', 'third']) ids.push((await rig.video(prompt)).json.data.taskId)
      // The first one ends, and the second one meets what has happened meanwhile.
      sim.enqueue('videoSubmit', behaviour)
      sim.set('videoPoll', {})
      await rig.ended(ids[0] as string)
      await held(rig, 2)
      t.equal(sim.counts['creator.video.submit'], 1)
      rig.accept('a-new-cookie')
      rig.save('a-new-cookie')
      for (const id of ids) t.match(await rig.ended(id), { status: 'completed' })
      t.equal(sim.counts['creator.video.submit'], 3, 'each is accepted once')
      t.strictSame(sim.violations, [])
    })
  }

  await t.test('a gateway that starts with it', async (t) => {
    const before = await sessionRig(t, { config: { VIDEO_CONCURRENCY: 1 } })
    const { sim } = before
    sim.set('videoPoll', { neverReady: true })
    const ids: string[] = []
    for (const prompt of ['first', 'second', 'third']) ids.push((await before.video(prompt)).json.data.taskId)
    await before.app.close()
    sim.cookies.expire(COOKIE)
    const rig = await sessionRig(t, { dir: before.dir, sim, config: { VIDEO_CONCURRENCY: 3 } })
    await held(rig, 2)
    sim.set('videoPoll', {})
    rig.accept('a-new-cookie')
    rig.save('a-new-cookie')
    for (const id of ids) t.match(await rig.ended(id), { status: 'completed' })
    for (const prompt of ['first', 'second', 'third']) t.equal(received(rig, prompt), 1)
  })
})

/** Waits until so many tasks wait unsent for a person. */
function held({ app, circuit }: SessionRig, count: number): Promise<void> {
  return until(`${count} held`, async () => {
    const tasks = await app.store.tasks.list('', { limit: 10, states: ['queued'] })
    return (
      circuit('bing-account') === 'open' &&
      tasks.length === count &&
      tasks.every(({ error }) => error !== null)
    )
  })
}

t.test('pictures that nobody waits for, likewise', async (t) => {
  const rig = await sessionRig(t, { config: { IMAGE_CONCURRENCY: 2 } })
  const { sim, app } = rig
  sim.set('poll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['one', 'two', 'three', 'four'])
    ids.push((await rig.image(prompt, { prefer: 'respond-async' })).json.data.taskId)
  await until('two are looked at', () => (sim.counts['creator.poll'] ?? 0) >= 2)
  sim.cookies.expire(COOKIE)
  await until('they are paused', async () => (await app.store.tasks.countByState()).paused === 2)
  sim.set('poll', {})
  rig.accept('a-new-cookie')
  rig.save('a-new-cookie')
  for (const id of ids) t.match(await rig.ended(id), { status: 'completed', error: null })
  for (const prompt of ['one', 'two', 'three', 'four']) t.equal(received(rig, prompt), 1)
})

t.test('who still waits for an answer is told at once', async (t) => {
  const rig = await sessionRig(t, { config: { IMAGE_CONCURRENCY: 1 } })
  const { sim, app } = rig
  sim.set('poll', { neverReady: true })
  const running = rig.image('running')
  await until('it is looked at', () => (sim.counts['creator.poll'] ?? 0) > 0)
  const queued = rig.image('queued')
  const keyed = rig.image('keyed', { 'idempotency-key': 'k1' })
  const later = (await rig.image('later', { prefer: 'respond-async' })).json.data.taskId
  await until('all are stored', async () => (await app.store.tasks.countProcessing()) === 4)
  sim.cookies.expire(COOKIE)

  const answer = await running
  checkAnswer(t, 'accepted', answer, COOKIE_EXPIRED)
  const [, taskId] = /\/task\/([0-9a-f-]{36})/.exec(answer.json.error.message) ?? []
  t.match((await rig.get(`/task/${taskId}`)).json.data, { status: 'processing' }, 'it goes on')
  checkAnswer(t, 'queued', await queued, COOKIE_EXPIRED)
  checkAnswer(t, 'queued, with a key', await keyed, COOKIE_EXPIRED)
  t.match((await rig.get(`/task/${later}`)).json.data, { status: 'processing' }, 'nobody waits for that one')

  sim.set('poll', {})
  rig.accept('a-new-cookie')
  rig.save('a-new-cookie')
  t.match(await rig.ended(taskId as string), { status: 'completed' })
  t.match(await rig.ended(later), { status: 'completed' })
  t.strictSame([received(rig, 'queued'), received(rig, 'keyed')], [0, 0], 'no surprises')
  const again = await rig.image('keyed', { 'idempotency-key': 'k1' })
  t.strictSame([again.status, again.headers['idempotency-replayed']], [200, undefined], 'the key is free')

  sim.set('bootstrap', { page: 'signed-out' })
  rig.accept('a-newer-cookie')
  rig.save('a-newer-cookie')
  await until('noticed', () => app.upstream.account.generation === 3)
  for (const kind of ['video', 'image'] as const) {
    checkAnswer(t, `its own ${kind}`, await rig[kind](`own ${kind}`), COOKIE_EXPIRED)
    app.upstream.reload()
  }
  sim.set('bootstrap', {})
  t.equal((await rig.image('afterwards')).status, 200)
  t.strictSame([received(rig, 'own video'), received(rig, 'own image')], [0, 0])
})

t.test('nobody comes: the deadline tells why', async (t) => {
  const rig = await sessionRig(t, {
    speed: 20,
    config: { VIDEO_CONCURRENCY: 1, IMAGE_TIMEOUT_MS: 40_000, VIDEO_TIMEOUT_MS: 40_000 }
  })
  const { sim, app } = rig
  sim.set('videoPoll', { neverReady: true })
  const ids = [(await rig.video('accepted')).json.data.taskId, (await rig.video('queued')).json.data.taskId]
  sim.cookies.expire(COOKIE)
  await until('it is paused', async () => (await app.store.tasks.countByState()).paused === 1)
  for (const id of ids)
    t.match(await rig.ended(id), {
      status: 'failed',
      errorDetail: { type: 'auth_error', code: 'cookie_expired' }
    })
  t.equal(received(rig, 'queued'), 0)
})

t.test('out of reach: what is queued waits, and is sent once', async (t) => {
  const rig = await sessionRig(t, {
    speed: 50,
    config: { VIDEO_CONCURRENCY: 1, VIDEO_TIMEOUT_MS: 3_600_000 }
  })
  const { sim, app } = rig
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['first', 'second', 'third']) ids.push((await rig.video(prompt)).json.data.taskId)
  sim.set('videoPoll', { status: 503 })
  await until('the circuit opens', () => rig.circuit('video-creator') === 'open')
  checkAnswer(t, 'a new one', await rig.video('fourth'), { ...TROUBLE, retryAfter: [1, 30] })
  sim.set('videoPoll', {})
  for (const id of ids) t.match(await rig.ended(id), { status: 'completed' })
  for (const prompt of ['first', 'second', 'third']) t.equal(received(rig, prompt), 1)
  t.equal(received(rig, 'fourth'), 0)
  t.equal(app.upstream.circuits.find(({ name }) => name === 'video-creator')?.state, 'closed')
})

t.test('throttled: what nobody waits for rests, callers are let through', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock, config: { VIDEO_CONCURRENCY: 2, POLL_INTERVAL_MS: 1000 } })
  const { sim } = rig
  const tick = async (ms: number) => {
    clock.pass(ms)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['first', 'second', 'third', 'fourth']) {
    ids.push((await rig.video(prompt)).json.data.taskId)
    // So that it is clear whose turn comes first.
    clock.pass(1)
  }
  sim.enqueue('videoSubmit', { status: 429, headers: { 'retry-after': '600' } })
  sim.enqueue('videoPoll', { pendingPolls: 0 })
  await until('the third meets it', async () => {
    await tick(1000)
    return (await rig.states())['video-creator'] === 'throttled'
  })
  await tick(60_000)
  t.strictSame([received(rig, 'third'), received(rig, 'fourth')], [1, 0], 'the fourth is not even tried')
  t.match((await rig.get(`/task/${ids[2]}`)).json.data, { status: 'processing', error: null })

  const own = await rig.video('a caller')
  t.equal(own.status, 200, 'a new call goes through')
  t.equal(received(rig, 'a caller'), 1)
  sim.set('videoPoll', {})
  await until('the time is over', async () => {
    await tick(60_000)
    return received(rig, 'fourth') === 1
  })
  for (const id of ids)
    await until('all are finished', async () => {
      await tick(1000)
      return (await rig.get(`/task/${id}`)).json.data.status === 'completed'
    })
  t.equal(sim.counts['creator.video.submit'], 5, 'each was accepted once')
  const { text } = await rig.get('/metrics')
  t.match(text, /bing_gateway_queue_wait_seconds_count\{kind="video"\} 5\n/, 'each has waited once')
})

t.test('a pause outlasts a restart, and ends with other cookies', async (t) => {
  const clock = handClock()
  const config = { VIDEO_CONCURRENCY: 2, POLL_INTERVAL_MS: 1000 }
  const before = await sessionRig(t, { clock, config })
  const { sim } = before
  const finished = (rig: SessionRig, id: string) =>
    until('it is finished', async () => {
      clock.pass(1000)
      await new Promise((resolve) => setTimeout(resolve, 10))
      return (await rig.get(`/task/${id}`)).json.data.status === 'completed'
    })
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['first', 'second', 'third', 'fourth']) {
    ids.push((await before.video(prompt)).json.data.taskId)
    clock.pass(1)
  }
  const [first = '', second = '', ...others] = ids
  sim.enqueue('videoSubmit', { status: 429, headers: { 'retry-after': '3000' } })
  await before.delete(`/task/${first}`)
  await until('the third meets it', async () => (await before.states())['video-creator'] === 'throttled')
  await until('the fourth rests', async () => {
    const tasks = await before.app.store.tasks.list('', { limit: 10, states: ['queued'] })
    return tasks.length === 2 && tasks.every(({ dueAt }) => (dueAt ?? 0) > clock.now() + 2_000_000)
  })
  await before.app.close()

  const rig = await sessionRig(t, { dir: before.dir, sim, clock, config })
  sim.set('videoPoll', {})
  await finished(rig, second)
  await rig.app.taskRunner.step()
  t.strictSame([received(rig, 'third'), received(rig, 'fourth')], [1, 0], 'a free place is no reason')
  rig.accept('a-new-cookie')
  rig.save('a-new-cookie')
  await until('both are sent', () => received(rig, 'third') === 2 && received(rig, 'fourth') === 1)
  for (const id of others) await finished(rig, id)
})

t.test('pictures asked for in a pause rest, unless somebody waits for them', async (t) => {
  const rig = await sessionRig(t)
  const { sim, app } = rig
  const later = async (prompt: string): Promise<string> =>
    (await rig.image(prompt, { prefer: 'respond-async' })).json.data.taskId
  sim.enqueue('submit', { status: 429, headers: { 'retry-after': '100' } })
  const met = await later('met')
  await until('Microsoft asks for a pause', async () => (await app.store.tasks.get(met))?.error !== null)

  const rests = await later('rests')
  t.equal((await rig.image('a caller')).status, 200)
  await app.taskRunner.step()
  t.strictSame([received(rig, 'met'), received(rig, 'rests')], [1, 0])
  t.match((await rig.get(`/task/${rests}`)).json.data, { status: 'processing', error: null })

  sim.enqueue('submit', { text: 'ongoing' })
  const refused = rig.image('refused', { 'idempotency-key': 'k1' })
  await until('it was refused', async () => {
    const [task] = await app.store.tasks.list('', { limit: 1 })
    return task?.prompt === 'refused' && task.refusals === 1
  })
  rig.accept('a-new-cookie')
  rig.save('a-new-cookie')
  for (const id of [met, rests]) t.match(await rig.ended(id), { status: 'completed' })
  t.match(await rig.ended(await later('afterwards')), { status: 'completed' })
  t.equal(received(rig, 'refused'), 1, 'a place is not had by another cookie')
  await app.close()
  t.equal((await refused).status, 503)
})

t.test('somebody else takes the only place for videos: what is queued waits for it', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, { clock, config: { VIDEO_CONCURRENCY: 1, POLL_INTERVAL_MS: 1000 } })
  const { sim } = rig
  const submits = () => sim.counts['creator.video.submit.received'] ?? 0
  const pass = async (ms: number) => {
    clock.pass(ms)
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      await rig.app.taskRunner.step()
    }
  }
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['first', 'second', 'third', 'fourth']) {
    ids.push((await rig.video(prompt)).json.data.taskId)
    // So that it is clear whose turn comes first.
    clock.pass(1)
  }
  await pass(60_000)
  // Its owner has no use for it any more; Bing draws it all the same.
  sim.set('videoSubmit', { text: 'video-concurrent' })
  await creeping(clock, rig.delete(`/task/${ids[0]}`))
  await until('the next one is refused, and waits', async () => {
    await pass(10)
    return received(rig, 'second') > 0 && !(await rig.app.store.tasks.countByState()).submitting
  })
  const first = submits()
  t.ok(first <= 3, `${first} submits: perhaps once more, since one of ours ended meanwhile`)
  await pass(300_000)
  t.strictSame([submits(), received(rig, 'third')], [first, 0], 'the others are not even tried')
  const later = await rig.video('fifth')
  t.equal(later.status, 200, 'who comes now waits, too')
  await pass(480_000)
  await until('one tries again', async () => {
    await pass(0)
    return submits() === first + 1
  })
  sim.set('videoSubmit', {})
  sim.set('videoPoll', {})
  for (const id of [...ids.slice(1), later.json.data.taskId])
    await until('all are finished', async () => {
      await pass(30_000)
      return (await rig.get(`/task/${id}`)).json.data.status === 'completed'
    })
})

t.test('somebody else uses the account: all wait, and one at a time tries again', async (t) => {
  const clock = handClock()
  const rig = await sessionRig(t, {
    clock,
    config: { IMAGE_CONCURRENCY: 3, IMAGE_TIMEOUT_MS: 3_600_000, POLL_INTERVAL_MS: 1000 }
  })
  const { sim } = rig
  const submits = () => sim.counts['creator.submit.received'] ?? 0
  const pass = async (ms: number) => {
    clock.pass(ms)
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      await rig.app.taskRunner.step()
    }
  }
  sim.set('submit', { text: 'ongoing' })
  const ids: string[] = []
  for (let n = 0; n < 10; n++) {
    const { json } = await creeping(clock, rig.image(`fox ${n}`, { prefer: 'respond-async' }))
    ids.push(json.data.taskId)
  }
  await until('those that were on their way are refused', async () => {
    const { submitting = 0 } = await rig.app.store.tasks.countByState()
    return submits() > 0 && submitting === 0
  })
  const first = submits()
  t.ok(first <= 3, `${first} submits at first`)
  await pass(29_000)
  t.equal(submits(), first, 'all of them rest')
  const sync = rig.image('a caller')
  await pass(100)
  t.equal(submits(), first, 'and so does who comes now')
  for (let n = 1; n <= 3; n++) {
    await pass(38_000)
    await until('the trial has ended', async () => !(await rig.app.store.tasks.countByState()).submitting)
    await pass(0)
    t.equal(submits(), first + n, 'one tries')
  }

  sim.set('submit', {})
  sim.set('poll', {})
  const views = () => Promise.all(ids.map(async (id) => (await rig.get(`/task/${id}`)).json.data))
  await until('all have ended', async () => {
    await pass(5000)
    return (await views()).every(({ status }) => status !== 'processing')
  })
  t.equal((await creeping(clock, sync)).status, 200)
  const failed = (await views()).filter(({ status }) => status === 'failed')
  t.ok(failed.length <= 2, `${failed.length} have failed, of which each was refused twice`)
  for (const { prompt, errorDetail } of failed) {
    t.strictSame(errorDetail, { type: 'rate_limit_error', code: 'too_many_jobs' })
    // Twice alone, and perhaps once beside others that were on their way.
    t.ok([2, 3].includes(received(rig, prompt)))
  }
  t.equal(sim.counts['creator.submit'], 11 - failed.length)
  t.strictSame(sim.violations, [])
})

t.test('two gateways on an account that draws one picture at a time', async (t) => {
  const DATABASE_URL = await (await startPostgres(t)).database()
  const config = { DATABASE_URL, CHAT_UPSTREAM: 'sydney' } as const
  const a = await sessionRig(t, { config })
  const { sim } = a
  const b = await sessionRig(t, { config, sim })
  sim.set('submit', { maxParallel: 1 })
  sim.set('poll', { readyAfterMs: 100 })
  const prompts = Array.from({ length: 10 }, (_, n) => `fox ${n}`)
  const ids = await Promise.all(
    prompts.map(async (prompt, n) => {
      const { json } = await (n % 2 === 0 ? a : b).image(prompt, { prefer: 'respond-async' })
      return json.data.taskId as string
    })
  )
  for (const id of ids) t.match(await a.ended(id), { status: 'completed', error: null })
  for (const prompt of prompts) t.equal(sim.counts[`submit:${prompt}`], 1)
  const refused = sim.counts['creator.submit.refused'] ?? 0
  t.ok(refused >= 1 && refused <= 5, `${refused} refused submits`)
  t.strictSame(sim.violations, [])
})

t.test('what one gateway can no longer look at, another one does', async (t) => {
  const DATABASE_URL = await (await startPostgres(t)).database()
  const config = { DATABASE_URL, CHAT_UPSTREAM: 'sydney', POLL_INTERVAL_MS: 500 } as const
  const a = await sessionRig(t, { speed: 30, config })
  const { sim } = a
  sim.set('videoPoll', { neverReady: true })
  const ids: string[] = []
  for (const prompt of ['one', 'two', 'three']) ids.push((await a.video(prompt)).json.data.taskId)
  sim.cookies.accept('of-the-other-gateway')
  const b = await startGateway(t, {
    sim,
    speed: 30,
    config: { ...config, BING_COOKIE_U: 'of-the-other-gateway' }
  })
  sim.cookies.expire(COOKIE)
  // From now on the first gateway can only pause what it claims.
  await until('it has paused some', () => (a.log().match(/task paused until/g) ?? []).length >= 3)
  sim.set('videoPoll', {})
  for (const id of ids) t.match(await b.ended(id), { status: 'completed', error: null })
  t.equal(a.circuit('bing-account'), 'open', 'the first one still waits')
})

t.test('what one gateway can only hold, another one sends', async (t) => {
  const DATABASE_URL = await (await startPostgres(t)).database()
  const config = { DATABASE_URL, IMAGE_CONCURRENCY: 1, CHAT_UPSTREAM: 'sydney' } as const
  const a = await sessionRig(t, { config })
  const { sim } = a
  const b = await sessionRig(t, { config, sim })

  /** A picture whose caller waits at the first gateway for the one place, marked by the second one. */
  async function waiting(prompt: string) {
    sim.enqueue('submit', { delayMs: 60_000 })
    const before = (await a.image(`before ${prompt}`, { prefer: 'respond-async' })).json.data.taskId
    await until('the place is taken', () => received(a, `before ${prompt}`) === 1)
    let answered = false
    const answer = a.image(prompt).finally(() => {
      answered = true
    })
    await until('it is marked', async () => {
      b.app.taskRunner.kick()
      const [task] = await a.app.store.tasks.list('', { limit: 1, states: ['queued'] })
      return task?.error != null
    })
    await a.app.taskRunner.step()
    t.notOk(answered, 'its caller is not told')
    return { answer, free: () => a.delete(`/task/${before}`) }
  }

  sim.enqueue('create', { failure: 'challenge-message' })
  checkAnswer(t, 'the second gateway', await b.start(), CHALLENGE)
  const sent = await waiting('sent')
  await sent.free()
  t.equal((await sent.answer).status, 200)
  t.equal(received(a, 'sent'), 1)

  const held = await waiting('held')
  sim.enqueue('create', { failure: 'challenge-message' })
  checkAnswer(t, 'the first one, too', await a.start(), CHALLENGE)
  checkAnswer(t, 'now nobody can send it', await held.answer, { ...CHALLENGE, retryAfter: [1, 1800] })
  await held.free()
  t.equal(received(a, 'held'), 0)
})
