import type { Clock } from '../../clock.ts'
import { UpstreamError } from '../failures.ts'
import type { HubRecord } from './codec.ts'
import type { HubDeadlines } from './hub-deadlines.ts'
import type { HubOver, HubSocket } from './hub-socket.ts'

export interface HubTurn {
  question: object
  clock: Clock
  deadlines: HubDeadlines
  signal: AbortSignal
  /** Told when the question is sent. */
  onAsked: (() => void) | undefined
  /** Gets every record after the handshake but pings. Returns whether it ended the turn. */
  onRecord: (record: HubRecord) => boolean
}

/** `done`: a record ended the turn. Else the hub left first: close code, or `undefined` for a type 7 record. */
export type HubEnd = 'done' | { closed: number | undefined }

/**
 * A socket that had been waiting turned out to be dead: it was closed, or fell silent, before anything showed that the
 * question had come through. By the rows it is W7, for who takes no further notice.
 */
export class StaleSocket extends UpstreamError {
  /** `false`: the question surely never left, so nothing was lost but time. */
  readonly wasAsked: boolean

  constructor(wasAsked: boolean, over?: HubOver) {
    const how =
      over === undefined || 'failure' in over ? 'broken' : `closed with ${over.closed ?? 'no close frame'}`
    super('W7', { cause: new Error(`a waiting socket was ${how} before a sign of life`), asked: wasAsked })
    this.wasAsked = wasAsked
  }
}

/**
 * Asks on a socket that is ready or still opening, and ends it with the turn. Leaves no timer and no listener.
 *
 * On a socket that was waiting, a WebSocket ping follows the question. Its answer proves that the question has arrived,
 * and from then on the rows of failures.md decide as on any other socket. A close without that proof, or no sign of
 * life at all, means that the hub had given the socket up while the question was under way.
 * @throws {UpstreamError} what the opening may fail with, W10, W12, StaleSocket; what `onRecord` throws; the signal's reason
 */
export function runHubTurn(socket: HubSocket, turn: HubTurn): Promise<HubEnd> {
  const { deadlines, clock, signal } = turn
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      socket.drop()
      return reject(signal.reason)
    }
    const wasWaiting = socket.isReady
    let isAsked = false
    let isWritten = false
    let hasArrived = !wasWaiting
    let isOver = false
    let clearDeadline = () => {}

    function end(settle: () => void): void {
      if (isOver) return
      isOver = true
      clearDeadline()
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    function fail(error: unknown): void {
      end(() => {
        socket.drop()
        reject(error)
      })
    }
    function onAbort(): void {
      fail(signal.reason)
    }
    function setDeadline(withinMs: number, what: string): void {
      clearDeadline()
      if (isOver) return
      clearDeadline = clock.timer(withinMs, () => fail(new UpstreamError('W10', { cause: new Error(what) })))
    }

    function ask(): void {
      if (isOver) return
      if (!socket.isReady) {
        fail(new StaleSocket(false))
        return
      }
      isAsked = true
      turn.onAsked?.()
      socket.send(turn.question, (error) => {
        if (error === undefined || error === null) isWritten = true
        // On a new socket the close that follows is judged; of a waiting one it is known that it had been too late.
        else if (wasWaiting) fail(new StaleSocket(false))
      })
      setDeadline(deadlines.firstRecordMs, 'no record')
      if (!wasWaiting) return
      const arrived = () => {
        hasArrived = true
      }
      // Who has never answered a ping would be taken for dead.
      if (socket.answersProbes) socket.probe(arrived)
    }

    function onRecord(record: HubRecord): void {
      if (!isAsked) return
      hasArrived = true
      setDeadline(deadlines.idleMs, 'no further record')
      try {
        if (!turn.onRecord(record)) return
        end(() => {
          socket.leave()
          resolve('done')
        })
      } catch (error) {
        fail(error)
      }
    }

    function onOver(over: HubOver): void {
      end(() => {
        if (!hasArrived) reject(new StaleSocket(isAsked && isWritten, over))
        else if ('failure' in over) reject(over.failure)
        else resolve(over)
      })
    }

    if (socket.isEnding) return reject(new StaleSocket(false))
    signal.addEventListener('abort', onAbort)
    socket.listen({ onReady: ask, onRecord, onOver })
    // What the hub sent meanwhile, a close frame perhaps, is read before the question is written.
    if (wasWaiting) setImmediate(ask)
  })
}
