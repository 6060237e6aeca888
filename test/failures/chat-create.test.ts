/**
 * docs/protocol/failures.md section 2, rows C1 to C10: the cells of test/support/fault-rows/create.ts, and rows that come
 * about by themselves.
 */
import t from 'tap'
import { chatRig, checkFailure, NOBODY, prompt } from '../support/chat-failures.ts'
import { COOKIE_EXPIRED, checkPeace } from '../support/failure-table.ts'
import { runGroups } from '../support/fault-rows/cell.ts'
import { createGroups } from '../support/fault-rows/create.ts'
import { COOKIE } from '../support/gateway.ts'

t.jobs = 3
runGroups(t, createGroups)

t.test('C2 for real: the cookie expires, and a person brings a new one', async (t) => {
  const rig = await chatRig(t)
  const { sim } = rig
  const first = await rig.conversation()
  const later = await rig.conversation()
  await rig.answered(t, later, 0)
  sim.reset()
  sim.cookies.expire(COOKIE)

  checkFailure(t, 'create', await rig.start(), COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { ...NOBODY, creates: 2 })
  sim.reset()
  const turn = await rig.ask(first, { prompt: prompt(0), invocationId: 0 })
  checkFailure(t, 'first turn', turn, COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { creates: 2, upgrades: 1, questions: 0 })
  sim.reset()
  const refused = await rig.ask(later, { prompt: prompt(1), invocationId: 1 })
  checkFailure(t, 'later turn', refused, {
    status: 503,
    type: 'upstream_unavailable_error',
    code: 'hub_refused',
    retryAfter: 60
  })
  t.strictSame(rig.asked(), { ...NOBODY, upgrades: 1 })

  sim.cookies.accept('renewed-cookie')
  rig.app.upstream.account.replace('renewed-cookie')
  await rig.answered(t, first, 0)
  await rig.answered(t, later, 1)
  await rig.answered(t, await rig.conversation(), 0)
  checkPeace(t, rig)
})

t.test('a deadline that leaves no time for the repeat: the failure itself', async (t) => {
  const rig = await chatRig(t, { speed: 4, config: { CHAT_TIMEOUT_MS: 1900 } })
  const identity = await rig.conversation()
  rig.sim.reset()
  rig.sim.set('create', { failure: 'unauthorized' })
  checkFailure(t, 'C2', await rig.start(), COOKIE_EXPIRED)
  t.strictSame(rig.asked(), { ...NOBODY, creates: 1 })

  rig.recover()
  rig.sim.set('turn', { failure: 'chatgpt' })
  const turn = await rig.ask(identity, { prompt: prompt(0), invocationId: 0 })
  checkFailure(t, 'S8', turn, { status: 502, type: 'upstream_error', code: 'upstream_internal' })
  t.strictSame(rig.asked(), { creates: 1, upgrades: 1, questions: 1 })
  rig.recover()
  await rig.answered(t, identity, 0)
  checkPeace(t, rig)
})
