import type { PollSample } from '../jobs/poll-plan.ts'
import type { PollVariant } from '../jobs/poll-schedule.ts'
import type { Queries, Store } from './database.ts'

/** How long creations took, as far as it is known: what the times of looks are planned by. */
export function createPollStore({ db }: Pick<Store, 'db'>) {
  const of = ({ kind, variant }: PollVariant) =>
    db.selectFrom('poll_samples').where('kind', '=', kind).where('variant', '=', variant)

  async function variants(): Promise<PollVariant[]> {
    return db.selectFrom('poll_samples').select(['kind', 'variant']).distinct().execute()
  }

  return {
    variants,

    /** The newest samples of one model or speed, the newest first. */
    async newest(job: PollVariant, limit: number): Promise<PollSample[]> {
      const rows = await of(job)
        .select(['after_ms', 'by_ms', 'looks', 'seen_at'])
        .orderBy('seen_at', 'desc')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        afterMs: row.after_ms,
        byMs: row.by_ms,
        looks: row.looks,
        at: row.seen_at
      }))
    },

    /**
     * Removes all but the newest `keep` of each model and speed.
     * @param most how many to remove at once, about
     * @returns how many were removed
     */
    async trim(keep: number, most: number): Promise<number> {
      let removed = 0
      for (const job of await variants()) {
        const seenAt = (offset: number, order: 'asc' | 'desc') =>
          of(job).select('seen_at').orderBy('seen_at', order).limit(1).offset(offset).executeTakeFirst()
        const surplus = await seenAt(keep, 'desc')
        if (surplus === undefined) continue
        const { numDeletedRows } = await db
          .deleteFrom('poll_samples')
          .where('kind', '=', job.kind)
          .where('variant', '=', job.variant)
          .where(
            'seen_at',
            '<=',
            Math.min(surplus.seen_at, (await seenAt(most - 1, 'asc'))?.seen_at ?? surplus.seen_at)
          )
          .execute()
          .then(([result]) => result ?? { numDeletedRows: 0n })
        removed += Number(numDeletedRows)
      }
      return removed
    }
  }
}

export type PollStore = ReturnType<typeof createPollStore>

/** Adds a sample. Belongs into the transaction that completes the creation. */
export async function insertPollSample(on: Queries, job: PollVariant, sample: PollSample): Promise<void> {
  await on
    .insertInto('poll_samples')
    .values({
      kind: job.kind,
      variant: job.variant,
      after_ms: sample.afterMs,
      by_ms: sample.byMs,
      looks: sample.looks,
      seen_at: sample.at
    })
    .execute()
}
