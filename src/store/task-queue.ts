import { sql } from 'kysely'
import { sourcesOf } from '../jobs/task-states.ts'
import type { Queries, Store } from './database.ts'
import { fromRow, type Task, type TaskError, type TaskKind } from './task-row.ts'
import { VOLATILE } from './volatile.ts'

// Literals, so that the engines see that an index covers them (src/store/migrations.ts).
export const QUEUED = sql<boolean>`state = 'queued'`
export const IN_FLIGHT = sql<boolean>`state in ('submitting', 'polling', 'paused')`
export const LOOKED_AT = sql<boolean>`state in ('polling', 'paused')`
const UNCLAIMED = sql<boolean>`worker is null`
/** What `TaskError.forPlace` looks like in the row; nothing of a caller's or of Bing's own words is in there. */
const WAITS_FOR_PLACE = sql<boolean>`error like '%"forPlace":true%'`
const MAY_EXPIRE = sql<boolean>`state in ('queued', 'polling', 'paused')`

/** Namespace of the advisory locks under which places are given away. */
const CLAIM_LOCK = 0x62696e67
const KINDS: Record<TaskKind, number> = { image: 1, video: 2 }

export interface LeftToOthers {
  kinds: readonly TaskKind[]
  dueBefore: number
  pausedBefore: number
}

/**
 * Tasks as a queue: a row with `due_at` is the job. Several gateways may work on it; a task that is being submitted or
 * looked at names the worker that does, and is nobody else's until that worker gives it back or has ended.
 */
export function createTaskQueue(store: Store) {
  const { db, changes, engine } = store
  async function ofWorker(worker: string): Promise<Task[]> {
    const rows = await db.selectFrom('tasks').selectAll().where('worker', '=', worker).execute()
    return rows.map(fromRow)
  }

  /** The queued task whose turn it is: of the owner with the fewest in flight, then of the one who has waited longest since the last submit, the oldest. */
  async function nextInTurn(on: Queries, kind: TaskKind, now: number): Promise<string | undefined> {
    // From owner to owner through the index: the cost depends on how many wait, not on how much they have queued. And
    // without a join, for which PostgreSQL would read the whole table, finished tasks included.
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
            order by created_at, id limit 1) as id,
          (select created_at from tasks where ${QUEUED} and kind = ${kind} and owner = waiting.owner and due_at <= ${now}
            order by created_at, id limit 1) as created_at
        from waiting where waiting.owner is not null
      )
      select id from heads where id is not null
      order by in_flight, submitted, created_at, id limit 1`.execute(on)
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
      .set({ state: 'submitting', worker, sent_at: null, due_at: null, error: null })
      .where('id', 'in', ids)
      .where('state', 'in', sourcesOf('submitting'))
      .returningAll()
      .execute()
    return rows.map(fromRow)
  }

  return {
    /**
     * Claims tasks to look at, the longest due first.
     * @param others what this worker can't look at itself: tasks of these kinds are left to other workers, until they
     *   have been due since `dueBefore` (paused ones, of which others don't hear at once, `pausedBefore`) or their time is
     *   over
     */
    async claimDue(
      worker: string,
      now: number,
      limit: number,
      others: LeftToOthers = { kinds: [], dueBefore: now, pausedBefore: now }
    ): Promise<Task[]> {
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
              .$if(others.kinds.length > 0, (query) =>
                query.where((eb) =>
                  eb.or([
                    eb('kind', 'not in', others.kinds),
                    eb('due_at', '<=', others.pausedBefore),
                    eb.and([eb('state', '!=', 'paused'), eb('due_at', '<=', others.dueBefore)]),
                    eb('deadline_at', '<=', now)
                  ])
                )
              )
              .orderBy('due_at')
              .limit(limit)
              .$if(engine === 'postgres', (query) => query.forUpdate().skipLocked())
        )
        .updateTable('tasks')
        .set({ worker })
        .where('id', 'in', (query) => query.selectFrom('due').select('id'))
        .returningAll()
        .modifyEnd(VOLATILE)
        .execute()
      return rows.map(fromRow).sort((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))
    },

    /**
     * Claims queued tasks to submit, fairly: one caller with a hundred creations doesn't hold up another one with a
     * single one. All gateways together have at most `limit` in flight.
     * @param limit asked at the last moment, since it may fall when a task comes back to the queue. Infinity: no limit
     * @param most how many to claim at once
     */
    async claimQueued(
      worker: string,
      kind: TaskKind,
      now: number,
      limit: () => number,
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
        if (engine === 'postgres')
          await sql`select pg_advisory_xact_lock(${CLAIM_LOCK}, ${KINDS[kind]})`.execute(tx)
        if (limit() === Number.POSITIVE_INFINITY) {
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
        const inFlight = await countInFlight(kind, tx)
        while (inFlight + taken.length < limit() && taken.length < most) {
          const id = await nextInTurn(tx, kind, now)
          if (id === undefined) break
          taken.push(...(await take(tx, worker, [id])))
        }
        return taken
      })
      for (const { id } of claimed) changes.announce('task', id)
      return claimed
    },

    /**
     * Tasks whose time is over and that nobody is working on right now. One that is due to be looked at is looked at
     * first: after a pause it may have been finished long ago.
     */
    async overdue(now: number, limit: number): Promise<Task[]> {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where(MAY_EXPIRE)
        .where(UNCLAIMED)
        .where('deadline_at', '<=', now)
        .where(sql<boolean>`(${QUEUED} or due_at is null or due_at > ${now})`)
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

    /** Whether other gateways work on this queue, too. */
    async hasOthers(worker: string): Promise<boolean> {
      const other = await db
        .selectFrom('workers')
        .select('id')
        .where('id', '!=', worker)
        .where('alive_until', '>', store.now())
        .limit(1)
        .executeTakeFirst()
      return other !== undefined
    },

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

    /**
     * Creations of a kind in flight besides one, those of them that Bing has accepted, and those that it had accepted and that ended
     * at `since` or later.
     */
    async countAtBing(
      kind: TaskKind,
      since: number,
      besides: string
    ): Promise<{ inFlight: number; accepted: number; ended: number }> {
      const { rows } = await sql<Record<'in_flight' | 'accepted' | 'ended', number>>`
        select
          (select count(*) from tasks where ${IN_FLIGHT} and kind = ${kind} and id <> ${besides}) as in_flight,
          (select count(*) from tasks where ${LOOKED_AT} and kind = ${kind}) as accepted,
          (select count(*) from tasks where completed_at >= ${since} and upstream_id is not null and kind = ${kind}) as ended`.execute(
        db
      )
      const [row] = rows
      return {
        inFlight: Number(row?.in_flight),
        accepted: Number(row?.accepted),
        ended: Number(row?.ended)
      }
    },

    /**
     * Notes why queued tasks can't be sent now, with those that don't know yet; and until when those may wait that have
     * no deadline. Whoever waits for one of them hears of it.
     */
    async markHeld(kind: TaskKind, error: TaskError, deadlineAt: number): Promise<void> {
      const rows = await db
        .updateTable('tasks')
        .set({ error: JSON.stringify(error), deadline_at: sql`coalesce(deadline_at, ${deadlineAt})` })
        .where(QUEUED)
        .where('kind', '=', kind)
        .where((eb) => eb.or([eb('error', 'is', null), WAITS_FOR_PLACE]))
        .returning('id')
        .execute()
      for (const { id } of rows) changes.announce('task', id)
    },

    /** Has whoever waits for a queued task look at it again. */
    async announceQueued(kind: TaskKind): Promise<void> {
      const rows = await db.selectFrom('tasks').select('id').where(QUEUED).where('kind', '=', kind).execute()
      for (const { id } of rows) changes.announce('task', id)
    },

    /** Takes back what `markHeld` has noted. */
    async unmarkHeld(kind: TaskKind): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ error: null, ...(kind === 'video' ? { deadline_at: null } : {}) })
        .where(QUEUED)
        .where('kind', '=', kind)
        .where('error', 'is not', null)
        .where(sql<boolean>`not ${WAITS_FOR_PLACE}`)
        .execute()
    },

    /** Puts off queued tasks, all but those that a caller waits for and those whose time would be over. */
    async putOffQueued(kind: TaskKind, until: number): Promise<void> {
      await db
        .updateTable('tasks')
        .set({ due_at: until })
        .where(QUEUED)
        .where('kind', '=', kind)
        .where('due_at', '<', until)
        .where('waiter', 'is', null)
        .where((eb) => eb.or([eb('deadline_at', 'is', null), eb('deadline_at', '>', until)]))
        .execute()
    },

    /**
     * Makes waiting tasks due at once, when what they waited for has happened.
     * @param options.spareRefusedMs how long those may wait on at most that Bing had no place for; absent: not at all
     */
    async makeDue(
      state: 'queued' | 'paused',
      now: number,
      { spareRefusedMs }: { spareRefusedMs?: number } = {}
    ): Promise<void> {
      const isSpared = spareRefusedMs === undefined ? sql<boolean>`1 = 0` : WAITS_FOR_PLACE
      const at = sql<number>`case when ${isSpared} then cast(${now + (spareRefusedMs ?? 0)} as bigint) else cast(${now} as bigint) end`
      await db
        .updateTable('tasks')
        .set({ due_at: at })
        .where(state === 'queued' ? QUEUED : sql<boolean>`${LOOKED_AT} and state = 'paused'`)
        .where('due_at', '>', at)
        .execute()
    }
  }
}
