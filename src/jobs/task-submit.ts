import { followSignals } from '../follow-signals.ts'
import type { Task, TaskPatch } from '../store/task-store.ts'
import type { Accepted } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { isOnTheWay, needsAPerson } from '../upstream/row-kinds.ts'
import { REFUSED_PAUSE_MS } from './account-places.ts'
import { deadline } from './deadline.ts'
import { STORE_PAUSE_MS } from './due-loop.ts'
import { requestOf, type TaskContext } from './task-context.ts'
import { timeout, toTaskError } from './task-errors.ts'

/** One submit, bootstrap and repeats included, may take this long: somebody waits for its answer. */
const SUBMIT_TIMEOUT_MS = 120_000
/** Such an image is submitted once more (row I10). */
const IMAGE_REFUSALS = 1
/** As long as this the caller of a video may wait for its submit, and be told that there is no place; see plugins/video. */
const ATTENDED_MS = 30_000
/** Pause of videos for which nobody waits any more, refused though none of ours was at Bing, when the row names none. */
const VIDEO_PAUSE_S = 600

/**
 * Sends the prompt of a task that is in state `submitting`. That it is about to leave is stored before it does: a crash
 * after that leaves an unknown outcome and never a second submit, a crash before it leaves a task that waits again.
 *
 * @param cancelled aborts when the task was cancelled meanwhile
 * @param closing aborts when the gateway begins to end: what has not been sent by then is not sent any more
 * @param stopping aborts when it can't wait any longer
 * @param hasLeft whether the only one who would hear of it has left
 */
export async function submitTask(
  context: TaskContext,
  task: Task,
  {
    cancelled,
    closing,
    stopping,
    hasLeft
  }: { cancelled: AbortSignal; closing: AbortSignal; stopping: AbortSignal; hasLeft: () => boolean }
): Promise<void> {
  const { clock, log, worker, store, gate, places } = context
  const beganAt = clock.now()
  const unsent = new AbortController()
  const unfollow = followSignals(unsent, [closing])
  const limit = deadline(
    clock,
    Math.min(SUBMIT_TIMEOUT_MS, (task.deadlineAt ?? Number.POSITIVE_INFINITY) - clock.now()),
    () => timeout(task),
    cancelled,
    stopping,
    unsent.signal
  )
  let sent = false
  let sentAt = beganAt
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
    unfollow()
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
  // One more is at Bing: where that is more than it was known to take, it is known now.
  if (places.isLearnt(task.kind))
    await store
      .countAtBing(task.kind, now, '')
      .then(({ accepted }) => places.holds(task.kind, accepted))
      .catch((error) => log.warn({ err: error }, 'creations at Bing could not be counted'))

  /** Once for each task: what goes back to the queue has not begun. What Bing has made wait, though none of ours was there, waits for that and not for us. */
  function begun(): void {
    if (task.refusals === 0) context.onBegun?.(task, beganAt - task.createdAt)
  }

  async function beforeSend(): Promise<void> {
    let isOurs = false
    if (!limit.signal.aborted) unfollow()
    await keep(async () => {
      if (!limit.signal.aborted) isOurs = await store.markSent(task.id, worker, clock.now())
    })
    limit.signal.throwIfAborted()
    sent ||= isOurs
    sentAt = clock.now()
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
   * has surely not accepted and that may go through later, or one that the gateway's end kept from being sent.
   */
  async function holdBack(error: unknown): Promise<boolean> {
    const now = clock.now()
    if ([closing, stopping].some(({ aborted, reason }) => aborted && error === reason)) {
      await context.move(task, 'queued', { dueAt: now }, { worker })
      return true
    }
    if (!(error instanceof UpstreamError)) return false
    return error.row === 'I10' || error.row === 'V2' ? waitForPlace(error, now) : waitForBetter(error, now)
  }

  /** What was not sent by the time that its caller left stays unsent. @returns whether it waits again */
  async function requeue(patch: TaskPatch): Promise<boolean> {
    if (!hasLeft()) return (await context.move(task, 'queued', patch, { worker })) !== undefined
    const over = { error: null, dueAt: null, completedAt: clock.now() }
    await context.move(task, 'cancelled', over, { worker, refund: true })
    return false
  }

  async function waitForPlace(error: UpstreamError, now: number): Promise<boolean> {
    const { kind } = task
    const reason = { ...toTaskError(error), forPlace: true as const }
    const { inFlight, accepted, ended } = await store.countAtBing(kind, sentAt, task.id)
    // With what has ended while its prompt was on its way.
    if (inFlight + ended > 0) {
      places.full(kind, accepted)
      log.info({ taskId: task.id, kind, accepted }, 'the account takes no more at once')
      // It keeps its turn, and goes as soon as there are fewer; not within a pause that Microsoft has asked for meanwhile.
      await requeue({ dueAt: now, error: reason })
      if (gate.restsUntil(kind) > now) await gate.rest(kind, gate.restsUntil(kind))
      return true
    }
    // Somebody else uses the account, or there is a limit of another kind.
    const isVideo = kind === 'video'
    if (isVideo && beganAt - task.createdAt < ATTENDED_MS) return false
    const pause = isVideo
      ? (error.retryAfter ?? VIDEO_PAUSE_S) * 1000
      : (error.retries[0] ?? REFUSED_PAUSE_MS)
    const dueAt = places.rest(kind, pause)
    if (!isVideo && task.refusals >= IMAGE_REFUSALS) return false
    const deadlineAt = task.deadlineAt ?? now + context.videoTimeoutMs
    if (dueAt >= deadlineAt) return false
    const patch = { dueAt, deadlineAt, refusals: task.refusals + 1, error: reason }
    await requeue(patch)
    begun()
    return true
  }

  /** The reason is stored with it: a caller who still waits for the submit is told, and the task ends (`waitUnlessHeld`). */
  async function waitForBetter(error: UpstreamError, now: number): Promise<boolean> {
    const isStopped = context.upstream.refusal(task.kind) !== undefined
    // Each of these rows is Microsoft's word that the prompt was not taken.
    const isRefused = needsAPerson(error) === 'account' || error.row === 'T8'
    // Where nothing was sent, it was the start page that fell silent.
    const isPassing = isOnTheWay(error.row) || error.row === 'T4'
    if (!isRefused && (sent || !(isStopped || isPassing))) return false
    const waitMs = isStopped || needsAPerson(error) !== undefined ? 0 : (error.retryAfter ?? 0) * 1000
    const dueAt = now + waitMs
    if (task.deadlineAt !== null && dueAt >= task.deadlineAt) return false
    const patch = {
      dueAt,
      error: { ...toTaskError(error, false), ...(isStopped ? { byCircuit: true as const } : {}) },
      deadlineAt: task.deadlineAt ?? now + context.videoTimeoutMs
    }
    if (await requeue(patch))
      log.info({ taskId: task.id, code: error.code }, 'task waits until it can be sent')
    return true
  }
}
