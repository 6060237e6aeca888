/**
 * The gateway at work on a store full of creations under way, with its own event loop's delay measured from within.
 * Says `Measured {…}` and ends. Settings come from the environment.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { createLogger } from '../../src/logger.ts'

/** What it prints. Times in milliseconds. */
export interface Looking {
  delayP99: number
  delayMax: number
  looksPerSecond: number
  rssMb: number
}

const RESOLUTION_MS = 5
const workMs = Number(process.argv[2])
const app = await buildApp(loadConfig(process.env), { logger: createLogger({ level: 'silent' }) })
// The first looks compile the code.
await pause(workMs / 3)
const { db } = app.store.database
async function looks(): Promise<number> {
  const { n } = await db
    .selectFrom('tasks')
    .select((eb) => eb.fn.sum<number>('looks').as('n'))
    .executeTakeFirstOrThrow()
  return Number(n)
}
const before = await looks()
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delay.enable()
const from = performance.now()
await pause(workMs)
delay.disable()
const seconds = (performance.now() - from) / 1000
const measured: Looking = {
  // The histogram holds the interval between two samples; the delay is what it exceeds the resolution by.
  delayP99: delay.percentile(99) / 1e6 - RESOLUTION_MS,
  delayMax: delay.max / 1e6 - RESOLUTION_MS,
  looksPerSecond: ((await looks()) - before) / seconds,
  rssMb: process.memoryUsage.rss() / 2 ** 20
}
await app.close()
console.log(`Measured ${JSON.stringify(measured)}`)
