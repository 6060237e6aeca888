import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queries, Store } from './database.ts'
import type { DeliveryRow, TaskRow } from './schema.ts'

export type DeliveryState = DeliveryRow['state']

/** A webhook on its way. */
export interface Delivery {
  /** Standard Webhooks message id, the same for each attempt. */
  id: string
  /** The task it tells of; null when it tells of none, and then there is a `payload`. */
  taskId: string | null
  owner: string
  url: string
  baseUrl: string
  event: DeliveryRow['event']
  state: DeliveryState
  attempts: number
  dueAt: number | null
  /** The worker that delivers it right now. */
  worker: string | null
  lastStatus: number | null
  lastError: string | null
  createdAt: number
  endedAt: number | null
  /** The body, where it is not made of a task. */
  payload: string | null
}

/** A webhook about no task. */
export interface NewMessage {
  /** Of `newMessageId`. What is put in twice under the same one is there once. */
  id: string
  event: 'session.changed'
  url: string
  /** JSON: the body, sent as it is. */
  payload: string
  createdAt: number
}

/** How an attempt went. `status` is the receiver's, null when there was no answer. */
export interface AttemptNote {
  status: number | null
  error: string | null
}

const EVENTS: Partial<Record<TaskRow['state'], DeliveryRow['event']>> = {
  completed: 'task.completed',
  failed: 'task.failed',
  cancelled: 'task.cancelled'
}

/**
 * Owner of what the gateway sends in its own name, as far as places go. No userId is a blank, so no caller's receiver
 * that hangs takes up its places.
 */
const OURSELVES = ' '

/** A new Standard Webhooks message id. */
export const newMessageId = (): string => `msg_${randomUUID().replaceAll('-', '')}`

function laneOf(owner: string, url: string): string {
  return `${owner} ${URL.canParse(url) ? new URL(url).hostname : ''}`
}

// Literals, so that the engines see that an index covers them (src/store/migrations.ts).
const WAITING = sql<boolean>`state = 'pending' and worker is null`

/** Puts the webhook of a task that has ended into the outbox. Belongs into the transaction that ends it. */
export async function insertDelivery(on: Queries, task: TaskRow): Promise<void> {
  const event = EVENTS[task.state]
  if (event === undefined || task.webhook_url === null) return
  const now = task.completed_at ?? task.created_at
  await on
    .insertInto('deliveries')
    .values({
      id: newMessageId(),
      task_id: task.id,
      owner: task.owner,
      url: task.webhook_url,
      base_url: task.base_url ?? '',
      lane: laneOf(task.owner, task.webhook_url),
      event,
      state: 'pending',
      attempts: 0,
      due_at: now,
      worker: null,
      last_status: null,
      last_error: null,
      created_at: now,
      ended_at: null,
      payload: null
    })
    .execute()
}

/**
 * The outbox of webhooks. A row with `due_at` is the job; one that is being delivered names the worker that does, and
 * only that worker can say how it went.
 */
export function createDeliveryStore(store: Store) {
  const { db } = store

  return {
    /** Puts a webhook about no task into the outbox. Asking again, after an answer that was lost, puts it there once. */
    async add({ id, event, url, payload, createdAt }: NewMessage): Promise<void> {
      await db
        .insertInto('deliveries')
        .values({
          id,
          task_id: null,
          owner: '',
          url,
          base_url: '',
          lane: laneOf(OURSELVES, url),
          event,
          state: 'pending',
          attempts: 0,
          due_at: createdAt,
          worker: null,
          last_status: null,
          last_error: null,
          created_at: createdAt,
          ended_at: null,
          payload
        })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute()
    },

    /** Lanes in which something is due, the one that has waited longest first. What it costs depends on how many lanes there are, not on how much is in them. */
    async dueLanes(now: number): Promise<string[]> {
      const first = await db
        .selectFrom('deliveries')
        .select('id')
        .where(WAITING)
        .where('due_at', '<=', now)
        .limit(1)
        .executeTakeFirst()
      // The usual answer.
      if (first === undefined) return []
      const { rows } = await sql<{ lane: string; due: number | null }>`
        with recursive waiting(lane) as (
          select min(lane) from deliveries where ${WAITING}
          union all
          select (select min(lane) from deliveries where ${WAITING} and lane > waiting.lane)
          from waiting where waiting.lane is not null
        )
        select lane, (select min(due_at) from deliveries where ${WAITING} and lane = waiting.lane) as due
        from waiting where lane is not null order by due`.execute(db)
      return rows.filter(({ due }) => due !== null && due <= now).map(({ lane }) => lane)
    },

    /** Claims deliveries of one lane that are due, the longest due first. */
    async claimDue(worker: string, now: number, lane: string, limit: number): Promise<Delivery[]> {
      // PostgreSQL may run a subquery once for each row, with `skip locked` giving other rows each time, and so more than
      // the limit; what is materialized runs once.
      const rows = await db
        .with(
          (cte) => cte('due').materialized(),
          (cte) =>
            cte
              .selectFrom('deliveries')
              .select('id')
              .where(WAITING)
              .where('lane', '=', lane)
              .where('due_at', '<=', now)
              .orderBy('due_at')
              .limit(limit)
              .$if(store.engine === 'postgres', (query) => query.forUpdate().skipLocked())
        )
        .updateTable('deliveries')
        .set({ worker })
        .where('id', 'in', (query) => query.selectFrom('due').select('id'))
        .returningAll()
        .execute()
      return rows.map(fromRow)
    },

    /** Ends a delivery after an attempt. @returns `false` when this worker has not got it any more */
    async end(
      id: string,
      worker: string,
      state: 'delivered' | 'failed',
      now: number,
      { status, error }: AttemptNote
    ): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('deliveries')
        .set({
          state,
          attempts: sql`attempts + 1`,
          due_at: null,
          worker: null,
          last_status: status,
          last_error: error,
          ended_at: now
        })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** Puts a delivery off after an attempt that failed. @returns `false` when this worker has not got it any more */
    async putOff(
      id: string,
      worker: string,
      dueAt: number,
      { status, error }: AttemptNote
    ): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('deliveries')
        .set({
          attempts: sql`attempts + 1`,
          due_at: dueAt,
          worker: null,
          last_status: status,
          last_error: error
        })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** Gives deliveries back that a worker had claimed, all but those it still works on. */
    async release(worker: string, busy: readonly string[] = []): Promise<void> {
      await db
        .updateTable('deliveries')
        .set({ worker: null })
        .where('worker', '=', worker)
        .$if(busy.length > 0, (query) => query.where('id', 'not in', busy))
        .execute()
    },

    /** Earliest time after `now` at which something is due. */
    async nextDueAt(now: number): Promise<number | undefined> {
      const { at } = await db
        .selectFrom('deliveries')
        .select((eb) => eb.fn.min('due_at').as('at'))
        .where(WAITING)
        .where('due_at', '>', now)
        .executeTakeFirstOrThrow()
      return at ?? undefined
    },

    async get(id: string): Promise<Delivery | undefined> {
      const row = await db.selectFrom('deliveries').selectAll().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** Deliveries in one of these states (default: all), the newest first. */
    async list({
      states,
      taskId,
      limit
    }: {
      states?: readonly DeliveryState[]
      taskId?: string
      limit: number
    }): Promise<Delivery[]> {
      const rows = await db
        .selectFrom('deliveries')
        .selectAll()
        .$if(states !== undefined, (query) => query.where('state', 'in', states as DeliveryState[]))
        .$if(taskId !== undefined, (query) => query.where('task_id', '=', taskId as string))
        .orderBy('created_at', 'desc')
        .orderBy('id')
        .limit(limit)
        .execute()
      return rows.map(fromRow)
    },

    /**
     * Makes a delivery due again, with all its attempts before it and the same id.
     * @returns `false` when there is none, or it is being delivered right now
     */
    async replay(id: string, now: number): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('deliveries')
        .set({ state: 'pending', attempts: 0, due_at: now, ended_at: null })
        .where('id', '=', id)
        .where('worker', 'is', null)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** Removes deliveries that ended before a time. @returns how many */
    async removeEnded(before: number, limit: number): Promise<number> {
      const old = db
        .selectFrom('deliveries')
        .select('id')
        .where('ended_at', '<', before)
        .orderBy('ended_at')
        .limit(limit)
      const { numDeletedRows } = await db
        .deleteFrom('deliveries')
        .where('id', 'in', old)
        // One that was replayed meanwhile has not ended.
        .where('ended_at', '<', before)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },

    async countByState(): Promise<Record<DeliveryState, number>> {
      const rows = await db
        .selectFrom('deliveries')
        .select(['state', (eb) => eb.fn.countAll<number>().as('n')])
        .groupBy('state')
        .execute()
      return {
        pending: 0,
        delivered: 0,
        failed: 0,
        ...Object.fromEntries(rows.map(({ state, n }) => [state, n]))
      }
    }
  }
}

export type DeliveryStore = ReturnType<typeof createDeliveryStore>

function fromRow(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    taskId: row.task_id,
    owner: row.owner,
    url: row.url,
    baseUrl: row.base_url,
    event: row.event,
    state: row.state,
    attempts: row.attempts,
    dueAt: row.due_at,
    worker: row.worker,
    lastStatus: row.last_status,
    lastError: row.last_error,
    createdAt: row.created_at,
    endedAt: row.ended_at,
    payload: row.payload
  }
}
