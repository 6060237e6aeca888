/**
 * docs/protocol/failures.md section 3, rows W1 to W12: the cells of test/support/fault-rows/connection.ts, and what is
 * no cell of its own.
 */
import t from 'tap'
import { chatRig, checkFailure } from '../support/chat-failures.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { CONTEXT_TOO_LONG, connectionGroups, HUB_CLOSED } from '../support/fault-rows/connection.ts'

t.jobs = 3
runGroups(t, connectionGroups)

t.test('W9: a context that grew', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig
  const identity = await rig.conversation()
  sim.reset()
  sim.set('turn', { answer: 'y'.repeat(3000), search: 'never' })
  t.equal((await rig.ask(identity, { prompt: 'x'.repeat(3000), invocationId: 0 })).status, 200)
  sim.set('turn', { end: 'close' })
  const atLimit = await rig.ask(identity, { prompt: 'z'.repeat(2000), invocationId: 1 })
  checkFailure(t, '8000 together', atLimit, HUB_CLOSED)
  const over = await rig.ask(identity, { prompt: 'z'.repeat(2001), invocationId: 1 })
  checkFailure(t, '8001 together', over, CONTEXT_TOO_LONG)
  t.equal(rig.asked().questions, 3)
  rig.recover()
  t.equal((await rig.ask(identity, { prompt: 'short', invocationId: 1 })).status, 200)
  t.strictSame(sim.violations, [])
})
