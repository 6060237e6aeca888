import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { StringDecoder } from 'node:string_decoder'
import { TLSSocket } from 'node:tls'
import WebSocket from 'ws'
import type { Clock } from '../../clock.ts'
import { CallerGone } from '../../errors.ts'
import { bare, codeOf } from '../bare-error.ts'
import { UpstreamError } from '../failures.ts'
import type { AnswerReducer } from './answer.ts'
import {
  CLOSE_TIMEOUT_MS,
  CONNECTED_TIMEOUT_MS,
  FOLLOWUPS_MS,
  IDLE_TIMEOUT_MS,
  MAX_EVENT_CHARS,
  OPEN_TIMEOUT_MS,
  REPORT_CONSENTS,
  SET_OPTIONS
} from './constants.ts'
import { createEventScanner } from './scanner.ts'
import { openFailure, upgradeFailure } from './status.ts'

/** How long each stage of a turn may take, in milliseconds of the gateway's clock. */
export interface TurnDeadlines {
  /** TCP, TLS and the upgrade together (T2, P18). */
  openMs: number
  /** Until `connected`; then the question goes out all the same. */
  connectedMs: number
  /** Between two events that are no pongs (P18). */
  idleMs: number
  /** For the suggestions that may follow `done`. */
  followupsMs: number
}

export const TURN_DEADLINES: TurnDeadlines = {
  openMs: OPEN_TIMEOUT_MS,
  connectedMs: CONNECTED_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  followupsMs: FOLLOWUPS_MS
}

export interface CopilotTurn {
  /** With the access token, where there is one, so it appears in no error. */
  url: string
  /** Whether it has one: then it is the token that a 401 is about. */
  hasToken: boolean
  headers: Record<string, string>
  /** A proxy's agent. */
  agent: Agent | undefined
  /** The `send` event. */
  question: object
  reducer: AnswerReducer
  clock: Clock
  deadlines: TurnDeadlines
  signal: AbortSignal
  /** Where the socket is listed while it is open, so that its owner can cut it. */
  sockets: Set<WebSocket>
  /** Told when the question leaves. @param isEarly Copilot had not said that it was ready */
  onAsked: (isEarly: boolean) => void
  /** Gets the `Set-Cookie` headers of the answer to the upgrade. */
  onCookies: (setCookie: readonly string[]) => void
  /** Told when the upgrade was accepted. */
  onUpgraded?: (() => void) | undefined
}

/**
 * Asks one question over a socket of its own, and closes it. What the answer is, is in the reducer then. Leaves no timer
 * and no listener.
 * @throws {UpstreamError} T1–T3, T5, T6, T8–T11, P2, P6, P6-cookies, P7, P15, P16, P18, P19; what the reducer throws; the signal's reason
 * @see docs/protocol/chat-copilot.md section 3
 */
export function runTurn(turn: CopilotTurn): Promise<void> {
  const { reducer, clock, deadlines, signal, sockets } = turn
  const scanner = createEventScanner()
  const utf8 = new StringDecoder('utf8')
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    let isOpen = false
    let hasTcp = false
    let hasLine = false
    let isConnected = false
    let isAsked = false
    let isOver = false
    let clearDeadline = () => {}

    let ws: WebSocket
    try {
      ws = new WebSocket(turn.url, {
        headers: turn.headers,
        agent: turn.agent,
        perMessageDeflate: false,
        maxPayload: MAX_EVENT_CHARS,
        finishRequest: (request) => {
          watchConnect(request)
          request.end()
        }
      })
    } catch (error) {
      // ws quotes the URL, and with it the token.
      return reject(new UpstreamError('T1', { cause: bare(error) }))
    }
    sockets.add(ws)

    /**
     * Tells a peer that can't be reached (T2) from one that is silent (P18), and a reset of what is not yet a connection
     * (T3) from one of the upgrade (P15): the request goes out when TCP and TLS are up.
     */
    function watchConnect(request: ClientRequest): void {
      // Otherwise the proxy's answer would be taken for Copilot's.
      request.once('proxyConnect', ({ statusCode }) => {
        if (statusCode !== 200)
          fail(new UpstreamError('T1', { cause: new Error(`the proxy answered with ${statusCode}`) }))
      })
      request.once('socket', (tcp) => {
        const connected = () => {
          hasTcp = true
          hasLine ||= !(tcp instanceof TLSSocket)
        }
        if (tcp.connecting) tcp.once('connect', connected)
        else connected()
        tcp.once('secureConnect', () => {
          hasLine = true
        })
      })
    }

    function settle(how: () => void): void {
      if (isOver) return
      isOver = true
      clearDeadline()
      signal.removeEventListener('abort', onAbort)
      how()
    }
    function fail(error: unknown): void {
      settle(() => {
        ws.terminate()
        reject(error)
      })
    }
    /** Ends as a browser does; a peer that doesn't answer the close frame is cut off. */
    function complete(): void {
      settle(() => {
        if (ws.readyState === WebSocket.OPEN) {
          const cut = setTimeout(() => ws.terminate(), CLOSE_TIMEOUT_MS).unref()
          ws.once('close', () => clearTimeout(cut))
          ws.close(1000)
        } else ws.terminate()
        resolve()
      })
    }
    /** Time is up, the gateway stops, or the caller has left. Copilot has counted the turn, so what will do is not thrown away. */
    function onAbort(): void {
      const isWanted = !(signal.reason instanceof CallerGone)
      if (reducer.isDone || (reducer.isEnough && isWanted)) complete()
      else fail(signal.reason)
    }
    function within(ms: number, onLate: () => void): void {
      clearDeadline()
      if (!isOver) clearDeadline = clock.timer(ms, onLate)
    }

    function ask(): void {
      if (isAsked || isOver) return
      isAsked = true
      for (const event of [SET_OPTIONS, REPORT_CONSENTS]) ws.send(JSON.stringify(event))
      turn.onAsked(!isConnected)
      ws.send(JSON.stringify(turn.question))
      waitForMore()
    }
    function waitForMore(): void {
      within(deadlines.idleMs, () => left(new UpstreamError('P18', { cause: new Error('silence') })))
    }

    function take(event: Parameters<AnswerReducer['take']>[0]): void {
      const wasDone = reducer.isDone
      try {
        reducer.take(event)
      } catch (error) {
        fail(error)
        return
      }
      if (event.event === 'connected') {
        isConnected = true
        ask()
      } else if (reducer.isComplete) complete()
      else if (reducer.isDone) {
        if (!wasDone) within(deadlines.followupsMs, complete)
      } else if (isAsked && event.event !== 'pong') waitForMore()
    }

    /** Copilot is gone, or silent. What there is may be an answer all the same. */
    function left(failure: UpstreamError): void {
      if (reducer.isEnough) complete()
      else fail(failure)
    }

    signal.addEventListener('abort', onAbort)
    within(deadlines.openMs, () =>
      fail(new UpstreamError(hasTcp ? 'P18' : 'T2', { cause: new Error('no connection in time') }))
    )

    ws.on('upgrade', (response: IncomingMessage) => turn.onCookies(response.headers['set-cookie'] ?? []))
    ws.on('unexpected-response', (_request, response) => {
      turn.onCookies(response.headers['set-cookie'] ?? [])
      fail(upgradeFailure(response, turn.url, turn.hasToken ? 'P6' : 'P6-cookies'))
    })
    ws.on('open', () => {
      if (isOver) return
      isOpen = true
      turn.onUpgraded?.()
      within(deadlines.connectedMs, ask)
    })
    ws.on('message', (data: Buffer, isBinary) => {
      if (isOver) return
      try {
        // A text message is valid by itself (RFC 6455 section 8.1); bytes may be cut inside a character.
        const text = isBinary ? utf8.write(data) : data.toString()
        for (const event of scanner.push(text)) {
          take(event)
          if (isOver) return
        }
      } catch (error) {
        fail(error)
      }
    })
    // Stays attached for good: ws reports even a deliberate terminate() during the upgrade as an error.
    ws.on('error', (error) => {
      if (codeOf(error)?.startsWith('WS_ERR')) fail(new UpstreamError('T11', { cause: bare(error) }))
      // Once open, a broken connection is followed by `close` and judged there.
      else if (!isOpen) fail(openFailure(error, hasTcp, hasLine))
    })
    ws.on('close', (code) => {
      sockets.delete(ws)
      const cause = new Error(`closed with ${code}`)
      left(new UpstreamError(reducer.hasText ? 'P16' : 'P15', { cause }))
    })
  })
}
