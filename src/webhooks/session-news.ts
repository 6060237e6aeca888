import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { STORE_PAUSE_MS } from '../jobs/due-loop.ts'
import { type NewMessage, newMessageId } from '../store/delivery-store.ts'
import type { StateChange } from '../upstream/health.ts'
import type { SessionStateName, UpstreamName } from '../upstream/session-state.ts'

/** Changes of one upstream within this time are told as one, in milliseconds. */
const GATHER_MS = 2000
/** Each message makes that time twice as long, up to this: an upstream that keeps changing is told of now and then. */
const LONGEST_GATHER_MS = 5 * 60_000
/** An upstream that has not changed for so long has come to rest. */
const REST_MS = 10 * 60_000

export interface SessionNewsSettings {
  /** Where `session.changed` goes. */
  url: string
  /** Puts a message into the outbox. Twice the same counts once. */
  add(message: NewMessage): Promise<void>
  /** Something is in the outbox. */
  onAdded(): void
  clock: Clock
  log: Pick<BaseLogger, 'warn'>
}

/** Tells the operator by webhook how the upstreams stand: `session.changed`. docs/webhooks.md */
export interface SessionNews {
  /** Takes note of a change. What was changed back by the time it would be told is not told. */
  note(change: StateChange): void
  /** Puts what has not been told yet into the outbox, as far as the store takes it, and ends. */
  close(): Promise<void>
}

interface Known {
  /** The state that was told last, or that nobody had to be told of. */
  told: SessionStateName
  changedAt: number
  latest: StateChange
  /** What `latest` was made into for the store, which may have it although it didn't say so. */
  message?: { of: StateChange; message: NewMessage }
  gatherMs: number
  /** Whether it is going to be told. */
  isWaiting: boolean
  cancel(): void
  telling: Promise<void>
}

export function createSessionNews({ url, add, onAdded, clock, log }: SessionNewsSettings): SessionNews {
  const known = new Map<UpstreamName, Known>()
  let closed = false

  function later(upstream: Known, ms: number): void {
    upstream.isWaiting = true
    upstream.cancel = clock.timer(ms, () => {
      upstream.telling = tell(upstream)
    })
  }

  /** Never rejects. */
  async function tell(upstream: Known): Promise<void> {
    const { latest, told } = upstream
    if (latest.state === told) {
      upstream.isWaiting = false
      return
    }
    if (upstream.message?.of !== latest)
      upstream.message = { of: latest, message: messageOf(latest, told, url, clock.now()) }
    try {
      await add(upstream.message.message)
    } catch (error) {
      const details = { err: error, upstream: latest.name, state: latest.state }
      if (closed) log.warn(details, 'session.changed could not be stored, and will not be told')
      else {
        log.warn(details, 'session.changed could not be stored, to be tried again')
        later(upstream, STORE_PAUSE_MS)
      }
      return
    }
    upstream.told = latest.state
    upstream.gatherMs = Math.min(upstream.gatherMs * 2, LONGEST_GATHER_MS)
    upstream.isWaiting = false
    onAdded()
    if (upstream.latest.state !== upstream.told && !closed) later(upstream, upstream.gatherMs)
  }

  return {
    note(change) {
      if (closed) return
      let upstream = known.get(change.name)
      if (upstream === undefined) {
        upstream = {
          told: change.previous,
          changedAt: clock.now(),
          latest: change,
          gatherMs: GATHER_MS,
          isWaiting: false,
          cancel() {},
          telling: Promise.resolve()
        }
        known.set(change.name, upstream)
      }
      if (clock.now() - upstream.changedAt >= REST_MS) upstream.gatherMs = GATHER_MS
      upstream.changedAt = clock.now()
      upstream.latest = change
      if (!upstream.isWaiting) later(upstream, upstream.gatherMs)
    },
    async close() {
      closed = true
      const all = [...known.values()]
      for (const { cancel } of all) cancel()
      await Promise.all(all.map(({ telling }) => telling))
      await Promise.all(
        all.filter(({ isWaiting, latest, told }) => isWaiting || latest.state !== told).map(tell)
      )
    }
  }
}

function messageOf(
  { name, state, since, until, action }: StateChange,
  previous: SessionStateName,
  url: string,
  now: number
): NewMessage {
  const body = {
    type: 'session.changed',
    timestamp: new Date(now).toISOString(),
    data: {
      name,
      state,
      previous,
      since: new Date(since).toISOString(),
      ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
      ...(action === undefined ? {} : { action })
    }
  }
  return { id: newMessageId(), event: 'session.changed', url, payload: JSON.stringify(body), createdAt: now }
}
