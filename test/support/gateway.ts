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
import {
  type Behaviours,
  type Simulator,
  type SimulatorOptions,
  startSimulator
} from '../../src/simulator/index.ts'

/** The `_U` value that the simulator accepts. Doubles as a canary: it must turn up in no log line. */
export const COOKIE = 'simulated-cookie'
export const USER = 'OlivierShi'
/** What the simulator accepts at Copilot; canaries like COOKIE. */
export const COPILOT_COOKIE = 'simulated-copilot-cookie'
export const COPILOT_TOKEN = 'simulated-token'
/** Both chat protocols, for tests of what holds whichever is in use. */
export const CHAT_UPSTREAMS = ['sydney', 'copilot'] as const
export type ChatUpstreamName = (typeof CHAT_UPSTREAMS)[number]
/** The one that gateways of this process speak when a test doesn't say: test/plugins/copilot.test.ts runs whole files again. */
export const CHAT_UPSTREAM: ChatUpstreamName =
  process.env.TEST_CHAT_UPSTREAM === 'copilot' ? 'copilot' : 'sydney'

/** The chat half of the simulator, by the names that its two protocols share. */
export interface ChatSide {
  /** How turns are answered from now on. A field that the protocol in use doesn't have is an error. */
  turn(behaviour: Partial<Behaviours['turn']>): void
  nextTurns(...behaviours: Partial<Behaviours['turn']>[]): void
  nextCreates(...behaviours: Partial<Behaviours['create']>[]): void
  /** Counters and gauges; 0 when nothing was counted yet. */
  count(
    name: 'create' | 'upgrade' | 'questions' | 'completed' | 'failed' | 'aborted' | 'turns' | 'sockets'
  ): number
}

export interface Gateway {
  app: FastifyInstance
  sim: Simulator
  chat: ChatSide
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
  /** Which chat protocol the gateway speaks; default CHAT_UPSTREAM. Copilot has no pace then, unless `config` says so. */
  chatUpstream?: ChatUpstreamName
  simulator?: SimulatorOptions
  /** Seconds that pass for the gateway in one real second. */
  speed?: number
  /** In place of a clock of that speed. */
  clock?: Clock
  /** How long claims outlive their process, in milliseconds. */
  leaseMs?: number
  /** How long the caller of a video waits for its submit, in milliseconds of the gateway's clock. Default: 30 real seconds. */
  submitWaitMs?: number
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
  const chatUpstream = options.chatUpstream ?? CHAT_UPSTREAM
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
      ...(chatUpstream === 'copilot' ? copilotConfig(dir, sim) : {}),
      ...options.config
    },
    {
      logger: createLogger({ level: 'trace', destination: destination as never }),
      clock: options.clock ?? createClock(options.speed ?? 1),
      leaseMs: options.leaseMs,
      submitWaitMs: options.submitWaitMs ?? 30_000 * (options.speed ?? 1)
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
    chat: chatSide(sim, chatUpstream),
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

function copilotConfig(dir: string, sim: Simulator): Partial<Config> {
  const cookieFile = join(dir, 'copilot-cookies.txt')
  writeFileSync(cookieFile, `_C_Auth=${COPILOT_COOKIE}; MUID=1`)
  return {
    CHAT_UPSTREAM: 'copilot',
    COPILOT_URL: sim.copilotUrl,
    COPILOT_COOKIE_FILE: cookieFile,
    COPILOT_ACCESS_TOKEN: COPILOT_TOKEN,
    COPILOT_TURNS_PER_MINUTE: 0,
    COPILOT_CONCURRENCY: 0
  }
}

function chatSide(sim: Simulator, upstream: ChatUpstreamName): ChatSide {
  const turn = upstream === 'sydney' ? 'turn' : 'copilot.turn'
  const create = upstream === 'sydney' ? 'create' : 'copilot.start'
  // The simulator itself tells of a field that the protocol doesn't have.
  return {
    turn: (behaviour) => sim.set(turn, behaviour as object),
    nextTurns: (...behaviours) => sim.enqueue(turn, ...(behaviours as object[])),
    nextCreates: (...behaviours) => sim.enqueue(create, ...(behaviours as object[])),
    count: (name) => sim.counts[`${upstream}.${name}`] ?? 0
  }
}
