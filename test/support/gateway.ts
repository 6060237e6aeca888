import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { type Clock, createClock } from '../../src/clock.ts'
import type { Config } from '../../src/config.ts'
import { createLogger } from '../../src/logger.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/index.ts'

/** The `_U` value that the simulator accepts. Doubles as a canary: it must turn up in no log line. */
export const COOKIE = 'simulated-cookie'
export const USER = 'OlivierShi'

export interface Gateway {
  app: FastifyInstance
  sim: Simulator
  dir: string
  whitelistFile: string
  /** Everything logged so far, one JSON text a line. */
  log(): string
  /** Listens on a free port and returns the base URL. */
  listen(): Promise<string>
  /** POSTs JSON. */
  post(url: string, payload: unknown, headers?: Record<string, string>): Promise<Answer>
  get(url: string, headers?: Record<string, string>): Promise<Answer>
  delete(url: string, headers?: Record<string, string>): Promise<Answer>
  /** Starts a conversation for USER. */
  conversation(): Promise<Record<string, unknown>>
  /** Waits until a task is in one of the terminal states. */
  ended(taskId: string, headers?: Record<string, string>): Promise<Record<string, unknown>>
}

export interface Answer {
  status: number
  headers: Record<string, string | string[] | number | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any
  text: string
}

export interface GatewayOptions {
  config?: Partial<Config>
  simulator?: SimulatorOptions
  /** Seconds that pass for the gateway in one real second. */
  speed?: number
  /** In place of a clock of that speed. */
  clock?: Clock
  /** How long claims outlive their process, in milliseconds. */
  leaseMs?: number
  /** Lines of the whitelist. */
  whitelist?: string
  /** An existing data folder, and a simulator that outlives the gateway. */
  dir?: string
  sim?: Simulator
}

/** The whole gateway over a simulator that speaks the real protocols on real sockets. Both end with the test. */
export async function startGateway(t: Test, options: GatewayOptions = {}): Promise<Gateway> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const whitelistFile = join(dir, 'whitelist.txt')
  writeFileSync(whitelistFile, options.whitelist ?? `${USER}\nalice\nbob\n`)
  const sim = options.sim ?? (await startSimulator({ cookies: [COOKIE], ...options.simulator }))
  // Every finished creation is copied; drawing each film anew would take most of a test's time.
  if (options.sim === undefined) sim.set('media', { plain: true })
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    }
  })
  const app = await buildApp(
    {
      BING_URL: sim.url,
      BING_MEDIA_URL: sim.url,
      BING_CHAT_URL: sim.chatUrl,
      BING_COOKIE_U: COOKIE,
      DATA_DIR: dir,
      WHITELIST_FILE: whitelistFile,
      POLL_INTERVAL_MS: 20,
      // Tests of limits set their own.
      DEFAULT_LIMITS: '',
      ...options.config
    },
    {
      logger: createLogger({ level: 'trace', destination: destination as never }),
      clock: options.clock ?? createClock(options.speed ?? 1),
      leaseMs: options.leaseMs
    }
  )
  t.teardown(async () => {
    await app.close()
    if (options.sim === undefined) await sim.close()
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true })
  })

  const answer = (res: Awaited<ReturnType<FastifyInstance['inject']>>): Answer => ({
    status: res.statusCode,
    headers: res.headers,
    get json() {
      return JSON.parse(res.body)
    },
    text: res.body
  })
  const gateway: Gateway = {
    app,
    sim,
    dir,
    whitelistFile,
    log: () => lines.join(''),
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    post: async (url, payload, headers = {}) =>
      answer(
        await app.inject({
          method: 'POST',
          url,
          payload: payload as object,
          headers
        })
      ),
    get: async (url, headers = {}) => answer(await app.inject({ method: 'GET', url, headers })),
    delete: async (url, headers = {}) => answer(await app.inject({ method: 'DELETE', url, headers })),
    async conversation() {
      const created = await gateway.post('/create_conversation', { userId: USER })
      if (created.status !== 200)
        throw new Error(`create_conversation answered ${created.status}: ${created.text}`)
      // Without invocationId: tests number their turns themselves.
      const { conversationId, clientId, conversationSignature } = created.json
      return { conversationId, clientId, conversationSignature }
    },
    async ended(taskId, headers) {
      for (let n = 0; n < 1000; n++) {
        const task = (await gateway.get(`/task/${taskId}`, headers)).json.data
        if (task.status !== 'processing') return task
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      throw new Error(`task ${taskId} did not end`)
    }
  }
  return gateway
}
