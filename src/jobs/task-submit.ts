import type { Task } from '../store/task-store.ts'
import type { Accepted } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { isOnTheWay, needsAPerson } from '../upstream/row-kinds.ts'
import { deadline } from './deadline.ts'
import { STORE_PAUSE_MS } from './due-loop.ts'
import { requestOf, type TaskContext } from './task-context.ts'
import { timeout, toTaskError } from './task-errors.ts'

/** One submit, bootstrap and repeats included, may take this long: somebody waits for its answer. */
const SUBMIT_TIMEOUT_MS = 120_000
/** A video that Bing refuses while others of ours run waits for one of them, and asks again this often in case one ended unseen. */
const HELD_BACK_MS = 60_000
/** Pause before an image that was refused for want of a free place is submitted again, when Bing names none. */
const REFUSED_PAUSE_MS = 30_000
/** Images refused for want of a free place are submitted once more (row I10). */
const IMAGE_REFUSALS = 1

/**
 * Sends the prompt of a task that is in state `submitting`. That it is about to leave is stored before it does: a crash
 * after that leaves an unknown outcome and never a second submit, a crash before it leaves a task that waits again.
 *
 * @param cancelled aborts when the task was cancelled meanwhile
 * @param stopping aborts when the gateway ends and can't wait any longer
 */
export async function submitTask(
  context: TaskContext,
  task: Task,
  { cancelled, stopping }: { cancelled: AbortSignal; stopping: AbortSignal }
): Promise<void> {
  const { clock, log, worker, store } = context
  const beganAt = clock.now()
  const limit = deadline(
    clock,
    Math.min(SUBMIT_TIMEOUT_MS, (task.deadlineAt ?? Number.POSITIVE_INFINITY) - clock.now()),
    () => timeout(task),
    cancelled,
    stopping
  )
  let sent = false
  let accepted: Accepted
  try {
    accepted = await context.clientOf(task).submit(requestOf(task), limit.signal, beforeSend)
  } catch (error) {
    log.warn({ err: error, taskId: task.id, kind: task.kind }, 'submit failed')
    await keep(async () => {
      if (await holdBack(error)) return
      await context.fail(task, error, { worker, sent })
      begun()
    })
    return
  } finally {
    limit.clear()
  }
  begun()
  const now = clock.now()
  const { upstreamId, resultUrl } = accepted
  log.info({ taskId: task.id, kind: task.kind, upstreamId }, 'task submitted')
  await keep(async () => {
    const patch = {
      upstreamId,
      resultUrl: resultUrl ?? null,
      submittedAt: now,
      dueAt: now,
      error: null,
      deadlineAt: task.kind === 'image' ? task.deadlineAt : now + context.videoTimeoutMs
    }
    if ((await context.move(task, 'polling', patch, { worker })) !== undefined) return
    // Cancelled while the prompt was on its way, or stored by an attempt before this one. Nobody looks at a cancelled one
    // again; what is at Bing can still be found by its id.
    log.warn({ taskId: task.id, upstreamId }, 'task stood elsewhere when Bing had accepted it')
    await store.noteUpstreamId(task.id, upstreamId)
  })

  /** Once for each task: what goes back to the queue has not begun. What Bing had refused for want of a place waits for that, not for us. */
  function begun(): void {
    if (task.refusals === 0) context.onBegun?.(task, beganAt - task.createdAt)
  }

  async function beforeSend(): Promise<void> {
    let isOurs = false
    await keep(async () => {
      if (!limit.signal.aborted) isOurs = await store.markSent(task.id, worker, clock.now())
    })
    limit.signal.throwIfAborted()
    sent ||= isOurs
    if (!isOurs)
      throw new DOMException(
        'the task had ended, or was taken over, before its prompt was sent',
        'AbortError'
      )
  }

  /**
   * Makes a change of the store that nothing else can make up for, if need be again and again until the gateway stops:
   * an id that only Bing knows beside us, or the end of a submit that a caller waits for.
   */
  async function keep(change: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await change()
      } catch (error) {
        if (stopping.aborted) throw error
        log.error({ err: error, taskId: task.id }, 'task could not be stored; trying again')
        await clock.sleep(STORE_PAUSE_MS, stopping).catch(() => {})
      }
    }
  }

  /**
   * Puts a task back in the queue: one that was refused for want of a free place (rows I10 and V2), one that Microsoft
   * has surely not accepted and that may go through later, or a video that the gateway's end kept from being sent.
   */
  async function holdBack(error: unknown): Promise<boolean> {
    const now = clock.now()
    if (task.kind === 'video' && stopping.aborted && error === stopping.reason) {
      await context.move(task, 'queued', { dueAt: now }, { worker })
      return true
    }
    if (!(error instanceof UpstreamError)) return false
    if (error.row !== 'I10' && error.row !== 'V2') return waitForBetter(error, now)
    const refusals = task.refusals + 1
    let wait: number
    if (task.kind === 'image') {
      if (refusals > IMAGE_REFUSALS) return false
      wait = error.retries[0] ?? REFUSED_PAUSE_MS
      if (task.deadlineAt !== null && now + wait >= task.deadlineAt) return false
    } else {
      const others = (await store.countInFlight('video')) - 1
      if (others < 1) return false
      wait = HELD_BACK_MS
    }
    await context.move(task, 'queued', { dueAt: now + wait, refusals, error: null }, { worker })
    begun()
    return true
  }

  /** The reason is stored with it: a caller who still waits for the submit is told, and the task ends (`waitUnlessHeld`). */
  async function waitForBetter(error: UpstreamError, now: number): Promise<boolean> {
    const isStopped = context.upstream.refusal(task.kind) !== undefined
    // Each of these rows is Microsoft's word that the prompt was not taken.
    const isRefused = needsAPerson(error) === 'account' || error.row === 'T8'
    if (!isRefused && (sent || !(isStopped || isOnTheWay(error.row)))) return false
    const waitMs = isStopped || needsAPerson(error) !== undefined ? 0 : (error.retryAfter ?? 0) * 1000
    const dueAt = now + waitMs
    if (task.deadlineAt !== null && dueAt >= task.deadlineAt) return false
    const patch = {
      dueAt,
      error: { ...toTaskError(error, false), ...(isStopped ? { byCircuit: true as const } : {}) },
      deadlineAt: task.deadlineAt ?? now + context.videoTimeoutMs
    }
    if ((await context.move(task, 'queued', patch, { worker })) !== undefined)
      log.info({ taskId: task.id, code: error.code }, 'task waits until it can be sent')
    return true
  }
}
