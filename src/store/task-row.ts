import type { ErrorType } from '../errors.ts'
import type { TaskState } from '../jobs/task-states.ts'
import type {
  CreationResult,
  ImageAspect,
  ImageModel,
  LookMemory,
  VideoSpeed
} from '../upstream/creation-client.ts'
import type { TaskRow } from './schema.ts'

export type TaskKind = TaskRow['kind']

interface TaskBase {
  id: string
  /** userId, or the empty string for anonymous callers. */
  owner: string
  state: TaskState
  prompt: string
  upstreamId: string | null
  resultUrl: string | null
  memory: LookMemory
  dueAt: number | null
  deadlineAt: number | null
  looks: number
  /** When the last look began that saw nothing yet. */
  lookedAt: number | null
  lookFailures: number
  refusals: number
  result: CreationResult | null
  error: TaskError | null
  createdAt: number
  submittedAt: number | null
  completedAt: number | null
  /** The worker that submits it or looks at it right now. */
  worker: string | null
  /** When its prompt was about to leave; null when it surely has not. */
  sentAt: number | null
  webhookUrl: string | null
  baseUrl: string | null
}

export type ImageTask = TaskBase & { kind: 'image'; options: { model: ImageModel; aspect: ImageAspect } }
export type VideoTask = TaskBase & { kind: 'video'; options: { speed: VideoSpeed } }
export type Task = ImageTask | VideoTask

/** Why a task failed, complete enough to be answered as an HTTP error later. */
export interface TaskError {
  type: ErrorType
  code: string | null
  message: string
  param?: string | null
  retryAfter?: number
  shouldRetry?: boolean
  /** `false`: the upstream was not asked. */
  asked?: boolean
  /** A gateway whose circuit is open has noted it; another gateway may send the prompt all the same. */
  byCircuit?: true
  /** Bing had no place for it: the prompt is sent again when there is one. */
  forPlace?: true
}

export type NewTask = {
  id: string
  owner: string
  prompt: string
  createdAt: number
  /** When it may be sent at the earliest; default: at once. */
  dueAt?: number
  deadlineAt: number | null
  /** The worker in which its caller waits, where nobody else knows its id. */
  waiter?: string | null
  webhookUrl?: string | null
  baseUrl?: string | null
} & (Pick<ImageTask, 'kind' | 'options'> | Pick<VideoTask, 'kind' | 'options'>)

/** Columns that may change together with the state. */
export type TaskPatch = Partial<
  Pick<
    TaskBase,
    | 'upstreamId'
    | 'resultUrl'
    | 'memory'
    | 'dueAt'
    | 'deadlineAt'
    | 'looks'
    | 'lookedAt'
    | 'lookFailures'
    | 'refusals'
    | 'result'
    | 'error'
    | 'submittedAt'
    | 'completedAt'
  >
>

const JSON_COLUMNS = new Set(['memory', 'result', 'error'])
const COLUMNS: Record<keyof TaskPatch, keyof TaskRow> = {
  upstreamId: 'upstream_id',
  resultUrl: 'result_url',
  memory: 'memory',
  dueAt: 'due_at',
  deadlineAt: 'deadline_at',
  looks: 'looks',
  lookedAt: 'looked_at',
  lookFailures: 'look_failures',
  refusals: 'refusals',
  result: 'result',
  error: 'error',
  submittedAt: 'submitted_at',
  completedAt: 'completed_at'
}

/** The columns that a change sets. */
export function patchToRow(patch: TaskPatch): Partial<TaskRow> {
  return Object.fromEntries(
    Object.entries(patch).map(([key, value]) => {
      const column = COLUMNS[key as keyof TaskPatch]
      return [column, JSON_COLUMNS.has(column) && value !== null ? JSON.stringify(value) : value]
    })
  )
}

/** What a task's owner is shown. */
export type ShownTask = Pick<
  Task,
  'id' | 'kind' | 'owner' | 'state' | 'prompt' | 'result' | 'error' | 'createdAt' | 'completedAt'
>

export const SHOWN_COLUMNS = [
  'id',
  'kind',
  'owner',
  'state',
  'prompt',
  'result',
  'error',
  'created_at',
  'completed_at'
] as const satisfies readonly (keyof TaskRow)[]

export type ShownRow = Pick<TaskRow, (typeof SHOWN_COLUMNS)[number]>

export function shownFromRow(row: ShownRow): ShownTask {
  return {
    id: row.id,
    kind: row.kind,
    owner: row.owner,
    state: row.state,
    prompt: row.prompt,
    result: row.result === null ? null : JSON.parse(row.result),
    error: row.error === null ? null : JSON.parse(row.error),
    createdAt: row.created_at,
    completedAt: row.completed_at
  }
}

export function fromRow(row: TaskRow): Task {
  return {
    id: row.id,
    kind: row.kind,
    owner: row.owner,
    state: row.state,
    prompt: row.prompt,
    options: JSON.parse(row.options),
    upstreamId: row.upstream_id,
    resultUrl: row.result_url,
    memory: JSON.parse(row.memory),
    dueAt: row.due_at,
    deadlineAt: row.deadline_at,
    looks: row.looks,
    lookedAt: row.looked_at,
    lookFailures: row.look_failures,
    refusals: row.refusals,
    result: row.result === null ? null : JSON.parse(row.result),
    error: row.error === null ? null : JSON.parse(row.error),
    createdAt: row.created_at,
    submittedAt: row.submitted_at,
    completedAt: row.completed_at,
    worker: row.worker,
    sentAt: row.sent_at,
    webhookUrl: row.webhook_url,
    baseUrl: row.base_url
  }
}
