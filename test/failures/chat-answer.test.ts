/**
 * docs/protocol/failures.md section 4, rows S1 to S20: the cells of test/support/fault-rows/answer.ts, and rows that take
 * their time. Section 5, rows G1 to G5: test/support/fault-rows/own-side.ts.
 */
import t from 'tap'
import { createClock } from '../../src/clock.ts'
import { chatRig, checkFailure, type Identity, NOBODY, prompt, SPEED } from '../support/chat-failures.ts'
import { checkPeace, type Want } from '../support/failure-table.ts'
import { answerGroups } from '../support/fault-rows/answer.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { ownSideGroups } from '../support/fault-rows/own-side.ts'
import { EXPIRED, THROTTLED } from '../support/fault-rows/wants.ts'
import { type Answer, USER } from '../support/gateway.ts'

t.jobs = 3
runGroups(t, [...answerGroups, ...ownSideGroups])

t.test('S3 and S4 for real: the conversation or its token expires between two turns', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig
  for (const lifetime of [{ conversationTtlMs: 0 }, { tokenTtlMs: 0 }]) {
    sim.reset()
    sim.enqueue('create', lifetime)
    const first = await rig.conversation()
    const answer = await rig.answered(t, first, 0)
    t.strictSame(
      rig.asked(),
      { creates: 2, upgrades: 2, questions: 2 },
      'a first turn gets a fresh conversation'
    )
    await rig.replayed(t, first, { prompt: prompt(0), invocationId: 0 }, answer)
    await rig.answered(t, first, 1)
    t.equal(rig.asked().creates, 2)
    checkPeace(t, rig)
  }

  // Long enough for the first turn, over at the second one.
  const shortLived: { identity: Identity; first: Answer }[] = []
  for (const lifetime of [{ conversationTtlMs: 1000 }, { tokenTtlMs: 1000 }]) {
    sim.enqueue('create', lifetime)
    const identity = await rig.conversation()
    shortLived.push({ identity, first: await rig.answered(t, identity, 0) })
  }
  await new Promise((resolve) => setTimeout(resolve, 1100))
  for (const { identity, first } of shortLived) {
    sim.reset()
    checkFailure(t, 'later', await rig.ask(identity, { prompt: prompt(1), invocationId: 1 }), EXPIRED)
    t.strictSame(rig.asked(), { ...NOBODY, upgrades: 1, questions: 1 })
    checkFailure(t, 'again', await rig.ask(identity, { prompt: prompt(1), invocationId: 1 }), EXPIRED)
    t.equal(rig.asked().questions, 1, 'not asked again')
    await rig.replayed(t, identity, { prompt: prompt(0), invocationId: 0 }, first)
    checkPeace(t, rig)
  }
})

t.test('S1: who is throttled again after the wait waits twice as long', async (t) => {
  const real = createClock(SPEED)
  let skippedMs = 0
  const clock = { ...real, now: () => real.now() + skippedMs }
  const rig = await chatRig(t, { clock })
  const { sim } = rig
  const identity = await rig.conversationAt(t, 1)
  const ask = () => rig.ask(identity, { prompt: prompt(1), invocationId: 1 })
  const told = (from: number, to: number): Want => ({ ...THROTTLED, retryAfter: [from, to] })

  sim.set('turn', { failure: 'throttled' })
  for (const wait of [3600, 7200, 14_400, 28_800, 57_600, 86_400, 86_400]) {
    checkFailure(t, `${wait} s`, await ask(), told(wait, wait))
    skippedMs += 1_800_000
    // A few seconds pass on the gateway's clock while this is asked.
    checkFailure(t, `${wait} s, too early`, await ask(), told(wait - 1800 - 120, wait - 1800))
    skippedMs += (wait - 1800) * 1000
  }
  t.equal(rig.asked().questions, 14, 'each asked once')

  sim.set('create', { resultValue: 'Throttled' })
  const create = await rig.post('/create_conversation', { userId: USER })
  checkFailure(t, 'create shares the account', create, told(86_400, 86_400))

  rig.recover()
  await rig.answered(t, identity, 1)
  sim.set('turn', { failure: 'throttled' })
  const after = await rig.ask(identity, { prompt: prompt(2), invocationId: 2 })
  checkFailure(t, 'after an answer it starts anew', after, told(3600, 3600))
  t.strictSame(sim.violations, [])
})
