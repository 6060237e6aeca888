import fp from 'fastify-plugin'
import { type ConversationStore, createConversationStore } from '../../src/store/conversation-store.ts'
import { claimFolder, openStore, pingStore } from '../../src/store/database.ts'
import { createTaskStore, type TaskStore } from '../../src/store/task-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: { conversations: ConversationStore; tasks: TaskStore; ping(): Promise<boolean> }
  }
}

/** Opens the store and closes it after everything that uses it. */
export default fp(
  async (fastify) => {
    const release = claimFolder(fastify.config.DATA_DIR)
    fastify.addHook('onClose', async () => release())
    const database = await openStore(fastify.config.DATA_DIR)
    fastify.decorate('store', {
      conversations: createConversationStore(database),
      tasks: createTaskStore(database),
      ping: () => pingStore(database)
    })
    fastify.addHook('onClose', () => database.destroy())
  },
  { name: 'store', dependencies: ['config'] }
)
