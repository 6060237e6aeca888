import { randomUUID } from 'node:crypto'
import type { BaseLogger } from 'pino'
import type { WorkerStore } from '../store/worker-store.ts'

/** How long a worker's claims outlive its last sign of life, in milliseconds. */
export const LEASE_MS = 10_000
/** Renewals per lease: two may get lost. */
const RENEWALS = 3

export interface WorkerLeaseSettings {
  store: WorkerStore
  leaseMs?: number
  /** No other gateway can be running on this store: whoever is there has ended. */
  alone: boolean
  log: Pick<BaseLogger, 'debug' | 'warn' | 'error'>
}

/**
 * This process as one of the workers on a store: it renews its lease, and takes over what workers left behind whose
 * lease has ended. One row per worker rather than one per claim, so that ten thousand claims cost no more than one.
 */
export interface WorkerLease {
  /** Stands in every row that this process has claimed. */
  readonly id: string
  /**
   * Registers how the claims of a worker that has ended are given back. Runs at least once per ended worker, may run in
   * several gateways at once, and must only touch rows that still name that worker.
   */
  onEnded(giveBack: (worker: string) => Promise<void>): void
  /**
   * Registers how claims of this worker are put right that nothing runs under: the store could not be told of their end,
   * or could not tell of their beginning. Runs with each renewal.
   */
  onRenewed(settle: () => Promise<void>): void
  /** Takes up the lease, and takes over from those that have ended; then goes on doing both. */
  start(): Promise<void>
  /** Stops renewing, and gives back whatever is still claimed. */
  close(): Promise<void>
}

export function createWorkerLease({
  store,
  leaseMs = LEASE_MS,
  alone,
  log
}: WorkerLeaseSettings): WorkerLease {
  const id = randomUUID()
  const givingBack: ((worker: string) => Promise<void>)[] = []
  const settling: (() => Promise<void>)[] = []
  let timer: NodeJS.Timeout | undefined
  let renewing: Promise<void> = Promise.resolve()
  /** What follows a renewal; not waited for by the next one, which must not come late because there is much to take over. */
  let following: Promise<void> | undefined
  let closed = false
  /** Since when each renewal has succeeded, in milliseconds of a monotonic clock. */
  let steadySince: number | undefined

  async function giveBackAll(worker: string): Promise<void> {
    for (const giveBack of givingBack) await giveBack(worker)
  }

  async function takeOver(): Promise<void> {
    // After an outage of the store every lease has ended, those of the living too. They get time to renew theirs first.
    if (!alone && (steadySince === undefined || performance.now() - steadySince < leaseMs)) return
    for (const { id: worker, inOrder } of await store.dead(id, alone)) {
      if (closed) return
      if (inOrder) log.debug({ worker }, 'a worker has stopped; looking for what it has left')
      else log.warn({ worker }, 'a worker has died; taking over what it had claimed')
      try {
        await giveBackAll(worker)
        await store.remove(worker, alone)
      } catch (error) {
        // The others are not kept waiting because of this one, which is tried again with the next renewal.
        log.error({ err: error, worker }, 'what a worker had claimed could not be taken over')
      }
    }
  }

  async function follow(): Promise<void> {
    try {
      for (const settle of settling) await settle()
      await takeOver()
    } catch (error) {
      log.warn({ err: error }, 'claims could not be looked after')
    }
  }

  async function renew(): Promise<void> {
    const before = performance.now()
    try {
      if (!(await store.renew(id, leaseMs)) && steadySince !== undefined)
        log.warn({ worker: id }, 'the lease had ended; others may have taken over')
      steadySince ??= before
    } catch (error) {
      steadySince = undefined
      log.warn({ err: error }, 'the lease could not be renewed')
      return
    }
    following ??= follow().finally(() => {
      following = undefined
    })
  }

  function arm(): void {
    if (closed) return
    timer = setTimeout(() => {
      renewing = renew().finally(arm)
    }, leaseMs / RENEWALS)
    timer.unref()
  }

  return {
    id,
    onEnded(giveBack) {
      givingBack.push(giveBack)
    },
    onRenewed(settle) {
      settling.push(settle)
    },
    async start() {
      await store.renew(id, leaseMs)
      steadySince = performance.now()
      await takeOver()
      arm()
    },
    async close() {
      if (closed) return
      closed = true
      clearTimeout(timer)
      await renewing
      await following
      try {
        await giveBackAll(id)
        // The others see it end with their next renewal, and look for what it has left to do.
        await store.end(id)
      } catch (error) {
        // Whatever can't be given back now is taken over when the lease has ended.
        log.warn({ err: error }, 'claims could not be given back')
      }
    }
  }
}
