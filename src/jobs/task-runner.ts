import { EventEmitter, on } from 'node:events'
import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { GatewayError } from '../errors.ts'
import type { Task, TaskError, TaskKind, TaskStore } from '../store/task-store.ts'
import type { Account } from '../upstream/account.ts'
import {
  type Accepted,
  type CreationClient,
  type ImageRequest,
  isPassing,
  type Job,
  type VideoRequest
} from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { deadline } from './deadline.ts'
import type { PollSchedule } from './poll-schedule.ts'
import { isTerminal } from './task-states.ts'

/** One submit, bootstrap and repeats included, may take this long: somebody waits for its answer. */
const SUBMIT_TIMEOUT_MS = 120_000
/** One look, bootstrap included, may take this long before it counts as failed and is tried again. */
const LOOK_TIMEOUT_MS = 90_000
/** Looks under way at once. More would only queue inside the HTTP client. */
const LOOKS_AT_ONCE = 32
/** Waits after failed looks: 1, 2, 4 … 30 s (docs/protocol/failures.md section 0). */
const LOOK_BACKOFF_MS = { first: 1000, longest: 30_000 }
/** A signed-out account is asked again this often at most; a new cookie is noticed at once (failures.md section 9). */
const PAUSED_RECHECK_MS = 30 * 60_000
/** A video that Bing refuses while others of ours run waits for one of them, and asks again this often in case one ended unseen. */
const HELD_BACK_MS = 60_000
/** Images refused for want of a free place are submitted once more (row I10). */
const IMAGE_REFUSALS = 1
const LONGEST_TIMER_MS = 60_000
/** Pause after a write that the store refused (disk full, locked, away). */
const STORE_PAUSE_MS = 5000

export interface TaskRunnerSettings {
  store: TaskStore
  image: CreationClient<ImageRequest>
  video: CreationClient<VideoRequest>
  account: Account
  schedule: PollSchedule
  clock: Clock
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Creations in flight at once; 0: no limit. */
  concurrency: Record<TaskKind, number>
  /** Time that a video gets from its submit on; images carry their deadline from the start. */
  videoTimeoutMs: number
}

/**
 * Drives creations from the queue to their end: submits, looks, stores each change before it acts on it, and tells
 * those who wait. All that it needs to go on after a crash is in the store.
 */
export interface TaskRunner {
  /** Puts right what the last process left behind, then starts working. */
  start(): Promise<void>
  /** Says that there may be something to do. */
  kick(): void
  /** Starts everything that is due now. What is still queued afterwards has to wait for a free place. */
  step(): Promise<void>
  /** Resolves with the task as soon as `done` holds for it, the present state included. Rejects with the signal's reason. */
  waitFor(id: string, done: (task: Task) => boolean, signal: AbortSignal): Promise<Task>
  /** Stops a task that has not been submitted yet because its caller left. */
  abandon(id: string): Promise<void>
  /** Stops claiming, lets submits under way finish for up to `graceMs` (their outcome matters), breaks off looks. */
  close(graceMs: number): Promise<void>
}

export function createTaskRunner(settings: TaskRunnerSettings): TaskRunner {
  const { store, account, clock, log } = settings
  const changes = new EventEmitter().setMaxListeners(0)
  const busy = new Map<string, Promise<void>>()
  const submits = new Set<Promise<void>>()
  const lookStop = new AbortController()
  const submitStop = new AbortController()
  let disarm = () => {}
  let stepping: Promise<void> | undefined
  let again = false
  let closed = false
  let stopListening = () => {}

  const clientOf = (task: Task) =>
    (task.kind === 'image' ? settings.image : settings.video) as CreationClient<ImageRequest | VideoRequest>

  function announce(task: Task): void {
    changes.emit(task.id, task)
    if (isTerminal(task.state)) {
      const { id: taskId, kind, state, error } = task
      log.info(
        { taskId, kind, state, code: error?.code ?? undefined, ms: clock.now() - task.createdAt },
        'task ended'
      )
    }
  }

  async function move(
    task: Task,
    ...change: [to: Task['state'], patch: Parameters<TaskStore['move']>[2]]
  ): Promise<Task | undefined> {
    const moved = await store.move(task.id, ...change)
    if (moved !== undefined) announce(moved)
    else {
      // Somebody else, with the same store, was first. Those who wait here have not heard of it.
      const present = await store.get(task.id)
      if (present !== undefined) changes.emit(present.id, present)
    }
    return moved
  }

  const fail = (task: Task, error: unknown) =>
    move(task, 'failed', { error: taskError(error), dueAt: null, completedAt: clock.now() })

  /**
   * Makes a change of the store that nothing else can make up for, if need be again and again until the gateway stops:
   * an id that only Bing knows beside us, or the end of a submit that a caller waits for.
   */
  async function keep<T>(task: Task, change: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await change()
      } catch (error) {
        if (submitStop.signal.aborted) throw error
        log.error({ err: error, taskId: task.id }, 'task could not be stored; trying again')
        await clock.sleep(STORE_PAUSE_MS, submitStop.signal).catch(() => {})
      }
    }
  }

  /**
   * Runs one piece of work for a task. A defect or a store fault ends in the log and leaves the task due; it counts as
   * busy for a while longer, or the next pass would take it up at once and ask Bing in a tight loop.
   */
  function work(task: Task, run: () => Promise<void>): Promise<void> {
    const running = run()
      .catch((error) => {
        log.error({ err: error, taskId: task.id }, 'task step failed')
        return clock.sleep(STORE_PAUSE_MS, lookStop.signal).catch(() => {})
      })
      .finally(() => {
        busy.delete(task.id)
        runner.kick()
      })
    busy.set(task.id, running)
    return running
  }

  // ---- submit

  async function submit(task: Task): Promise<void> {
    // The task is in state `submitting` already: written before the prompt leaves the process.
    const limit = deadline(
      clock,
      Math.min(SUBMIT_TIMEOUT_MS, (task.deadlineAt ?? Number.POSITIVE_INFINITY) - clock.now()),
      () => timeout(task),
      submitStop.signal
    )
    let accepted: Accepted
    try {
      accepted = await clientOf(task).submit(requestOf(task), limit.signal)
    } catch (error) {
      log.warn({ err: error, taskId: task.id, kind: task.kind }, 'submit failed')
      await keep(task, async () => {
        if (!(await holdBack(task, error))) await fail(task, error)
      })
      return
    } finally {
      limit.clear()
    }
    const now = clock.now()
    log.info({ taskId: task.id, kind: task.kind, upstreamId: accepted.upstreamId }, 'task submitted')
    await keep(task, () =>
      move(task, 'polling', {
        upstreamId: accepted.upstreamId,
        resultUrl: accepted.resultUrl ?? null,
        submittedAt: now,
        dueAt: now,
        deadlineAt: task.deadlineAt ?? now + settings.videoTimeoutMs
      })
    )
  }

  /** Puts a task back in the queue: one that was refused for want of a free place (rows I10 and V2), or a video that the gateway's end kept from being sent. */
  async function holdBack(task: Task, error: unknown): Promise<boolean> {
    if (task.kind === 'video' && submitStop.signal.aborted && error === submitStop.signal.reason) {
      await move(task, 'queued', { dueAt: clock.now() })
      return true
    }
    if (!(error instanceof UpstreamError) || (error.row !== 'I10' && error.row !== 'V2')) return false
    const now = clock.now()
    const refusals = task.refusals + 1
    let wait: number
    if (task.kind === 'image') {
      if (refusals > IMAGE_REFUSALS) return false
      wait = error.retries[0] ?? LOOK_BACKOFF_MS.longest
      if (task.deadlineAt !== null && now + wait >= task.deadlineAt) return false
    } else {
      const others = (await store.countInFlight('video')) - 1
      if (others < 1) return false
      wait = HELD_BACK_MS
    }
    await move(task, 'queued', { dueAt: now + wait, refusals })
    return true
  }

  async function submitQueued(kind: TaskKind): Promise<void> {
    const limit = settings.concurrency[kind]
    while (!closed) {
      if (limit > 0 && (await store.countInFlight(kind)) >= limit) return
      const next = await store.nextQueued(kind, clock.now())
      if (next === undefined) return
      const claimed = await move(next, 'submitting', { dueAt: null })
      if (claimed === undefined) continue
      const running = work(claimed, () => submit(claimed))
      submits.add(running)
      running.finally(() => submits.delete(running))
    }
  }

  // ---- look

  async function look(task: Task): Promise<void> {
    const polling = task.state === 'paused' ? await move(task, 'polling', { error: null }) : task
    if (polling === undefined) return
    const until = Math.min(LOOK_TIMEOUT_MS, (task.deadlineAt ?? Number.POSITIVE_INFINITY) - clock.now())
    const limit = deadline(clock, until, () => new UpstreamError('T4'), lookStop.signal)
    const { generation } = account
    try {
      const seen = await clientOf(task).look(jobOf(task), limit.signal)
      const now = clock.now()
      if (seen.state === 'ready') {
        if (
          (await move(task, 'completed', { result: seen.result, dueAt: null, completedAt: now })) !==
            undefined &&
          task.kind === 'video'
        ) {
          await store.makeDue('queued', now, 'video')
        }
        return
      }
      await store.update(task.id, {
        memory: seen.memory,
        looks: task.looks + 1,
        lookFailures: 0,
        dueAt:
          now +
          settings.schedule.nextDelay({
            kind: task.kind,
            variant: variantOf(task),
            ageMs: now - (task.submittedAt ?? now)
          })
      })
    } catch (error) {
      if (closed) return
      await lookFailed(task, error, generation)
    } finally {
      limit.clear()
    }
  }

  async function lookFailed(task: Task, error: unknown, generation: number): Promise<void> {
    const now = clock.now()
    if (task.kind === 'video' && needsAPerson(error)) {
      // V8: the id belongs to the account, so the video is still there once somebody has signed in again or passed the check.
      log.warn({ taskId: task.id, err: error }, 'task paused until there is a new cookie')
      // Cookies that came while this look was under way woke nobody yet.
      const isOld = account.generation !== generation
      await move(task, 'paused', { dueAt: isOld ? now : now + PAUSED_RECHECK_MS, error: taskError(error) })
      return
    }
    if (error instanceof GatewayError && !isPassing(error)) {
      await fail(task, error)
      // A place is free for a video that was held back. Images wait out the pause that row I10 asks for.
      if (task.kind === 'video') await store.makeDue('queued', now, 'video')
      return
    }
    // Passing trouble, or a defect of ours: the creation goes on at Bing either way, so the task does too, until its deadline.
    const failures = task.lookFailures + 1
    const backoff = Math.min(LOOK_BACKOFF_MS.longest, LOOK_BACKOFF_MS.first * 2 ** (failures - 1))
    const hinted = error instanceof UpstreamError && error.row === 'T8' ? (error.retryAfter ?? 0) * 1000 : 0
    log.warn({ err: error, taskId: task.id, failures }, 'look failed')
    await store.update(task.id, {
      lookFailures: failures,
      looks: task.looks + 1,
      dueAt: now + Math.max(hinted, backoff * (1 + Math.random() * 0.25))
    })
  }

  // ---- loop

  async function expire(): Promise<void> {
    for (const task of await store.overdue(clock.now())) {
      if (busy.has(task.id)) continue
      await fail(task, timeout(task))
    }
  }

  async function pass(): Promise<void> {
    await expire()
    await submitQueued('image')
    await submitQueued('video')
    for (const task of await store.duePolls(clock.now(), LOOKS_AT_ONCE * 2)) {
      if (busy.size >= LOOKS_AT_ONCE + submits.size) break
      if (!busy.has(task.id)) work(task, () => look(task))
    }
  }

  /** @param since when the pass began: what fell due while it looked at the store counts as not seen */
  async function arm(since: number): Promise<void> {
    const at = await store.nextDueAt(since)
    disarm()
    if (closed || at === undefined) return
    disarm = clock.timer(Math.min(Math.max(1, at - clock.now()), LONGEST_TIMER_MS), () => runner.kick())
  }

  const runner: TaskRunner = {
    async start() {
      for (const task of await store.inState('submitting')) {
        await fail(task, new UpstreamError('outcome-unknown'))
      }
      for (const task of await store.inState('queued')) {
        // Nobody was given this task's id: its caller was still waiting for the picture when the process ended.
        if (task.kind === 'image') await fail(task, notSubmitted())
      }
      // A restart is how many operators bring in a new cookie.
      await store.makeDue('paused', clock.now())
      stopListening = account.onReplaced(() => {
        store
          .makeDue('paused', clock.now())
          .catch((error) => log.error({ err: error }, 'paused tasks could not be woken'))
          .finally(() => runner.kick())
      })
      runner.kick()
    },

    kick() {
      if (closed) return
      if (stepping !== undefined) {
        again = true
        return
      }
      runner.step().catch(() => {})
    },

    async step() {
      if (closed) return
      if (stepping === undefined) {
        stepping = (async () => {
          try {
            do {
              again = false
              const since = clock.now()
              await pass()
              if (!again) await arm(since)
            } while (again && !closed)
          } catch (error) {
            log.error({ err: error }, 'task loop failed')
            // The store may be away for a moment; nothing is lost by looking again.
            disarm()
            if (!closed) disarm = clock.timer(LOOK_BACKOFF_MS.first, () => runner.kick())
            throw error
          } finally {
            stepping = undefined
          }
        })()
      } else {
        // The pass under way may have looked at the store already; one more follows it.
        again = true
      }
      await stepping
    },

    async waitFor(id, done, signal) {
      signal.throwIfAborted()
      // Listening starts before the store is read, so that no change falls between the two.
      const stream = on(changes, id, { signal })
      try {
        const present = await store.get(id)
        if (present !== undefined && done(present)) return present
        for await (const [task] of stream as AsyncIterable<[Task]>) {
          if (done(task)) return task
        }
        throw new Error('the task events ended')
      } catch (error) {
        signal.throwIfAborted()
        throw error
      } finally {
        await stream.return?.()
      }
    },

    async abandon(id) {
      const task = await store.get(id)
      if (task?.state !== 'queued') return
      await move(task, 'cancelled', { dueAt: null, completedAt: clock.now() })
    },

    async close(graceMs) {
      if (closed) return
      closed = true
      stopListening()
      disarm()
      lookStop.abort(new Error('the gateway is stopping'))
      const grace = setTimeout(() => submitStop.abort(notSubmitted()), graceMs)
      await stepping?.catch(() => {})
      await Promise.allSettled([...busy.values()])
      clearTimeout(grace)
    }
  }
  return runner
}

function requestOf(task: Task): ImageRequest | VideoRequest {
  return { prompt: task.prompt, ...task.options }
}

function jobOf(task: Task): Job<ImageRequest | VideoRequest> {
  return {
    request: requestOf(task),
    upstreamId: task.upstreamId as string,
    resultUrl: task.resultUrl ?? undefined,
    memory: task.memory
  }
}

function variantOf(task: Task): string {
  return task.kind === 'image' ? task.options.model : task.options.speed
}

/** Whether looking is of no use until somebody has renewed the cookie, passed a check, or moved the gateway to another network. */
function needsAPerson(error: unknown): boolean {
  return (
    error instanceof UpstreamError &&
    (error.type === 'auth_error' || error.row === 'T5' || error.row === 'T7')
  )
}

function timeout(task: Task): GatewayError {
  if (task.state === 'queued') {
    return new UpstreamError('I21', {
      message: 'The creation waited for a free place until its time was over. Nothing was sent to Bing.'
    })
  }
  if (task.state === 'submitting') {
    // Reaches the caller only while no prompt is on its way; a lost answer is `outcome-unknown`.
    return new UpstreamError('I21', {
      message: 'The time of the creation was over before Bing had accepted it. Nothing goes on at Bing.'
    })
  }
  if (task.state === 'paused' && task.error !== null) return fromTaskError(task.error)
  if (task.kind === 'video') return new UpstreamError('V9')
  return new UpstreamError(task.memory.onlyPendingJson === true ? 'I21-review' : 'I21')
}

function notSubmitted(): GatewayError {
  return new GatewayError(
    'service_unavailable_error',
    'The gateway was restarted before the prompt was sent to Bing. Send the request again.',
    { code: 'restarted', retryAfter: 1 }
  )
}

function taskError(error: unknown): TaskError {
  if (!(error instanceof GatewayError)) return { type: 'api_error', code: null, message: 'Internal error.' }
  const { type, code, message, param, retryAfter, shouldRetry } = error
  return { type, code, message, param, retryAfter, shouldRetry }
}

/** The stored failure as the error that it was. */
export function fromTaskError(error: TaskError): GatewayError {
  const { type, code, message, param, retryAfter, shouldRetry } = error
  return new GatewayError(type, message, { code, param, retryAfter, shouldRetry })
}
