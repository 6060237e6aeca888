import diagnostics from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici'
import { type Clock, systemClock } from '../clock.ts'
import { deadline } from '../jobs/deadline.ts'
import type { Account } from './account.ts'
import { decodeBody } from './content-coding.ts'
import { UpstreamError } from './failures.ts'
import { NO_TUNNEL, tunnelClient } from './proxy.ts'
import { unlessAborted } from './unless-aborted.ts'

/** Bytes of one page that are read at most, before and after decoding; Bing's largest ones have a few hundred kilobytes. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024
/** Bytes of one answer's head. A redirect repeats the whole prompt, percent-encoded, and Bing sets many cookies; Node's default is 16 KiB. */
const MAX_HEAD_BYTES = 64 * 1024
/** What `decodeBody` knows. Media are compressed already. */
const PAGE_CODINGS = 'gzip, deflate, br'
const MEDIA_CODINGS = 'identity'
const CONNECT_TIMEOUT_MS = 10_000
/** Silence inside an answer after which it counts as stalled (row T4). */
const BODY_IDLE_MS = 30_000
/** Time to the first byte of an answer. */
const HEADERS_TIMEOUT_MS = 60_000
/**
 * Time of a whole exchange, from its connection to its last byte: an answer that drips in is never silent for long.
 * Redirect answers and polls come in well under ten seconds. Media may come over slow lines, and whoever fetches them has
 * a deadline for that; this one is for those who have none.
 */
const EXCHANGE_MS = { page: 60_000, media: 15 * 60_000 }

/** What is read of a redirect's body, for the sake of its connection. */
const MAX_UNREAD_BYTES = 64 * 1024
const UNREAD_MS = 1000

export interface ProxySettings {
  /** `HTTPS_PROXY`: used for https and wss upstreams. */
  httpsProxy?: string
  /** `NO_PROXY`: comma-separated hosts that are reached directly. */
  noProxy?: string
}

export interface UpstreamRequest {
  method?: 'GET' | 'POST'
  url: string
  headers?: Record<string, string>
  body?: string
  signal: AbortSignal
}

export interface UpstreamResponse {
  status: number
  /**
   * Names in lower case; repeated headers joined with ", " (`set-cookie` is kept by the account and left out).
   * Of a body that came encoded, `content-encoding` and `content-length` are left out too.
   */
  headers: Record<string, string>
  /** `Location`, made absolute. */
  location: string | undefined
  /** Decoded, without a byte order mark. Empty when a redirect has a `location`: nobody waits for what else it says. */
  text: string
  /** The URL that was asked. */
  url: string
}

/** Requests to the upstream with the account's cookies. Redirects are never followed here: what they mean is the protocol's business. */
export interface UpstreamHttp {
  /**
   * A POST goes over a fresh connection, a GET over one that may have been used before; when that one breaks under it,
   * the GET goes once more at once, over a fresh one.
   * @throws {UpstreamError} T1 | T2 | T3 | T4 | T11 (docs/protocol/failures.md section 1), or the signal's reason
   */
  request(request: UpstreamRequest): Promise<UpstreamResponse>
  /** Raw bytes, for media. Sends no cookies: media URLs need none. Same failures as `request`. */
  bytes(
    request: UpstreamRequest & { maxBytes: number }
  ): Promise<{ status: number; headers: Record<string, string>; body: Buffer }>
  close(): Promise<void>
}

export interface UpstreamHttpSettings {
  account: Account
  proxy?: ProxySettings
  /** Of connections: real time in a gateway, however fast its own clock runs. Default: the system's. */
  clock?: Clock
  /** For a connection, and for a proxy's answer to CONNECT. Default: 10 s. */
  connectTimeoutMs?: number
  /** Told of each finished exchange, for metrics and logs. Never gets a body, a query string or a header. */
  onExchange?: (exchange: {
    method: string
    host: string
    path: string
    status: number
    durationMs: number
  }) => void
}

export function createUpstreamHttp({
  account,
  proxy = {},
  clock = systemClock,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
  onExchange
}: UpstreamHttpSettings): UpstreamHttp {
  const options = {
    connect: { timeout: connectTimeoutMs },
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: BODY_IDLE_MS,
    keepAliveTimeout: 30_000,
    maxHeaderSize: MAX_HEAD_BYTES
  }
  const agent = (more: Agent.Options = {}): Dispatcher =>
    proxy.httpsProxy === undefined
      ? new Agent({ ...options, ...more })
      : new EnvHttpProxyAgent({
          ...options,
          ...more,
          httpProxy: '',
          httpsProxy: proxy.httpsProxy,
          noProxy: proxy.noProxy ?? '',
          clientFactory: (url, own) => tunnelClient(url, { ...own, headersTimeout: connectTimeoutMs })
        })
  const reads = agent()
  // A kept connection may be closing just when a submit is written to it, and then nobody knows whether it arrived;
  // so each submit gets a connection of its own (undici: pipelining 0 keeps none, but for one whose request was given up
  // before it stood).
  const fresh = agent({ pipelining: 0, keepAliveTimeout: 1 })
  const reuse = watchReuse()

  async function exchange(
    req: UpstreamRequest,
    {
      withCookies,
      maxBytes,
      codings,
      totalMs
    }: { withCookies: boolean; maxBytes: number; codings: string; totalMs: number }
  ) {
    req.signal.throwIfAborted()
    const startedAt = performance.now()
    const method = req.method ?? 'GET'
    const cookie = withCookies ? account.cookieHeader(req.url) : undefined
    const target = new URL(req.url)
    const generation = account.generation
    let status = 0
    let stage: TransportStage = 'connecting'
    const limit = deadline(clock, totalMs, () => outOfTime(stage), req.signal)
    const { signal } = limit
    const ask = (over: Dispatcher) =>
      request(req.url, {
        method,
        headers: { 'accept-encoding': codings, ...req.headers, ...(cookie === undefined ? {} : { cookie }) },
        body: req.body ?? null,
        dispatcher: over.compose(
          tellsWhenSent(() => {
            stage = 'asked'
          })
        ),
        signal
      })
    try {
      const asked = ask(method === 'POST' ? fresh : reads).catch((error: unknown) => {
        // The server had closed the kept connection, and word of it crossed with the request. That is no trouble of the
        // upstream's: no row, no wait.
        if (method !== 'GET' || stage !== 'asked' || !reuse.wasKept(error) || signal.aborted) throw error
        stage = 'connecting'
        return ask(fresh)
      })
      // undici ends what it was told to end only when there is a connection. The request never leaves then.
      const answer = await unlessAborted(asked, signal)
      status = answer.statusCode
      stage = 'answering'
      const setCookie = answer.headers['set-cookie']
      // An answer to the old cookies must not overwrite those that replaced them meanwhile.
      const keepCookies = () => {
        if (withCookies && setCookie !== undefined && generation === account.generation)
          account.keep(req.url, [setCookie].flat())
      }
      const headers = flatten(answer.headers)
      if (status >= 300 && status < 400 && headers.location !== undefined) {
        // All of it is in the head: an accepted submit must not be lost because the rest stalls.
        letGo(answer.body, clock)
        keepCookies()
        delete headers['content-encoding']
        delete headers['content-length']
        return { status, headers, body: Buffer.alloc(0) }
      }
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of answer.body) {
        size += chunk.length
        if (size > maxBytes) {
          answer.body.destroy()
          throw new UpstreamError('T11', { cause: new Error(`answer larger than ${maxBytes} bytes`) })
        }
        chunks.push(chunk)
      }
      keepCookies()
      const coding = headers['content-encoding']
      if (coding === undefined) return { status, headers, body: Buffer.concat(chunks) }
      delete headers['content-encoding']
      delete headers['content-length']
      return { status, headers, body: await decodeBody(Buffer.concat(chunks), coding, maxBytes) }
    } catch (error) {
      // The reason (hang-up, deadline) says more than undici's AbortError.
      signal.throwIfAborted()
      throw error instanceof UpstreamError ? error : transportFailure(error, stage)
    } finally {
      limit.clear()
      onExchange?.({
        method,
        host: target.host,
        path: target.pathname,
        status,
        durationMs: performance.now() - startedAt
      })
    }
  }

  return {
    async request(req) {
      const { status, headers, body } = await exchange(req, {
        withCookies: true,
        maxBytes: MAX_PAGE_BYTES,
        codings: PAGE_CODINGS,
        totalMs: EXCHANGE_MS.page
      })
      const location = headers.location === undefined ? undefined : absolute(headers.location, req.url)
      // TextDecoder drops a byte order mark, which JSON.parse would not take.
      return { status, headers, location, text: new TextDecoder().decode(body), url: req.url }
    },
    bytes: ({ maxBytes, ...req }) =>
      exchange(req, { withCookies: false, maxBytes, codings: MEDIA_CODINGS, totalMs: EXCHANGE_MS.media }),
    async close() {
      reuse.stop()
      await Promise.all([reads.destroy(), fresh.destroy()])
    }
  }
}

/** How far an exchange had come: no connection yet (TCP, TLS), the request on its way, or a part of the answer there. */
export type TransportStage = 'connecting' | 'asked' | 'answering'

/** Which row a broken connection is. Shared with the WebSocket clients, whose errors carry the same codes. */
export function transportFailure(error: unknown, stage: TransportStage): UpstreamError {
  const codes = errorCodes(error)
  const has = (...wanted: string[]) => wanted.some((code) => codes.includes(code))
  // Of a body that has begun and goes wrong nobody knows whether it was cut off.
  if (stage !== 'answering' && isMalformed(error)) return new UpstreamError('T11', { cause: error })
  if (stage === 'answering' || has('UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'))
    return new UpstreamError('T4', { cause: error })
  if (has('UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT')) return new UpstreamError('T2', { cause: error })
  // Who let a connection come about does not block the region: a reset after that is an ordinary broken connection.
  if (stage === 'connecting' && has('ECONNRESET', 'EPIPE')) return new UpstreamError('T3', { cause: error })
  return new UpstreamError('T1', { cause: error })
}

/** Reads what nobody waits for, so that the connection can be used again; closes it when that is much or takes long. */
function letGo(body: Dispatcher.ResponseData['body'], clock: Clock): void {
  const stopTimer = clock.timer(UNREAD_MS, () => body.destroy())
  void body
    .dump({ limit: MAX_UNREAD_BYTES })
    .catch(() => {})
    .finally(stopTimer)
}

/** Row of an exchange whose time is over. */
function outOfTime(stage: TransportStage): UpstreamError {
  if (stage !== 'connecting') return new UpstreamError('T4', { cause: new Error('the answer took too long') })
  const cause = Object.assign(new Error('no connection in time'), { code: 'UND_ERR_CONNECT_TIMEOUT' })
  return new UpstreamError('T2', { cause })
}

/** Whether somebody did answer, but not with HTTP, or with a head that is larger than any. */
export function isMalformed(error: unknown): boolean {
  return errorsOf(error).some(({ name, code = '' }) => {
    // Node has llhttp's codes; undici has them in name only.
    if (code.startsWith('HPE_')) return code !== 'HPE_INVALID_EOF_STATE'
    return name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW'
  })
}

/** undici names the connection of each request on a channel, but not in its errors. */
function watchReuse() {
  const CHANNEL = 'undici:client:sendHeaders'
  const requests = new WeakMap<Socket, number>()
  const ofKept = new WeakSet<object>()
  const onRequest = (message: unknown) => {
    const { socket } = message as { socket: Socket }
    const count = (requests.get(socket) ?? 0) + 1
    requests.set(socket, count)
    if (count === 2) socket.once('error', (error) => ofKept.add(error))
  }
  diagnostics.subscribe(CHANNEL, onRequest)
  return {
    /** Whether the connection that this error ended had carried an earlier request. */
    wasKept: (error: unknown) => error instanceof Error && ofKept.has(error),
    stop: () => void diagnostics.unsubscribe(CHANNEL, onRequest)
  }
}

/** undici's own errors don't tell whether a reset came before there was a connection; it starts a request only when there is one. */
function tellsWhenSent(onSent: () => void): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart(controller, context) {
        onSent()
        handler.onRequestStart?.(controller, context)
      },
      onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (...args) => handler.onResponseData?.(...args),
      onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
      onResponseError: (...args) => handler.onResponseError?.(...args)
    })
}

const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.*|CERT_.*|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_.*)$/

/** Whether a failed request surely never reached the upstream, because no connection came about. Decides if a lost submit is "unknown". */
export function surelyNotSent(error: unknown): boolean {
  return errorCodes(error).some((code) => code === NO_TUNNEL || NOT_SENT.test(code))
}

function errorCodes(error: unknown): string[] {
  return errorsOf(error).flatMap(({ code }) => code ?? [])
}

/** An error and its causes. */
function errorsOf(error: unknown): NodeJS.ErrnoException[] {
  const errors: NodeJS.ErrnoException[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    errors.push(at)
    if (at instanceof AggregateError) errors.push(...at.errors.flatMap(errorsOf))
  }
  return errors
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name, value]) => name !== 'set-cookie' && value !== undefined)
      .map(([name, value]) => [name.toLowerCase(), [value].flat().join(', ')])
  )
}

function absolute(location: string, base: string): string | undefined {
  return URL.canParse(location, base) ? new URL(location, base).href : undefined
}
