import { randomBytes } from 'node:crypto'

/** A question that was answered, as the conversation remembers it. */
export interface RememberedTurn {
  prompt: string
  answer: string
}

/** One conversation as the upstream keeps it. */
export interface Conversation {
  /** `51D|BingProd|` and 64 upper-case hex digits. */
  id: string
  /** A digit string; the question's `participant.id`. */
  clientId: string
  /** Base64; the question's `conversationSignature`. */
  signature: string
  /** Base64, expected as `sec_access_token`; `null` when the signature was given in the body. */
  token: string | null
  /** Milliseconds since the epoch; each completed turn moves it. */
  expiresAt: number
  /** Milliseconds from the end of a turn to the expiry. */
  ttlMs: number
  /** Milliseconds since the epoch. */
  tokenExpiresAt: number
  /** Answered turns, oldest first. Aborted and refused ones are not here. */
  memory: RememberedTurn[]
  /** Questions that were accepted, answered or not. */
  attempts: number
  /** Whether a turn ended so that any client must take it as answered. */
  answered: boolean
  /** `numUserMessagesInConversation`. */
  counted: number
  /** A turn is running. */
  busy: boolean
  /** The bot ended the conversation. */
  disengaged: boolean
}

export interface ConversationSettings {
  signatures: 'headers' | 'body'
  anonymous: boolean
  conversationTtlMs: number
  tokenTtlMs: number
}

/** Conversations by id and by token. */
export interface Conversations {
  create(settings: ConversationSettings): Conversation
  get(id: unknown): Conversation | undefined
  /** The conversation that a `sec_access_token` was given out for. */
  byToken(token: string): Conversation | undefined
  /** Whether any conversation lives without a token, so that a hub connection without one can be right. */
  someWithoutToken(): boolean
}

/** Benchmarks create many; the oldest ones are forgotten so that memory stays flat. */
const MAX_CONVERSATIONS = 20_000

const digits = (length: number) =>
  Array.from(randomBytes(length), (byte, index) => (byte % 9) + (index === 0 ? 1 : 0)).join('')

/** Base64 that always holds `+`, `/` and `=`: a client that forgets to escape them must fail every time. */
const opaque = (bytes: number) => {
  const text = randomBytes(bytes).toString('base64').replaceAll('=', '')
  return `${text.slice(0, 5)}+${text.slice(5, 11)}/${text.slice(11)}=`
}

/** Starts with no conversation. */
export function createConversations(): Conversations {
  const byId = new Map<string, Conversation>()
  const byToken = new Map<string, Conversation>()
  let withoutToken = 0

  function forget(conversation: Conversation): void {
    byId.delete(conversation.id)
    if (conversation.token === null) withoutToken--
    else byToken.delete(conversation.token)
  }

  return {
    create({ signatures, anonymous, conversationTtlMs, tokenTtlMs }) {
      const now = Date.now()
      const conversation: Conversation = {
        id: `51D|${anonymous ? 'BingProdUnAuthenticatedUsers' : 'BingProd'}|${randomBytes(32).toString('hex').toUpperCase()}`,
        clientId: digits(15),
        signature: opaque(33),
        token: signatures === 'headers' ? opaque(120) : null,
        expiresAt: now + conversationTtlMs,
        ttlMs: conversationTtlMs,
        tokenExpiresAt: now + tokenTtlMs,
        memory: [],
        attempts: 0,
        answered: false,
        counted: 0,
        busy: false,
        disengaged: false
      }
      byId.set(conversation.id, conversation)
      if (conversation.token === null) withoutToken++
      else byToken.set(conversation.token, conversation)
      if (byId.size > MAX_CONVERSATIONS) {
        const [oldest] = byId.values()
        if (oldest !== undefined) forget(oldest)
      }
      return conversation
    },
    get: (id) => (typeof id === 'string' ? byId.get(id) : undefined),
    byToken: (token) => byToken.get(token),
    someWithoutToken: () => withoutToken > 0
  }
}
