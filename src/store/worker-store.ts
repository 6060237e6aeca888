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

    /** Workers whose lease has ended. @param all whoever else there is, too: nobody else can be alive */
    async dead(self: string, all: boolean): Promise<string[]> {
      const rows = await db
        .selectFrom('workers')
        .select('id')
        .where('id', '!=', self)
        .$if(!all, (query) => query.where('alive_until', '<', store.now()))
        .execute()
      return rows.map(({ id }) => id)
    },

    /** Removes a worker that no longer has any claim. */
    async remove(id: string): Promise<void> {
      await db.deleteFrom('workers').where('id', '=', id).execute()
    }
  }
}

export type WorkerStore = ReturnType<typeof createWorkerStore>
