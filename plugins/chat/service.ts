import { createHash, randomBytes, randomInt, randomUUID, timingSafeEqual } from 'node:crypto'
import type { ChatAnswer, ChatRequest, Conversation } from '../../schemas/chat.ts'
import type { Clock } from '../../src/clock.ts'
import { GatewayError } from '../../src/errors.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { createFairGate } from '../../src/jobs/fair-gate.ts'
import type { TimeSpent } from '../../src/jobs/time-spent.ts'
import type { ChatPictures, KeptPicture } from '../../src/media/chat-pictures.ts'
import type {
  ConversationStore,
  StoredAnswer,
  Conversation as StoredConversation
} from '../../src/store/conversation-store.ts'
import type { Answer, ChatClient, TextChange } from '../../src/upstream/chat-client.ts'
import { type FailureId, UpstreamError } from '../../src/upstream/failures.ts'
import type { Caller } from '../auth/index.ts'
import { conversationUnknown, type HeldTurn, type TurnClaims, turnInProgress } from './turn-claims.ts'
import { answerFields, type CopyUrl } from './view.ts'

export interface ChatServiceSettings {
  client: ChatClient
  /** Which protocol the client speaks; stored with each conversation. */
  kind: string
  /** What a call that takes too long is. */
  timeoutRow: FailureId
  /** Questions that one account may be asked a minute; 0: any number. */
  turnsPerMinute: number
  /** Copies the pictures of an answer. */
  keepPictures: ChatPictures['keep']
  store: ConversationStore
  claims: TurnClaims
  limits: CreationLimits
  isWhitelisted: (userId: string) => boolean
  /** What is thrown for a user that is not listed. */
  notListed: () => GatewayError
  clock: Clock
  timeoutMs: number
  /** 0: no limit. */
  concurrency: number
  maxPromptChars: number
  /** Told how long each turn and each conversation start waited for a place, in milliseconds. */
  onAdmitted?: (waitedMs: number) => void
}

/** What a caller may create. @see plugins/auth/limits.ts */
export interface CreationLimits {
  /** @throws {GatewayError} rate_limit_error */
  take(caller: Caller): Promise<number | null>
  giveBack(caller: Caller, windowEnds: number | null): Promise<void>
}

export interface AskResult {
  answer: ChatAnswer
  /** The stored answer of an earlier, equal request. */
  replayed: boolean
}

export interface AskContext {
  /** Who asks, where the request says it beside the signature; else the empty string. */
  caller: string
  signal: AbortSignal
  /** Where the caller finds copies of pictures. */
  copyUrl: CopyUrl
  onText?: (change: TextChange) => void
  onRepeat?: (error: Error, attempt: number) => void
  /** Where the time of the request goes. */
  spent?: TimeSpent | undefined
}

/** Closed for good by these rows of docs/protocol/failures.md. */
const ENDS: Readonly<Record<string, 'full' | 'expired'>> = {
  S14: 'full',
  S18: 'full',
  S3: 'expired',
  S4: 'expired'
}
/** After these, as after a hang-up, the upstream may have counted a turn that nobody was answered. */
const UNDECIDED: readonly string[] = ['W8', 'W10', 'W11', 'W12', 'P15', 'P16', 'P18', 'P-empty', 'T11']
const PACE_LIMITED = 'pace_limited'
/** A turn that could only begin so shortly before its deadline would be asked for nothing. */
const SHORTEST_TURN_MS = 4000

/** Rules of conversations that hold for every caller: who may ask, in which order, and what a repeat means. */
export function createChatService(settings: ChatServiceSettings) {
  const { client, store, claims, limits, clock } = settings
  const gate = createFairGate(settings.concurrency, {
    perMinute: settings.turnsPerMinute,
    clock,
    tooLate: (waitS) => paceLimited(settings.turnsPerMinute, waitS)
  })

  async function within<T>(
    owner: string,
    signal: AbortSignal,
    spent: TimeSpent | undefined,
    isTurn: boolean,
    run: (signal: AbortSignal, admitRepeat: () => Promise<boolean>) => Promise<T>
  ): Promise<T> {
    const by = clock.now() + settings.timeoutMs - SHORTEST_TURN_MS
    const limit = deadline(clock, settings.timeoutMs, () => new UpstreamError(settings.timeoutRow), signal)
    const askedAt = performance.now()
    spent?.enter('queue')
    try {
      const leave = await gate.enter(owner, limit.signal, isTurn ? { by } : undefined)
      settings.onAdmitted?.(performance.now() - askedAt)
      spent?.enter('upstream')
      try {
        return await run(limit.signal, () => hasTimeToRepeat(limit.signal, by, spent))
      } finally {
        leave()
      }
    } finally {
      spent?.enter(undefined)
      limit.clear()
    }
  }

  /** Waits until the pace allows a repeat. @returns `false` when that would be too late */
  async function hasTimeToRepeat(
    signal: AbortSignal,
    by: number,
    spent: TimeSpent | undefined
  ): Promise<boolean> {
    spent?.enter('queue')
    try {
      await gate.again(signal, { by })
      return true
    } catch (error) {
      if (error instanceof GatewayError && error.code === PACE_LIMITED) return false
      throw error
    } finally {
      spent?.enter('upstream')
    }
  }

  async function authorized(request: ChatRequest, caller: string): Promise<StoredConversation> {
    const conversation = await store.get(request.conversationId)
    // Somebody else's conversation does not exist, even for who got hold of its signature.
    if (conversation === undefined || (caller !== '' && caller !== conversation.owner)) {
      throw conversationUnknown()
    }
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

  /**
   * The stored answer when the request repeats the last answered turn; nothing when it may be asked as the next one.
   * @param underWay a turn runs, after which other numbers are right
   */
  async function replay(
    conversation: StoredConversation,
    request: ChatRequest,
    copyUrl: CopyUrl,
    underWay: boolean
  ): Promise<AskResult | undefined> {
    const expected = conversation.nextInvocation
    const given = request.invocationId ?? expected
    if (given !== expected) {
      const last = given === expected - 1 ? await store.turn(conversation.id, given) : undefined
      if (last?.prompt === request.prompt)
        return { answer: toAnswer(conversation.id, given, last.answer, copyUrl), replayed: true }
      if (underWay) throw turnInProgress()
      throw wrongInvocation(expected, last === undefined ? undefined : given)
    }
    if (conversation.upstreamKind !== settings.kind) throw otherUpstream()
    if (conversation.state === 'full') throw new UpstreamError('S14')
    if (conversation.state === 'expired') throw new UpstreamError('S3')
    return undefined
  }

  async function ask(turn: HeldTurn, request: ChatRequest, context: AskContext): Promise<AskResult> {
    const { conversation } = turn
    const { id } = conversation
    // Another gateway may have answered since the first look.
    const replayed = await replay(conversation, request, context.copyUrl, false)
    if (replayed !== undefined) return replayed

    const question = {
      prompt: request.prompt,
      invocationId: conversation.nextInvocation,
      tone: request.tone,
      contextChars: conversation.contextChars,
      inDoubt: conversation.inDoubt
    }
    const endsAt = clock.now() + settings.timeoutMs
    let isAsked = false
    try {
      const answer = await within(
        conversation.owner,
        context.signal,
        context.spent,
        true,
        (signal, admitRepeat) =>
          client.ask(conversation.upstream, question, {
            signal,
            onText: context.onText,
            onRepeat: context.onRepeat,
            admitRepeat,
            onConversation: (upstream) => turn.moveUpstream(upstream),
            onAsked: () => {
              isAsked = true
            }
          })
      )
      const { message, sources, suggestions, turns, notice } = answer
      const kept: StoredAnswer = { message, sources, suggestions, turns, notice }
      if (answer.pictures.length > 0)
        kept.pictures = await keepPictures(conversation, answer, context.signal, endsAt)
      await turn.answer({
        invocationId: question.invocationId,
        prompt: request.prompt,
        tone: request.tone,
        answer: kept,
        answeredAt: clock.now(),
        state: answer.ended ? 'full' : 'open',
        upstream: answer.conversation,
        expiresAt: answer.expiresAt ?? null
      })
      return { answer: toAnswer(id, question.invocationId, kept, context.copyUrl), replayed: false }
    } catch (error) {
      const ended = error instanceof UpstreamError ? ENDS[error.row] : undefined
      // The upstream's word is what the caller gets, whether or not it can be noted.
      if (ended !== undefined) await turn.close(ended).catch(() => {})
      const isUndecided = !(error instanceof UpstreamError) || UNDECIDED.includes(error.row)
      if (isAsked && isUndecided && question.invocationId === 0) turn.doubt()
      throw error
    }
  }

  /** @throws {UpstreamError} P-empty, when the pictures were all that there was and none of them is of any use */
  async function keepPictures(
    { id: conversationId, owner, nextInvocation: invocationId }: StoredConversation,
    { message, pictures }: Answer,
    caller: AbortSignal,
    endsAt: number
  ): Promise<readonly KeptPicture[]> {
    const leftMs = Math.max(0, endsAt - clock.now())
    const kept = await settings.keepPictures({
      conversationId,
      owner,
      invocationId,
      pictures,
      caller,
      leftMs
    })
    if (message === '' && kept.length === 0) throw new UpstreamError('P-empty')
    return kept
  }

  async function open(owner: string, signal: AbortSignal, spent?: TimeSpent): Promise<Conversation> {
    const upstream = await within(owner, signal, spent, false, (limited) => client.create(limited))
    const now = clock.now()
    const signature = randomBytes(32).toString('base64url')
    const conversation: StoredConversation = {
      id: randomUUID(),
      owner,
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
      updatedAt: now,
      askedBy: null,
      inDoubt: false
    }
    await store.insert(conversation)
    return {
      conversationId: conversation.id,
      clientId: conversation.clientId,
      conversationSignature: signature,
      invocationId: 0
    }
  }

  return {
    /**
     * Opens a conversation for a whitelisted caller, and counts it against their limit unless that fails.
     * @throws {GatewayError} rate_limit_error | what the client's `create` throws
     */
    async create(caller: Caller, signal: AbortSignal, spent?: TimeSpent): Promise<Conversation> {
      const window = await limits.take(caller)
      try {
        return await open(caller.userId, signal, spent)
      } catch (error) {
        await limits.giveBack(caller, window).catch(() => {})
        throw error
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
      const conversation = await authorized(request, context.caller)
      return (
        (await replay(conversation, request, context.copyUrl, conversation.askedBy !== null)) ??
        claims.hold(conversation, (turn) => ask(turn, request, context))
      )
    }
  }
}

export type ChatService = ReturnType<typeof createChatService>

function toAnswer(
  conversationId: string,
  invocationId: number,
  answer: StoredAnswer,
  copyUrl: CopyUrl
): ChatAnswer {
  const { message, ...rest } = answerFields(answer, copyUrl)
  return {
    message,
    conversationId,
    invocationId: invocationId + 1,
    ...rest,
    ...(answer.turns === undefined ? {} : { turns: answer.turns })
  }
}

/** Without what neither the store nor the wire can keep (half a surrogate pair, NUL): a repeat must equal what was stored. */
function storable(prompt: string): string {
  return prompt.replace(/\p{Surrogate}|\0/gu, '\ufffd')
}

function wrongInvocation(expected: number, answered: number | undefined): GatewayError {
  const next = `This conversation expects invocationId ${expected}.`
  return new GatewayError(
    'conflict_error',
    answered === undefined ? next : `Turn ${answered} was answered for another prompt. ${next}`,
    { code: 'wrong_invocation', param: 'invocationId', shouldRetry: false }
  )
}

/** The conversation began while CHAT_UPSTREAM was another one, which holds what was said in it. */
function otherUpstream(): GatewayError {
  return new GatewayError(
    'not_found_error',
    'The conversation was held with another chat service than the gateway uses now. Create a new one.',
    { code: 'conversation_expired', shouldRetry: false }
  )
}

function paceLimited(perMinute: number, retryAfter: number): GatewayError {
  return new GatewayError(
    'rate_limit_error',
    `The gateway asks at most ${perMinute} questions a minute, and the next ones are spoken for.`,
    { code: PACE_LIMITED, retryAfter }
  )
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
