import type { ConversationDetails, ConversationSummary, ConversationTurn } from '../../schemas/chat.ts'
import type {
  Conversation,
  ListedConversation,
  StoredAnswer,
  Turn
} from '../../src/store/conversation-store.ts'

/** Characters of a title at most. */
const TITLE_CHARS = 80

/** What an answer and a stored turn show alike. */
export function answerFields({ message, sources, suggestions, notice }: StoredAnswer) {
  return {
    message,
    ...(sources.length > 0 ? { sources } : {}),
    ...(suggestions.length > 0 ? { suggestions } : {}),
    ...(notice === undefined ? {} : { truncated: true, notice })
  }
}

export function toSummary(conversation: ListedConversation): ConversationSummary {
  return {
    conversationId: conversation.id,
    title: conversation.opening === null ? null : titleOf(conversation.opening),
    state: conversation.state,
    turnCount: conversation.nextInvocation,
    createdAt: new Date(conversation.createdAt).toISOString(),
    updatedAt: new Date(conversation.updatedAt).toISOString()
  }
}

/** @param turns all of them, the first one first */
export function toDetails(conversation: Conversation, turns: readonly Turn[]): ConversationDetails {
  return {
    ...toSummary({ ...conversation, opening: turns[0]?.prompt ?? null, nextInvocation: turns.length }),
    turns: turns.map(toTurnView)
  }
}

function toTurnView({ invocationId, prompt, tone, answer, askedAt, answeredAt }: Turn): ConversationTurn {
  return {
    invocationId,
    prompt,
    ...(tone === null ? {} : { tone }),
    ...answerFields(answer),
    askedAt: new Date(askedAt).toISOString(),
    answeredAt: new Date(answeredAt).toISOString()
  }
}

/** The start of a prompt on one line, cut between characters. */
function titleOf(opening: string): string {
  const characters = [...opening.trim().replace(/\s+/g, ' ')]
  return characters.length <= TITLE_CHARS
    ? characters.join('')
    : `${characters.slice(0, TITLE_CHARS - 1).join('')}…`
}
