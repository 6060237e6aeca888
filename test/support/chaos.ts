import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'libsql'
import type { Test } from 'tap'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import type { Engine } from '../../src/store/database.ts'
import { createCallers, type Random } from './chaos-callers.ts'
import { COOKIE } from './gateway.ts'
import { call, until } from './http.ts'
import { startPostgres } from './postgres.ts'
import { startProcess } from './process.ts'
import { SECRET, startReceiver } from './receiver.ts'

export interface ChaosOptions {
  engine: Engine
  rounds: number
  seed: number
}

/** Longest time between the first request of a round and the end of the process, in milliseconds. */
const LONGEST_ROUND_MS = 2500
/** Two leases, and some time for what is taken over then. */
const SETTLE_MS = 60_000

/** A seed for a run that nobody wants to repeat. */
export const anySeed = (): number => randomInt(2 ** 31)

/** Small repeatable generator (mulberry32): numbers from 0 to 1. */
function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Kills a gateway again and again while callers ask it for everything it offers, and starts it again on the same store;
 * then counts what got lost and what happened twice.
 * @returns the counts, for a table
 */
export async function runChaos(
  t: Test,
  { engine, rounds, seed }: ChaosOptions
): Promise<Record<string, number>> {
  const random = randomFrom(seed)
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  writeFileSync(join(dir, 'whitelist.txt'), 'alice\n')
  const sim = await startSimulator({ cookies: [COOKIE], behave: { media: { plain: true } } })
  t.teardown(async () => {
    await sim.close()
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  })
  const receiver = await startReceiver(t, (res, _received, n) => {
    // Every fifth one is turned away at first.
    res.writeHead(n % 5 === 0 ? 503 : 204).end()
  })
  const env: Record<string, string> = {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: COOKIE,
    DATA_DIR: join(dir, 'data'),
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    POLL_INTERVAL_MS: '100',
    IMAGE_CONCURRENCY: '4',
    VIDEO_CONCURRENCY: '4',
    ...(engine === 'postgres' ? { DATABASE_URL: await (await startPostgres(t)).database() } : {})
  }
  const callers = createCallers({ sim, random, userId: 'alice', webhookUrl: `${receiver.url}/hook` })

  for (let round = 0; round < rounds; round++) {
    behave(sim, random)
    const gateway = await startProcess(t, env)
    const work = callers.round(gateway.url, round)
    await pause(random() * LONGEST_ROUND_MS)
    await gateway.end('SIGKILL')
    await work
  }

  behave(sim, () => 0)
  const gateway = await startProcess(t, env)
  await callers.finish(gateway.url)
  const tasks = await until(
    'the end of every task',
    () => allTasks(gateway.url),
    (list) => list.every(({ status }) => status !== 'processing'),
    SETTLE_MS
  ).catch(() => allTasks(gateway.url))
  const told = () => new Set(receiver.received.map(({ event }) => event.data?.id))
  const untold = () => tasks.filter(({ id, prompt }) => callers.wantsWebhook(prompt) && !told().has(id))
  await until('the webhooks', untold, (left) => left.length === 0, SETTLE_MS).catch(() => {})

  const known = new Map(tasks.map((task) => [task.id, task]))
  const submits = Object.entries(sim.counts).filter(([name]) => name.startsWith('received:'))
  const ids = receiver.received.map(({ headers }) => headers['webhook-id'])
  const counts = {
    rounds,
    'creations acknowledged': callers.acknowledged.size,
    'creations without an answer': callers.unanswered,
    'tasks in all': tasks.length,
    'tasks completed': tasks.filter(({ status }) => status === 'completed').length,
    'tasks with unknown outcome': tasks.filter(({ errorDetail }) => errorDetail?.code === 'outcome_unknown')
      .length,
    'turns answered': callers.turns.answered,
    'turns given again from the store': callers.turns.replayed,
    'turns asked again, unanswered before': callers.turns.repeated,
    'webhooks delivered': new Set(ids).size,
    'webhooks sent more than once': ids.length - new Set(ids).size,
    'LOST: acknowledged creations': [...callers.acknowledged.values()].filter((id) => !known.has(id)).length,
    'LOST: tasks that did not end': tasks.filter(({ status }) => status === 'processing').length,
    'LOST: webhooks': untold().length,
    'LOST: acknowledged turns': callers.turns.lost,
    'TWICE: submits': submits.filter(([, n]) => n > 1).length,
    'TWICE: turns with an answer': callers.turns.twice,
    'TWICE: answers to a key': callers.differing,
    'WRONG: upstream rules broken': sim.violations.length,
    'WRONG: answers nobody should get': callers.unexpected.length
  }
  t.strictSame(callers.unexpected, [])
  t.strictSame(sim.violations, [])
  for (const [name, n] of Object.entries(counts)) if (/^[A-Z]{4}/.test(name)) t.equal(n, 0, name)
  // A few rounds may all be over before anything was answered.
  if (rounds > 5) t.ok(counts['turns answered'] > 0 && counts['creations acknowledged'] > 0)
  t.equal(await gateway.end('SIGTERM'), 0)
  if (engine === 'sqlite') {
    const database = new Database(join(dir, 'data', 'bing-gateway.sqlite'))
    t.strictSame(database.pragma('integrity_check'), [{ integrity_check: 'ok' }])
    database.close()
  }
  return counts
}

/** Bing takes another time for everything in each round. */
function behave(sim: Simulator, random: Random): void {
  const upTo = (ms: number) => Math.round(random() * ms)
  sim.set('submit', { delayMs: upTo(300) })
  sim.set('videoSubmit', { delayMs: upTo(300) })
  sim.set('poll', { readyAfterMs: upTo(2000), images: 1 })
  sim.set('videoPoll', { readyAfterMs: upTo(2000) })
  sim.set('create', { delayMs: upTo(100) })
  sim.set('turn', { thinkMs: upTo(400), search: 'never' })
}

interface ListedTask {
  id: string
  prompt: string
  status: string
  errorDetail?: { code: string }
}

async function allTasks(url: string): Promise<ListedTask[]> {
  const tasks: ListedTask[] = []
  for (let cursor = ''; ; ) {
    const { json } = await call(`${url}/tasks?limit=100${cursor}`, { headers: { 'x-user-id': 'alice' } })
    tasks.push(...json.data.tasks)
    if (json.data.nextCursor === null) return tasks
    cursor = `&cursor=${encodeURIComponent(json.data.nextCursor)}`
  }
}

/** A table, one column for each run. */
export function chaosTable(columns: Record<string, Record<string, number>>): string {
  const names = Object.keys(Object.values(columns)[0] ?? {})
  const line = (cells: (string | number)[]) =>
    cells.map((cell, n) => (n === 0 ? String(cell).padEnd(38) : String(cell).padStart(10))).join('')
  return [
    line(['', ...Object.keys(columns)]),
    ...names.map((name) => line([name, ...Object.values(columns).map((counts) => counts[name] ?? 0)]))
  ].join('\n')
}
