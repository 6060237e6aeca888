import { createHash, randomBytes, randomInt, randomUUID, timingSafeEqual } from 'node:crypto'
import type { ChatAnswer, ChatRequest, Conversation } from '../../schemas/chat.ts'
import type { Clock } from '../../src/clock.ts'
import { GatewayError } from '../../src/errors.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { createFairGate } from '../../src/jobs/fair-gate.ts'
import type {
  AnsweredTurn,
  ConversationStore,
  StoredAnswer,
  Conversation as StoredConversation
} from '../../src/store/conversation-store.ts'
import type { ChatClient, TextChange } from '../../src/upstream/chat-client.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'

export interface ChatServiceSettings {
  client: ChatClient
  /** Which protocol the client speaks; stored with each conversation. */
  kind: string
  store: ConversationStore
  isWhitelisted: (userId: string) => boolean
  /** What is thrown for a user that is not listed. */
  notListed: () => GatewayError
  clock: Clock
  timeoutMs: number
  /** 0: no limit. */
  concurrency: number
  maxPromptChars: number
}

export interface AskResult {
  answer: ChatAnswer
  /** The stored answer of an earlier, equal request. */
  replayed: boolean
}

export interface AskContext {
  signal: AbortSignal
  onText?: (change: TextChange) => void
  onRepeat?: (error: Error, attempt: number) => void
}

/** Closed for good by these rows of docs/protocol/failures.md. */
const ENDS: Record<string, 'full' | 'expired'> = { S14: 'full', S18: 'full', S3: 'expired', S4: 'expired' }

/** Rules of conversations that hold for every caller: who may ask, in which order, and what a repeat means. */
export function createChatService(settings: ChatServiceSettings) {
  const { client, store, clock } = settings
  const gate = createFairGate(settings.concurrency)
  /** Conversations with a turn under way in this process. */
  const asking = new Set<string>()
  /** Answers that the store could not take: the upstream has counted them, so they are stored before anything else is asked. */
  const unstored = new Map<string, AnsweredTurn>()

  async function within<T>(
    owner: string,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>
  ): Promise<T> {
    const limit = deadline(clock, settings.timeoutMs, () => new UpstreamError('W10'), signal)
    try {
      const leave = await gate.enter(owner, limit.signal)
      try {
        return await run(limit.signal)
      } finally {
        leave()
      }
    } finally {
      limit.clear()
    }
  }

  async function authorized(request: ChatRequest): Promise<StoredConversation> {
    const conversation = await store.get(request.conversationId)
    if (conversation === undefined) throw unknownConversation()
    // Both are compared whatever the first one says, so that neither answer nor time tells which one was wrong.
    const signature = timingSafeEqual(
      Buffer.from(hash(request.conversationSignature)),
      Buffer.from(conversation.signatureHash)
    )
    const clientId = timingSafeEqual(
      Buffer.from(hash(request.clientId)),
      Buffer.from(hash(conversation.clientId))
    )
    if (!(signature && clientId)) {
      throw new GatewayError(
        'permission_error',
        'The signature or clientId does not belong to this conversation.',
        {
          code: 'wrong_signature',
          shouldRetry: false
        }
      )
    }
    if (!settings.isWhitelisted(conversation.owner)) throw settings.notListed()
    return conversation
  }

  /** The stored answer when the request repeats the last answered turn; nothing when it is the next turn. */
  async function replay(
    conversation: StoredConversation,
    request: ChatRequest
  ): Promise<StoredAnswer | undefined> {
    const expected = conversation.nextInvocation
    const given = request.invocationId ?? expected
    if (given === expected) return undefined
    const last = given === expected - 1 ? await store.turn(conversation.id, given) : undefined
    if (last?.prompt === request.prompt) return last.answer
    const problem =
      last === undefined
        ? `This conversation expects invocationId ${expected}.`
        : `Turn ${given} was answered for another prompt. This conversation expects invocationId ${expected}.`
    throw new GatewayError('conflict_error', problem, {
      code: 'wrong_invocation',
      param: 'invocationId',
      shouldRetry: false
    })
  }

  async function keep(id: string, answered: AnsweredTurn): Promise<void> {
    unstored.set(id, answered)
    await store.answer(id, answered)
    unstored.delete(id)
  }

  async function turn(id: string, request: ChatRequest, context: AskContext): Promise<AskResult> {
    const left = unstored.get(id)
    if (left !== undefined) await keep(id, left)
    const conversation = await store.get(id)
    if (conversation === undefined) throw unknownConversation()
    const invocationId = request.invocationId ?? conversation.nextInvocation
    const stored = await replay(conversation, request)
    if (stored !== undefined) return { answer: toAnswer(id, invocationId, stored), replayed: true }
    if (conversation.state === 'full') throw new UpstreamError('S14')
    if (conversation.state === 'expired') throw new UpstreamError('S3')

    const askedAt = clock.now()
    const question = {
      prompt: request.prompt,
      invocationId,
      tone: request.tone,
      contextChars: conversation.contextChars
    }
    try {
      const answer = await within(conversation.owner, context.signal, (signal) =>
        client.ask(conversation.upstream, question, {
          signal,
          onText: context.onText,
          onRepeat: context.onRepeat,
          onConversation: (upstream) => store.moveUpstream(id, upstream, clock.now())
        })
      )
      const { message, sources, suggestions, turns, notice } = answer
      const kept: StoredAnswer = { message, sources, suggestions, turns, notice }
      await keep(id, {
        invocationId,
        prompt: request.prompt,
        tone: request.tone,
        answer: kept,
        askedAt,
        answeredAt: clock.now(),
        state: answer.ended ? 'full' : 'open',
        upstream: answer.conversation,
        expiresAt: answer.expiresAt ?? null
      })
      return { answer: toAnswer(id, invocationId, kept), replayed: false }
    } catch (error) {
      const ended = error instanceof UpstreamError ? ENDS[error.row] : undefined
      // The upstream's word is what the caller gets, whether or not it can be noted.
      if (ended !== undefined) await store.close(id, ended, clock.now()).catch(() => {})
      throw error
    }
  }

  return {
    /**
     * Opens a conversation for a whitelisted user.
     * @throws {GatewayError} permission_error | what the client's `create` throws
     */
    async create(userId: string, signal: AbortSignal): Promise<Conversation> {
      if (!settings.isWhitelisted(userId)) throw settings.notListed()
      const upstream = await within(userId, signal, (limited) => client.create(limited))
      const now = clock.now()
      const signature = randomBytes(32).toString('base64url')
      const conversation: StoredConversation = {
        id: randomUUID(),
        owner: userId,
        // Digits, as seed A's clients saw them. The upstream's own ids stay inside.
        clientId: `9147${String(randomInt(0, 1e11)).padStart(11, '0')}`,
        signatureHash: hash(signature),
        upstreamKind: settings.kind,
        upstream,
        state: 'open',
        nextInvocation: 0,
        contextChars: 0,
        expiresAt: null,
        createdAt: now,
        updatedAt: now
      }
      await store.insert(conversation)
      return {
        conversationId: conversation.id,
        clientId: conversation.clientId,
        conversationSignature: signature,
        invocationId: 0
      }
    },

    /**
     * Asks one question, or gives the stored answer to a repeat of the last one.
     * @throws {GatewayError} invalid_request_error | not_found_error | permission_error | conflict_error | what the client's `ask` throws
     */
    async ask(given: ChatRequest, context: AskContext): Promise<AskResult> {
      const request = { ...given, prompt: storable(given.prompt) }
      if (request.prompt.trim() === '') {
        throw new GatewayError('invalid_request_error', 'prompt must not be empty.', { param: 'prompt' })
      }
      if (request.prompt.length > settings.maxPromptChars) {
        throw new GatewayError(
          'invalid_request_error',
          `prompt is longer than ${settings.maxPromptChars} characters.`,
          {
            code: 'prompt_too_long',
            param: 'prompt',
            shouldRetry: false
          }
        )
      }
      const { id } = await authorized(request)
      if (asking.has(id)) {
        throw new GatewayError('conflict_error', 'A turn of this conversation is under way.', {
          code: 'turn_in_progress',
          retryAfter: 1
        })
      }
      asking.add(id)
      try {
        return await turn(id, request, context)
      } finally {
        asking.delete(id)
      }
    }
  }
}

export type ChatService = ReturnType<typeof createChatService>

function toAnswer(
  conversationId: string,
  invocationId: number,
  { message, sources, suggestions, turns, notice }: StoredAnswer
): ChatAnswer {
  return {
    message,
    conversationId,
    invocationId: invocationId + 1,
    ...(sources.length > 0 ? { sources } : {}),
    ...(suggestions.length > 0 ? { suggestions } : {}),
    ...(turns === undefined ? {} : { turns }),
    ...(notice === undefined ? {} : { truncated: true, notice })
  }
}

/** Without what neither the store nor the wire can keep (half a surrogate pair, NUL): a repeat must equal what was stored. */
function storable(prompt: string): string {
  return prompt.replace(/\p{Surrogate}|\0/gu, '\ufffd')
}

function unknownConversation(): GatewayError {
  return new GatewayError('not_found_error', 'There is no such conversation.', {
    code: 'conversation_unknown',
    shouldRetry: false
  })
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
