/**
 * What it costs to have 100, 1,000 and 10,000 creations under way in one gateway: `npm run bench`.
 *
 * - Claims: the statements by which the job loop takes its next work, on a store that holds that many tasks. Flat means
 *   that the time does not depend on how many there are; so it is the ratio to the smallest store that counts.
 * - Event loop delay: while the loop looks at all of them, as fast as it can, against a simulated Bing in another process.
 *
 * Times are of this machine as it is; a busy one shows misses that mean nothing. Misses don't fail the run.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import { buildApp } from '../src/app.ts'
import { createLogger } from '../src/logger.ts'
import { openStore, type Store } from '../src/store/database.ts'
import type { TaskRow } from '../src/store/schema.ts'
import { createTaskStore } from '../src/store/task-store.ts'
import { startPostgres } from '../test/support/postgres.ts'

const SIZES = [100, 1_000, 10_000]
const ENGINES = ['sqlite', 'postgres'] as const
/** As many owners as a team has people. */
const OWNERS = 20
const CLAIMS = 300
const WORK_MS = 5_000
const TARGETS = { ratio: 2, delayMs: 50 }

interface Measured {
  /** Milliseconds, of the median and of the slowest one in a hundred. */
  due: [p50: number, p99: number]
  queued: [p50: number, p99: number]
  delayP99: number
  delayMax: number
  looksPerSecond: number
  rssMb: number
}

/** One store of one size, in a process of its own, so that memory is that of this one. */
async function measure(
  engine: (typeof ENGINES)[number],
  size: number,
  bing: { url: string; chatUrl: string },
  databaseUrl?: string
): Promise<Measured> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bing-gateway-bench-'))
  try {
    writeFileSync(join(dataDir, 'whitelist.txt'), '')
    const store = await openStore({ dataDir, databaseUrl: engine === 'postgres' ? databaseUrl : undefined })
    await seed(store, size, 'polling')
    const due = await claimsOfDue(store)
    await store.db.deleteFrom('tasks').execute()
    await seed(store, size, 'queued')
    const queued = await claimsOfQueued(store)
    await store.db.deleteFrom('tasks').execute()
    await seed(store, size, 'polling')
    await store.close()
    return { due, queued, ...(await work(dataDir, bing, engine === 'postgres' ? databaseUrl : undefined)) }
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function seed({ db, engine }: Store, size: number, state: 'polling' | 'queued'): Promise<void> {
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

/** The next tasks to look at: 32 of them, put back with a later time, as after a look. */
async function claimsOfDue(store: Store): Promise<[number, number]> {
  const tasks = createTaskStore(store)
  return times(async (stopwatch) => {
    const claimed = await stopwatch(() => tasks.claimDue('bench', Date.now(), 32))
    if (claimed.length !== 32) throw new Error(`claimed ${claimed.length}`)
    const ids = claimed.map(({ id }) => id)
    await store.db
      .updateTable('tasks')
      .set((eb) => ({ worker: null, due_at: eb('due_at', '+', 1) }))
      .where('id', 'in', ids)
      .execute()
  })
}

/** The next tasks to submit: three, the usual number of places, fair between twenty owners. */
async function claimsOfQueued(store: Store): Promise<[number, number]> {
  const tasks = createTaskStore(store)
  return times(async (stopwatch) => {
    const claimed = await stopwatch(() => tasks.claimQueued('bench', 'video', Date.now(), 3, 100))
    if (claimed.length !== 3) throw new Error(`claimed ${claimed.length}`)
    const ids = claimed.map(({ id }) => id)
    await store.db
      .updateTable('tasks')
      .set({ state: 'queued', worker: null, due_at: 1 })
      .where('id', 'in', ids)
      .execute()
  })
}

async function times(
  once: (stopwatch: <T>(run: () => Promise<T>) => Promise<T>) => Promise<void>
): Promise<[number, number]> {
  const taken: number[] = []
  for (let n = 0; n < CLAIMS + 30; n++) {
    await once(async (run) => {
      const from = performance.now()
      const result = await run()
      // The first ones compile the code.
      if (n >= 30) taken.push(performance.now() - from)
      return result
    })
  }
  taken.sort((a, b) => a - b)
  return [taken[Math.floor(CLAIMS / 2)] as number, taken[Math.floor(CLAIMS * 0.99)] as number]
}

/** The whole gateway at work on the store. */
async function work(
  dataDir: string,
  bing: { url: string; chatUrl: string },
  databaseUrl: string | undefined
): Promise<Pick<Measured, 'delayP99' | 'delayMax' | 'looksPerSecond' | 'rssMb'>> {
  const app = await buildApp(
    {
      BING_URL: bing.url,
      BING_MEDIA_URL: bing.url,
      BING_CHAT_URL: bing.chatUrl,
      BING_COOKIE_U: 'simulated-cookie',
      DATA_DIR: dataDir,
      DATABASE_URL: databaseUrl,
      WHITELIST_FILE: join(dataDir, 'whitelist.txt'),
      // Shorter than it takes to look at ten thousand: there is always one that is due.
      POLL_INTERVAL_MS: 250
    },
    { logger: createLogger({ level: 'silent' }) }
  )
  await pause(1_000)
  const { db } = app.store.database
  const looks = async () => {
    const { n } = await db
      .selectFrom('tasks')
      .select((eb) => eb.fn.sum<number>('looks').as('n'))
      .executeTakeFirstOrThrow()
    return Number(n)
  }
  const before = await looks()
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const from = performance.now()
  await pause(WORK_MS)
  delay.disable()
  const seconds = (performance.now() - from) / 1000
  const rssMb = process.memoryUsage.rss() / 2 ** 20
  const looksPerSecond = ((await looks()) - before) / seconds
  await app.close()
  // The histogram holds the interval between two samples; the delay is what it exceeds the resolution by.
  return { delayP99: delay.percentile(99) / 1e6 - 5, delayMax: delay.max / 1e6 - 5, looksPerSecond, rssMb }
}

function show(engine: string, results: Map<number, Measured>): void {
  const [smallest] = results.values() as Iterator<Measured> & Iterable<Measured>
  if (smallest === undefined) return
  const verdict = (value: number, target: number) => (value <= target ? '' : '  MISS')
  console.log(`\n${engine}`)
  console.log(
    '   tasks   claim due p50/p99 (ratio)      claim queued p50/p99 (ratio)   loop delay p99/max   looks/s   RSS'
  )
  for (const [size, { due, queued, delayP99, delayMax, looksPerSecond, rssMb }] of results) {
    const ratios = [due[0] / smallest.due[0], queued[0] / smallest.queued[0]] as const
    const claim = ([p50, p99]: [number, number], ratio: number) =>
      `${p50.toFixed(2)} / ${p99.toFixed(2)} ms (${ratio.toFixed(2)}×)`.padEnd(30)
    console.log(
      [
        String(size).padStart(8),
        `   ${claim(due, ratios[0])}`,
        ` ${claim(queued, ratios[1])}`,
        ` ${delayP99.toFixed(1)} / ${delayMax.toFixed(1)} ms`.padEnd(21),
        looksPerSecond.toFixed(0).padStart(7),
        `${rssMb.toFixed(0)} MB`.padStart(9),
        verdict(Math.max(...ratios), TARGETS.ratio) || verdict(delayP99, TARGETS.delayMs)
      ].join('')
    )
  }
}

async function main(): Promise<void> {
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (run: () => unknown) => void teardowns.push(run) }
  const bing = fork(new URL('./upstream.js', import.meta.url), { stdio: 'inherit' })
  try {
    const [urls] = (await once(bing, 'message')) as [{ url: string; chatUrl: string }]
    console.log(
      `Targets: claims at most ${TARGETS.ratio}× those of the smallest store, loop delay p99 at most ${TARGETS.delayMs} ms.`
    )
    for (const engine of ENGINES) {
      const results = new Map<number, Measured>()
      for (const size of SIZES) {
        const databaseUrl =
          engine === 'postgres' ? await (await startPostgres(t as never, { durable: true })).database() : ''
        const child = fork(
          new URL(import.meta.url),
          ['--measure', engine, String(size), JSON.stringify(urls), databaseUrl],
          {
            stdio: 'inherit'
          }
        )
        const answer = await Promise.race([
          once(child, 'message').then(([message]) => message as Measured),
          once(child, 'exit').then(([code]) =>
            Promise.reject(new Error(`${engine}, ${size} tasks: ended with ${code}`))
          )
        ])
        results.set(size, answer)
        if (child.exitCode === null) await once(child, 'exit')
      }
      show(engine, results)
    }
  } finally {
    bing.disconnect()
    for (const run of teardowns.reverse()) await run()
  }
}

const [, , flag, engine, size, urls = '', databaseUrl] = process.argv
if (flag === '--measure') {
  const measured = await measure(engine as 'sqlite' | 'postgres', Number(size), JSON.parse(urls), databaseUrl)
  process.send?.(measured, () => process.exit())
} else await main()
