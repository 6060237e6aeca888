import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import type { NewMedia } from '../store/media-store.ts'
import type { MoveOptions, Task, TaskKind, TaskPatch, TaskStore } from '../store/task-store.ts'
import type { Account } from '../upstream/account.ts'
import type {
  CreationClient,
  CreationResult,
  ImageRequest,
  Job,
  VideoRequest
} from '../upstream/creation-client.ts'
import { type AccountPlaces, createAccountPlaces } from './account-places.ts'
import type { PollSchedule } from './poll-schedule.ts'
import { isUnspent, toTaskError } from './task-errors.ts'
import { createTaskGate, type TaskGate, type UpstreamGate } from './task-gate.ts'
import { isTerminal } from './task-states.ts'

export interface TaskSettings {
  store: TaskStore
  /** In whose name tasks are claimed. */
  worker: string
  image: CreationClient<ImageRequest>
  video: CreationClient<VideoRequest>
  /** Copies what was made before its task ends. Fails only with the signal's reason; what could not be copied is missing. */
  archive(task: Task, result: CreationResult, signal: AbortSignal): Promise<NewMedia[]>
  account: Account
  upstream: UpstreamGate
  schedule: PollSchedule
  clock: Clock
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Creations in flight at once, in all gateways on this store together; 0: no limit. */
  concurrency: Record<TaskKind, number>
  /** Time that a video gets from its submit on; images carry their deadline from the start. */
  videoTimeoutMs: number
  /** Makes a submit or a look, where it is to be traced. */
  around?: ((task: Task, step: 'submit' | 'look', run: () => Promise<void>) => Promise<void>) | undefined
  /** Told once for each task that its turn has come, and how long it had waited for that, in milliseconds. */
  onBegun?: (task: Task, waitedMs: number) => void
  /** Told of each task that this gateway has ended, and how long it took from its acceptance, in milliseconds. */
  onEnded?: (task: Task, tookMs: number) => void
}

/** What submitting and looking have in common. */
export interface TaskContext extends TaskSettings {
  gate: TaskGate
  places: AccountPlaces
  clientOf(task: Task): CreationClient<ImageRequest | VideoRequest>
  /** As the store's `move`; the end of a task goes into the log. */
  move(task: Task, to: Task['state'], patch: TaskPatch, options?: MoveOptions): Promise<Task | undefined>
  /**
   * Ends a task with a failure.
   * @param options.sent whether its prompt had left; default: yes
   * @returns the task, or `undefined` when it stood elsewhere already
   */
  fail(task: Task, error: unknown, options?: MoveOptions & { sent?: boolean }): Promise<Task | undefined>
}

export function createTaskContext(settings: TaskSettings): TaskContext {
  const { store, clock, log } = settings
  const context: TaskContext = {
    ...settings,
    gate: createTaskGate(settings),
    places: createAccountPlaces(clock, settings.concurrency),
    clientOf: (task) =>
      (task.kind === 'image' ? settings.image : settings.video) as CreationClient<
        ImageRequest | VideoRequest
      >,

    async move(task, to, patch, options) {
      const moved = await store.move(task.id, to, patch, options)
      if (moved !== undefined && isTerminal(to)) {
        const { id: taskId, kind, state, error, createdAt } = moved
        const ms = clock.now() - createdAt
        log.info({ taskId, kind, state, code: error?.code ?? undefined, ms }, 'task ended')
        settings.onEnded?.(moved, ms)
      }
      return moved
    },

    fail: (task, error, { sent, ...options } = {}) =>
      context.move(
        task,
        'failed',
        { error: toTaskError(error, sent), dueAt: null, completedAt: clock.now() },
        { refund: task.upstreamId === null && (sent === false || isUnspent(error)), ...options }
      )
  }
  return context
}

export function requestOf(task: Task): ImageRequest | VideoRequest {
  return { prompt: task.prompt, ...task.options }
}

export function jobOf(task: Task): Job<ImageRequest | VideoRequest> {
  return {
    request: requestOf(task),
    upstreamId: task.upstreamId as string,
    resultUrl: task.resultUrl ?? undefined,
    memory: task.memory
  }
}

export function variantOf(task: Task): string {
  return task.kind === 'image' ? task.options.model : task.options.speed
}
