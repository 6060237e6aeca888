import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { COOKIE } from './gateway.ts'
import { startPostgres } from './postgres.ts'
import { type GatewayProcess, startProcess } from './process.ts'

export interface Replicas {
  sim: Simulator
  databaseUrl: string
  /** Settings of each replica. */
  env: Record<string, string>
  processes: GatewayProcess[]
  /** Starts one more. */
  add(): Promise<GatewayProcess>
}

export interface ReplicasOptions {
  env?: Record<string, string>
  /** Lines of the whitelist. */
  whitelist?: string
}

/** Gateways as processes of their own that share one PostgreSQL, one media folder and one simulated account. */
export async function startReplicas(
  t: Test,
  count: number,
  { env = {}, whitelist = 'alice\nbob\n' }: ReplicasOptions = {}
): Promise<Replicas> {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  writeFileSync(join(dir, 'whitelist.txt'), whitelist)
  const sim = await startSimulator({ cookies: [COOKIE], behave: { media: { plain: true } } })
  t.teardown(async () => {
    await sim.close()
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  })
  const databaseUrl = await (await startPostgres(t)).database()
  const settings: Record<string, string> = {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: COOKIE,
    DATABASE_URL: databaseUrl,
    DATA_DIR: join(dir, 'data'),
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    POLL_INTERVAL_MS: '100',
    IMAGE_CONCURRENCY: '0',
    VIDEO_CONCURRENCY: '0',
    ...env
  }
  const processes: GatewayProcess[] = []
  const add = async () => {
    const replica = await startProcess(t, settings)
    processes.push(replica)
    return replica
  }
  // All at once, as an orchestrator does: they migrate the same empty database.
  await Promise.all(Array.from({ length: count }, add))
  return { sim, databaseUrl, env: settings, processes, add }
}
