import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Delivery, DeliveryStore } from '../store/delivery-store.ts'
import type { Task } from '../store/task-store.ts'
import { retryDelay } from '../webhooks/backoff.ts'
import { createPlaces, type PlaceLimits } from '../webhooks/places.ts'
import type { SendOutcome, WebhookSender } from '../webhooks/sender.ts'
import { createDueLoop } from './due-loop.ts'

/**
 * Commands put deliveries into the outbox again from outside, and SQLite tells nobody. In real milliseconds; one look
 * at an index each time.
 */
const LOOK_EVERY_MS = 2000
const PLACES: PlaceLimits = { total: 16, perOwner: 8, perHost: 4 }

/** What became of one attempt. */
export type DeliveryResult = 'delivered' | 'retried' | 'failed' | 'gone'
export const DELIVERY_RESULTS = ['delivered', 'retried', 'failed', 'gone'] as const satisfies DeliveryResult[]

export interface DeliveryRunnerSettings {
  store: DeliveryStore
  tasks: { get(id: string): Promise<Task | undefined> }
  sender: WebhookSender
  /** The task as the webhook shows it. `baseUrl` is that of the request that made it. */
  view(task: Task, baseUrl: string): object | Promise<object>
  /** In whose name deliveries are claimed. */
  worker: string
  clock: Clock
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  onResult?: (result: DeliveryResult) => void
  /** Makes an attempt where it is to be traced, and gives it headers by which the receiver can go on with the trace. */
  around?:
    | (<T>(taskId: string, send: (headers: Record<string, string>) => Promise<T>) => Promise<T>)
    | undefined
  places?: PlaceLimits
}

/**
 * Sends what is in the outbox, each webhook at least once: what is under way when this process ends, however it ends,
 * is sent again.
 */
export interface DeliveryRunner {
  start(): void
  /** Says that the outbox may have something. */
  kick(): void
  /** Starts everything that is due now and there is a place for. */
  step(): Promise<void>
  /** Breaks off what is under way, which stays in the outbox, and returns when nothing is. */
  close(): Promise<void>
}

export function createDeliveryRunner(settings: DeliveryRunnerSettings): DeliveryRunner {
  const { store, tasks, sender, view, worker, clock, log, onResult = () => {} } = settings
  const around: NonNullable<typeof settings.around> = settings.around ?? ((_taskId, send) => send({}))
  const places = createPlaces(settings.places ?? PLACES)
  const closing = new AbortController()
  let look: NodeJS.Timeout | undefined

  const loop = createDueLoop({
    name: 'webhooks',
    clock,
    log,
    async pass(loop) {
      const now = clock.now()
      for (const lane of await store.dueLanes(now)) {
        const room = places.free(lane)
        if (loop.closed || room <= 0) continue
        for (const delivery of await store.claimDue(worker, now, lane, room)) {
          const leave = places.take(lane)
          loop.work(delivery.id, () => deliver(delivery).finally(leave))
        }
      }
    },
    reconcile: (busy) => store.release(worker, busy),
    nextDueAt: (since) => store.nextDueAt(since)
  })

  async function deliver(delivery: Delivery): Promise<void> {
    const task = delivery.taskId === null ? undefined : await tasks.get(delivery.taskId)
    const content = task === undefined ? delivery.payload : () => taskEvent(delivery, task)
    if (content === null) {
      // There is nothing left to say.
      await end(delivery, 'failed', { status: null, error: 'the task is not stored any more' })
      return
    }
    let outcome: SendOutcome
    try {
      const body = typeof content === 'string' ? content : await content()
      const send = (headers: Record<string, string>) =>
        sender.send({ id: delivery.id, url: delivery.url, body, headers }, closing.signal)
      outcome = await (task === undefined ? send({}) : around(task.id, send))
    } catch (error) {
      // It was broken off, or may not even have begun; `close` gives it back.
      if (closing.signal.aborted) return
      log.error({ err: error, delivery: delivery.id, task: task?.id }, 'webhook could not be made')
      outcome = { result: 'retry', status: null, error: 'internal error' }
    }
    await settle(delivery, outcome)
  }

  async function taskEvent({ event, baseUrl, createdAt }: Delivery, task: Task): Promise<string> {
    const timestamp = new Date(task.completedAt ?? createdAt).toISOString()
    return JSON.stringify({ type: event, timestamp, data: await view(task, baseUrl) })
  }

  async function settle(delivery: Delivery, outcome: SendOutcome): Promise<void> {
    const { result, status } = outcome
    if (result === 'delivered') return end(delivery, 'delivered', { status, error: null })
    if (result === 'gone')
      return end(delivery, 'gone', { status, error: 'the receiver wants no more webhooks' })
    const note = { status, error: outcome.error }
    const wait = retryDelay(delivery.attempts + 1, outcome.retryAfterMs)
    if (wait === undefined) return end(delivery, 'failed', note)
    if (await store.putOff(delivery.id, worker, clock.now() + wait, note)) tell(delivery, 'retried', note)
  }

  async function end(
    delivery: Delivery,
    result: Exclude<DeliveryResult, 'retried'>,
    note: { status: number | null; error: string | null }
  ): Promise<void> {
    const state = result === 'delivered' ? 'delivered' : 'failed'
    if (await store.end(delivery.id, worker, state, clock.now(), note)) tell(delivery, result, note)
  }

  /** Never with the URL: receivers put tokens into it. */
  function tell(
    { id, taskId, event, attempts }: Delivery,
    result: DeliveryResult,
    { status, error }: { status: number | null; error: string | null }
  ): void {
    onResult(result)
    const details = {
      delivery: id,
      event,
      task: taskId ?? undefined,
      attempt: attempts + 1,
      status,
      reason: error
    }
    if (result === 'delivered') log.info(details, 'webhook delivered')
    else if (result === 'retried') log.info(details, 'webhook failed, to be tried again')
    else log.warn(details, 'webhook given up')
  }

  return {
    start() {
      look = setInterval(loop.kick, LOOK_EVERY_MS)
      look.unref()
      loop.kick()
    },
    kick: loop.kick,
    step: loop.step,
    async close() {
      clearInterval(look)
      const ended = loop.close()
      closing.abort(new Error('the gateway is shutting down'))
      await ended
      await store
        .release(worker)
        .catch((error) => log.warn({ err: error }, 'webhooks could not be given back'))
    }
  }
}
