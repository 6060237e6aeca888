import { sql } from 'kysely'
import type { Queries } from './database.ts'
import type { LimitRow, TaskRow } from './schema.ts'

const THINGS: Record<TaskRow['kind'], LimitRow['thing']> = { image: 'images', video: 'videos' }

/** How far the clocks of two gateways may be apart. A window that ends later than this allows was begun under another limit. */
const CLOCK_SKEW_MS = 60_000

/** At most `count` of something in each window of `seconds`. The window begins with the first use. */
interface Limit {
  count: number
  seconds: number
}

/** How a limit stands. `windowEnds` is in milliseconds since the epoch. */
export interface Usage {
  used: number
  windowEnds: number
}

interface Which {
  /** userId; the empty string for anonymous callers, who share a limit. */
  owner: string
  thing: LimitRow['thing']
  limit: Limit
  /** The gateway's clock, in milliseconds since the epoch. */
  now: number
}

/**
 * Takes one from a limit, if there is one left. One statement, so that a limit of N is exactly N however many gateways
 * take from it at once. Inside a transaction it is given back when that is rolled back.
 *
 * A changed limit counts at once: another count for the window that runs, another length from the next one on. A window
 * that has longer to run than the new length has begins anew.
 */
export async function takeLimit(
  on: Queries,
  { owner, thing, limit, now }: Which
): Promise<Usage & { taken: boolean }> {
  const windowEnds = endOf(limit, now)
  if (limit.count === 0) return { taken: false, used: 0, windowEnds }
  const over = sql<boolean>`(limits.window_ends <= ${now} or limits.window_ends > ${windowEnds + CLOCK_SKEW_MS})`
  const { rows } = await sql<Pick<LimitRow, 'used' | 'window_ends'>>`
    insert into limits (owner, thing, window_ends, used) values (${owner}, ${thing}, ${windowEnds}, 1)
    on conflict (owner, thing) do update set
      used = case when ${over} then 1 else limits.used + 1 end,
      window_ends = case when ${over} then excluded.window_ends else limits.window_ends end
    where ${over} or limits.used < ${limit.count}
    returning used, window_ends`.execute(on)
  const [row] = rows
  if (row !== undefined) return { taken: true, used: row.used, windowEnds: row.window_ends }
  return { taken: false, ...(await peekLimit(on, { owner, thing, limit, now })) }
}

/** How a limit stands, without taking from it. Before the first use: as if the window began now. */
export async function peekLimit(on: Queries, { owner, thing, limit, now }: Which): Promise<Usage> {
  const windowEnds = endOf(limit, now)
  const row = await on
    .selectFrom('limits')
    .select(['used', 'window_ends'])
    .where('owner', '=', owner)
    .where('thing', '=', thing)
    .where('window_ends', '>', now)
    .where('window_ends', '<=', windowEnds + CLOCK_SKEW_MS)
    .executeTakeFirst()
  return row === undefined ? { used: 0, windowEnds } : { used: row.used, windowEnds: row.window_ends }
}

/** Gives one back, if the window that it was taken from still stands. */
export async function giveBack(
  on: Queries,
  owner: string,
  thing: LimitRow['thing'],
  windowEnds: number
): Promise<void> {
  await on
    .updateTable('limits')
    .set((eb) => ({ used: eb('used', '-', 1) }))
    .where('owner', '=', owner)
    .where('thing', '=', thing)
    .where('window_ends', '=', windowEnds)
    .where('used', '>', 0)
    .execute()
}

/** Gives back what a task took from its owner's limit, if that window still stands. Belongs into the transaction that ends it. */
export async function giveBackLimit(on: Queries, task: TaskRow): Promise<void> {
  if (task.limit_window !== null) await giveBack(on, task.owner, THINGS[task.kind], task.limit_window)
}

/** Removes windows that have ended. @returns how many: fewer than `max` when there are no more */
export async function removeExpiredLimits(on: Queries, now: number, max: number): Promise<number> {
  // Asked again outside, for the row that somebody begins anew in the meantime.
  const { numAffectedRows } = await sql`
    delete from limits where window_ends <= ${now} and (owner, thing) in
      (select owner, thing from limits where window_ends <= ${now} limit ${max})`.execute(on)
  return Number(numAffectedRows ?? 0)
}

function endOf(limit: Limit, now: number): number {
  return now + limit.seconds * 1000
}
