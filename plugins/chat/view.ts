import type {
  Attachment,
  ConversationDetails,
  ConversationSummary,
  ConversationTurn
} from '../../schemas/chat.ts'
import type { KeptPicture } from '../../src/media/chat-pictures.ts'
import type {
  Conversation,
  ListedConversation,
  StoredAnswer,
  Turn
} from '../../src/store/conversation-store.ts'

/** Characters of a title at most. */
const TITLE_CHARS = 80

/** The URL under which the caller finds a copy. */
export type CopyUrl = (mediaId: string) => string

/** What an answer and a stored turn show alike. */
export function answerFields(
  { message, sources, suggestions, notice, pictures = [] }: StoredAnswer,
  copyUrl: CopyUrl
) {
  const attachments = pictures.map((picture) => toAttachment(picture, copyUrl))
  return {
    message: message === '' ? attachments.map(asMarkdown).join('\n\n') : message,
    ...(attachments.length > 0 ? { attachments } : {}),
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

function toAttachment({ copy, url, prompt, preview }: KeptPicture, copyUrl: CopyUrl): Attachment {
  const { id, ...file } = copy ?? {}
  return {
    type: 'image',
    url: id === undefined ? (url ?? '') : copyUrl(id),
    ...(prompt === undefined ? {} : { prompt }),
    ...(preview === undefined ? {} : { preview }),
    ...file
  }
}

/** For those who show the message alone. */
function asMarkdown({ url, prompt }: Attachment): string {
  const words = prompt?.replace(/\s+/g, ' ').replace(/[\\[\]]/g, '\\$&') ?? 'picture'
  return `![${words}](${url})`
}

/** @param turns all of them, the first one first */
export function toDetails(
  conversation: Conversation,
  turns: readonly Turn[],
  copyUrl: CopyUrl
): ConversationDetails {
  return {
    ...toSummary({ ...conversation, opening: turns[0]?.prompt ?? null, nextInvocation: turns.length }),
    turns: turns.map((turn) => toTurnView(turn, copyUrl))
  }
}

function toTurnView(
  { invocationId, prompt, tone, answer, askedAt, answeredAt }: Turn,
  copyUrl: CopyUrl
): ConversationTurn {
  return {
    invocationId,
    prompt,
    ...(tone === null ? {} : { tone }),
    ...answerFields(answer, copyUrl),
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
