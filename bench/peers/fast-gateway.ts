/** The whole gateway with a clock that runs faster: waiting for pictures takes minutes of real time. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildApp } from '../../src/app.ts'
import { createClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import type { PollSample } from '../../src/jobs/poll-plan.ts'
import { createLogger } from '../../src/logger.ts'
import { openStore } from '../../src/store/database.ts'
import { insertPollSample } from '../../src/store/poll-store.ts'

/** What the process gets as its only argument, as JSON; settings come from the environment. */
export interface FastGatewaySettings {
  /** Seconds that pass for the gateway in one real second. */
  speed: number
  /** Earlier creations that it has seen. */
  history: { model: string; samples: Omit<PollSample, 'at'>[] }
}

const { speed, history } = JSON.parse(process.argv[2] ?? '{}') as FastGatewaySettings
const config = loadConfig(process.env)
writeFileSync(join(config.DATA_DIR, 'whitelist.txt'), '')

const store = await openStore({ dataDir: config.DATA_DIR })
for (const [n, sample] of history.samples.entries())
  await insertPollSample(
    store.db,
    { kind: 'image', variant: history.model },
    { ...sample, at: Date.now() - n * 1000 }
  )
await store.close()

const app = await buildApp(config, {
  logger: createLogger({ level: config.LOG_LEVEL }),
  clock: createClock(speed)
})
console.log(`Listening at ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
