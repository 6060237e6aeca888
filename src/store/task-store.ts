import { sql } from 'kysely'
import type { ErrorType } from '../errors.ts'
import { inFlightStates, sourcesOf, type TaskState, terminalStates } from '../jobs/task-states.ts'
import type {
  CreationResult,
  ImageAspect,
  ImageModel,
  LookMemory,
  VideoSpeed
} from '../upstream/creation-client.ts'
import type { Store } from './database.ts'
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
  lookFailures: number
  refusals: number
  result: CreationResult | null
  error: TaskError | null
  createdAt: number
  submittedAt: number | null
  completedAt: number | null
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
}

export type NewTask = {
  id: string
  owner: string
  prompt: string
  createdAt: number
  deadlineAt: number | null
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
    | 'lookFailures'
    | 'refusals'
    | 'result'
    | 'error'
    | 'submittedAt'
    | 'completedAt'
  >
>

/**
 * Tasks, and the queue that they are: a row with `due_at` is the job. States move only along `TRANSITIONS`,
 * checked inside each UPDATE, so that a terminal task stays as it is whoever writes last.
 */
export function createTaskStore(store: Store) {
  async function move(id: string, to: TaskState, patch: TaskPatch): Promise<Task | undefined> {
    const row = await store
      .updateTable('tasks')
      .set({ state: to, ...patchToRow(patch) })
      .where('id', '=', id)
      .where('state', 'in', sourcesOf(to))
      .returningAll()
      .executeTakeFirst()
    return row === undefined ? undefined : fromRow(row)
  }

  return {
    async insert(task: NewTask): Promise<Task> {
      const row = await store
        .insertInto('tasks')
        .values({
          id: task.id,
          kind: task.kind,
          owner: task.owner,
          state: 'queued',
          prompt: task.prompt,
          options: JSON.stringify(task.options),
          upstream_id: null,
          result_url: null,
          memory: '{}',
          due_at: task.createdAt,
          deadline_at: task.deadlineAt,
          looks: 0,
          look_failures: 0,
          refusals: 0,
          result: null,
          error: null,
          created_at: task.createdAt,
          submitted_at: null,
          completed_at: null
        })
        .returningAll()
        .executeTakeFirstOrThrow()
      return fromRow(row)
    },

    async get(id: string): Promise<Task | undefined> {
      const row = await store.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /**
     * Moves a task to another state, if `TRANSITIONS` allows it from where it stands.
     * @returns the task as it is afterwards, or `undefined` when it stood elsewhere
     */
    move,

    /** Changes a task that is being polled, without moving it. */
    async update(id: string, patch: TaskPatch): Promise<void> {
      await store
        .updateTable('tasks')
        .set(patchToRow(patch))
        .where('id', '=', id)
        .where('state', '=', 'polling')
        .execute()
    },

    /** Tasks to look at, the longest due first. */
    async duePolls(now: number, limit: number): Promise<Task[]> {
      const rows = await store
        .selectFrom('tasks')
        .selectAll()
        .where('state', 'in', ['polling', 'paused'])
        .where('due_at', '<=', now)
        .orderBy('due_at')
        .limit(limit)
        .execute()
      return rows.map(fromRow)
    },

    /** Tasks whose time is over and that nobody is submitting right now. */
    async overdue(now: number): Promise<Task[]> {
      const rows = await store
        .selectFrom('tasks')
        .selectAll()
        .where('state', 'in', ['queued', 'polling', 'paused'])
        .where('deadline_at', '<=', now)
        .execute()
      return rows.map(fromRow)
    },

    /**
     * The queued task whose turn it is: of the owner with the fewest in flight, then of the one who has waited longest
     * since the last submit, the oldest.
     * One caller with a hundred creations doesn't hold up another one with a single one.
     */
    async nextQueued(kind: TaskKind, now: number): Promise<Task | undefined> {
      const row = await store
        .selectFrom('tasks as t')
        .selectAll('t')
        .where('t.state', '=', 'queued')
        .where('t.kind', '=', kind)
        .where('t.due_at', '<=', now)
        .orderBy((eb) =>
          eb
            .selectFrom('tasks as o')
            .select(sql<number>`count(*)`.as('n'))
            .whereRef('o.owner', '=', 't.owner')
            .where('o.kind', '=', kind)
            .where('o.state', 'in', inFlightStates)
        )
        .orderBy((eb) =>
          eb
            .selectFrom('tasks as o')
            .select(sql<number>`coalesce(max(o.submitted_at), 0)`.as('at'))
            .whereRef('o.owner', '=', 't.owner')
            .where('o.kind', '=', kind)
        )
        .orderBy('t.created_at')
        .orderBy('t.id')
        .limit(1)
        .executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** Earliest time after `now` at which something is due. */
    async nextDueAt(now: number): Promise<number | undefined> {
      const open = ['queued', 'polling', 'paused'] as const
      const due = await store
        .selectFrom('tasks')
        .select((eb) => eb.fn.min('due_at').as('at'))
        .where('state', 'in', open)
        .where('due_at', '>', now)
        .executeTakeFirst()
      const deadline = await store
        .selectFrom('tasks')
        .select((eb) => eb.fn.min('deadline_at').as('at'))
        .where('state', 'in', open)
        .where('deadline_at', '>', now)
        .executeTakeFirst()
      const times = [due?.at, deadline?.at].filter((at) => at !== null && at !== undefined)
      return times.length === 0 ? undefined : Math.min(...times)
    },

    async countInFlight(kind: TaskKind): Promise<number> {
      const { n } = await store
        .selectFrom('tasks')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .where('kind', '=', kind)
        .where('state', 'in', inFlightStates)
        .executeTakeFirstOrThrow()
      return n
    },

    /** Numbers by state, terminal ones included. */
    async countByState(): Promise<Partial<Record<TaskState, number>>> {
      const rows = await store
        .selectFrom('tasks')
        .select(['state', (eb) => eb.fn.countAll<number>().as('n')])
        .groupBy('state')
        .execute()
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
    },

    async countProcessing(): Promise<number> {
      const { n } = await store
        .selectFrom('tasks')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .where('state', 'not in', terminalStates)
        .executeTakeFirstOrThrow()
      return n
    },

    /** An owner's newest tasks. */
    async recent(owner: string, limit: number): Promise<Task[]> {
      const rows = await store
        .selectFrom('tasks')
        .selectAll()
        .where('owner', '=', owner)
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit)
        .execute()
      return rows.map(fromRow)
    },

    /** Tasks in one state, oldest first; for what a start-up has to put right. */
    async inState(state: TaskState): Promise<Task[]> {
      const rows = await store
        .selectFrom('tasks')
        .selectAll()
        .where('state', '=', state)
        .orderBy('created_at')
        .execute()
      return rows.map(fromRow)
    },

    /** Makes waiting tasks due at once, when what they waited for has happened. */
    async makeDue(state: 'queued' | 'paused', now: number, kind?: TaskKind): Promise<void> {
      await store
        .updateTable('tasks')
        .set({ due_at: now })
        .where('state', '=', state)
        .where('due_at', '>', now)
        .$if(kind !== undefined, (query) => query.where('kind', '=', kind as TaskKind))
        .execute()
    }
  }
}

export type TaskStore = ReturnType<typeof createTaskStore>

const JSON_COLUMNS = new Set(['memory', 'result', 'error'])
const COLUMNS: Record<keyof TaskPatch, keyof TaskRow> = {
  upstreamId: 'upstream_id',
  resultUrl: 'result_url',
  memory: 'memory',
  dueAt: 'due_at',
  deadlineAt: 'deadline_at',
  looks: 'looks',
  lookFailures: 'look_failures',
  refusals: 'refusals',
  result: 'result',
  error: 'error',
  submittedAt: 'submitted_at',
  completedAt: 'completed_at'
}

function patchToRow(patch: TaskPatch): Partial<TaskRow> {
  return Object.fromEntries(
    Object.entries(patch).map(([key, value]) => {
      const column = COLUMNS[key as keyof TaskPatch]
      return [column, JSON_COLUMNS.has(column) && value !== null ? JSON.stringify(value) : value]
    })
  )
}

function fromRow(row: TaskRow): Task {
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
    lookFailures: row.look_failures,
    refusals: row.refusals,
    result: row.result === null ? null : JSON.parse(row.result),
    error: row.error === null ? null : JSON.parse(row.error),
    createdAt: row.created_at,
    submittedAt: row.submitted_at,
    completedAt: row.completed_at
  }
}
