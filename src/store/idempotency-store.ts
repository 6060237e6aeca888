import { sql } from 'kysely'
import type { Queries, Store } from './database.ts'
import type { IdempotencyRow } from './schema.ts'

/** How long a key is kept, in milliseconds. */
export const IDEMPOTENCY_MS = 24 * 3_600_000

export type KeyUse = Pick<IdempotencyRow, 'id' | 'body_hash' | 'worker' | 'task_id' | 'response'>

/** The claim of a worker on a key. Its time tells it from the worker's next one. */
export interface KeyClaim {
  worker: string
  createdAt: number
}

/** What a key stands for: a request that runs in a worker, or the task that has come of it. */
export type KeyedRequest = KeyClaim | { taskId: string }

const standsFor = (request: KeyedRequest) =>
  'taskId' in request
    ? sql<boolean>`task_id = ${request.taskId}`
    : sql<boolean>`worker = ${request.worker} and created_at = ${request.createdAt}`

/**
 * Uses of idempotency keys. A row is claimed by the worker in which the request runs; from the moment that there is a
 * task, the task decides what becomes of it, whoever runs.
 */
export function createIdempotencyStore(store: Store) {
  const { db, changes } = store

  return {
    /** @returns `undefined` when the key was free and is now this worker's; else its use so far */
    async claim(id: string, bodyHash: string, worker: string, now: number): Promise<KeyUse | undefined> {
      const fresh = {
        body_hash: bodyHash,
        worker,
        task_id: null,
        response: null,
        created_at: now,
        expires_at: now + IDEMPOTENCY_MS
      }
      for (;;) {
        const mine = await db
          .insertInto('idempotency')
          .values({ id, ...fresh })
          .onConflict((conflict) =>
            conflict.column('id').doUpdateSet(fresh).where('idempotency.expires_at', '<=', now)
          )
          .returning('id')
          .executeTakeFirst()
        if (mine !== undefined) return undefined
        const use = await db
          .selectFrom('idempotency')
          .select(['id', 'body_hash', 'worker', 'task_id', 'response'])
          .where('id', '=', id)
          .executeTakeFirst()
        if (use !== undefined) return use
        // Freed between the two statements.
      }
    },

    async get(id: string): Promise<KeyUse | undefined> {
      return db
        .selectFrom('idempotency')
        .select(['id', 'body_hash', 'worker', 'task_id', 'response'])
        .where('id', '=', id)
        .executeTakeFirst()
    },

    /**
     * Binds a key to the task that was made for it. Belongs into the transaction that stores the task.
     * @returns whether the key was still this worker's
     */
    async bind(on: Queries, id: string, worker: string, taskId: string): Promise<boolean> {
      const { numUpdatedRows } = await on
        .updateTable('idempotency')
        .set({ task_id: taskId, worker: null })
        .where('id', '=', id)
        .where('worker', '=', worker)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /**
     * Keeps the response of a request, if the key still stands for it and there is none yet.
     * @returns the one that is kept; `undefined` when the key is free, or stands for another request by now
     */
    async finish(id: string, request: KeyedRequest, response: string): Promise<string | undefined> {
      const stored = await db
        .updateTable('idempotency')
        .set({ response, worker: null })
        .where('id', '=', id)
        .where('response', 'is', null)
        .where(standsFor(request))
        .returning('response')
        .executeTakeFirst()
      if (stored !== undefined) {
        changes.announce('idempotency', id)
        return response
      }
      if (!('taskId' in request)) return undefined
      const use = await db
        .selectFrom('idempotency')
        .select('response')
        .where('id', '=', id)
        .where('task_id', '=', request.taskId)
        .executeTakeFirst()
      return use?.response ?? undefined
    },

    /** Frees a key whose request came to nothing before the upstream was asked, if it still stands for that request. */
    async free(id: string, request: KeyedRequest): Promise<void> {
      await db
        .deleteFrom('idempotency')
        .where('id', '=', id)
        .where('response', 'is', null)
        .where(standsFor(request))
        .execute()
      changes.announce('idempotency', id)
    },

    /** Keys that are claimed by a worker and stand for nothing yet. */
    async claimsOf(worker: string): Promise<({ id: string } & KeyClaim)[]> {
      const rows = await db
        .selectFrom('idempotency')
        .select(['id', 'created_at as createdAt'])
        .where('worker', '=', worker)
        .execute()
      return rows.map((row) => ({ ...row, worker }))
    },

    /** Frees the keys whose requests ran in a worker that has ended: without a task nothing of them is left. */
    async freeOf(worker: string): Promise<void> {
      const freed = await db
        .deleteFrom('idempotency')
        .where('worker', '=', worker)
        .where('task_id', 'is', null)
        .where('response', 'is', null)
        .returning('id')
        .execute()
      for (const { id } of freed) changes.announce('idempotency', id)
    },

    async removeExpired(now: number, limit: number): Promise<number> {
      const old = db.selectFrom('idempotency').select('id').where('expires_at', '<=', now).limit(limit)
      const { numDeletedRows } = await db.deleteFrom('idempotency').where('id', 'in', old).executeTakeFirst()
      return Number(numDeletedRows)
    }
  }
}

export type IdempotencyStore = ReturnType<typeof createIdempotencyStore>
