import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HttpFaults } from './behaviour.ts'
import type { CopilotBehaviours } from './copilot/behaviour.ts'
import type { CreatorBehaviours } from './creator/behaviour.ts'
import type { SydneyBehaviours } from './sydney/behaviour.ts'

export type { HttpFaults } from './behaviour.ts'

/** Every operation that can be told how to behave, with its fields. */
export type Behaviours = SydneyBehaviours & CreatorBehaviours & CopilotBehaviours

/** A partial behaviour per operation. */
export type PartialBehaviours = { [K in keyof Behaviours]?: Partial<Behaviours[K]> }

/** Named changes of each operation's behaviour that make one of its calls go wrong. */
export type FaultLists = { [K in keyof Behaviours]?: Record<string, Partial<Behaviours[K]>> }

export type ViolationArea = 'chat' | 'copilot' | 'creator' | 'http'

/** Something a client did that the protocol does not allow. */
export interface Violation {
  area: ViolationArea
  /** Short stable name of the broken rule, e.g. `one-turn-at-a-time`. */
  rule: string
  /** One sentence for a person; holds no secret. */
  detail: string
  /** ISO 8601. */
  at: string
}

/** A request as it came, kept for tests to look at. */
export interface ReceivedRequest {
  method: string
  path: string
  /** Query with its `?`, or empty. */
  search: string
  headers: IncomingHttpHeaders
  body: string
}

/** One HTTP call. */
export interface Exchange {
  req: IncomingMessage
  res: ServerResponse
  url: URL
  /** Read fully, UTF-8. */
  body: string
  cookies: Record<string, string>
}

/** One WebSocket upgrade request, before it is answered. */
export interface Upgrade {
  req: IncomingMessage
  socket: Duplex
  head: Buffer
  url: URL
  cookies: Record<string, string>
}

/** What all parts of the simulator stand on. */
export interface Frame {
  /**
   * Behaviour of the next call of `op`: the oldest queued one, else the standing one, merged over the defaults; with a
   * share of the standing ones, a fault over that. To be asked once a call.
   * @param about prompt of the question or creation that the call is for, for the record of faults
   */
  take<K extends keyof Behaviours>(op: K, about?: string): Behaviours[K]
  /** Adds to a counter; `by` 0 makes it appear with its present value. */
  count(name: string, by?: number): void
  /** A counter whose value is read when asked for, e.g. open sockets. Survives a reset. */
  gauge(name: string, read: () => number): void
  /** Records a violation. The caller also answers with an error of the upstream's kind. */
  violate(area: ViolationArea, rule: string, detail: string): void
  /** Keeps a chat question as it came, for tests to look at. */
  keepQuestion(question: object): void
  /** Whether `_U` is present and among the accepted values. */
  isSignedIn(cookies: Record<string, string>): boolean
  /** `_U` values that count as signed in. */
  cookies: CookieJar
  /** Cookie values and access tokens that count as signed in on Copilot. */
  copilot: { cookies: CookieJar; tokens: CookieJar }
  /** `http://127.0.0.1:PORT` of this simulator, without a trailing slash. */
  base(): string
  /** Resolves after `ms`, or at once when the simulator closes. Keeps no process alive. */
  delay(ms: number): Promise<void>
  /** Fires when the simulator closes. */
  closing: AbortSignal
  /** Registers an HTTP route; the first match wins. */
  handle(
    match: (url: URL, method: string) => boolean,
    handler: (exchange: Exchange) => Promise<void> | void
  ): void
  /** Registers a WebSocket route; the first match wins. */
  handleUpgrade(match: (url: URL) => boolean, handler: (upgrade: Upgrade) => Promise<void> | void): void
  /** Runs when {@link Simulator.reset} is called. */
  onReset(listener: () => void): void
}

/** Values that count as signed in. */
export interface CookieJar {
  accepted: Set<string>
  accept(value: string): void
  expire(value: string): void
}

/**
 * Plays the generic faults of an HTTP operation.
 * @returns `true` when the call is dealt with (answered, reset or left hanging), `false` when the operation goes on
 */
export async function playFaults(frame: Frame, exchange: Exchange, faults: HttpFaults): Promise<boolean> {
  const { req, res } = exchange
  if (faults.delayMs) await frame.delay(faults.delayMs)
  if (faults.reset) {
    req.socket.resetAndDestroy()
    return true
  }
  if (faults.raw !== undefined) {
    req.socket.end(faults.raw)
    return true
  }
  if (faults.stall === 'before') return true
  if (faults.stall === 'during') {
    res.writeHead(faults.status ?? 200, { 'content-type': 'application/json', ...faults.headers })
    res.write(faults.body ?? '{"')
    return true
  }
  if (faults.redirect !== undefined) {
    res.writeHead(faults.status ?? 302, { location: faults.redirect, ...faults.headers })
    res.end(faults.body ?? '')
    return true
  }
  if (faults.status !== undefined || faults.body !== undefined) {
    res.writeHead(faults.status ?? 200, faults.headers ?? {})
    res.end(faults.body ?? '')
    return true
  }
  return false
}

/** Answers with JSON. */
export function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {}
): void {
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers })
  res.end(JSON.stringify(value))
}

/** Answers with an HTML page. */
export function sendHtml(
  res: ServerResponse,
  status: number,
  html: string,
  headers: Record<string, string> = {}
): void {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers })
  res.end(html)
}
