import { setMaxListeners } from 'node:events'
import type { GatewayError } from '../errors.ts'
import { followSignals } from '../follow-signals.ts'
import { type Changes, waitForRow } from '../store/changes.ts'
import type { Task, TaskKind } from '../store/task-store.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { createDueLoop, LONGEST_TIMER_MS } from './due-loop.ts'
import { createTaskContext, type TaskSettings } from './task-context.ts'
import { notSubmitted, timeout } from './task-errors.ts'
import { lookAtTask } from './task-look.ts'
import { isTerminal } from './task-states.ts'
import { submitTask } from './task-submit.ts'

/** Looks under way at once. More would only queue inside the HTTP client. */
const LOOKS_AT_ONCE = 32
/** Tasks that are claimed, or ended for being late, in one statement. */
const BATCH = 100
/** A task that this gateway can't look at is left to others for so long, who wait for the same moment. */
const LEFT_TO_OTHERS_MS = 3000
/** Paused ones for longer: each of them has looked at the store by then. */
const PAUSED_LEFT_TO_OTHERS_MS = LONGEST_TIMER_MS + 5000
const KINDS = ['image', 'video'] as const satisfies TaskKind[]

export interface TaskRunnerSettings extends TaskSettings {
  changes: Changes
}

/**
 * Drives creations from the queue to their end: submits, looks, stores each change before it acts on it. All that it
 * needs to go on after a crash is in the store, where other gateways may work on the same queue.
 */
export interface TaskRunner {
  start(): Promise<void>
  /** Says that there may be something to do. */
  kick(): void
  /** Starts everything that is due now. What is still queued afterwards has to wait for a free place. */
  step(): Promise<void>
  /**
   * Resolves with the task as soon as `done` holds for it, the present state included; whichever gateway changes it.
   * Rejects with the signal's reason.
   */
  waitFor(id: string, done: (task: Task) => boolean, signal: AbortSignal): Promise<Task>
  /**
   * Ends a task at its owner's wish. One that has ended stays as it is; what goes on at Bing is not stopped there.
   * @returns the task as it is afterwards
   */
  cancel(task: Task): Promise<Task>
  /** Stops a task that has not been submitted yet because its caller left. */
  abandon(id: string): Promise<void>
  /** Whether a queued task can't be sent right now, for more than want of a free place. */
  isHeld(task: Task): boolean
  /**
   * As `waitFor`, for a caller who is told at once when a queued task can't be sent: it ends with the reason.
   * @returns the task as `done` has seen it, or as it ended
   */
  waitUnlessHeld(id: string, done: (task: Task) => boolean, signal: AbortSignal): Promise<Task>
  /** Microsoft has asked for a pause: what is queued stays so until then, in milliseconds since the epoch. */
  rest(kind: TaskKind, until: number): void
  /** The end of that pause; in the past when there is none. */
  restsUntil(kind: TaskKind): number
  /** Gives back, or ends, what a worker had claimed that has ended itself. */
  giveBack(worker: string): Promise<void>
  /**
   * Stops claiming, breaks off looks and what has not been sent yet, and lets prompts under way be answered for up to
   * `graceMs`: their outcome matters. What is queued stays so, unless its caller was waiting here.
   */
  close(graceMs: number): Promise<void>
}

export function createTaskRunner(settings: TaskRunnerSettings): TaskRunner {
  const { store, account, upstream, clock, log, worker, changes } = settings
  const around = settings.around ?? ((_task, _step, run) => run())
  const context = createTaskContext(settings)
  const submits = new Set<string>()
  /** Those of them whose caller has left, and nobody else would hear of them. */
  const left = new Set<string>()
  const lookStop = new AbortController()
  const closing = new AbortController()
  const submitStop = new AbortController()
  setMaxListeners(0, closing.signal, submitStop.signal)
  let stopListening = () => {}

  /** Whether something may be due that others are to look at. */
  let isLeaving = false

  const refusedKinds = () => KINDS.filter((kind) => upstream.refusal(kind) !== undefined)

  /** Aborts as soon as the task has ended otherwise: cancelled by its owner, through whichever gateway. */
  function endOf(task: Task): { signal: AbortSignal; clear: () => void } {
    const end = new AbortController()
    const clear = changes.listen('task', task.id, () => {
      store.get(task.id).then(
        (present) => {
          if (present === undefined || isTerminal(present.state)) end.abort(new Error('the task has ended'))
        },
        // The store is away: the work itself will notice.
        () => {}
      )
    })
    return { signal: end.signal, clear }
  }

  async function submit(task: Task): Promise<void> {
    const end = endOf(task)
    submits.add(task.id)
    try {
      const signals = { cancelled: end.signal, closing: closing.signal, stopping: submitStop.signal }
      await submitTask(context, task, { ...signals, hasLeft: () => left.has(task.id) })
    } finally {
      submits.delete(task.id)
      left.delete(task.id)
      end.clear()
    }
  }

  async function look(task: Task): Promise<void> {
    const end = endOf(task)
    const stop = new AbortController()
    const unfollow = followSignals(stop, [end.signal, lookStop.signal])
    try {
      await lookAtTask(context, task, stop.signal)
    } finally {
      unfollow()
      end.clear()
    }
  }

  async function submitQueued(kind: TaskKind): Promise<void> {
    for (;;) {
      const most = await context.gate.places(kind, BATCH)
      if (most === 0 || context.places.limit(kind) === 0) return
      const limit = () => context.places.limit(kind)
      const claimed = await store.claimQueued(worker, kind, clock.now(), limit, most)
      for (const task of claimed) loop.work(task.id, () => around(task, 'submit', () => submit(task)))
      if (claimed.length < BATCH) return
    }
  }

  async function lookAtDue(): Promise<void> {
    const places = LOOKS_AT_ONCE - (loop.busy.size - submits.size)
    if (places <= 0) return
    const kinds = refusedKinds()
    isLeaving = kinds.length > 0 && (await store.hasOthers(worker))
    const now = clock.now()
    const others = {
      kinds: isLeaving ? kinds : [],
      dueBefore: now - LEFT_TO_OTHERS_MS,
      pausedBefore: now - PAUSED_LEFT_TO_OTHERS_MS
    }
    for (const task of await store.claimDue(worker, now, places, others))
      loop.work(task.id, () => around(task, 'look', () => look(task)))
  }

  /** Gives back what a worker has claimed and does not work on. */
  async function release(claimant: string, busy: readonly string[] = []): Promise<void> {
    await store.release(claimant, busy)
    for (const task of await store.ofWorker(claimant)) {
      if (task.state !== 'submitting' || busy.includes(task.id)) continue
      const guard = { worker: claimant }
      const waiting = { dueAt: clock.now() }
      // Asked again by the move itself: a worker that was taken for dead may be about to send it.
      if (task.sentAt === null && (await context.move(task, 'queued', waiting, { ...guard, unsent: true })))
        continue
      // A prompt that was about to leave may or may not have reached Bing. Nobody sends it again.
      await context.fail(task, new UpstreamError('outcome-unknown'), guard)
    }
  }

  /** Ends what is queued and whose callers were connected to a worker that ends, or has ended. */
  async function endAwaited(ended: string): Promise<void> {
    for (const task of await store.awaitedIn(ended))
      await context.fail(task, notSubmitted(), { from: 'queued', sent: false })
  }

  const loop = createDueLoop({
    name: 'tasks',
    clock,
    log,
    async pass() {
      for (const task of await store.overdue(clock.now(), BATCH))
        await context.fail(task, timeout(task), { from: task.state })
      for (const kind of KINDS) await submitQueued(kind)
      await lookAtDue()
    },
    reconcile: (busy) => release(worker, busy),
    async nextDueAt(since) {
      const again = isLeaving ? since + LEFT_TO_OTHERS_MS : undefined
      const times = [await store.nextDueAt(since), context.places.nextRiseAt(since), again]
      return times.reduce((a, b) => (a === undefined || (b !== undefined && b < a) ? b : a))
    }
  })

  /** What a person was waited for has happened, or one look may find out whether it has. */
  function wake(): void {
    store
      .makeDue('paused', clock.now())
      .catch((error) => log.error({ err: error }, 'paused tasks could not be woken'))
      .finally(loop.kick)
  }

  /** Other cookies: paused tasks are looked at, and what was put off is sent. */
  function renewed(): void {
    context.places.forget()
    wake()
    context.gate
      .renewed()
      .catch((error) => log.error({ err: error }, 'queued tasks could not be made due'))
      .finally(loop.kick)
  }

  const over = () => ({ error: null, dueAt: null, completedAt: clock.now() })

  const runner: TaskRunner = {
    async start() {
      // A restart is how many operators bring in a new cookie.
      await store.makeDue('paused', clock.now())
      stopListening = account.onReplaced(renewed)
      let isRefused = false
      upstream.onChange(() => {
        const wasRefused = isRefused
        isRefused = refusedKinds().length > 0
        if (loop.closed) return
        if (wasRefused && !isRefused) wake()
        else loop.kick()
      })
      loop.kick()
    },

    kick: loop.kick,
    step: loop.step,

    async waitFor(id, done, signal) {
      const read = () => store.get(id)
      // A task that is gone was removed after its time; nothing will change about that.
      const task = await waitForRow(
        changes,
        ['task', id],
        read,
        (row) => row === undefined || done(row),
        signal
      )
      if (task === undefined) throw new Error('the task is gone')
      return task
    },

    async cancel(task) {
      for (let present: Task | undefined = task; present !== undefined; ) {
        if (isTerminal(present.state)) return present
        const from = present.state
        const moved = await context.move(present, 'cancelled', over(), { from, refund: from === 'queued' })
        if (moved !== undefined) {
          loop.kick()
          return moved
        }
        present = await store.get(task.id)
      }
      return task
    },

    async abandon(id) {
      if (submits.has(id)) left.add(id)
      const task = await store.get(id)
      // Not `cancel`, which would end one that is being sent by now.
      if (task?.state === 'queued')
        await context.move(task, 'cancelled', over(), { from: 'queued', refund: true })
    },

    isHeld: (task) => context.gate.held(task) !== undefined,

    async waitUnlessHeld(id, done, signal) {
      for (;;) {
        const seen: { held?: GatewayError | undefined } = {}
        const check = (task: Task) => {
          seen.held = context.gate.held(task)
          // What another gateway can't send may be this one's to send.
          if (seen.held === undefined && task.state === 'queued' && task.error?.byCircuit === true)
            loop.kick()
          return done(task) || seen.held !== undefined
        }
        const task = await runner.waitFor(id, check, signal)
        if (seen.held === undefined) return task
        const ended = await context.fail(task, seen.held, { from: 'queued', sent: false })
        // One that went on meanwhile is waited for as before.
        if (ended !== undefined) return ended
      }
    },

    rest(kind, until) {
      context.gate
        .rest(kind, until)
        .catch((error) => log.error({ err: error, kind }, 'queued tasks could not be put off'))
    },

    restsUntil: context.gate.restsUntil,

    async giveBack(ended) {
      context.gate.doubt()
      await release(ended)
      await endAwaited(ended)
      loop.kick()
    },

    async close(graceMs) {
      if (loop.closed) return
      stopListening()
      lookStop.abort(new Error('the gateway is stopping'))
      closing.abort(notSubmitted())
      const grace = setTimeout(() => submitStop.abort(notSubmitted()), graceMs)
      await loop.close()
      clearTimeout(grace)
      await endAwaited(worker).catch((error) => log.error({ err: error }, 'queued tasks could not be ended'))
    }
  }
  return runner
}
