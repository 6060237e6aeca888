import type { Answer, Tone, UpstreamConversation } from '../upstream/chat-client.ts'
import type { Store } from './database.ts'
import type { ConversationRow } from './schema.ts'

export interface Conversation {
  id: string
  owner: string
  clientId: string
  /** SHA-256 of the signature, hexadecimal. */
  signatureHash: string
  upstreamKind: string
  upstream: UpstreamConversation
  state: ConversationRow['state']
  /** The `invocationId` that the next turn must carry: the number of answered turns. */
  nextInvocation: number
  /** Characters of prompts and answers so far. */
  contextChars: number
  expiresAt: number | null
  createdAt: number
  updatedAt: number
}

/** An answer as it is kept and given again: the client's answer without what only the next turn needs. */
export type StoredAnswer = Pick<Answer, 'message' | 'sources' | 'suggestions' | 'turns' | 'notice'>

export interface Turn {
  invocationId: number
  prompt: string
  answer: StoredAnswer
}

export interface AnsweredTurn {
  invocationId: number
  prompt: string
  tone: Tone | undefined
  answer: StoredAnswer
  askedAt: number
  answeredAt: number
  /** State of the conversation after this turn. */
  state: ConversationRow['state']
  upstream: UpstreamConversation
  expiresAt: number | null
}

export function createConversationStore(store: Store) {
  return {
    async insert(conversation: Conversation): Promise<void> {
      await store.insertInto('conversations').values(toRow(conversation)).execute()
    },

    async get(id: string): Promise<Conversation | undefined> {
      const row = await store.selectFrom('conversations').selectAll().where('id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** The turn with this number, when it was answered. */
    async turn(id: string, invocationId: number): Promise<Turn | undefined> {
      const row = await store
        .selectFrom('turns')
        .select(['invocation_id', 'prompt', 'answer'])
        .where('conversation_id', '=', id)
        .where('invocation_id', '=', invocationId)
        .executeTakeFirst()
      return row === undefined
        ? undefined
        : { invocationId: row.invocation_id, prompt: row.prompt, answer: JSON.parse(row.answer) }
    },

    /**
     * Keeps an answered turn and moves the conversation on, in one transaction.
     * The primary key of the turn refuses a second answer to the same question.
     */
    async answer(id: string, turn: AnsweredTurn): Promise<void> {
      await store.transaction().execute(async (tx) => {
        await tx
          .insertInto('turns')
          .values({
            conversation_id: id,
            invocation_id: turn.invocationId,
            prompt: turn.prompt,
            tone: turn.tone ?? null,
            answer: JSON.stringify(turn.answer),
            asked_at: turn.askedAt,
            answered_at: turn.answeredAt
          })
          .execute()
        await tx
          .updateTable('conversations')
          .set((eb) => ({
            next_invocation: turn.invocationId + 1,
            context_chars: eb('context_chars', '+', turn.prompt.length + turn.answer.message.length),
            state: turn.state,
            upstream: JSON.stringify(turn.upstream),
            expires_at: turn.expiresAt,
            updated_at: turn.answeredAt
          }))
          .where('id', '=', id)
          .execute()
      })
    },

    /** Points a conversation that was never answered at another one upstream. */
    async moveUpstream(id: string, upstream: UpstreamConversation, now: number): Promise<void> {
      await store
        .updateTable('conversations')
        .set({ upstream: JSON.stringify(upstream), updated_at: now })
        .where('id', '=', id)
        .execute()
    },

    /** Closes a conversation that the upstream has given up. An open one stays closed from then on. */
    async close(id: string, state: 'full' | 'expired', now: number): Promise<void> {
      await store
        .updateTable('conversations')
        .set({ state, updated_at: now })
        .where('id', '=', id)
        .where('state', '=', 'open')
        .execute()
    }
  }
}

export type ConversationStore = ReturnType<typeof createConversationStore>

function toRow(conversation: Conversation): ConversationRow {
  return {
    id: conversation.id,
    owner: conversation.owner,
    client_id: conversation.clientId,
    signature_hash: conversation.signatureHash,
    upstream_kind: conversation.upstreamKind,
    upstream: JSON.stringify(conversation.upstream),
    state: conversation.state,
    next_invocation: conversation.nextInvocation,
    context_chars: conversation.contextChars,
    expires_at: conversation.expiresAt,
    created_at: conversation.createdAt,
    updated_at: conversation.updatedAt
  }
}

function fromRow(row: ConversationRow): Conversation {
  return {
    id: row.id,
    owner: row.owner,
    clientId: row.client_id,
    signatureHash: row.signature_hash,
    upstreamKind: row.upstream_kind,
    upstream: JSON.parse(row.upstream),
    state: row.state,
    nextInvocation: row.next_invocation,
    contextChars: row.context_chars,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at
  }
}
