import type { Queries, Store } from './database.ts'
import type { IdempotencyRow } from './schema.ts'

/** How long a key is kept, in milliseconds. */
export const IDEMPOTENCY_MS = 24 * 3_600_000

export type KeyUse = Pick<IdempotencyRow, 'id' | 'body_hash' | 'worker' | 'task_id' | 'response'>

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

    /** Keeps the response, unless there is one. @returns the one that is kept; `undefined` when the key was freed meanwhile */
    async finish(id: string, response: string): Promise<string | undefined> {
      const stored = await db
        .updateTable('idempotency')
        .set({ response, worker: null })
        .where('id', '=', id)
        .where('response', 'is', null)
        .returning('response')
        .executeTakeFirst()
      if (stored === undefined) {
        const use = await db
          .selectFrom('idempotency')
          .select('response')
          .where('id', '=', id)
          .executeTakeFirst()
        return use?.response ?? undefined
      }
      changes.announce('idempotency', id)
      return response
    },

    /** Frees a key whose request came to nothing before the upstream was asked, if it still stands for that request. */
    async free(id: string, request: { worker: string } | { taskId: string }): Promise<void> {
      await db
        .deleteFrom('idempotency')
        .where('id', '=', id)
        .where('response', 'is', null)
        .$if('worker' in request, (query) =>
          query.where('worker', '=', (request as { worker: string }).worker)
        )
        .$if('taskId' in request, (query) =>
          query.where('task_id', '=', (request as { taskId: string }).taskId)
        )
        .execute()
      changes.announce('idempotency', id)
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
