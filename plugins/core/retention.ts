import fp from 'fastify-plugin'
import { SAMPLES } from '../../src/jobs/poll-plan.ts'
import { createRetention } from '../../src/jobs/retention.ts'
import { createDeliveryStore } from '../../src/store/delivery-store.ts'
import { createIdempotencyStore } from '../../src/store/idempotency-store.ts'
import { removeExpiredLimits } from '../../src/store/limit-store.ts'
import { createPollStore } from '../../src/store/poll-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Removes everything that has been kept for long enough. Runs by itself once an hour. */
    sweep(): Promise<void>
  }
}

const DAY_MS = 86_400_000

/** What is kept for how long: docs/contract.md section 4, TASK_RETENTION_DAYS. */
export default fp(
  async (fastify) => {
    const { clock, config, log, media, store } = fastify
    const keptMs = config.TASK_RETENTION_DAYS * DAY_MS
    const deliveries = createDeliveryStore(store.database)
    const polls = createPollStore(store.database)
    const keys = createIdempotencyStore(store.database)
    const retention = createRetention(
      [
        {
          name: 'tasks',
          async remove(now, limit) {
            let removed = 0
            for (const id of await store.tasks.endedBefore(now - keptMs, limit)) {
              try {
                // Its files first: a task that is left is swept again, a file that is left would stay for good.
                await media.removeOfTask(id)
                await store.tasks.remove(id)
                removed += 1
              } catch (error) {
                log.error({ err: error, taskId: id }, 'task could not be removed')
              }
            }
            return removed
          }
        },
        { name: 'webhooks', remove: (now, limit) => deliveries.removeEnded(now - keptMs, limit) },
        { name: 'idempotency keys', remove: keys.removeExpired },
        { name: 'limits', remove: (now, limit) => removeExpiredLimits(store.database.db, now, limit) },
        { name: 'poll samples', remove: (_now, limit) => polls.trim(SAMPLES, limit) }
      ],
      { clock, log }
    )
    fastify.decorate('sweep', retention.sweep)
    fastify.addHook('onReady', async () => retention.start())
    fastify.addHook('preClose', () => retention.close())
  },
  { name: 'retention', dependencies: ['config', 'store', 'media'] }
)
