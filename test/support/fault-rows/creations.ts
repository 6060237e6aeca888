import type { Test } from 'tap'
import type { Simulator } from '../../../src/simulator/index.ts'
import {
  checkAnswer,
  checkFailed,
  type FailureRig,
  isForAPerson,
  NOTHING,
  type Seen,
  type Want
} from '../failure-table.ts'
import type { Answer } from '../gateway.ts'
import { type Column, type Outcome, outcomeOf, type PlayedOn, taskOutcome } from './cell.ts'

/** A row as creators meet it: what Bing does, what the caller gets, and how often Bing is asked. */
export interface CreationRow {
  row: string
  form?: string
  behave: (sim: Simulator) => void
  /** In place of, or beside, what is usually sent. */
  body?: object
  /** `pictures`: the creation succeeds after all, with this many. */
  want: Want | { pictures: number }
  seen: Partial<Seen>
  /** What `seen` counts of the request that fails. */
  at: 'bootstraps' | 'submits' | 'polls'
  says?: RegExp
}

/** A video goes on after its answer; its polls belong to this row, not to the next one. */
export async function finished(rig: FailureRig, { status, json }: Answer): Promise<void> {
  if (status === 200 && json.data?.taskId !== undefined && json.data.images === undefined)
    await rig.ended(json.data.taskId)
}

/**
 * After a failure: no rule of the protocol was broken, and the next good call works. Where a person must act, the circuit
 * is open until they have: the same answer, and nobody is asked.
 */
export async function worksAgain(
  t: Test,
  rig: FailureRig,
  want: Want | undefined,
  call: () => Promise<Answer>
): Promise<void> {
  t.strictSame(rig.sim.violations, [])
  rig.sim.reset()
  if (want !== undefined && isForAPerson(want)) {
    const { status, type, code, stop } = want
    const again = await call()
    checkAnswer(t, 'until a person acts', again, {
      status,
      type,
      code,
      ...(stop && { stop }),
      ...(want.retryAfter !== undefined && { retryAfter: [1, 1800] })
    })
    t.strictSame(rig.seen(), NOTHING, 'nobody is asked meanwhile')
    rig.newCookie()
    await rig.settled()
    rig.sim.reset()
  }
  const good = await call()
  t.equal(good.status, 200, `the next one works: ${good.text}`)
  await finished(rig, good)
  t.strictSame(rig.sim.violations, [])
  rig.sim.reset()
}

type Play = PlayedOn<FailureRig>['play']

function cell({ row, form }: CreationRow, column: Column, play: Play): PlayedOn<FailureRig> {
  return { row, form, column, play }
}

/** `POST /create/image`, each row with a session that was not opened yet. */
export function imageCell(row: CreationRow): PlayedOn<FailureRig> {
  return cell(row, 'image', async (t, rig): Promise<Outcome> => {
    const { behave, body, want, seen, says } = row
    rig.freshSession()
    behave(rig.sim)
    const answer = await rig.image(body)
    if ('status' in want) checkAnswer(t, row.row, answer, want)
    else t.strictSame([answer.status, answer.json.data?.images?.length], [200, want.pictures])
    if (says !== undefined) t.match(answer.json.error.message, says)
    const asked = rig.seen()
    t.strictSame(asked, { ...NOTHING, bootstraps: 1, ...seen }, 'requests')
    await worksAgain(t, rig, 'status' in want ? want : undefined, () => rig.image())
    return outcomeOf(answer, asked[row.at])
  })
}

/** `POST /create/video` that is refused. */
export function refusedVideoCell(row: CreationRow & { want: Want }): PlayedOn<FailureRig> {
  return cell(row, 'video submit', async (t, rig): Promise<Outcome> => {
    const { behave, body, want, seen } = row
    rig.freshSession()
    behave(rig.sim)
    const answer = await rig.video(body)
    checkAnswer(t, row.row, answer, want)
    const asked = rig.seen()
    t.strictSame(asked, { ...NOTHING, bootstraps: 1, ...seen }, 'requests')
    const [task] = await rig.app.store.tasks.list('', { limit: 1 })
    t.strictSame(
      [task?.state, task?.upstreamId, task?.error?.type, task?.error?.code],
      ['failed', null, want.type, want.code],
      'stored'
    )
    await worksAgain(t, rig, want, () => rig.video())
    return outcomeOf(answer, asked[row.at])
  })
}

/** A video that was accepted and fails while the gateway looks at it. */
export function failedVideoCell(row: CreationRow & { want: Want }): PlayedOn<FailureRig> {
  return cell(row, 'video poll', async (t, rig): Promise<Outcome> => {
    const { behave, body, want, seen } = row
    rig.freshSession()
    behave(rig.sim)
    const created = await rig.video(body)
    t.equal(created.status, 200, created.text)
    const task = await rig.ended(created.json.data.taskId)
    checkFailed(t, row.row, task, want)
    const asked = rig.seen()
    t.strictSame(asked, { ...NOTHING, bootstraps: 1, submits: 1, accepted: 1, ...seen }, 'requests')
    await worksAgain(t, rig, undefined, () => rig.video())
    return taskOutcome(task, asked[row.at])
  })
}
