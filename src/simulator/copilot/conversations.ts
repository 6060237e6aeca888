import { randomBytes } from 'node:crypto'
import type { RememberedTurn } from '../sydney/conversations.ts'

/** One conversation as the upstream keeps it. */
export interface CopilotConversation {
  /** 21 URL-safe characters. */
  id: string
  /** `null` before the first answered turn. */
  title: string | null
  /** ISO 8601. */
  updatedAt: string
  /** Answered turns, oldest first. Aborted and refused ones are not here. */
  memory: RememberedTurn[]
  /** A turn is running. */
  busy: boolean
}

export interface CopilotConversations {
  create(): CopilotConversation
  get(id: unknown): CopilotConversation | undefined
  /** The latest ones, newest first. */
  latest(count: number): CopilotConversation[]
}

/** Benchmarks create many; the oldest ones are forgotten so that memory stays flat. */
const MAX_CONVERSATIONS = 20_000

/** Starts with no conversation. */
export function createConversations(): CopilotConversations {
  const byId = new Map<string, CopilotConversation>()
  return {
    create() {
      const conversation: CopilotConversation = {
        id: randomBytes(16).toString('base64url').slice(0, 21),
        title: null,
        updatedAt: new Date().toISOString(),
        memory: [],
        busy: false
      }
      byId.set(conversation.id, conversation)
      const oldest = byId.keys().next()
      if (byId.size > MAX_CONVERSATIONS && !oldest.done) byId.delete(oldest.value)
      return conversation
    },
    get: (id) => (typeof id === 'string' ? byId.get(id) : undefined),
    latest: (count) => [...byId.values()].slice(-count).reverse()
  }
}
