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
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
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
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let closed = false
  /** Since when each renewal has succeeded, in milliseconds of a monotonic clock. */
  let steadySince: number | undefined

  async function release(worker: string): Promise<void> {
    for (const giveBack of givingBack) await giveBack(worker)
    await store.remove(worker)
  }

  async function takeOver(): Promise<void> {
    // After an outage of the store every lease has ended, those of the living too. They get time to renew theirs first.
    if (!alone && (steadySince === undefined || performance.now() - steadySince < leaseMs)) return
    for (const worker of await store.dead(id, alone)) {
      log.warn({ worker }, 'a worker has ended; taking over what it had claimed')
      await release(worker)
    }
  }

  async function beat(): Promise<void> {
    const before = performance.now()
    try {
      if (!(await store.renew(id, leaseMs)) && steadySince !== undefined)
        log.warn({ worker: id }, 'the lease had ended; others may have taken over')
      steadySince ??= before
      await takeOver()
    } catch (error) {
      steadySince = undefined
      log.warn({ err: error }, 'the lease could not be renewed')
    }
  }

  function arm(): void {
    if (closed) return
    timer = setTimeout(() => {
      running = beat().finally(arm)
    }, leaseMs / RENEWALS)
    timer.unref()
  }

  return {
    id,
    onEnded(giveBack) {
      givingBack.push(giveBack)
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
      await running
      // Whatever can't be given back now is taken over when the lease has ended.
      await release(id).catch((error) => log.warn({ err: error }, 'claims could not be given back'))
    }
  }
}
