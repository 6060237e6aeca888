import { GatewayError } from '../errors.ts'
import type { Task } from '../store/task-store.ts'
import { isPassing } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { deadline } from './deadline.ts'
import { jobOf, type TaskContext, variantOf } from './task-context.ts'
import { timeout, toTaskError } from './task-errors.ts'

/** One look, bootstrap included, may take this long before it counts as failed and is tried again. */
const LOOK_TIMEOUT_MS = 90_000
/** Waits after failed looks: 1, 2, 4 … 30 s (docs/protocol/failures.md section 0). */
const LOOK_BACKOFF_MS = { first: 1000, longest: 30_000 }
/** A signed-out account is asked again this often at most; a new cookie is noticed at once (failures.md section 9). */
const PAUSED_RECHECK_MS = 30 * 60_000

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
  try {
    const seen = await context.clientOf(task).look(jobOf(task), limit.signal)
    if (seen.state === 'ready') {
      // Not within the time of the look: what is finished must not count as failed because its copy is slow.
      const media = await context.archive(task, seen.result, stop)
      await ended('completed', { result: seen.result, error: null, dueAt: null, completedAt: now() }, media)
      return
    }
    if (now() >= deadlineAt) {
      const error = timeout({ ...task, state: 'polling', memory: seen.memory })
      await ended('failed', { error: toTaskError(error), dueAt: null, completedAt: now() })
      return
    }
    const ageMs = now() - (task.submittedAt ?? now())
    const delay = schedule.nextDelay({ kind: task.kind, variant: variantOf(task), ageMs })
    const patch = { memory: seen.memory, looks: task.looks + 1, lookFailures: 0, dueAt: now() + delay }
    if (task.state === 'polling') await store.update(task.id, worker, patch)
    else await context.move(task, 'polling', { error: null, ...patch }, { worker })
  } catch (error) {
    if (stop.aborted) return
    await failed(error)
  } finally {
    limit.clear()
  }

  async function ended(
    to: 'completed' | 'failed',
    patch: Parameters<TaskContext['move']>[2],
    media: Awaited<ReturnType<TaskContext['archive']>> = []
  ): Promise<void> {
    // Not guarded by the claim: whoever saw the end has seen it.
    const moved = await context.move(task, to, patch, { media })
    // A place is free for a video that was held back. Images wait out the pause that row I10 asks for.
    if (moved !== undefined && task.kind === 'video') await store.makeDue('queued', now(), 'video')
  }

  async function failed(error: unknown): Promise<void> {
    if (task.kind === 'video' && needsAPerson(error)) {
      // V8: the id belongs to the account, so the video is still there once somebody has signed in again or passed the check.
      log.warn({ taskId: task.id, err: error }, 'task paused until there is a new cookie')
      // Cookies that came while this look was under way woke nobody yet.
      const isOld = account.generation !== generation
      const patch = { dueAt: isOld ? now() : now() + PAUSED_RECHECK_MS, error: toTaskError(error) }
      if (task.state === 'paused') await store.update(task.id, worker, patch)
      else await context.move(task, 'paused', patch, { worker })
      return
    }
    if (error instanceof GatewayError && !isPassing(error)) {
      await ended('failed', { error: toTaskError(error), dueAt: null, completedAt: now() })
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
      dueAt: now() + Math.max(hinted, backoff * (1 + Math.random() * 0.25))
    })
  }
}

/** Whether looking is of no use until somebody has renewed the cookie, passed a check, or moved the gateway to another network. */
function needsAPerson(error: unknown): boolean {
  return (
    error instanceof UpstreamError &&
    (error.type === 'auth_error' || error.row === 'T5' || error.row === 'T7')
  )
}
