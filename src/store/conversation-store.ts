import { sql } from 'kysely'
import type { KeptPicture } from '../media/chat-pictures.ts'
import type { Answer, Tone, UpstreamConversation } from '../upstream/chat-client.ts'
import type { Queries, Store } from './database.ts'
import { ONE_ROW } from './one-row.ts'
import { isAfter, type PageEnd } from './page.ts'
import type { ConversationRow, TurnRow } from './schema.ts'
import { VOLATILE } from './volatile.ts'

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
  /** The worker in which a turn of it is under way. */
  askedBy: string | null
  /** The first turn was asked and may have been counted upstream, but its answer was not stored. */
  inDoubt: boolean
}

/** What a list shows of a conversation. */
export type ListedConversation = Pick<
  Conversation,
  'id' | 'state' | 'nextInvocation' | 'createdAt' | 'updatedAt'
> & {
  /** The start of the first answered prompt. */
  opening: string | null
}

/** An answer as it is kept and given again: the client's answer without what only the next turn needs. */
export interface StoredAnswer
  extends Pick<Answer, 'message' | 'sources' | 'suggestions' | 'turns' | 'notice'> {
  /** Absent when there are none. */
  pictures?: readonly KeptPicture[]
}

export interface Turn {
  invocationId: number
  prompt: string
  tone: Tone | null
  answer: StoredAnswer
  askedAt: number
  answeredAt: number
}

export interface AnsweredTurn {
  invocationId: number
  prompt: string
  tone: Tone | undefined
  answer: StoredAnswer
  answeredAt: number
  /** State of the conversation after this turn. */
  state: ConversationRow['state']
  upstream: UpstreamConversation
  expiresAt: number | null
}

/**
 * The right of a worker to ask the next turn of a conversation. Its time makes it one of a kind: a statement of an
 * earlier claim that a stalled database carries out late does nothing to this one.
 */
export interface TurnClaim {
  conversationId: string
  worker: string
  askedAt: number
}

/** Characters of a prompt that a list needs for a title. */
const OPENING_CHARS = 200

export function createConversationStore({ db }: Store) {
  /** The conversation, while the claim on it lasts. */
  const claimed = (on: Queries, { conversationId, worker, askedAt }: TurnClaim) =>
    on
      .updateTable('conversations')
      .where('id', '=', conversationId)
      .where('asked_by', '=', worker)
      .where('asked_at', '=', askedAt)

  return {
    async insert(conversation: Conversation): Promise<void> {
      await db.insertInto('conversations').values(toRow(conversation)).execute()
    },

    async get(id: string): Promise<Conversation | undefined> {
      // PostgreSQL takes no text with NUL; nothing has such an id.
      if (id.includes('\0')) return undefined
      const row = await db
        .selectFrom('conversations')
        .selectAll()
        .where('id', '=', id)
        .modifyEnd(ONE_ROW)
        .executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** An owner's conversations, the newest first, those that come after `after`. */
    async list(
      owner: string,
      { limit, after }: { limit: number; after?: PageEnd | undefined }
    ): Promise<ListedConversation[]> {
      const rows = await db
        .selectFrom('conversations')
        .select((eb) => [
          'id',
          'state',
          'next_invocation',
          'created_at',
          'updated_at',
          eb
            .selectFrom('turns')
            .select(sql<string>`substr(prompt, 1, ${sql.lit(OPENING_CHARS)})`.as('opening'))
            .whereRef('conversation_id', '=', 'conversations.id')
            .where('invocation_id', '=', 0)
            .as('opening')
        ])
        .where('owner', '=', owner)
        .$if(after !== undefined, (query) => query.where(isAfter(after as PageEnd)))
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        id: row.id,
        state: row.state,
        nextInvocation: row.next_invocation,
        createdAt: row.created_at,
        updatedAt: row.updated_at,
        opening: row.opening
      }))
    },

    /** The turn with this number, when it was answered. */
    turn: (id: string, invocationId: number) => readTurn(db, id, invocationId),

    /** The answered turns, in order. */
    async turns(id: string): Promise<Turn[]> {
      const rows = await db
        .selectFrom('turns')
        .selectAll()
        .where('conversation_id', '=', id)
        .orderBy('invocation_id')
        .execute()
      return rows.map(toTurn)
    },

    /**
     * Takes the right to ask the next turn. A claim that the same worker already has is replaced: a worker claims only
     * where it has no turn under way, so that one is left over from a claim whose confirmation was lost.
     * @param isFirst a first turn's claim must outlive a power loss, so that the turn counts as in doubt afterwards
     * @returns the conversation as it is now; nothing when another worker has it, or there is no such conversation
     */
    async claim(
      { conversationId, worker, askedAt }: TurnClaim,
      isFirst = true
    ): Promise<Conversation | undefined> {
      const row = await db
        .updateTable('conversations')
        .set({ asked_by: worker, asked_at: askedAt })
        .where('id', '=', conversationId)
        .where((eb) => eb.or([eb('asked_by', 'is', null), eb('asked_by', '=', worker)]))
        .returningAll()
        .$if(!isFirst, (query) => query.modifyEnd(VOLATILE))
        .executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** Gives a claim back. @param inDoubt the first turn was asked, and what became of it is not known */
    async unclaim(claim: TurnClaim, inDoubt = false): Promise<void> {
      await claimed(db, claim)
        .set({ asked_by: null, asked_at: null, ...(inDoubt ? { in_doubt: 1 as const } : {}) })
        .execute()
    },

    /** Gives a claim back and closes the conversation: the upstream has given it up. */
    async endConversation(claim: TurnClaim, state: 'full' | 'expired', now: number): Promise<void> {
      await claimed(db, claim).set({ asked_by: null, asked_at: null, state, updated_at: now }).execute()
    },

    /**
     * Gives back all claims of a worker that has ended. Whether the upstream answered what the worker asked is not known;
     * for a first turn that is noted, since a session can't be begun twice.
     */
    async unclaimAll(worker: string): Promise<void> {
      await db
        .updateTable('conversations')
        .set((eb) => ({
          asked_by: null,
          asked_at: null,
          in_doubt: eb
            .case()
            .when('next_invocation', '=', 0)
            .then(sql.lit(1 as const))
            .else(eb.ref('in_doubt'))
            .end()
        }))
        .where('asked_by', '=', worker)
        .execute()
    },

    async claimsOf(worker: string): Promise<TurnClaim[]> {
      const rows = await db
        .selectFrom('conversations')
        .select(['id', 'asked_at'])
        .where('asked_by', '=', worker)
        .execute()
      return rows.map((row) => ({ conversationId: row.id, worker, askedAt: row.asked_at as number }))
    },

    /**
     * Keeps an answered turn, moves the conversation on and gives the claim back, in one transaction. May be repeated
     * when its outcome is unknown. A claim that was given back in the meantime is as good, as long as nobody else has
     * asked since: the upstream has counted the turn.
     * @returns `false`, with nothing stored, when another worker has taken over, or the conversation is gone
     */
    async answer(claim: TurnClaim, turn: AnsweredTurn): Promise<boolean> {
      return db.transaction().execute(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('conversations')
          .set((eb) => ({
            next_invocation: turn.invocationId + 1,
            context_chars: eb('context_chars', '+', turn.prompt.length + turn.answer.message.length),
            state: turn.state,
            upstream: JSON.stringify(turn.upstream),
            expires_at: turn.expiresAt,
            updated_at: turn.answeredAt,
            asked_by: null,
            asked_at: null,
            in_doubt: 0 as const
          }))
          .where('id', '=', claim.conversationId)
          .where('next_invocation', '=', turn.invocationId)
          .where((eb) =>
            eb.or([
              eb('asked_by', 'is', null),
              eb.and([eb('asked_by', '=', claim.worker), eb('asked_at', '=', claim.askedAt)])
            ])
          )
          .executeTakeFirst()
        if (numUpdatedRows === 0n) {
          const kept = await readTurn(tx, claim.conversationId, turn.invocationId)
          return kept?.askedAt === claim.askedAt && kept.answeredAt === turn.answeredAt
        }
        await tx
          .insertInto('turns')
          .values({
            conversation_id: claim.conversationId,
            invocation_id: turn.invocationId,
            prompt: turn.prompt,
            tone: turn.tone ?? null,
            answer: JSON.stringify(turn.answer),
            asked_at: claim.askedAt,
            answered_at: turn.answeredAt
          })
          .execute()
        return true
      })
    },

    /**
     * Points a conversation that was never answered at another one upstream.
     * @returns `false` when the claim is gone
     */
    async moveUpstream(claim: TurnClaim, upstream: UpstreamConversation, now: number): Promise<boolean> {
      const { numUpdatedRows } = await claimed(db, claim)
        .set({ upstream: JSON.stringify(upstream), updated_at: now, in_doubt: 0 })
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /**
     * Removes an owner's conversation and its turns, unless one of them is under way.
     * @returns whether there was one to remove
     */
    async remove(id: string, owner: string): Promise<boolean> {
      if (id.includes('\0')) return false
      const { numDeletedRows } = await db
        .deleteFrom('conversations')
        .where('id', '=', id)
        .where('owner', '=', owner)
        .where('asked_by', 'is', null)
        .executeTakeFirst()
      return numDeletedRows > 0n
    }
  }
}

export type ConversationStore = ReturnType<typeof createConversationStore>

async function readTurn(on: Queries, id: string, invocationId: number): Promise<Turn | undefined> {
  const row = await on
    .selectFrom('turns')
    .selectAll()
    .where('conversation_id', '=', id)
    .where('invocation_id', '=', invocationId)
    .executeTakeFirst()
  return row === undefined ? undefined : toTurn(row)
}

function toTurn(row: TurnRow): Turn {
  return {
    invocationId: row.invocation_id,
    prompt: row.prompt,
    tone: row.tone as Tone | null,
    answer: JSON.parse(row.answer),
    askedAt: row.asked_at,
    answeredAt: row.answered_at
  }
}

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
    updated_at: conversation.updatedAt,
    asked_by: conversation.askedBy,
    asked_at: null,
    in_doubt: conversation.inDoubt ? 1 : 0
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
    updatedAt: row.updated_at,
    askedBy: row.asked_by,
    inDoubt: row.in_doubt === 1
  }
}
