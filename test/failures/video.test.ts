/**
 * docs/protocol/failures.md section 8, rows V1 to V11, as callers of `POST /create/video` and `GET /task/:taskId` meet
 * them.
 *
 * Not played here, and why:
 * - V2 by another program that uses the same account: to the gateway that is the refusal with none of its own running.
 * - V3 caused by a GET with all creation parameters: the gateway makes no such request; its answer is played.
 * - V9, the later look-up: the gateway has no call for it; that the id is kept is checked in the store.
 * - V11: the gateway fetches no videos for callers yet. The client that will is tested in test/upstream/media.test.ts.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Behaviours, type Simulator, startSimulator } from '../../src/simulator/index.ts'
import {
  BAD_PAYLOAD,
  behave,
  behaveNext,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkAnswer,
  checkFailed,
  FAILED,
  FAST_USED_UP,
  type FailureRig,
  failureRig,
  MARKERS,
  NOT_ACCEPTED,
  NOTHING,
  OUTAGE,
  OUTCOME_UNKNOWN,
  POLICY,
  SAID,
  type Seen,
  SPEED,
  TEXT_ROWS,
  TIMEOUT,
  UNSAFE,
  type Want
} from '../support/failure-table.ts'
import { COOKIE } from '../support/gateway.ts'

const QUEUE_FULL: Want = { status: 429, type: 'rate_limit_error', code: 'too_many_jobs', retryAfter: 600 }
const FULL_TEXTS = ['ongoing', 'queue-limit', 'video-requests', 'video-rate', 'video-concurrent'] as const
const FAILED_TEXTS = ['video-wrong', 'video-later', 'video-could-not', 'video-error', 'video-unable'] as const

/** Gateway milliseconds that are `ms` of real time. */
const real = (ms: number) => ms * SPEED

interface Row {
  name: string
  behave: (sim: Simulator) => void
  body?: object
  want: Want
  seen: Partial<Seen>
}

/** After a row: no rule was broken, and a new video is filmed; with a new cookie where a person had to act. */
async function nextOneWorks(
  t: Test,
  rig: FailureRig,
  { name, want }: Pick<Row, 'name' | 'want'>
): Promise<void> {
  t.strictSame(rig.sim.violations, [], name)
  rig.sim.reset()
  if (want === COOKIE_EXPIRED || want === CHALLENGE) rig.newCookie()
  const { taskId } = (await rig.video()).json.data
  t.match(await rig.ended(taskId), { status: 'completed', error: null }, `${name}: the next one works`)
  rig.sim.reset()
}

/** Rows that end with the answer to the submit. */
async function refuse(t: Test, rows: readonly Row[]): Promise<void> {
  const rig = await failureRig(t)
  for (const row of rows) {
    rig.freshSession()
    row.behave(rig.sim)
    checkAnswer(t, row.name, await rig.video(row.body), row.want)
    t.strictSame(rig.seen(), { ...NOTHING, bootstraps: 1, ...row.seen }, `${row.name}: requests`)
    const [task] = await rig.app.store.tasks.list('', { limit: 1 })
    t.strictSame(
      [task?.state, task?.upstreamId, task?.error?.type, task?.error?.code],
      ['failed', null, row.want.type, row.want.code],
      `${row.name}: stored`
    )
    await nextOneWorks(t, rig, row)
  }
}

/** Rows that end while polling: the submit was answered with 200, the task fails. */
async function fail(t: Test, rows: readonly Row[]): Promise<void> {
  const rig = await failureRig(t)
  for (const row of rows) {
    rig.freshSession()
    row.behave(rig.sim)
    const created = await rig.video(row.body)
    t.equal(created.status, 200, row.name)
    const task = await rig.ended(created.json.data.taskId)
    checkFailed(t, row.name, task, row.want)
    t.strictSame(
      rig.seen(),
      { ...NOTHING, bootstraps: 1, submits: 1, accepted: 1, ...row.seen },
      `${row.name}: requests`
    )
    await nextOneWorks(t, rig, row)
  }
}

const ONCE = { submits: 1 }

t.test('V1: refused at submit as an image is', async (t) => {
  const submit = (name: string, behaviour: Partial<Behaviours['videoSubmit']>, want: Want): Row => ({
    name,
    behave: behave('videoSubmit', behaviour),
    want,
    seen: ONCE
  })
  await refuse(t, [
    {
      name: 'I1',
      behave: behave('bootstrap', { page: 'signed-out' }),
      want: COOKIE_EXPIRED,
      seen: { bootstraps: 2 }
    },
    {
      name: 'I3',
      behave: behaveNext('videoSubmit', { expireCookie: true }),
      want: COOKIE_EXPIRED,
      seen: { bootstraps: 3, submits: 1 }
    },
    ...MARKERS.map((marker) => submit(`I4 ${marker}`, { marker }, POLICY)),
    ...TEXT_ROWS.map(([row, text, want]) => submit(`${row} ${text}`, { text }, want)),
    ...FAILED_TEXTS.map((text) => submit(`V6 ${text}`, { text }, FAILED)),
    submit('I11', { text: 'no-coins' }, FAST_USED_UP),
    { ...submit('I11 fast', { text: 'no-coins' }, FAST_USED_UP), body: { speed: 'fast' } },
    {
      name: 'I15 bootstrap',
      behave: behave('bootstrap', { text: 'outage' }),
      want: OUTAGE,
      seen: { bootstraps: 3 }
    },
    submit('I15 submit', { text: 'sorry' }, OUTAGE),
    submit('I16', { answer: 'no-id' }, { ...BAD_PAYLOAD, stop: true }),
    submit('an answer of no known kind', { body: 'OK' }, OUTCOME_UNKNOWN),
    submit('I16 login', { answer: 'login' }, COOKIE_EXPIRED),
    submit('I17 authns', { answer: 'authns' }, CHALLENGE),
    submit('I17 snrerror', { answer: 'snrerror' }, CHALLENGE),
    { name: 'I4 words', behave: () => {}, body: { query: 'a forbidden thing' }, want: POLICY, seen: ONCE }
  ])
})

t.test('V1: refused on the page after the submit', (t) =>
  fail(t, [
    ...MARKERS.slice(0, 2).map((marker) => ({
      name: `I4 ${marker}`,
      behave: behave('resultPage', { marker }),
      want: POLICY,
      seen: {}
    })),
    ...TEXT_ROWS.map(([row, text, want]) => ({
      name: `${row} ${text}`,
      behave: behave('resultPage', { text }),
      want,
      seen: {}
    }))
  ])
)

t.test('V2: the queue is full, and nothing of ours is in it', (t) =>
  refuse(
    t,
    FULL_TEXTS.map((text) => ({
      name: text,
      behave: behave('videoSubmit', { text }),
      want: QUEUE_FULL,
      seen: ONCE
    }))
  )
)

t.test('V2: the fourth waits until one of ours ends', async (t) => {
  // In real time, in which the gateway asks again by itself only after a minute.
  const rig = await failureRig(t, { speed: 1, config: { POLL_INTERVAL_MS: 20, VIDEO_CONCURRENCY: 0 } })
  rig.sim.set('videoSubmit', { maxParallel: 3 })
  rig.sim.set('videoPoll', { neverReady: true })
  const tasks: string[] = []
  for (const query of ['one', 'two', 'three', 'four']) {
    const { status, json } = await rig.video({ query })
    t.strictSame([status, json.data.prompt], [200, query])
    tasks.push(json.data.taskId)
  }
  const fourth = tasks[3] as string
  t.match(rig.seen(), { submits: 4, accepted: 3 })
  t.match((await rig.get(`/task/${fourth}`)).json.data, { status: 'processing', error: null })
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.match(rig.seen(), { submits: 4 }, 'Bing is not asked over and over')

  rig.sim.enqueue('videoPoll', { pendingPolls: 0 })
  await rig.until('creator.video.submit', 4)
  t.match(rig.seen(), { submits: 5, accepted: 4 }, 'sent again when one has ended, once')
  rig.sim.set('videoPoll', {})
  for (const task of tasks) t.equal((await rig.ended(task)).status, 'completed')
  t.match(rig.seen(), { submits: 5, accepted: 4 })

  // A fifth that fails frees its place too.
  rig.sim.set('videoPoll', { neverReady: true })
  rig.sim.set('videoSubmit', { maxParallel: 1 })
  await rig.video({ query: 'five' })
  const sixth = (await rig.video({ query: 'six' })).json.data.taskId
  t.match(rig.seen(), { submits: 7, accepted: 5 })
  rig.sim.enqueue('videoPoll', { errorMessage: SAID, pendingPolls: 0 })
  await rig.until('creator.video.submit', 6)
  rig.sim.set('videoPoll', {})
  t.equal((await rig.ended(sixth)).status, 'completed')
  t.strictSame(rig.sim.violations, [])
})

t.test('V2: our own limit holds the fourth back before Bing has to', async (t) => {
  const rig = await failureRig(t, { speed: 1, config: { POLL_INTERVAL_MS: 20 } })
  rig.sim.set('videoSubmit', { maxParallel: 3 })
  rig.sim.set('videoPoll', { neverReady: true })
  const tasks: string[] = []
  for (const query of ['one', 'two', 'three', 'four'])
    tasks.push((await rig.video({ query })).json.data.taskId)
  t.match(rig.seen(), { submits: 3, accepted: 3 })
  rig.sim.set('videoPoll', {})
  for (const task of tasks) t.equal((await rig.ended(task)).status, 'completed')
  t.match(rig.seen(), { submits: 4, accepted: 4 })
  t.strictSame(rig.sim.violations, [])
})

t.test('V3: the start page', async (t) => {
  await refuse(t, [
    {
      name: 'twice',
      behave: behave('videoSubmit', { answer: 'start-page' }),
      want: NOT_ACCEPTED,
      seen: { bootstraps: 2, submits: 2 }
    },
    {
      name: 'then refused',
      behave: behaveNext('videoSubmit', { answer: 'start-page' }, { text: 'video-concurrent' }),
      want: QUEUE_FULL,
      seen: { bootstraps: 2, submits: 2 }
    }
  ])
  const rig = await failureRig(t)
  rig.sim.enqueue('videoSubmit', { answer: 'start-page' })
  const { taskId } = (await rig.video()).json.data
  t.equal((await rig.ended(taskId)).status, 'completed', 'once')
  const queries = rig.sim.requests
    .filter(({ method }) => method === 'POST')
    .map(({ search }) => new URLSearchParams(search))
  t.strictSame(
    queries.map((query) => [query.get('IID'), /^[0-9A-F]{32}$/.test(query.get('IG') ?? '')]),
    [
      [null, true],
      ['images.as', true]
    ],
    'the second one carries IG and IID'
  )
  t.strictSame(rig.sim.violations, [])
})

/** What leaves a task `processing`, however long it lasts. */
const WAITING: [name: string, behaviour: Partial<Behaviours['videoPoll']>][] = [
  ...(['empty', 'one-character', 'json', 'json-still', 'status-page', 'no-css', 'streaming'] as const).map(
    (shape): [string, Partial<Behaviours['videoPoll']>] => [
      `V4 ${shape}`,
      { neverReady: true, pending: [shape] }
    ]
  ),
  ['V4 pending, with content', { ready: 'pending-and-content' }],
  ['V4 a card, whose address takes another call', { ready: 'card' }],
  ['V4 another page', { body: '<p>zebra-canary</p>' }],
  ['V4 half of a JSON', { body: '{"errorMess' }],
  ['V4 the JSON of the newer protocol', { body: '{"status":0}' }],
  ['I15 outage', { text: 'outage' }],
  ['I15 sorry', { text: 'sorry' }]
]

t.test('V4: working', async (t) => {
  const rig = await failureRig(t)
  for (const [name, behaviour] of WAITING) {
    rig.sim.set('videoPoll', behaviour)
    const { taskId } = (await rig.video()).json.data
    await rig.until('creator.video.poll', 4)
    const task = (await rig.get(`/task/${taskId}`)).json.data
    t.match(task, { status: 'processing', video: null, error: null, completedAt: null }, name)
    rig.sim.set('videoPoll', {})
    t.match(await rig.ended(taskId), { status: 'completed', video: /\/th\/id\/OVID\./ }, name)
    t.match(rig.seen(), { submits: 1, accepted: 1 }, name)
    t.strictSame(rig.sim.violations, [], name)
    rig.sim.reset()
  }
})

t.test('V4: the interval stretches', async (t) => {
  const config = { POLL_INTERVAL_MS: undefined, VIDEO_TIMEOUT_MS: 3_600_000 }
  const rig = await failureRig(t, { speed: 900, config })
  rig.sim.set('videoPoll', { neverReady: true })
  const { taskId } = (await rig.video()).json.data
  await rig.ended(taskId)
  // Every five seconds would be 720.
  const { polls } = rig.seen()
  t.ok(polls >= 5 && polls <= 125, `${polls} polls in an hour`)
})

t.test('V5, V6, V7: failed while polling', async (t) => {
  const poll = (name: string, behaviour: Partial<Behaviours['videoPoll']>, want: Want, polls = 1): Row => ({
    name,
    behave: behave('videoPoll', behaviour),
    want,
    seen: { polls }
  })
  await fail(t, [
    ...MARKERS.map((marker) => poll(`V5 ${marker}`, { marker }, POLICY)),
    {
      name: 'V5 words',
      behave: () => {},
      body: { query: 'an unsafe thing' },
      want: POLICY,
      seen: { polls: 2 }
    },
    poll('V6 errorMessage', { errorMessage: SAID }, FAILED, 2),
    poll('V6 errorMessage that is known', { errorMessage: 'This prompt has been blocked' }, POLICY, 2),
    poll('V6 errorType', { body: '{"status":3,"errorType":2}' }, FAILED),
    poll('V6 errorType 16', { body: '{"status":3,"errorType":16}' }, UNSAFE),
    ...FAILED_TEXTS.map((text) => poll(`V6 ${text}`, { text }, FAILED)),
    ...TEXT_ROWS.map(([row, text, want]) => poll(`${row} ${text}`, { text }, want)),
    poll('V7', { ready: 'json-neither' }, BAD_PAYLOAD, 4),
    poll('V7 another shape', { body: JSON.stringify({ said: SAID }) }, BAD_PAYLOAD, 3)
  ])
  const rig = await failureRig(t)
  const neither = { ready: 'json-neither', pendingPolls: 0 } as const
  rig.sim.enqueue('videoPoll', neither, neither, {}, neither, neither)
  rig.sim.set('videoPoll', { pendingPolls: 4 })
  const { taskId } = (await rig.video()).json.data
  t.equal((await rig.ended(taskId)).status, 'completed', 'V7: twice in a row, and again after a good one')
  t.strictSame(rig.sim.violations, [])
})

/** A gateway whose cookie is in a file, and a video that was accepted before Bing signed it out. */
async function signedOut(t: Test, config: object = {}, speed?: number) {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-cookie-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'cookie.txt')
  writeFileSync(file, COOKIE)
  const rig = await failureRig(t, {
    speed,
    config: { BING_COOKIE_FILE: file, BING_COOKIE_U: undefined, ...config }
  })
  rig.sim.set('videoPoll', { expireCookie: true })
  const { taskId } = (await rig.video()).json.data
  for (let n = 0; (await rig.stored(taskId))?.state !== 'paused'; n++) {
    if (n === 400) throw new Error('the task was not paused')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  rig.sim.set('videoPoll', {})
  return { rig, taskId, file }
}

t.test('V8: signed out while polling, until there is a new cookie', async (t) => {
  const { rig, taskId, file } = await signedOut(t, { POLL_INTERVAL_MS: 20 }, 1)
  t.match((await rig.get(`/task/${taskId}`)).json.data, {
    status: 'processing',
    error: null,
    completedAt: null
  })
  const { polls, bootstraps } = rig.seen()
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.match(rig.seen(), { polls, bootstraps }, 'Bing is left alone meanwhile')
  checkAnswer(t, 'images', await rig.image(), COOKIE_EXPIRED)

  const startedAt = performance.now()
  rig.sim.cookies.accept('a-new-cookie')
  writeFileSync(file, 'Cookie: MUID=1; _U=a-new-cookie')
  t.match(await rig.ended(taskId), { status: 'completed', error: null, video: /OVID/ })
  t.ok(performance.now() - startedAt < 4000, 'noticed within two seconds, and looked at once')
  t.match(rig.seen(), { submits: 1, accepted: 1 })
  t.equal((await rig.image()).status, 200)

  // A file that is empty, as for the moment of being rewritten, takes no cookie away.
  rig.sim.set('videoPoll', { neverReady: true })
  const second = (await rig.video()).json.data.taskId
  writeFileSync(file, '')
  for (let n = 0; !rig.log().includes('no _U cookie in it') && n < 600; n++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  t.match(rig.log(), /no _U cookie in it/)
  t.match(await rig.stored(second), { state: 'polling' })
  t.match((await rig.get(`/task/${second}`)).json.data, { status: 'processing', error: null })
  rig.sim.set('videoPoll', {})
  writeFileSync(file, '[{"name":"_U","value":"a-new-cookie","domain":".bing.com"}]')
  t.equal((await rig.ended(second)).status, 'completed')
  t.match(rig.seen(), { submits: 3, accepted: 3 }, 'two videos and an image, each sent once')
  t.strictSame(rig.sim.violations, [])
  t.notMatch(rig.log(), /simulated-cookie|a-new-cookie/)
})

t.test('V8: no new cookie until the deadline', async (t) => {
  const { rig, taskId } = await signedOut(t, { VIDEO_TIMEOUT_MS: real(700) })
  const task = await rig.ended(taskId)
  checkFailed(t, 'V8', task, COOKIE_EXPIRED)
  t.match(task.error, /_U cookie/)
  t.match(await rig.stored(taskId), { upstreamId: /^4-[0-9a-f]{32}$/ })
  t.match(rig.seen(), { submits: 1, accepted: 1 })
  await nextOneWorks(t, rig, { name: 'V8', want: COOKIE_EXPIRED })
})

t.test('V9: the deadline', async (t) => {
  const rig = await failureRig(t, { config: { VIDEO_TIMEOUT_MS: real(700) } })
  rig.sim.set('videoPoll', { neverReady: true })
  const startedAt = performance.now()
  const { taskId } = (await rig.video()).json.data
  const task = await rig.ended(taskId)
  t.ok(performance.now() - startedAt < 5000, 'nothing hangs')
  checkFailed(t, 'V9', task, TIMEOUT)
  t.match(task.error, /may still finish/)
  t.match(
    await rig.stored(taskId),
    { state: 'failed', upstreamId: /^4-[0-9a-f]{32}$/ },
    'it can be looked up later'
  )
  const { polls } = rig.seen()
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.match(rig.seen(), { submits: 1, accepted: 1, polls }, 'no more polls')
  await nextOneWorks(t, rig, { name: 'V9', want: TIMEOUT })
})

t.test('V10: a restart', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-restart-'))
  const remains = mkdtempSync(join(tmpdir(), 'bing-gateway-restart-'))
  const sim = await startSimulator({ cookies: [COOKIE] })
  t.teardown(async () => {
    await sim.close()
    for (const folder of [dir, remains]) rmSync(folder, { recursive: true, force: true })
  })
  const start = (folder = dir) =>
    failureRig(t, { dir: folder, sim, speed: 1, config: { POLL_INTERVAL_MS: 20, VIDEO_CONCURRENCY: 2 } })
  // Ready only for a page that was opened after the submit, as Bing's pages are after a restart.
  sim.set('videoPoll', { onlyNewSession: true })
  const first = await start()
  const tasks: string[] = []
  for (const query of ['one', 'two', 'waits']) tasks.push((await first.video({ query })).json.data.taskId)
  await first.until('creator.video.poll', 4)
  const pages = first.seen().bootstraps
  await first.app.close()
  t.match(first.seen(), { submits: 2, accepted: 2 })

  const second = await start()
  for (const task of tasks) {
    t.match(await second.ended(task), { status: 'completed', error: null, video: /OVID/ })
    // The third one was submitted within the new session, so it needs one more page.
    if (task === tasks[1]) sim.set('videoPoll', {})
  }
  t.strictSame(second.seen().bootstraps, pages + 1, 'with a fresh IG')
  t.match(second.seen(), { submits: 3, accepted: 3 }, 'each one was sent once')
  for (const query of ['one', 'two', 'waits']) t.equal(sim.counts[`received:${query}`], 1)

  // A process that died while a prompt was on its way: nobody knows, and nobody sends it again.
  sim.enqueue('videoSubmit', { delayMs: 1000 })
  const lost = second.video({ query: 'lost' })
  await second.until('received:lost', 1)
  cpSync(dir, remains, { recursive: true })
  const third = await start(remains)
  const [task] = await third.app.store.tasks.list('', { limit: 1 })
  t.match(task, { prompt: 'lost', state: 'failed', error: { shouldRetry: false } })
  checkFailed(t, 'lost', (await third.get(`/task/${task?.id}`)).json.data, OUTCOME_UNKNOWN)
  await lost
  t.equal(sim.counts['received:lost'], 1)
  t.strictSame(sim.violations, [])
})
