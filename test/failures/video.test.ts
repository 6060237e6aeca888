/**
 * docs/protocol/failures.md section 8, rows V1 to V11: the cells of test/support/fault-rows/video.ts, and what is no cell
 * of its own.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startSimulator } from '../../src/simulator/index.ts'
import {
  COOKIE_EXPIRED,
  checkAnswer,
  checkFailed,
  failureRig,
  OUTCOME_UNKNOWN,
  SAID
} from '../support/failure-table.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { videoGroups } from '../support/fault-rows/video.ts'
import { COOKIE } from '../support/gateway.ts'

t.jobs = 3
runGroups(t, videoGroups)

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

t.test('V4: the interval stretches', async (t) => {
  const config = { POLL_INTERVAL_MS: undefined, VIDEO_TIMEOUT_MS: 3_600_000 }
  const rig = await failureRig(t, { speed: 900, config })
  rig.sim.set('videoPoll', { neverReady: true })
  let created = await rig.video()
  // The two minutes that a submit may take are an eighth of a second here: too little now and then.
  for (let n = 0; n < 20 && created.status !== 200; n++) created = await rig.video()
  await rig.ended(created.json.data.taskId)
  // Every five seconds would be 720.
  const { polls } = rig.seen()
  t.ok(polls >= 5 && polls <= 125, `${polls} polls in an hour`)
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

t.test('a process that died while a prompt was on its way', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-restart-'))
  const remains = mkdtempSync(join(tmpdir(), 'bing-gateway-restart-'))
  const sim = await startSimulator({ cookies: [COOKIE] })
  t.teardown(async () => {
    await sim.close()
    for (const folder of [dir, remains]) rmSync(folder, { recursive: true, force: true })
  })
  const start = (folder = dir) =>
    failureRig(t, { dir: folder, sim, speed: 1, config: { POLL_INTERVAL_MS: 20 } })
  const second = await start()

  // Nobody knows what became of it, and nobody sends it again.
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
