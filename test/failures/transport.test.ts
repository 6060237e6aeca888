/**
 * docs/protocol/failures.md section 1, rows T1 to T11: the cells of test/support/fault-rows/transport.ts and network.ts,
 * and what is no cell of its own.
 */
import t from 'tap'
import type { Behaviours } from '../../src/simulator/index.ts'
import { checkAnswer, checkFailed, failureRig, SPEED, UNREACHABLE } from '../support/failure-table.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { finished } from '../support/fault-rows/creations.ts'
import { attempts, networkGroups, relayRig } from '../support/fault-rows/network.ts'
import { SERIOUS, transportGroups } from '../support/fault-rows/transport.ts'
import { USER } from '../support/gateway.ts'

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
