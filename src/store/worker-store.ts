import { sql } from 'kysely'
import type { Store } from './database.ts'

/**
 * The leases of the gateways that share a store. A claim on a row names its worker; the worker's lease, one row that it
 * renews, covers all of them.
 */
export function createWorkerStore(store: Store) {
  const { db } = store
  const end = (leaseMs: number) => sql<number>`${store.now()} + ${leaseMs}`

  return {
    /** Begins a lease, or renews it. @returns whether it had been there: `false` means that its claims are gone */
    async renew(id: string, leaseMs: number): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('workers')
        .set({ alive_until: end(leaseMs) })
        .where('id', '=', id)
        .executeTakeFirst()
      if (numUpdatedRows > 0n) return true
      await db
        .insertInto('workers')
        .values({ id, alive_until: end(leaseMs), started_at: store.now() })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ alive_until: end(leaseMs) }))
        .execute()
      return false
    },

    /**
     * Workers whose lease has ended, and those that have claims and no lease: they were taken for dead, went on, and then
     * died. @param all whoever else there is, too: nobody else can be alive
     * @returns `inOrder`: it has ended its lease itself
     */
    async dead(self: string, all: boolean): Promise<{ id: string; inOrder: boolean }[]> {
      const { rows } = await sql<{ id: string; alive_until: number | null }>`
        select id, alive_until from workers where ${all ? sql`true` : sql`alive_until < ${store.now()}`}
        union select worker, null from tasks where worker is not null and worker not in (select id from workers)
        union select worker, null from deliveries where worker is not null and worker not in (select id from workers)
        union select worker, null from idempotency where worker is not null and worker not in (select id from workers)
        union select asked_by, null from conversations
          where asked_by is not null and asked_by not in (select id from workers)`.execute(db)
      return rows
        .filter(({ id }) => id !== self)
        .map(({ id, alive_until: aliveUntil }) => ({ id, inOrder: aliveUntil === 0 }))
    },

    /** Ends a worker's lease now, as that of one that stops in order. */
    async end(id: string): Promise<void> {
      await db.updateTable('workers').set({ alive_until: 0 }).where('id', '=', id).execute()
    },

    /** Removes a worker that has no claim any more, unless it lives after all. @param all it can't be alive */
    async remove(id: string, all: boolean): Promise<void> {
      await db
        .deleteFrom('workers')
        .where('id', '=', id)
        .$if(!all, (query) => query.where('alive_until', '<', store.now()))
        .execute()
    }
  }
}

export type WorkerStore = ReturnType<typeof createWorkerStore>
