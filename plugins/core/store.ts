import fp from 'fastify-plugin'
import { createWorkerLease, type WorkerLease } from '../../src/jobs/worker-lease.ts'
import { type ConversationStore, createConversationStore } from '../../src/store/conversation-store.ts'
import { openStore, type Store } from '../../src/store/database.ts'
import { createTaskStore, type TaskStore } from '../../src/store/task-store.ts'
import { createWorkerStore } from '../../src/store/worker-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Capabilities that own a table make its store from `database` themselves. */
    store: {
      database: Store
      conversations: ConversationStore
      tasks: TaskStore
      ping(): Promise<boolean>
    }
    /** This process among those that share the store. Claims are made in its name. */
    worker: WorkerLease
  }
}

/** Anybody may ask for readiness, and each ping is a write: at most one a second. */
const PING_EVERY_MS = 1000

/** Opens the store and closes it after everything that uses it. */
export default fp<{ leaseMs?: number }>(
  async (fastify, { leaseMs }) => {
    const { config, log } = fastify
    const database = await openStore({
      databaseUrl: config.DATABASE_URL,
      dataDir: config.DATA_DIR,
      exclusive: true,
      onError: (error) => log.warn({ err: error }, 'connection to the store lost')
    })
    fastify.addHook('onClose', () => database.close())
    const worker = createWorkerLease({
      store: createWorkerStore(database),
      leaseMs,
      alone: database.engine === 'sqlite',
      log
    })
    let pingedAt = 0
    let pinged = Promise.resolve(true)
    fastify.decorate('store', {
      database,
      conversations: createConversationStore(database),
      tasks: createTaskStore(database),
      ping() {
        const now = Date.now()
        if (now - pingedAt >= PING_EVERY_MS) {
          pingedAt = now
          pinged = database.ping()
        }
        return pinged
      }
    })
    fastify.decorate('worker', worker)
    // Hooks run in the order of registration: the lease begins before the job loop asks for work in its name.
    fastify.addHook('onReady', () => worker.start())
    fastify.addHook('onClose', () => worker.close())
  },
  { name: 'store', dependencies: ['config'] }
)
