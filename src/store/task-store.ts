import { sql } from 'kysely'
import type { ErrorType } from '../errors.ts'
import { isTerminal, sourcesOf, type TaskState } from '../jobs/task-states.ts'
import type {
  CreationResult,
  ImageAspect,
  ImageModel,
  LookMemory,
  VideoSpeed
} from '../upstream/creation-client.ts'
import type { Queries, Store } from './database.ts'
import { insertDelivery } from './delivery-store.ts'
import { giveBackLimit } from './limit-store.ts'
import { mediaRow, type NewMedia } from './media-store.ts'
import { isAfter, type PageEnd } from './page.ts'
import type { TaskRow } from './schema.ts'

export type TaskKind = TaskRow['kind']

export interface TaskFilter {
  limit: number
  /** Where the page before this one ended. */
  after?: PageEnd | undefined
  kind?: TaskKind | undefined
  states?: readonly TaskState[] | undefined
}

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
  /** The worker that submits it or looks at it right now. */
  worker: string | null
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
}

export type NewTask = {
  id: string
  owner: string
  prompt: string
  createdAt: number
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
    | 'lookFailures'
    | 'refusals'
    | 'result'
    | 'error'
    | 'submittedAt'
    | 'completedAt'
  >
>

/** What changes together with a task's state, and in the same transaction. */
export interface MoveOptions {
  /** Only while this worker has it. */
  worker?: string
  /** Only from this one of the states that lead there. */
  from?: TaskState
  /** The upstream was not asked for anything: the caller's limit gets it back. */
  refund?: boolean
  /** The gateway's copies of what was made. */
  media?: readonly NewMedia[]
}

// Literals, so that the engines see that an index covers them (src/store/migrations.ts).
const QUEUED = sql<boolean>`state = 'queued'`
const IN_FLIGHT = sql<boolean>`state in ('submitting', 'polling', 'paused')`
const LOOKED_AT = sql<boolean>`state in ('polling', 'paused')`
const UNCLAIMED = sql<boolean>`worker is null`
const MAY_EXPIRE = sql<boolean>`state in ('queued', 'polling', 'paused')`

/** Namespace of the advisory locks under which places are given away. */
const CLAIM_LOCK = 0x62696e67
const KINDS: Record<TaskKind, number> = { image: 1, video: 2 }

/**
 * Tasks, and the queue that they are: a row with `due_at` is the job. States move only along `TRANSITIONS`,
 * checked inside each UPDATE, so that a terminal task stays as it is whoever writes last. Several gateways may work on
 * one store: a task that is being submitted or looked at names the worker that does.
 */
export function createTaskStore(store: Store) {
  const { db, changes } = store

  async function move(
    id: string,
    to: TaskState,
    patch: TaskPatch,
    { worker, from, refund = false, media = [] }: MoveOptions = {}
  ): Promise<Task | undefined> {
    const change = async (on: Queries) => {
      const row = await on
        .updateTable('tasks')
        .set({
          state: to,
          worker: to === 'submitting' ? (worker ?? null) : null,
          waiter: null,
          ...patchToRow(patch)
        })
        .where('id', '=', id)
        .where('state', 'in', sourcesOf(to))
        .$if(from !== undefined, (query) => query.where('state', '=', from as TaskState))
        .$if(worker !== undefined && to !== 'submitting', (query) =>
          query.where('worker', '=', worker as string)
        )
        .returningAll()
        .executeTakeFirst()
      if (row === undefined) return undefined
      if (refund) await giveBackLimit(on, row)
      if (media.length > 0)
        await on
          .insertInto('media')
          .values(media.map((item) => mediaRow(item, row)))
          .execute()
      if (isTerminal(to) && row.webhook_url !== null) await insertDelivery(on, row)
      return row
    }
    // Most moves are one statement, which needs no transaction.
    const row = await (isTerminal(to) ? db.transaction().execute(change) : change(db))
    if (row === undefined) return undefined
    changes.announce('task', id)
    return fromRow(row)
  }

  async function ofWorker(worker: string): Promise<Task[]> {
    const rows = await db.selectFrom('tasks').selectAll().where('worker', '=', worker).execute()
    return rows.map(fromRow)
  }

  /** The queued task whose turn it is: of the owner with the fewest in flight, then of the one who has waited longest since the last submit, the oldest. */
  async function nextInTurn(on: Queries, kind: TaskKind, now: number): Promise<string | undefined> {
    // From owner to owner through the index: the cost depends on how many wait, not on how much they have queued.
    const { rows } = await sql<{ id: string }>`
      with recursive waiting(owner) as (
        select min(owner) from tasks where ${QUEUED} and kind = ${kind}
        union all
        select (select min(owner) from tasks where ${QUEUED} and kind = ${kind} and owner > waiting.owner)
        from waiting where waiting.owner is not null
      ), heads as (
        select
          (select count(*) from tasks where ${IN_FLIGHT} and kind = ${kind} and owner = waiting.owner) as in_flight,
          (select coalesce(max(submitted_at), 0) from tasks where owner = waiting.owner and kind = ${kind}) as submitted,
          (select id from tasks where ${QUEUED} and kind = ${kind} and owner = waiting.owner and due_at <= ${now}
            order by created_at, id limit 1) as id
        from waiting where waiting.owner is not null
      )
      select heads.id from heads join tasks on tasks.id = heads.id
      order by heads.in_flight, heads.submitted, tasks.created_at, tasks.id limit 1`.execute(on)
    return rows[0]?.id
  }

  async function countInFlight(kind: TaskKind, on: Queries = db): Promise<number> {
    const { n } = await on
      .selectFrom('tasks')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where(IN_FLIGHT)
      .where('kind', '=', kind)
      .executeTakeFirstOrThrow()
    return n
  }

  /** Marks queued tasks as being submitted, in the name of a worker. */
  async function take(on: Queries, worker: string, ids: readonly string[]): Promise<Task[]> {
    if (ids.length === 0) return []
    const rows = await on
      .updateTable('tasks')
      .set({ state: 'submitting', worker, waiter: null, due_at: null })
      .where('id', 'in', ids)
      .where('state', 'in', sourcesOf('submitting'))
      .returningAll()
      .execute()
    return rows.map(fromRow)
  }

  return {
    /** @param alongside what must be stored together with it or not at all */
    async insert(
      task: NewTask,
      alongside?: (tx: Queries) => Promise<{ limitWindow?: number | null }>
    ): Promise<Task> {
      const add = async (on: Queries, limitWindow: number | null = null) =>
        on
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
            completed_at: null,
            worker: null,
            waiter: task.waiter ?? null,
            webhook_url: task.webhookUrl ?? null,
            base_url: task.baseUrl ?? null,
            limit_window: limitWindow
          })
          .returningAll()
          .executeTakeFirstOrThrow()
      const row =
        alongside === undefined
          ? await add(db)
          : await db.transaction().execute(async (tx) => add(tx, (await alongside(tx)).limitWindow))
      return fromRow(row)
    },

    async get(id: string): Promise<Task | undefined> {
      const row = await db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /**
     * Moves a task to another state, if `TRANSITIONS` allows it from where it stands. Whoever had claimed it has not
     * any more. A terminal state puts the webhook into the outbox.
     * @returns the task as it is afterwards, or `undefined` when it stood elsewhere
     */
    move,

    /** Changes a task that a worker has looked at, without moving it, and gives it back. */
    async update(id: string, worker: string, patch: TaskPatch): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ worker: null, ...patchToRow(patch) })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .where(LOOKED_AT)
        .execute()
    },

    /** Claims tasks to look at, the longest due first. */
    async claimDue(worker: string, now: number, limit: number): Promise<Task[]> {
      // PostgreSQL may run a subquery once for each row, with `skip locked` giving other rows each time, and so more than
      // the limit; what is materialized runs once.
      const rows = await db
        .with(
          (cte) => cte('due').materialized(),
          (cte) =>
            cte
              .selectFrom('tasks')
              .select('id')
              .where(LOOKED_AT)
              .where(UNCLAIMED)
              .where('due_at', '<=', now)
              .orderBy('due_at')
              .limit(limit)
              .$if(store.engine === 'postgres', (query) => query.forUpdate().skipLocked())
        )
        .updateTable('tasks')
        .set({ worker })
        .where('id', 'in', (query) => query.selectFrom('due').select('id'))
        .returningAll()
        .execute()
      return rows.map(fromRow).sort((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))
    },

    /**
     * Claims queued tasks to submit, fairly: one caller with a hundred creations doesn't hold up another one with a
     * single one. All gateways together have at most `limit` in flight.
     * @param limit 0: no limit
     * @param most how many to claim at once
     */
    async claimQueued(
      worker: string,
      kind: TaskKind,
      now: number,
      limit: number,
      most: number
    ): Promise<Task[]> {
      const [first] = await db
        .selectFrom('tasks')
        .select('id')
        .where(QUEUED)
        .where('kind', '=', kind)
        .where('due_at', '<=', now)
        .limit(1)
        .execute()
      // The usual answer, which takes no lock.
      if (first === undefined) return []
      const claimed = await db.transaction().execute(async (tx) => {
        if (store.engine === 'postgres')
          await sql`select pg_advisory_xact_lock(${CLAIM_LOCK}, ${KINDS[kind]})`.execute(tx)
        if (limit === 0) {
          const oldest = await tx
            .selectFrom('tasks')
            .select('id')
            .where(QUEUED)
            .where('kind', '=', kind)
            .where('due_at', '<=', now)
            .orderBy('due_at')
            .limit(most)
            .execute()
          return take(
            tx,
            worker,
            oldest.map(({ id }) => id)
          )
        }
        const taken: Task[] = []
        for (
          let places = limit - (await countInFlight(kind, tx));
          places > 0 && taken.length < most;
          places--
        ) {
          const id = await nextInTurn(tx, kind, now)
          if (id === undefined) break
          taken.push(...(await take(tx, worker, [id])))
        }
        return taken
      })
      for (const { id } of claimed) changes.announce('task', id)
      return claimed
    },

    /** Tasks whose time is over and that nobody is working on right now. */
    async overdue(now: number, limit: number): Promise<Task[]> {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where(MAY_EXPIRE)
        .where(UNCLAIMED)
        .where('deadline_at', '<=', now)
        .limit(limit)
        .execute()
      return rows.map(fromRow)
    },

    /** Earliest time after `now` at which something is due. */
    async nextDueAt(now: number): Promise<number | undefined> {
      const { rows } = await sql<{ at: number | null }>`
        select min(due_at) as at from tasks where ${LOOKED_AT} and ${UNCLAIMED} and due_at > ${now}
        union all select min(due_at) from tasks where ${QUEUED} and due_at > ${now}
        union all select min(deadline_at) from tasks where ${MAY_EXPIRE} and deadline_at > ${now}`.execute(db)
      const times = rows.map(({ at }) => at).filter((at) => at !== null)
      return times.length === 0 ? undefined : Math.min(...times)
    },

    /** Tasks that a worker has claimed. */
    ofWorker,

    /** Queued tasks that only a caller in this worker would be told of. */
    async awaitedIn(worker: string): Promise<Task[]> {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where(QUEUED)
        .where('waiter', '=', worker)
        .execute()
      return rows.map(fromRow)
    },

    /** Gives tasks back that a worker was looking at, all but those it still is. */
    async release(worker: string, busy: readonly string[] = []): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ worker: null })
        .where('worker', '=', worker)
        .where(LOOKED_AT)
        .$if(busy.length > 0, (query) => query.where('id', 'not in', busy))
        .execute()
    },

    /** Notes the upstream's id of a creation that was cancelled while it was being submitted. */
    async noteUpstreamId(id: string, upstreamId: string): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ upstream_id: upstreamId })
        .where('id', '=', id)
        .where('upstream_id', 'is', null)
        .execute()
    },

    countInFlight,

    /** Numbers by state, terminal ones included. */
    async countByState(): Promise<Partial<Record<TaskState, number>>> {
      const rows = await db
        .selectFrom('tasks')
        .select(['state', (eb) => eb.fn.countAll<number>().as('n')])
        .groupBy('state')
        .execute()
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
    },

    async countProcessing(): Promise<number> {
      const { rows } = await sql<{ n: number }>`
        select (select count(*) from tasks where ${QUEUED}) + (select count(*) from tasks where ${IN_FLIGHT}) as n`.execute(
        db
      )
      return Number(rows[0]?.n ?? 0)
    },

    /** An owner's tasks, the newest first, those that come after `after`. */
    async list(owner: string, { limit, after, kind, states }: TaskFilter): Promise<Task[]> {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where('owner', '=', owner)
        .$if(kind !== undefined, (query) => query.where('kind', '=', kind as TaskKind))
        .$if(states !== undefined, (query) => query.where('state', 'in', states as TaskState[]))
        .$if(after !== undefined, (query) => query.where(isAfter(after as PageEnd)))
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit)
        .execute()
      return rows.map(fromRow)
    },

    /** Tasks that ended before a time, the oldest first. */
    async endedBefore(before: number, limit: number): Promise<string[]> {
      const rows = await db
        .selectFrom('tasks')
        .select('id')
        .where('completed_at', '<', before)
        .orderBy('completed_at')
        .limit(limit)
        .execute()
      return rows.map(({ id }) => id)
    },

    /** Removes a task that has ended. */
    async remove(id: string): Promise<void> {
      await db.deleteFrom('tasks').where('id', '=', id).where('completed_at', 'is not', null).execute()
    },

    /** Makes waiting tasks due at once, when what they waited for has happened. */
    async makeDue(state: 'queued' | 'paused', now: number, kind?: TaskKind): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ due_at: now })
        .where(state === 'queued' ? QUEUED : sql<boolean>`${LOOKED_AT} and state = 'paused'`)
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
    completedAt: row.completed_at,
    worker: row.worker,
    webhookUrl: row.webhook_url,
    baseUrl: row.base_url
  }
}
