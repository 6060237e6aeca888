import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { openStore, type Store } from '../../src/store/database.ts'
import type { TaskRow } from '../../src/store/schema.ts'
import { createTaskStore } from '../../src/store/task-store.ts'
import { startPostgres } from '../../test/support/postgres.ts'
import { temporaryFolder } from '../folders.ts'
import type { Group, Line } from '../lines.ts'
import type { Looking } from '../peers/looking-gateway.ts'
import { gatewayEnv, startOwnPeer, startSimulatorPeer } from '../processes.ts'
import { percentile } from '../stats.ts'

/** As many owners as a team has people. */
const OWNERS = 20
/** Tasks that a claim takes: due ones as the job loop does, queued ones as there are places. */
const DUE = 32
const QUEUED = 3

/** Not ready, whichever creation is asked for: the tasks of a bench were never submitted. */
const PENDING = {
  body: JSON.stringify({ errorMessage: 'Pending', showContent: '' }),
  headers: { 'content-type': 'application/json; charset=utf-8' }
}

interface Place {
  size: number
  dataDir: string
  /** Empty for SQLite. */
  databaseUrl: string
}

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const sizes = quick ? [50, 200] : [100, 10_000]
  const claims = quick ? 10 : 120
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (run: () => unknown) => void teardowns.push(run) }
  const upstream = await startSimulatorPeer({ poll: PENDING, videoPoll: PENDING })
  try {
    const lines: Line[] = []
    for (const engine of quick ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)) {
      progress(engine)
      const postgres = engine === 'postgres' ? await startPostgres(t as never, { durable: true }) : undefined
      const places: Place[] = []
      for (const size of sizes)
        places.push({ size, dataDir: temporaryFolder(), databaseUrl: (await postgres?.database()) ?? '' })
      lines.push(...(await measureClaims(engine, places, claims)))
      progress(`${engine}: looks`)
      lines.push(await measureLooks(engine, places.at(-1) as Place, upstream.url, quick ? 300 : 3000))
    }
    return lines
  } finally {
    for (const run of teardowns.reverse()) await run()
    await upstream.stop()
  }
}

/** The statements by which the job loop takes its next work; the sizes in turn. Leaves the tasks due. */
async function measureClaims(engine: string, places: readonly Place[], claims: number): Promise<Line[]> {
  const stores = await Promise.all(
    places.map(({ dataDir, databaseUrl }) => openStore({ dataDir, databaseUrl: databaseUrl || undefined }))
  )
  const lines: Line[] = []
  for (const { what, state, claim } of [
    { what: 'claim of queued tasks', state: 'queued', claim: claimQueued },
    { what: 'claim of due tasks', state: 'polling', claim: claimDue }
  ] as const) {
    const taken = places.map(() => [] as number[])
    for (const [n, store] of stores.entries()) await seed(store, places[n]?.size ?? 0, state)
    // The first ones compile the code.
    for (let n = -claims / 5; n < claims; n++) {
      for (const [k, store] of stores.entries()) {
        const ms = await claim(store)
        if (n >= 0) taken[k]?.push(ms)
      }
    }
    const [few, many] = taken as [number[], number[]]
    const [low, high] = places as [Place, Place]
    const ms = (values: number[]) =>
      [0.5, 0.99].map((share) => percentile(values, share).toFixed(2)).join(' / ')
    lines.push({
      what: `${engine}: ${what}, ${high.size} of them against ${low.size}, p50`,
      value: percentile(many, 0.5) / percentile(few, 0.5),
      unit: '×',
      target: { atMost: 2 },
      note: `p50 / p99: ${ms(many)} ms against ${ms(few)} ms`
    })
  }
  for (const store of stores) await store.close()
  return lines
}

/** The whole gateway, as it looks at all of them without a pause. */
async function measureLooks(
  engine: string,
  { size, dataDir, databaseUrl }: Place,
  upstream: string,
  workMs: number
): Promise<Line> {
  writeFileSync(join(dataDir, 'whitelist.txt'), '')
  const peer = await startOwnPeer(
    'looking-gateway',
    [String(workMs)],
    {
      ...gatewayEnv(dataDir, upstream),
      DATABASE_URL: databaseUrl,
      // Shorter than it takes to look at ten thousand: there is always one that is due.
      POLL_INTERVAL_MS: '250'
    },
    /^Measured (\{.*\})$/m
  )
  const { delayP99, delayMax, looksPerSecond, rssMb } = JSON.parse(peer.url) as Looking
  return {
    what: `${engine}: delay of the event loop while ${size} creations are looked at, p99`,
    value: delayP99,
    unit: 'ms',
    target: { atMost: 50 },
    note: `most ${delayMax.toFixed(0)} ms; ${looksPerSecond.toFixed(0)} looks/s, ${rssMb.toFixed(0)} MB`
  }
}

async function seed({ db, engine }: Store, size: number, state: 'polling' | 'queued'): Promise<void> {
  await db.deleteFrom('tasks').execute()
  const now = Date.now()
  const rows = Array.from(
    { length: size },
    (_, n): TaskRow => ({
      id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
      kind: 'video',
      owner: `user-${n % OWNERS}`,
      state,
      prompt: `a bench, ${n}`,
      options: '{"speed":"standard"}',
      upstream_id: state === 'polling' ? `4-${n.toString(16).padStart(32, '0')}` : null,
      result_url: null,
      memory: '{}',
      due_at: now - size + n,
      deadline_at: state === 'polling' ? now + 3_600_000 : null,
      looks: 0,
      looked_at: null,
      look_failures: 0,
      refusals: 0,
      result: null,
      error: null,
      created_at: now - size + n,
      submitted_at: state === 'polling' ? now : null,
      completed_at: null,
      worker: null,
      waiter: null,
      webhook_url: null,
      base_url: null,
      limit_window: null,
      sent_at: null
    })
  )
  for (let from = 0; from < size; from += 500)
    await db
      .insertInto('tasks')
      .values(rows.slice(from, from + 500))
      .execute()
  // As the server does by itself before long.
  if (engine === 'postgres') await sql`vacuum analyze tasks`.execute(db)
}

/** Milliseconds that it takes to claim the next tasks to look at. They are put back with a later time, as after a look. */
async function claimDue(store: Store): Promise<number> {
  const from = performance.now()
  const claimed = await createTaskStore(store).claimDue('bench', Date.now(), DUE)
  const ms = performance.now() - from
  if (claimed.length !== DUE) throw new Error(`claimed ${claimed.length} due tasks`)
  const ids = claimed.map(({ id }) => id)
  await store.db
    .updateTable('tasks')
    .set((eb) => ({ worker: null, due_at: eb('due_at', '+', 1) }))
    .where('id', 'in', ids)
    .execute()
  return ms
}

/** Milliseconds that it takes to claim the next tasks to submit, fair between the owners. They are put back. */
async function claimQueued(store: Store): Promise<number> {
  const from = performance.now()
  const claimed = await createTaskStore(store).claimQueued('bench', 'video', Date.now(), () => QUEUED, 100)
  const ms = performance.now() - from
  if (claimed.length !== QUEUED) throw new Error(`claimed ${claimed.length} queued tasks`)
  const ids = claimed.map(({ id }) => id)
  await store.db
    .updateTable('tasks')
    .set({ state: 'queued', worker: null, due_at: 1 })
    .where('id', 'in', ids)
    .execute()
  return ms
}

export const dueWork: Group = {
  name: 'due-work',
  about:
    'what it costs to have 10,000 creations under way: the statements that take the next work, the two sizes in turn, and the event loop of a gateway that looks at all of them as fast as it can',
  run
}
