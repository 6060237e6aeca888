import type { BaseLogger } from 'pino'
import type { Clock } from '../../clock.ts'
import { UpstreamError } from '../failures.ts'
import {
  PROBE_INTERVAL_MS,
  SILENCE_LIMIT_MS,
  WARM_BACKOFF_MS,
  WARM_LIFE_MS,
  WARM_OPENING_MS,
  WARM_SETTLED_MS,
  WARM_SHARED_SOCKETS,
  WARM_SOCKETS
} from './constants.ts'
import type { HubListener, HubOver, HubSocket } from './hub-socket.ts'

/** Times in milliseconds of the gateway's clock, where nothing else is said. */
export interface WarmLimits {
  /** Most sockets that wait or are being opened; 0: none. */
  sockets: number
  /** Of those, most that no token binds to a conversation. */
  shared: number
  /** How long one waits for its question. */
  lifeMs: number
  /** How long one is left alone before it may be closed to make room. */
  settledMs: number
  /** How long one may take to open before a turn would rather open another. */
  openingMs: number
  /** Between WebSocket pings on those that wait; real time. */
  probeEveryMs: number
  /** Silence of the hub after which one is not used any more; real time. */
  silenceMs: number
}

export const WARM_LIMITS: WarmLimits = {
  sockets: WARM_SOCKETS,
  shared: WARM_SHARED_SOCKETS,
  lifeMs: WARM_LIFE_MS,
  settledMs: WARM_SETTLED_MS,
  openingMs: WARM_OPENING_MS,
  probeEveryMs: PROBE_INTERVAL_MS,
  silenceMs: SILENCE_LIMIT_MS
}

/**
 * Hub sockets that are opened and handshaken before there is a question for them. One with a token in its URL waits
 * for the next turn of its conversation; without tokens all sockets are alike, and as many are kept as turns ran at
 * once lately, and one more. A socket is opened only because a conversation was started or a turn made progress, never
 * because another one ended: without traffic the last one is gone after one life.
 */
export interface WarmSockets {
  /** How many wait or are being opened. */
  readonly size: number
  /** A conversation was started, which will use this URL. */
  started(url: string): void
  /**
   * A turn begins, and one `end` will follow. Takes its socket, ready or still opening, out of the pool.
   * @param mayTake `false`: it wants a new one
   * @returns `undefined` when there is none that seems alive
   */
  begin(url: string, mayTake: boolean): HubSocket | undefined
  /** The hub has taken up the turn: the socket for the next one may be opened meanwhile. */
  goesOn(url: string): void
  /** How a turn ended. `over`: the conversation takes no further one. `failed`: nothing is opened until one ends well. */
  end(url: string, how: 'well' | 'over' | 'failed'): void
  /** Closes all: their cookies are not those of the account any more. */
  empty(): void
  /** Closes all, and opens none from here on. */
  close(): void
}

export interface WarmSocketsSettings {
  /** Opens a socket with the cookies of the moment. @throws {UpstreamError} */
  open(url: string, listener: HubListener): HubSocket
  /** The URL of sockets that any conversation may use. */
  sharedUrl: string
  limits: WarmLimits
  clock: Clock
  log: Pick<BaseLogger, 'debug'> | undefined
}

interface Waiting {
  url: string
  socket: HubSocket
  openedAt: number
  endLife: () => void
}

export function createWarmSockets({ open, sharedUrl, limits, clock, log }: WarmSocketsSettings): WarmSockets {
  /** Oldest first. */
  const pool = new Set<Waiting>()
  let isClosed = false
  let probing: NodeJS.Timeout | undefined
  let backoff = { ms: 0, until: 0 }
  /** Turns over shared sockets: how many run, the most that ran at once lately, and whether the last one ended well. */
  const shared = { running: 0, peak: 0, peakAt: 0, isWell: true }

  function remove(waiting: Waiting): void {
    pool.delete(waiting)
    waiting.endLife()
    if (pool.size > 0) return
    clearInterval(probing)
    probing = undefined
  }
  function discard(waiting: Waiting): void {
    remove(waiting)
    waiting.socket.leave()
  }
  /** Those of one URL. One that the hub is closing is as good as gone, though its end takes a round trip. */
  function of(url: string): Waiting[] {
    for (const waiting of pool) if (waiting.socket.isEnding) remove(waiting)
    return [...pool].filter((waiting) => waiting.url === url)
  }

  /** @returns whether there is a place for one more */
  function makeRoom(): boolean {
    if (pool.size < limits.sockets) return true
    const [oldest] = pool
    // With more conversations under way than places, each would only take the other's socket away before it was used.
    if (oldest === undefined || clock.now() - oldest.openedAt < limits.settledMs) return false
    discard(oldest)
    return true
  }

  function add(url: string): void {
    if (isClosed || clock.now() < backoff.until || !makeRoom()) return
    let waiting: Waiting | undefined
    let isReady = false
    const onOver = (over: HubOver) => {
      if (waiting !== undefined) remove(waiting)
      if (!isReady) failed('failure' in over ? over.failure : undefined)
    }
    try {
      const socket = open(url, {
        onReady() {
          isReady = true
          backoff = { ms: 0, until: 0 }
          // Its answer shows that a missing one will mean something.
          socket.probe()
        },
        onRecord() {},
        onOver
      })
      const own: Waiting = {
        url,
        socket,
        openedAt: clock.now(),
        endLife: clock.timer(limits.lifeMs, () => discard(own))
      }
      waiting = own
      pool.add(own)
      probing ??= setInterval(() => {
        for (const { socket } of pool) socket.probe()
      }, limits.probeEveryMs).unref()
    } catch (error) {
      failed(error)
    }
  }

  /** Nobody waits for it, so nobody is told; who asks next opens a socket of their own and learns what is wrong. */
  function failed(error: unknown): void {
    const [least, most] = WARM_BACKOFF_MS
    const ms = Math.min(most, Math.max(least, backoff.ms * 2))
    backoff = { ms, until: clock.now() + ms }
    log?.debug(
      { err: error, row: error instanceof UpstreamError ? error.row : undefined },
      'no warm hub socket'
    )
  }

  /** Opens what is missing for a URL. */
  function fill(url: string): void {
    let wanted = 1
    if (url === sharedUrl) {
      if (!shared.isWell) return
      if (clock.now() - shared.peakAt > limits.lifeMs) shared.peak = shared.running
      wanted = Math.min(limits.shared, shared.peak + 1)
    }
    for (let missing = wanted - of(url).length; missing > 0; missing--) add(url)
  }

  /** After what is being done now, the caller's answer above all. */
  function fillSoon(url: string): void {
    setImmediate(() => fill(url))
  }

  function take(url: string): HubSocket | undefined {
    let best: Waiting | undefined
    for (const waiting of of(url)) {
      const { socket } = waiting
      const isStuck = !socket.isReady && clock.now() - waiting.openedAt > limits.openingMs
      if (isStuck || Date.now() - socket.lastSignAt > limits.silenceMs) {
        remove(waiting)
        socket.drop()
      } else if (
        best === undefined ||
        (socket.isReady && (!best.socket.isReady || socket.lastSignAt >= best.socket.lastSignAt))
      ) {
        best = waiting
      }
    }
    if (best === undefined) return undefined
    remove(best)
    return best.socket
  }

  function empty(): void {
    for (const waiting of pool) discard(waiting)
  }

  return {
    get size() {
      return pool.size
    },
    started: fill,
    begin(url, mayTake) {
      const socket = mayTake ? take(url) : undefined
      if (url === sharedUrl) {
        shared.running++
        if (shared.running >= shared.peak) {
          shared.peak = shared.running
          shared.peakAt = clock.now()
        }
        // Not later: the next conversation's turn may come before this one has ended.
        if (socket !== undefined) fillSoon(url)
      }
      return socket
    },
    goesOn: fill,
    end(url, how) {
      // The hub is well again, whatever became of earlier attempts.
      if (how !== 'failed') backoff = { ms: 0, until: 0 }
      if (url === sharedUrl) {
        shared.running--
        shared.isWell = how !== 'failed'
        if (shared.isWell) fillSoon(url)
      } else if (how === 'well') fillSoon(url)
      else for (const waiting of of(url)) discard(waiting)
    },
    empty,
    close() {
      isClosed = true
      empty()
    }
  }
}
