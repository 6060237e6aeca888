import type { Agent, ClientRequest } from 'node:http'
import { TLSSocket } from 'node:tls'
import WebSocket from 'ws'
import type { Clock } from '../../clock.ts'
import { bare, codeOf } from '../bare-error.ts'
import { UpstreamError } from '../failures.ts'
import { createRecordDecoder, encodeRecord, type HubRecord } from './codec.ts'
import {
  CLOSE_TIMEOUT_MS,
  HANDSHAKE,
  MAX_RECORD_CHARS,
  PING_ANSWER_GAP_MS,
  RECORD_TYPE
} from './constants.ts'
import type { HubDeadlines } from './hub-deadlines.ts'
import { openFailure, upgradeFailure } from './hub-failures.ts'
import type { HubLines } from './hub-lines.ts'

export interface HubSocketSettings {
  /** With the secret query, so it appears in no error. */
  url: string
  headers: Record<string, string>
  /** Where connections come from: a proxy's agent, else the hub's own lines. */
  agent: Agent | undefined
  lines: HubLines
  clock: Clock
  deadlines: HubDeadlines
  /** Where the socket is listed while it is open, so that its owner can end it. */
  sockets: Set<HubSocket>
  /** Told when the upgrade was accepted. */
  onUpgraded?: (() => void) | undefined
}

/** Why a socket ended: a failure of ours to report, or the hub left (close code, `undefined` for a type 7 record or silence). */
export type HubOver = { failure: unknown } | { closed: number | undefined }

/** Who is told what happens on a socket. One at a time: who keeps it while it waits, then the turn. */
export interface HubListener {
  /** The handshake was answered: a question may be sent, and in this very moment. */
  onReady(): void
  /** A record that is neither a ping nor a close. What this throws ends nothing: catch it. */
  onRecord(record: HubRecord): void
  /** Nothing comes after. Not told to who ended the socket with `leave` or `drop`. */
  onOver(over: HubOver): void
}

/** One connection to the hub, from TCP to close. It carries one question at most. */
export interface HubSocket {
  /** Handshaken, and the hub has not left. */
  readonly isReady: boolean
  /** It was handshaken and is ending: the close is under way, and nothing can be asked any more. */
  readonly isEnding: boolean
  /** When the hub last sent anything, or the opening began: milliseconds since the epoch, real time. */
  readonly lastSignAt: number
  /** Whether the hub has answered a WebSocket ping yet, so that a missing answer means something. */
  readonly answersProbes: boolean
  /** Replaces the listener. */
  listen(listener: HubListener): void
  /** @param done told when the bytes have been handed to the connection, or with the error that prevented it */
  send(record: object, done?: (error?: Error) => void): void
  /**
   * Sends a WebSocket ping; a hub that is silent for too long after it is over.
   * @param onAnswer told when this very ping is answered: all that was sent before it has arrived
   */
  probe(onAnswer?: () => void): void
  /** Ends as a browser does; a peer that doesn't answer the close frame is cut off. */
  leave(): void
  /** Ends without a close frame. */
  drop(): void
  /** As if the hub had gone: the listener is told. */
  cut(): void
}

/**
 * Opens a connection, upgrades it and shakes hands; then keeps it alive with pings.
 * @throws {UpstreamError} T1, at once when the URL is unusable; later the listener is told T1–T3, T5, T6, T8, T9, W1, W3–W6 or W12
 * @see docs/protocol/chat-sydney.md section 3
 */
export function openHubSocket(settings: HubSocketSettings, first: HubListener): HubSocket {
  const { deadlines, clock, sockets, lines, agent } = settings
  const decoder = createRecordDecoder()
  let listener = first
  let stage: 'opening' | 'handshake' | 'ready' | 'over' = 'opening'
  let hasConnected = false
  let hasAsked = false
  let pings: NodeJS.Timeout | undefined
  let lastPingAnswerAt = Number.NEGATIVE_INFINITY
  let lastSignAt = Date.now()
  let lastProbe: { name: string; onAnswer: (() => void) | undefined } | undefined
  /** Runs from a probe to the next sign of life. */
  let silence: NodeJS.Timeout | undefined
  let probes = 0
  let answersProbes = false

  let ws: WebSocket
  try {
    ws = new WebSocket(settings.url, {
      headers: settings.headers,
      ...(agent === undefined ? { createConnection: lines.connect } : { agent }),
      perMessageDeflate: false,
      maxPayload: MAX_RECORD_CHARS,
      finishRequest: (request) => {
        watchConnect(request)
        request.end()
      }
    })
  } catch (error) {
    // ws quotes the URL, and with it the token.
    throw new UpstreamError('T1', { cause: bare(error) })
  }

  /**
   * Tells a peer that can't be reached (T2) from one that is silent (W5), and a reset of what is not yet a connection
   * (T3) from one of the upgrade (W4): the request goes out when TCP and TLS are up.
   */
  function watchConnect(request: ClientRequest): void {
    // Otherwise the proxy's answer would be taken for the hub's.
    request.once('proxyConnect', ({ statusCode }) => {
      if (statusCode !== 200)
        fail(new UpstreamError('T1', { cause: new Error(`the proxy answered with ${statusCode}`) }))
    })
    request.once('socket', (tcp) => {
      const connected = () => {
        hasConnected = true
        hasAsked ||= !(tcp instanceof TLSSocket) || lines.isUp(tcp)
      }
      if (tcp.connecting) tcp.once('connect', connected)
      else connected()
      tcp.once('secureConnect', () => (hasAsked = true))
    })
  }

  /** @returns whether it was not over before */
  function finish(): boolean {
    if (stage === 'over') return false
    stage = 'over'
    clearDeadline()
    clearInterval(pings)
    clearTimeout(silence)
    return true
  }
  function fail(error: unknown): void {
    if (!finish()) return
    ws.terminate()
    listener.onOver({ failure: error })
  }
  function close(): void {
    if (ws.readyState === WebSocket.CLOSED) return
    const cut = setTimeout(() => ws.terminate(), CLOSE_TIMEOUT_MS).unref()
    ws.once('close', () => clearTimeout(cut))
    ws.close(1000)
  }
  function send(record: object, done?: (error?: Error) => void): void {
    if (ws.readyState === WebSocket.OPEN) ws.send(encodeRecord(record), done)
    else done?.(new Error('the socket is not open'))
  }
  const ping = () => send({ type: RECORD_TYPE.ping })

  function take(record: HubRecord): void {
    if (record.type === RECORD_TYPE.close) {
      if (!finish()) return
      close()
      listener.onOver({ closed: undefined })
    } else if (stage === 'handshake') takeHandshake(record)
    else if (record.type === RECORD_TYPE.ping) answerPing()
    else listener.onRecord(record)
  }

  /** The hub answers the handshake with an object that has no `type`; everything before that is noise. */
  function takeHandshake(record: HubRecord): void {
    if (record.type !== undefined) return
    if (record.error !== undefined && record.error !== null) {
      fail(new UpstreamError('W6'))
      return
    }
    stage = 'ready'
    clearDeadline()
    ping()
    pings = setInterval(ping, deadlines.pingEveryMs).unref()
    listener.onReady()
  }

  /** A ping is a sign of life of the connection, not of the answer: no deadline moves. */
  function answerPing(): void {
    const now = performance.now()
    if (now - lastPingAnswerAt < PING_ANSWER_GAP_MS) return
    lastPingAnswerAt = now
    ping()
  }

  function signOfLife(): void {
    lastSignAt = Date.now()
    clearTimeout(silence)
    silence = undefined
  }

  let clearDeadline = clock.timer(deadlines.openMs, () => fail(new UpstreamError(hasConnected ? 'W5' : 'T2')))

  ws.on('unexpected-response', (_request, response) => fail(upgradeFailure(response)))
  ws.on('open', () => {
    if (stage === 'over') return
    stage = 'handshake'
    settings.onUpgraded?.()
    send(HANDSHAKE)
    clearDeadline()
    clearDeadline = clock.timer(deadlines.handshakeMs, () => fail(new UpstreamError('W5')))
  })
  ws.on('message', (data) => {
    if (stage === 'over') return
    signOfLife()
    try {
      for (const record of decoder.push(data.toString())) {
        take(record)
        if ((stage as string) === 'over') return
      }
    } catch (error) {
      fail(error)
    }
  })
  ws.on('pong', (data) => {
    signOfLife()
    answersProbes = true
    if (data.toString() !== lastProbe?.name) return
    const { onAnswer } = lastProbe
    lastProbe = undefined
    onAnswer?.()
  })
  // Stays attached for good: ws reports even a deliberate terminate() during the upgrade as an error.
  ws.on('error', (error) => {
    if (stage === 'opening') fail(openFailure(error, hasConnected, hasAsked))
    // What breaks the WebSocket protocol. A broken connection is followed by `close` and judged there.
    else if (codeOf(error)?.startsWith('WS_ERR')) fail(new UpstreamError('W12', { cause: bare(error) }))
  })
  ws.on('close', (code) => {
    sockets.delete(socket)
    if (stage !== 'ready') return fail(new UpstreamError('W4', { cause: new Error(`closed with ${code}`) }))
    finish()
    listener.onOver({ closed: code })
  })

  const socket: HubSocket = {
    get isReady() {
      return stage === 'ready' && ws.readyState === WebSocket.OPEN
    },
    get isEnding() {
      return stage === 'over' || (stage === 'ready' && ws.readyState !== WebSocket.OPEN)
    },
    get lastSignAt() {
      return lastSignAt
    },
    get answersProbes() {
      return answersProbes
    },
    listen(next) {
      listener = next
      // Who has never answered a ping may be one that answers none: its silence is judged by the turn's own deadlines.
      if (answersProbes) return
      clearTimeout(silence)
      silence = undefined
    },
    send,
    probe(onAnswer) {
      if (!socket.isReady) return
      lastProbe = { name: String(++probes), onAnswer }
      ws.ping(lastProbe.name)
      if (silence !== undefined) return
      const own = setTimeout(() => {
        // After a pause of this process the answer may be waiting to be read: read first, then judge.
        setImmediate(() => {
          if (silence !== own || !finish()) return
          ws.terminate()
          listener.onOver({ closed: undefined })
        })
      }, deadlines.probeMs).unref()
      silence = own
    },
    leave() {
      if (!finish()) return
      if (ws.readyState === WebSocket.OPEN) close()
      else ws.terminate()
    },
    drop() {
      if (finish()) ws.terminate()
    },
    cut: () => ws.terminate()
  }
  sockets.add(socket)
  return socket
}
