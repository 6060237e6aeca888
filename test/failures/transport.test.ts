/**
 * docs/protocol/failures.md section 1, rows T1 to T11: the cells of test/support/fault-rows/transport.ts and network.ts,
 * and what is no cell of its own.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t from 'tap'
import type { Behaviours } from '../../src/simulator/index.ts'
import {
  checkAnswer,
  checkFailed,
  failureRig,
  OUTCOME_UNKNOWN,
  SPEED,
  TIMEOUT,
  UNREACHABLE
} from '../support/failure-table.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { finished } from '../support/fault-rows/creations.ts'
import { attempts, networkGroups, relayRig } from '../support/fault-rows/network.ts'
import { SERIOUS, transportGroups } from '../support/fault-rows/transport.ts'
import { startGateway, USER } from '../support/gateway.ts'

t.jobs = 4
runGroups(t, [...transportGroups, ...networkGroups])

t.test('each row has repeats of its own', async (t) => {
  const rig = await failureRig(t)
  const passing: [name: string, behaviours: Partial<Behaviours['create']>[]][] = [
    ['T1', [{ reset: true }, { reset: true }]],
    ['T9', [{ status: 503 }, { status: 504 }]],
    ['T9, both kinds', [{ status: 500 }, { status: 503 }, { status: 502 }]],
    ['T10', [{ failure: 'html' }]]
  ]
  for (const [name, behaviours] of passing) {
    rig.sim.enqueue('create', ...behaviours)
    t.equal((await rig.post('/create_conversation', { userId: USER })).status, 200, name)
    t.equal(rig.seen().creates, behaviours.length + 1)
    rig.sim.reset()
  }
  for (const kind of ['image', 'video'] as const) {
    rig.freshSession()
    rig.sim.enqueue('bootstrap', { reset: true }, { status: 503 }, { status: 500 }, { body: '' })
    const answer = await rig[kind]()
    t.equal(answer.status, 200, kind)
    t.match(rig.seen(), { bootstraps: 5, submits: 1, accepted: 1 })
    await finished(rig, answer)
    rig.sim.reset()
  }
})

t.test('trouble of a poll that comes once is no harm', async (t) => {
  const rig = await failureRig(t)
  // A fresh session finds the account still signed in, and polls go on.
  for (const { row, faults } of SERIOUS.slice(1)) {
    rig.sim.enqueue('poll', faults)
    t.equal((await rig.image()).status, 200, row)
  }
  t.strictSame(rig.sim.violations, [])
})

t.test('a submit that finds nobody there was not sent, and is tried again', async (t) => {
  const rig = await relayRig(t)
  const { relay } = rig
  for (const kind of ['image', 'video'] as const) {
    await rig.warm()
    await relay.close()
    const before = attempts(rig, '/images/create')
    checkAnswer(t, `T1 ${kind}`, await rig[kind](), UNREACHABLE)
    t.equal(attempts(rig, '/images/create') - before, 3)
    await relay.open()
    const next = await rig[kind]()
    t.equal(next.status, 200, 'the next one works')
    await finished(rig, next)

    await relay.close()
    const late = rig[kind]()
    setTimeout(() => relay.open(), 3)
    t.equal((await late).status, 200, 'back in time for a repeat')
    await finished(rig, await late)
    t.strictSame(rig.sim.violations, [])
  }
})

t.test('T1: back in time for a repeat', async (t) => {
  const rig = await relayRig(t)
  await rig.relay.close()
  const late = rig.post('/create_conversation', { userId: USER })
  setTimeout(() => rig.relay.open(), 3)
  t.equal((await late).status, 200)
  t.strictSame(rig.sim.violations, [])
})

t.test('videos that wait for somebody until the deadline', async (t) => {
  for (const { row, faults, want } of SERIOUS.filter(({ row }) => row !== 'T6')) {
    const rig = await failureRig(t, { config: { VIDEO_TIMEOUT_MS: 700 * SPEED } })
    rig.sim.set('videoPoll', faults)
    const { taskId } = (await rig.video()).json.data
    checkFailed(t, row, await rig.ended(taskId), want)
    t.match(await rig.stored(taskId), { upstreamId: /^4-[0-9a-f]{32}$/ })
    t.match(rig.seen(), { submits: 1, accepted: 1 })
    t.strictSame(rig.sim.violations, [])
  }
})

t.test('a deadline holds although no connection comes about', async (t) => {
  const held: Socket[] = []
  const server = createServer((socket) => held.push(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of held) socket.destroy()
    server.close()
  })
  // It never gets as far as TLS.
  const BING_URL = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gateway = await startGateway(t, { config: { BING_URL, CHAT_TIMEOUT_MS: 500, IMAGE_TIMEOUT_MS: 500 } })
  const startedAt = performance.now()
  const answers = await Promise.all([
    gateway.post('/create_conversation', { userId: USER }),
    gateway.post('/create/image', { query: 'a red lighthouse' })
  ])
  for (const answer of answers) checkAnswer(t, 'no connection', answer, TIMEOUT)
  t.ok(held.length > 0 && held.every((socket) => !socket.destroyed), 'it is still tried')
  t.ok(performance.now() - startedAt < 8000, 'and would be for ten seconds')
})

t.test('one connection that drips holds up nobody for long', async (t) => {
  // Slow enough for a submit to outlast the real seconds that it takes.
  const rig = await relayRig(t, 5)
  rig.relay.drips = 1
  const callers = [rig.image()]
  // Others come all the time, so that there is always somebody who waits for it.
  while (rig.seen().bootstraps === 0 && callers.length < 100) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    callers.push(rig.image())
  }
  for (const answer of await Promise.all(callers)) t.equal(answer.status, 200, answer.text)
  t.match(rig.seen(), { bootstraps: 1 })
  t.strictSame(rig.sim.violations, [])
})

t.test('the caller of a video does not wait for its submit without end', async (t) => {
  const rig = await failureRig(t, { submitWaitMs: 5 * SPEED })
  await rig.warm()
  rig.sim.set('videoSubmit', { stall: 'before' })
  const answer = await rig.video()
  t.equal(answer.status, 200, answer.text)
  const { taskId } = answer.json.data
  t.match((await rig.get(`/task/${taskId}`)).json.data, { status: 'processing', error: null })
  checkFailed(t, 'it goes on', await rig.ended(taskId), OUTCOME_UNKNOWN)
  t.match(rig.seen(), { submits: 1, accepted: 0 }, 'and is never sent again')
  t.strictSame(rig.sim.violations, [])
})

t.test('a gateway that stops does not wait for what it has not sent', async (t) => {
  const rig = await failureRig(t)
  rig.sim.set('bootstrap', { stall: 'before' })
  const image = await rig.post(
    '/create/image',
    { query: 'a red lighthouse' },
    { prefer: 'respond-async', 'x-user-id': USER }
  )
  t.equal(image.status, 202, image.text)
  const attended = rig.image()
  const video = rig.video()
  await rig.until('creator.bootstrap', 1)
  for (let n = 0; (await rig.app.store.tasks.countByState()).submitting !== 3; n++) {
    if (n === 1000) throw new Error('they are not on their way')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const startedAt = performance.now()
  await rig.app.taskRunner.close(600_000)
  t.ok(performance.now() - startedAt < 60_000, 'long before the time for prompts on their way is over')
  t.match(await attended, { status: 503, json: { error: { code: 'restarted' } } }, 'who waits is told')
  t.strictSame(await rig.app.store.tasks.countByState(), { queued: 2, failed: 1 }, 'the others wait again')
  t.match(rig.seen(), { submits: 0 })
  await rig.app.lifecycle.drain(0)
  t.equal((await video).status, 200, 'a video is its task')
  t.match(await rig.stored(image.json.data.taskId), { state: 'queued', sentAt: null, error: null })
})
