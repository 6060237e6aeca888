import type {
  Conversation,
  ConversationStore,
  ListedConversation,
  Turn
} from '../../src/store/conversation-store.ts'
import type { PageEnd } from '../../src/store/page.ts'
import { conversationUnknown, turnInProgress } from './turn-claims.ts'

/** Removes the copies of a conversation's pictures. */
export type RemoveCopies = (conversationId: string) => Promise<void>

/** What an owner may do with conversations beside asking. Somebody else's conversation is an unknown one. */
export function createConversationService(store: ConversationStore, removeCopies: RemoveCopies) {
  async function own(owner: string, id: string): Promise<Conversation> {
    const conversation = await store.get(id)
    if (conversation === undefined || conversation.owner !== owner) throw conversationUnknown()
    return conversation
  }

  return {
    /** The newest first. */
    list: (
      owner: string,
      page: { limit: number; after?: PageEnd | undefined }
    ): Promise<ListedConversation[]> => store.list(owner, page),

    /**
     * A conversation and its answered turns, the first one first.
     * @throws {GatewayError} not_found_error
     */
    async read(owner: string, id: string): Promise<{ conversation: Conversation; turns: Turn[] }> {
      const conversation = await own(owner, id)
      return { conversation, turns: await store.turns(id) }
    },

    /**
     * Removes a conversation with all that was said. A turn under way would be answered to nobody, so it has to end first.
     * @throws {GatewayError} not_found_error | conflict_error
     */
    async remove(owner: string, id: string): Promise<void> {
      if (await store.remove(id, owner)) {
        await removeCopies(id)
        return
      }
      await own(owner, id)
      throw turnInProgress()
    }
  }
}

export type ConversationService = ReturnType<typeof createConversationService>
