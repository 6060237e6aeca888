import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import WebSocket from 'ws'
import type { Clock } from '../../clock.ts'
import { UpstreamError } from '../failures.ts'
import { transportFailure } from '../http.ts'
import { refuseBadStatus } from '../page-verdict.ts'
import { createRecordDecoder, encodeRecord, type HubRecord } from './codec.ts'
import {
  CLOSE_TIMEOUT_MS,
  FIRST_RECORD_TIMEOUT_MS,
  HANDSHAKE,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  MAX_RECORD_CHARS,
  OPEN_TIMEOUT_MS,
  PING_ANSWER_GAP_MS,
  PING_INTERVAL_MS,
  RECORD_TYPE
} from './constants.ts'

/**
 * How long each stage of a turn may take, in milliseconds. Patience is ours, so it follows the gateway's clock, like the
 * deadline of the whole call; pings are for a peer that knows no clock but the real one.
 */
export interface HubDeadlines {
  /** TCP, TLS and the upgrade together (T2, W5). */
  openMs: number
  /** Until the handshake is answered (W5). */
  handshakeMs: number
  /** From the question to the first record that is not a ping (W10). */
  firstRecordMs: number
  /** Between two records that are not pings (W10). */
  idleMs: number
  /** Between the client's own pings; real time. */
  pingEveryMs: number
}

export const HUB_DEADLINES: HubDeadlines = {
  openMs: OPEN_TIMEOUT_MS,
  handshakeMs: HANDSHAKE_TIMEOUT_MS,
  firstRecordMs: FIRST_RECORD_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  pingEveryMs: PING_INTERVAL_MS
}

export interface HubTurn {
  /** With the secret query, so it appears in no error. */
  url: string
  headers: Record<string, string>
  agent: Agent | undefined
  /** Sent after the handshake. */
  question: object
  deadlines: HubDeadlines
  clock: Clock
  signal: AbortSignal
  /** Told when the question is sent. */
  onAsked: (() => void) | undefined
  /** Gets every record after the handshake but pings. Returns whether it ended the turn. */
  onRecord: (record: HubRecord) => boolean
  /** Where the socket is listed while it is open, so that its owner can end it. */
  sockets: Set<WebSocket>
}

/** `done`: a record ended the turn. Else the hub left first: close code, or `undefined` for a type 7 record. */
export type HubEnd = 'done' | { closed: number | undefined }

/**
 * One turn on a socket of its own: upgrade, handshake, question, records, close. Leaves no timer and no listener.
 * @throws {UpstreamError} T1–T3, T5, T6, T8, T9, W1, W3–W6, W10, W12; what `onRecord` throws; the signal's reason
 * @see docs/protocol/chat-sydney.md section 3
 */
export function runHubTurn(turn: HubTurn): Promise<HubEnd> {
  const { deadlines, clock, signal, sockets } = turn
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)

    const decoder = createRecordDecoder()
    let stage: 'opening' | 'handshake' | 'turn' = 'opening'
    let hasConnected = false
    let hasAsked = false
    let hasEnded = false
    let clearDeadline = () => {}
    let pings: NodeJS.Timeout | undefined
    let lastPingAnswerAt = Number.NEGATIVE_INFINITY

    let socket: WebSocket
    try {
      socket = new WebSocket(turn.url, {
        headers: turn.headers,
        agent: turn.agent,
        perMessageDeflate: false,
        maxPayload: MAX_RECORD_CHARS,
        finishRequest: (request) => {
          watchConnect(request)
          request.end()
        }
      })
    } catch (error) {
      // ws quotes the URL, and with it the token.
      return reject(new UpstreamError('T1', { cause: bare(error) }))
    }
    sockets.add(socket)

    /**
     * Tells a peer that can't be reached (T2) from one that is silent (W5), and a reset of what is not yet a connection
     * (T3) from one of the upgrade (W4): the request goes out when TCP and TLS are up.
     */
    function watchConnect(request: ClientRequest): void {
      request.once('socket', (tcp) => {
        const connected = () => {
          hasConnected = true
          hasAsked ||= !(tcp instanceof TLSSocket)
        }
        if (tcp.connecting) tcp.once('connect', connected)
        else connected()
        tcp.once('secureConnect', () => (hasAsked = true))
      })
    }

    function end(settle: () => void): void {
      if (hasEnded) return
      hasEnded = true
      clearDeadline()
      clearInterval(pings)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    function fail(error: unknown): void {
      end(() => {
        socket.terminate()
        reject(error)
      })
    }
    function onAbort(): void {
      fail(signal.reason)
    }
    /** Ends as a browser does; a peer that doesn't answer the close frame is cut off. */
    function leave(result: HubEnd): void {
      end(() => {
        if (socket.readyState !== WebSocket.CLOSED) {
          const cut = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref()
          socket.once('close', () => clearTimeout(cut))
          socket.close(1000)
        }
        resolve(result)
      })
    }
    function setDeadline(withinMs: number, late: () => UpstreamError): void {
      clearDeadline()
      clearDeadline = clock.timer(withinMs, () => fail(late()))
    }
    function send(record: object): void {
      if (socket.readyState === WebSocket.OPEN) socket.send(encodeRecord(record))
    }
    const ping = () => send({ type: RECORD_TYPE.ping })

    function take(record: HubRecord): void {
      if (record.type === RECORD_TYPE.close) leave({ closed: undefined })
      else if (stage === 'handshake') takeHandshake(record)
      else if (record.type === RECORD_TYPE.ping) answerPing()
      else {
        setDeadline(
          deadlines.idleMs,
          () => new UpstreamError('W10', { cause: new Error('no further record') })
        )
        if (turn.onRecord(record)) leave('done')
      }
    }

    /** The hub answers the handshake with an object that has no `type`; everything before that is noise. */
    function takeHandshake(record: HubRecord): void {
      if (record.type !== undefined) return
      if (record.error !== undefined && record.error !== null) {
        fail(new UpstreamError('W6'))
        return
      }
      stage = 'turn'
      ping()
      pings = setInterval(ping, deadlines.pingEveryMs)
      turn.onAsked?.()
      send(turn.question)
      setDeadline(deadlines.firstRecordMs, () => new UpstreamError('W10', { cause: new Error('no record') }))
    }

    /** A ping is a sign of life of the connection, not of the answer: no deadline moves. */
    function answerPing(): void {
      const now = performance.now()
      if (now - lastPingAnswerAt < PING_ANSWER_GAP_MS) return
      lastPingAnswerAt = now
      ping()
    }

    signal.addEventListener('abort', onAbort)
    setDeadline(deadlines.openMs, () => new UpstreamError(hasConnected ? 'W5' : 'T2'))

    socket.on('unexpected-response', (_request, response) => fail(upgradeFailure(response)))
    socket.on('open', () => {
      if (hasEnded) return
      stage = 'handshake'
      send(HANDSHAKE)
      setDeadline(deadlines.handshakeMs, () => new UpstreamError('W5'))
    })
    socket.on('message', (data) => {
      if (hasEnded) return
      try {
        for (const record of decoder.push(data.toString())) {
          take(record)
          if (hasEnded) return
        }
      } catch (error) {
        fail(error)
      }
    })
    // Stays attached for good: ws reports even a deliberate terminate() during the upgrade as an error.
    socket.on('error', (error) => {
      if (stage === 'opening') return fail(openFailure(error, hasConnected, hasAsked))
      // What breaks the WebSocket protocol. A broken connection is followed by `close` and judged there.
      if (codeOf(error)?.startsWith('WS_ERR')) fail(new UpstreamError('W12', { cause: bare(error) }))
    })
    socket.on('close', (code) => {
      sockets.delete(socket)
      if (stage === 'turn') return end(() => resolve({ closed: code }))
      fail(new UpstreamError('W4', { cause: new Error(`closed with ${code}`) }))
    })
  })
}

/** Rows for an upgrade that was answered like a plain request (docs/protocol/failures.md section 3). */
function upgradeFailure(response: IncomingMessage): unknown {
  const status = response.statusCode ?? 0
  const cause = new Error(`upgrade answered with ${status}`)
  const headers = { 'retry-after': response.headers['retry-after'] }
  try {
    refuseBadStatus({
      status,
      headers: headers['retry-after'] === undefined ? {} : { 'retry-after': headers['retry-after'] },
      location: response.headers.location,
      text: '',
      url: ''
    })
  } catch (error) {
    return error
  }
  return new UpstreamError(status === 403 ? 'W3' : 'W1', { cause })
}

function openFailure(error: Error, hasConnected: boolean, hasAsked: boolean): UpstreamError {
  // Without a code it is not the network but ws, which found the answer to the upgrade malformed; or, before there
  // is a connection, the proxy agent.
  if (hasConnected && codeOf(error) === undefined) return new UpstreamError('W12', { cause: bare(error) })
  const isReset = ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '')
  if (hasAsked && isReset) return new UpstreamError('W4', { cause: bare(error) })
  return transportFailure(bare(error), 'connecting')
}

/**
 * An error that says no more than its code. What ws, TLS and proxies put into messages (URLs with the token, proxy
 * addresses with passwords) must not reach a log.
 */
function bare(error: unknown): Error {
  const code = codeOf(error)
  const cause = new Error(code ?? (error instanceof Error ? error.name : 'unknown'))
  return code === undefined ? cause : Object.assign(cause, { code })
}

function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return typeof code === 'string' ? code : undefined
}
