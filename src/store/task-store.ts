import { sql } from 'kysely'
import type { PollSample } from '../jobs/poll-plan.ts'
import type { PollVariant } from '../jobs/poll-schedule.ts'
import { isTerminal, sourcesOf, type TaskState } from '../jobs/task-states.ts'
import type { Queries, Store } from './database.ts'
import { insertDelivery } from './delivery-store.ts'
import { giveBackLimit } from './limit-store.ts'
import { mediaRow, type NewMedia } from './media-store.ts'
import { ONE_ROW } from './one-row.ts'
import { isAfter, type PageEnd } from './page.ts'
import { insertPollSample } from './poll-store.ts'
import { createTaskQueue, IN_FLIGHT, LOOKED_AT, QUEUED } from './task-queue.ts'
import {
  fromRow,
  type NewTask,
  patchToRow,
  SHOWN_COLUMNS,
  type ShownRow,
  type ShownTask,
  shownFromRow,
  type Task,
  type TaskKind,
  type TaskPatch
} from './task-row.ts'
import { VOLATILE } from './volatile.ts'

export type { ImageTask, NewTask, Task, TaskError, TaskKind, TaskPatch, VideoTask } from './task-row.ts'

export interface TaskFilter {
  limit: number
  /** Where the page before this one ended. */
  after?: PageEnd | undefined
  kind?: TaskKind | undefined
  states?: readonly TaskState[] | undefined
}

/** What changes together with a task's state, and in the same transaction. */
export interface MoveOptions {
  /** Only while this worker has it. */
  worker?: string
  /** Only from this one of the states that lead there. */
  from?: TaskState
  /** Only while its prompt has surely not left. */
  unsent?: boolean
  /** The upstream was not asked for anything: the caller's limit gets it back. */
  refund?: boolean
  /** The gateway's copies of what was made. */
  media?: readonly NewMedia[]
  /** How long it took. */
  learnt?: { job: PollVariant; sample: PollSample } | undefined
}

/**
 * Tasks, and the queue that they are (task-queue.ts). States move only along `TRANSITIONS`, checked inside each UPDATE,
 * so that a terminal task stays as it is whoever writes last.
 */
export function createTaskStore(store: Store) {
  const { db, changes } = store
  /** Made once: it is asked more often than anything else, and takes a third of its time to put together. */
  const shownById = db
    .selectFrom('tasks')
    .select(SHOWN_COLUMNS)
    .where('id', '=', '')
    .modifyEnd(ONE_ROW)
    .compile()

  async function move(
    id: string,
    to: TaskState,
    patch: TaskPatch,
    { worker, from, unsent = false, refund = false, media = [], learnt }: MoveOptions = {}
  ): Promise<Task | undefined> {
    const change = async (on: Queries) => {
      const row = await on
        .updateTable('tasks')
        .set({
          state: to,
          worker: to === 'submitting' ? (worker ?? null) : null,
          ...(to === 'queued' ? { sent_at: null } : to === 'submitting' ? {} : { waiter: null }),
          ...patchToRow(patch)
        })
        .where('id', '=', id)
        .where('state', 'in', sourcesOf(to))
        .$if(from !== undefined, (query) => query.where('state', '=', from as TaskState))
        .$if(unsent, (query) => query.where('sent_at', 'is', null))
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
      if (learnt !== undefined) await insertPollSample(on, learnt.job, learnt.sample)
      if (isTerminal(to) && row.webhook_url !== null) await insertDelivery(on, row)
      return row
    }
    // Most moves are one statement, which needs no transaction.
    const row = await (isTerminal(to) ? db.transaction().execute(change) : change(db))
    if (row === undefined) return undefined
    changes.announce('task', id)
    return fromRow(row)
  }

  return {
    ...createTaskQueue(store),

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
            due_at: task.dueAt ?? task.createdAt,
            deadline_at: task.deadlineAt,
            looks: 0,
            looked_at: null,
            look_failures: 0,
            refusals: 0,
            result: null,
            error: null,
            created_at: task.createdAt,
            submitted_at: null,
            completed_at: null,
            worker: null,
            sent_at: null,
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
      // PostgreSQL takes no text with NUL; nothing has such an id.
      if (id.includes('\0')) return undefined
      const row = await db
        .selectFrom('tasks')
        .selectAll()
        .where('id', '=', id)
        .modifyEnd(ONE_ROW)
        .executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** What the owner of a task is shown of it: a third of what `get` reads, for who asks again and again. */
    async shown(id: string): Promise<ShownTask | undefined> {
      if (id.includes('\0')) return undefined
      const { rows } = await db.executeQuery<ShownRow>({ ...shownById, parameters: [id] })
      const [row] = rows
      return row === undefined ? undefined : shownFromRow(row)
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
        .modifyEnd(VOLATILE)
        .execute()
    },

    /**
     * Notes that a prompt is about to leave: from here on, nobody may send it again without knowing what became of it.
     * @returns `false` when the task has ended, or this worker has not got it any more
     */
    async markSent(id: string, worker: string, now: number): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('tasks')
        .set({ sent_at: now })
        .where('id', '=', id)
        .where('state', '=', 'submitting')
        .where('worker', '=', worker)
        .executeTakeFirst()
      return numUpdatedRows > 0n
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

    /** Numbers by state, terminal ones included. */
    async countByState(): Promise<Partial<Record<TaskState, number>>> {
      const rows = await db
        .selectFrom('tasks')
        .select(['state', (eb) => eb.fn.countAll<number>().as('n')])
        .groupBy('state')
        .execute()
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
    },

    /** When the creation was accepted that has waited longest in the queue, of each kind that has one. */
    async oldestQueued(): Promise<Partial<Record<TaskKind, number>>> {
      const rows = await db
        .selectFrom('tasks')
        .select(['kind', (eb) => eb.fn.min<number>('created_at').as('at')])
        .where(QUEUED)
        .groupBy('kind')
        .execute()
      return Object.fromEntries(rows.map(({ kind, at }) => [kind, Number(at)]))
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
    }
  }
}

export type TaskStore = ReturnType<typeof createTaskStore>
