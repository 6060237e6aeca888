import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { faultOfBehaviour } from './behaviour.ts'
import { type Chaos, createChaos, type PlayedFault } from './chaos.ts'
import { copilotDefaults, copilotFields } from './copilot/defaults.ts'
import * as creator from './creator/behaviour.ts'
import type {
  Behaviours,
  CookieJar,
  Exchange,
  Frame,
  PartialBehaviours,
  ReceivedRequest,
  Upgrade,
  Violation
} from './frame.ts'
import { sendJson } from './frame.ts'
import { sydneyDefaults, sydneyFields } from './sydney/behaviour.ts'

const MAX_BODY_BYTES = 32 * 1024 * 1024

/** The first ones tell the cause; a benchmark gone wrong must not fill the memory. */
const MAX_VIOLATIONS = 1000

/** Requests and questions kept for tests to look at; the oldest go first. */
const MAX_KEPT = 200

function keepLatest<T>(list: T[], one: T): void {
  list.push(one)
  if (list.length > MAX_KEPT) list.shift()
}

/** A frame together with what only its owner may do. */
export interface Core extends Frame {
  server: Server
  violations: Violation[]
  requests: ReceivedRequest[]
  questions: object[]
  counts(): Record<string, number>
  behaviours(): { standing: Behaviours; queued: PartialQueues }
  set<K extends keyof Behaviours>(op: K, partial: Partial<Behaviours[K]>): void
  enqueue<K extends keyof Behaviours>(op: K, ...partials: Partial<Behaviours[K]>[]): void
  /** Random trouble from now on, in place of what was set before. @throws {TypeError} for one that makes no sense */
  setChaos(chaos: Chaos): void
  /** Faults that chaos has played, oldest first. */
  faults: readonly PlayedFault[]
  reset(): void
  /** Cuts every connection, as a network that fails for a moment; goes on listening. */
  cut(): void
  close(): Promise<void>
}

type PartialQueues = { [K in keyof Behaviours]?: Partial<Behaviours[K]>[] }

/** Defaults of every operation. */
export const DEFAULTS: Behaviours = { ...sydneyDefaults, ...creator.creatorDefaults, ...copilotDefaults }

/** Allowed fields of every operation. */
export const FIELDS = { ...sydneyFields, ...creator.creatorFields, ...copilotFields }

/** What counts as signed in from the start. */
export interface Credentials {
  /** `_U` values. */
  cookies: readonly string[]
  copilotCookies: readonly string[]
  copilotTokens: readonly string[]
}

function createJar(values: readonly string[]): CookieJar {
  const accepted = new Set(values)
  return {
    accepted,
    accept: (value) => void accepted.add(value),
    expire: (value) => void accepted.delete(value)
  }
}

function parseCookies(header: string | undefined): Record<string, string> {
  const cookies: Record<string, string> = {}
  for (const pair of (header ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (at < 1) continue
    const name = pair.slice(0, at).trim()
    // Values stay raw, as Bing's own are; the first of two equal names counts.
    if (!Object.hasOwn(cookies, name)) cookies[name] = pair.slice(at + 1).trim()
  }
  return cookies
}

async function readBody(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req) {
    size += (chunk as Buffer).length
    if (size > MAX_BODY_BYTES) throw new Error('request body too large for the simulator')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/**
 * A copy without `undefined` members, which would hide defaults.
 * @throws {TypeError} an operation or field that does not exist, so that a typo in a test is not silently nothing
 */
function checked<T extends object>(op: string, partial: T): T {
  const fault = faultOfBehaviour(FIELDS, op, partial)
  if (fault !== undefined) throw new TypeError(fault)
  return Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined)) as T
}

/** The server, its routes, behaviours, counters and violations; nothing of any protocol. Does not listen yet. */
export function createCore(credentials: Credentials): Core {
  const routes: { match: (url: URL, method: string) => boolean; run: (x: Exchange) => unknown }[] = []
  const upgrades: { match: (url: URL) => boolean; run: (u: Upgrade) => unknown }[] = []
  const resetListeners: (() => void)[] = []
  const standing: PartialBehaviours = {}
  const queues: PartialQueues = {}
  const counters = new Map<string, number>()
  const gauges = new Map<string, () => number>()
  const violations: Violation[] = []
  const sockets = new Set<Socket>()
  const closing = new AbortController()
  // Not listeners of `closing`: hundreds of turns wait at once.
  const waiting = new Set<() => void>()
  const requests: ReceivedRequest[] = []
  const questions: object[] = []
  const chaos = createChaos(FIELDS)

  const cookies = createJar(credentials.cookies)
  const copilot = {
    cookies: createJar(credentials.copilotCookies),
    tokens: createJar(credentials.copilotTokens)
  }

  const server = createServer()
  // Stalled answers are part of the play; only the client or close() ends them.
  server.requestTimeout = 0
  // Longer than any client's pool keeps a connection, so that reuse never meets a closing one.
  server.keepAliveTimeout = 120_000
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  const core: Core = {
    server,
    violations,
    requests,
    questions,
    faults: chaos.played,
    setChaos: chaos.set,
    cookies,
    copilot,
    closing: closing.signal,
    take(op, about = '') {
      const once = queues[op]?.shift()
      // What a test has queued is what it wants to see.
      const fault = once === undefined ? chaos.draw(op, about) : undefined
      return { ...DEFAULTS[op], ...(once ?? standing[op]), ...fault }
    },
    set(op, partial) {
      standing[op] = checked(op, partial) as PartialBehaviours[typeof op]
    },
    enqueue(op, ...partials) {
      const list = partials.map((partial) => checked(op, partial))
      const queue = (queues[op] ??= []) as typeof list
      queue.push(...list)
    },
    count(name, by = 1) {
      counters.set(name, (counters.get(name) ?? 0) + by)
    },
    gauge(name, read) {
      gauges.set(name, read)
    },
    counts() {
      const read = [...gauges].map(([name, value]) => [name, value()] as const)
      return Object.fromEntries([...counters, ...read])
    },
    behaviours() {
      const merged = Object.entries(DEFAULTS).map(([op, defaults]) => [
        op,
        { ...defaults, ...standing[op as keyof Behaviours] }
      ])
      return { standing: Object.fromEntries(merged), queued: queues }
    },
    violate(area, rule, detail) {
      if (violations.length >= MAX_VIOLATIONS) return
      violations.push({ area, rule, detail, at: new Date().toISOString() })
    },
    keepQuestion(question) {
      keepLatest(questions, question)
    },
    isSignedIn(sent) {
      return sent._U !== undefined && cookies.accepted.has(sent._U)
    },
    base() {
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('the simulator does not listen')
      const host = address.address === '0.0.0.0' || address.address === '::' ? '127.0.0.1' : address.address
      return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
    },
    delay(ms) {
      if (closing.signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer)
          waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        timer.unref()
        waiting.add(done)
      })
    },
    handle(match, handler) {
      routes.push({ match, run: handler })
    },
    handleUpgrade(match, handler) {
      upgrades.push({ match, run: handler })
    },
    onReset(listener) {
      resetListeners.push(listener)
    },
    reset() {
      for (const op of Object.keys(DEFAULTS) as (keyof Behaviours)[]) {
        delete standing[op]
        delete queues[op]
      }
      for (const name of counters.keys()) counters.set(name, 0)
      chaos.reset()
      violations.length = 0
      requests.length = 0
      questions.length = 0
      for (const listener of resetListeners) listener()
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async close() {
      closing.abort()
      for (const done of waiting) done()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    }
  }

  function keep({ method = 'GET', headers }: IncomingMessage, url: URL, body: string): void {
    keepLatest(requests, { method, path: url.pathname, search: url.search, headers, body })
  }

  /** Rules that hold for every request of a client. Answers and returns `false` when one is broken. */
  function admits(req: IncomingMessage, url: URL): boolean {
    if (req.headers['x-forwarded-for'] === undefined) return true
    core.violate(
      'http',
      'x-forwarded-for',
      `${req.method} ${url.pathname} carries an invented client address.`
    )
    return false
  }

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', core.base())
    const body = await readBody(req)
    const own = url.pathname.startsWith('/__simulator')
    if (!own) keep(req, url, body)
    if (!own && !admits(req, url)) return sendJson(res, 400, { error: 'x-forwarded-for is not allowed' })
    const route = routes.find(({ match }) => match(url, req.method ?? 'GET'))
    if (route === undefined) {
      if (!own && url.pathname !== '/favicon.ico') {
        core.violate('http', 'unknown-route', `${req.method} ${url.pathname} is no route of the upstream.`)
      }
      return sendJson(res, 404, { error: 'no such route' })
    }
    await route.run({ req, res, url, body, cookies: parseCookies(req.headers.cookie) })
  }

  /** A fault of the simulator itself: loud in the violations, never a crash of the process. */
  function fail(what: string, error: unknown): void {
    if (closing.signal.aborted) return
    core.violate('http', 'simulator-fault', `${what}: ${error instanceof Error ? error.message : error}`)
  }

  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    answer(req, res).catch((error) => {
      // A client that leaves in the middle of its request is no fault.
      if (req.destroyed && !req.complete) return
      fail(`${req.method} ${req.url}`, error)
      if (!res.headersSent) sendJson(res, 500, { error: 'simulator fault' })
      else res.destroy()
    })
  })

  async function upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = new URL(req.url ?? '/', core.base())
    keep(req, url, '')
    const route = upgrades.find(({ match }) => match(url))
    if (route === undefined || !admits(req, url)) {
      if (route === undefined) core.violate('http', 'unknown-route', `WebSocket ${url.pathname} is no route.`)
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
      return
    }
    await route.run({ req, socket, head, url, cookies: parseCookies(req.headers.cookie) })
  }

  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {})
    upgrade(req, socket, head).catch((error) => {
      fail(`WebSocket ${req.url}`, error)
      socket.destroy()
    })
  })

  return core
}
