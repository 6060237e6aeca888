import fp from 'fastify-plugin'
import { type ConversationStore, createConversationStore } from '../../src/store/conversation-store.ts'
import { claimFolder, openStore, pingStore } from '../../src/store/database.ts'
import { createTaskStore, type TaskStore } from '../../src/store/task-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: { conversations: ConversationStore; tasks: TaskStore; ping(): Promise<boolean> }
  }
}

/** Anybody may ask for readiness, and each ping is a write: at most one a second. */
const PING_EVERY_MS = 1000

/** Opens the store and closes it after everything that uses it. */
export default fp(
  async (fastify) => {
    const release = claimFolder(fastify.config.DATA_DIR)
    fastify.addHook('onClose', async () => release())
    const database = await openStore(fastify.config.DATA_DIR)
    let pingedAt = 0
    let pinged = Promise.resolve(true)
    fastify.decorate('store', {
      conversations: createConversationStore(database),
      tasks: createTaskStore(database),
      ping() {
        const now = Date.now()
        if (now - pingedAt >= PING_EVERY_MS) {
          pingedAt = now
          pinged = pingStore(database)
        }
        return pinged
      }
    })
    fastify.addHook('onClose', () => database.destroy())
  },
  { name: 'store', dependencies: ['config'] }
)
