import { printJson, table, time } from './cli-store.ts'
import { systemClock } from './clock.ts'
import type { Store } from './store/database.ts'
import { createDeliveryStore, type Delivery } from './store/delivery-store.ts'

interface Output {
  json?: boolean
}

/** Shows webhooks, the newest first. */
export async function listWebhooksCommand(
  store: Store,
  { json, failed, limit }: Output & { failed?: boolean; limit: number }
): Promise<void> {
  const found = await createDeliveryStore(store).list({ states: failed ? ['failed'] : undefined, limit })
  const all = found.map(view)
  if (json) return printJson(all)
  const rows = all.map((one) => [
    one.id,
    one.event,
    one.url,
    one.state,
    String(one.attempts),
    one.createdAt ?? '',
    one.nextAttemptAt ?? '-',
    one.lastError ?? '-'
  ])
  const head = ['ID', 'EVENT', 'URL', 'STATE', 'ATTEMPTS', 'CREATED', 'NEXT ATTEMPT', 'LAST ERROR']
  process.stdout.write(table([head, ...rows]))
}

/** Puts a webhook back into the outbox, as if it had never been sent. */
export async function replayWebhookCommand(store: Store, id: string, { json }: Output): Promise<void> {
  const deliveries = createDeliveryStore(store)
  const replayed = await deliveries.replay(id, systemClock.now())
  const delivery = await deliveries.get(id)
  if (delivery === undefined)
    throw new Error(`there is no webhook with the id ${id}. "webhooks list" shows them.`)
  if (!replayed) throw new Error(`${id} is being delivered right now.`)
  if (json) return printJson(view(delivery))
  process.stdout.write(`${id} is due again. A running gateway sends it within seconds.\n`)
}

function view(delivery: Delivery) {
  const url = new URL(delivery.url)
  return {
    id: delivery.id,
    taskId: delivery.taskId,
    userId: delivery.owner === '' ? null : delivery.owner,
    event: delivery.event,
    // Without the query, where receivers put their tokens.
    url: `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`,
    state: delivery.state,
    attempts: delivery.attempts,
    createdAt: time(delivery.createdAt),
    nextAttemptAt: time(delivery.dueAt),
    endedAt: time(delivery.endedAt),
    lastStatus: delivery.lastStatus,
    lastError: delivery.lastError
  }
}
