import { GatewayError } from '../errors.ts'
import type { MoveOptions, Task, TaskPatch } from '../store/task-store.ts'
import { isPassing } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { needsAPerson } from '../upstream/row-kinds.ts'
import { deadline } from './deadline.ts'
import type { PollSample } from './poll-plan.ts'
import { jobOf, type TaskContext, variantOf } from './task-context.ts'
import { timeout, toTaskError } from './task-errors.ts'

/** One look, bootstrap included, may take this long before it counts as failed and is tried again. */
const LOOK_TIMEOUT_MS = 90_000
/** Waits after failed looks: 1, 2, 4 … 30 s (docs/protocol/failures.md section 0). */
const LOOK_BACKOFF_MS = { first: 1000, longest: 30_000 }
/** A signed-out account is asked again this often at most; a new cookie is noticed at once (failures.md section 9). */
const PAUSED_RECHECK_MS = 30 * 60_000
/** The last look comes this long before the deadline, where the next one would come after it. */
const LAST_LOOK_MS = 2000
/** A look that begins so much later than it was due tells of this gateway, not of how long the creation took. */
const LATE = { ms: 2000, part: 0.1 }

/**
 * Looks once at a task that this worker has claimed, and stores what it saw: the end, or when to look again.
 * @param stop aborts when the task was cancelled or the gateway stops; then nothing is stored
 */
export async function lookAtTask(context: TaskContext, claimed: Task, stop: AbortSignal): Promise<void> {
  const { store, worker, clock, log, account, schedule } = context
  const task = claimed
  const now = () => clock.now()
  const deadlineAt = task.deadlineAt ?? Number.POSITIVE_INFINITY
  // One whose time is over already (the gateway was away) gets one whole look.
  const left = deadlineAt <= now() ? LOOK_TIMEOUT_MS : Math.min(LOOK_TIMEOUT_MS, deadlineAt - now())
  const limit = deadline(clock, left, () => new UpstreamError('T4'), stop)
  const { generation } = account
  const began = now()
  const job = { kind: task.kind, variant: variantOf(task) }
  const age = () => now() - (task.submittedAt ?? now())
  try {
    if (task.memory.opened !== true && schedule.isTooEarly({ ...job, ageMs: age() })) {
      const memory = await context.clientOf(task).open(jobOf(task), limit.signal)
      await goOn({ memory, lookFailures: 0, dueAt: nextLookAt() })
      return
    }
    const seen = await context.clientOf(task).look(jobOf(task), limit.signal)
    if (seen.state === 'ready') {
      const sample = sampleAt(now())
      // Not within the time of the look: what is finished must not count as failed because its copy is slow.
      const media = await context.archive(task, seen.result, stop)
      const learnt = sample && { job, sample }
      const patch = { result: seen.result, error: null, dueAt: null, completedAt: now() }
      const moved = await ended('completed', patch, { media, learnt })
      if (sample !== undefined && moved) schedule.learn(job, sample)
      return
    }
    if (now() >= deadlineAt) {
      const error = timeout({ ...task, state: 'polling', memory: seen.memory })
      await ended('failed', { error: toTaskError(error), dueAt: null, completedAt: now() })
      return
    }
    const { memory } = seen
    await goOn({ memory, looks: task.looks + 1, lookedAt: began, lookFailures: 0, dueAt: nextLookAt() })
  } catch (error) {
    if (stop.aborted) return
    await failed(error)
  } finally {
    limit.clear()
  }

  function nextLookAt(): number {
    const at = now() + schedule.nextDelay({ ...job, ageMs: age(), lookMs: now() - began })
    const last = deadlineAt - LAST_LOOK_MS
    return at > last && now() < last ? last : at
  }

  /** How long it took; `undefined` when looks failed or came late: that would be the time of the trouble. */
  function sampleAt(seenAt: number): PollSample | undefined {
    const { submittedAt, lookedAt, dueAt } = task
    if (submittedAt === null || task.state !== 'polling' || task.lookFailures > 0) return undefined
    if (seenAt > deadlineAt) return undefined
    if (began - (dueAt ?? began) > Math.max(LATE.ms, LATE.part * (began - submittedAt))) return undefined
    const afterMs = Math.max(0, (lookedAt ?? submittedAt) - submittedAt)
    return { afterMs, byMs: Math.max(afterMs, seenAt - submittedAt), looks: task.looks + 1, at: seenAt }
  }

  async function goOn(patch: TaskPatch): Promise<void> {
    if (task.state === 'polling') await store.update(task.id, worker, patch)
    else await context.move(task, 'polling', { error: null, ...patch }, { worker })
  }

  async function ended(
    to: 'completed' | 'failed',
    patch: TaskPatch,
    alongside: Pick<MoveOptions, 'media' | 'learnt'> = {}
  ): Promise<boolean> {
    // Not guarded by the claim: whoever saw the end has seen it.
    return (await context.move(task, to, patch, alongside)) !== undefined
  }

  async function failed(error: unknown): Promise<void> {
    if (waitsForAPerson(error)) {
      // V8: the id belongs to the account, so the creation is still there once somebody has signed in again or passed the check.
      log.warn({ taskId: task.id, err: error }, 'task paused until there is a new cookie')
      // Cookies that came while this look was under way woke nobody yet.
      const isOld = account.generation !== generation
      // And what keeps this gateway from looking, its address or a cookie of its own, may not concern another one.
      const isForOthers = task.state !== 'paused' && context.upstream.refusal(task.kind) !== undefined
      const dueAt = isOld || isForOthers ? now() : now() + PAUSED_RECHECK_MS
      const patch = { dueAt, error: toTaskError(error) }
      if (task.state === 'paused') await store.update(task.id, worker, patch)
      else await context.move(task, 'paused', patch, { worker })
      return
    }
    if (error instanceof GatewayError && !isPassing(error)) {
      await ended('failed', { error: toTaskError(error), dueAt: null, completedAt: now() })
      return
    }
    if (error instanceof UpstreamError && !error.asked && context.upstream.refusal(task.kind) !== undefined) {
      // The circuit is open, so nothing was looked at; another gateway's may not be.
      const waitMs = Math.min(LOOK_BACKOFF_MS.longest, (error.retryAfter ?? 1) * 1000)
      await store.update(task.id, worker, { dueAt: now() + waitMs })
      return
    }
    // Passing trouble, or a defect of ours: the creation goes on at Bing either way, so the task does too, until its deadline.
    const failures = task.lookFailures + 1
    const backoff = Math.min(LOOK_BACKOFF_MS.longest, LOOK_BACKOFF_MS.first * 2 ** (failures - 1))
    const hinted = error instanceof UpstreamError && error.row === 'T8' ? (error.retryAfter ?? 0) * 1000 : 0
    log.warn({ err: error, taskId: task.id, failures }, 'look failed')
    await store.update(task.id, worker, {
      lookFailures: failures,
      looks: task.looks + 1,
      dueAt: now() + Math.max(hinted, Math.round(backoff * (1 + Math.random() * 0.25)))
    })
  }
}

/** Whether looking is of no use until somebody has renewed the cookie, passed a check, or moved the gateway to another network. */
function waitsForAPerson(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  return error.type === 'auth_error' || error.row === 'T5' || needsAPerson(error) !== undefined
}
