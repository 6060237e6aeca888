import type { Conversation, Conversations } from './conversations.ts'

/** A question that keeps the rules. */
export interface Question {
  invocationId: string
  requestId: string
  prompt: string
  tone: string | null
  optionsSets: string[]
  /** Text of `previousMessages`, joined; `null` when none came. */
  context: string | null
}

/** Why a question is not answered; `rule` is absent when the client did nothing wrong. */
export interface Refusal {
  rule?: string
  detail: string
  result: { value: string; message: string }
}

/** What an answer repeats, good or bad. */
export interface Echo {
  invocationId: string
  requestId: string
  conversationId: string | null
}

export type Checked =
  | { echo: Echo; question: Question; conversation: Conversation; refusal?: undefined }
  | { echo: Echo; refusal: Refusal }

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

const TONES = ['Creative', 'Balanced', 'Precise', 'CreativeClassic']

const invalidRequest = {
  value: 'InvalidRequest',
  message: "Sorry, I wasn't able to respond to that. Please try something else."
}

const invalidSession = (id: string) => ({
  value: 'InvalidSession',
  message: `Conversation '${id}' doesn't exist or has expired. Conversations expire after 06:00:00.`
})

const malformed = (rule: string, detail: string): Refusal => ({ rule, detail, result: invalidRequest })

/** First broken rule of the record's shape; docs/protocol/chat-sydney.md section 4. */
function faultOfShape(record: Json, argument: Json, message: Json): Refusal | undefined {
  const options = argument.optionsSets
  const rules: [boolean, string, string][] = [
    [record.target === 'chat', 'target', "The record's target must be 'chat'."],
    [
      typeof record.invocationId === 'string' && /^\d+$/.test(record.invocationId),
      'invocation-id',
      'invocationId must be a decimal number in a string.'
    ],
    [
      Array.isArray(record.arguments) && record.arguments.length === 1 && isObject(record.arguments[0]),
      'arguments',
      'arguments must hold exactly one object.'
    ],
    [isText(argument.source), 'source', 'source is missing.'],
    [
      Array.isArray(options) && options.length > 0 && options.every(isText),
      'options-sets',
      'optionsSets must be a non-empty array of names.'
    ],
    [
      Array.isArray(options) && !options.some((name) => String(name).startsWith('nojbf')),
      'filter-off',
      'optionsSets switches a safety filter off.'
    ],
    [
      argument.tone === undefined || TONES.includes(argument.tone as string),
      'tone',
      'tone is not one of the known tones.'
    ],
    [typeof argument.isStartOfSession === 'boolean', 'start-flag', 'isStartOfSession must be a boolean.'],
    [message.author === 'user', 'author', "message.author must be 'user'."],
    [message.messageType === 'Chat', 'message-type', "message.messageType must be 'Chat'."],
    [isText(message.text), 'text', 'message.text must be a non-empty string.'],
    [isText(argument.conversationId), 'conversation-id', 'conversationId is missing.'],
    [
      isObject(argument.participant) && isText(argument.participant.id),
      'participant',
      'participant.id is missing.'
    ]
  ]
  const broken = rules.find(([kept]) => !kept)
  return broken && malformed(broken[1], broken[2])
}

/** Whether ids, signature and token were given out together; sections 2.2 and 8.2. */
function faultOfPairing(
  argument: Json,
  conversation: Conversation | undefined,
  token: string | null
): Refusal | undefined {
  const id = String(argument.conversationId)
  const wrong = (rule: string, detail: string): Refusal => ({ rule, detail, result: invalidSession(id) })
  if (argument.conversationSignature === undefined || argument.conversationSignature === null) {
    return {
      rule: 'signature-missing',
      detail: 'The question carries no conversationSignature.',
      result: {
        value: 'UnauthorizedRequest',
        message: 'The conversationSignature is not set and is required. IsAuthenticated=False'
      }
    }
  }
  if (conversation === undefined) return wrong('conversation-unknown', 'No such conversation was given out.')
  if ((argument.participant as Json).id !== conversation.clientId) {
    return wrong('participant-mismatch', "participant.id is not this conversation's clientId.")
  }
  if (argument.conversationSignature !== conversation.signature) {
    return wrong('signature-mismatch', "conversationSignature is not this conversation's.")
  }
  if (token !== conversation.token) {
    return wrong('token-mismatch', "The socket's sec_access_token is not this conversation's.")
  }
  return undefined
}

/** Expiry and the order of turns; sections 4.4 and 7.3. */
function faultOfState(argument: Json, conversation: Conversation): Refusal | undefined {
  const now = Date.now()
  if (conversation.busy) {
    return malformed('one-turn-at-a-time', 'A turn of this conversation is still running.')
  }
  if (conversation.answered && argument.isStartOfSession === true) {
    return malformed('start-flag', 'isStartOfSession is true after an answered turn.')
  }
  // After an unanswered attempt both values are right: nobody can know what the other side kept.
  if (conversation.attempts === 0 && argument.isStartOfSession !== true) {
    return malformed('start-flag', 'isStartOfSession is false on the first turn.')
  }
  if (now >= conversation.expiresAt) {
    return { detail: 'The conversation has expired.', result: invalidSession(conversation.id) }
  }
  if (conversation.token !== null && now >= conversation.tokenExpiresAt) {
    return { detail: 'The token has expired.', result: TOKEN_EXPIRED }
  }
  return undefined
}

/** `item.result` for a `sec_access_token` that is too old. */
export const TOKEN_EXPIRED = {
  value: 'UnauthorizedRequest',
  message:
    'Token issued by https://sydney.bing.com/sydney is invalid (IDX10223: Lifetime validation failed. The token is expired.)'
}

/** Text of the page context; section 4.2. */
function contextOf(previous: unknown): string | null {
  if (!Array.isArray(previous)) return null
  const texts = previous.filter(isObject).map((one) => one.description ?? one.hiddenText)
  const found = texts.filter(isText)
  return found.length > 0 ? found.join('\n') : null
}

/**
 * Checks a type 4 record against everything the upstream would insist on.
 * @param token `sec_access_token` of the socket, `null` when it came without
 */
export function checkQuestion(record: Json, conversations: Conversations, token: string | null): Checked {
  const list = Array.isArray(record.arguments) ? record.arguments : []
  const argument: Json = isObject(list[0]) ? list[0] : {}
  const message: Json = isObject(argument.message) ? argument.message : {}
  const conversation = conversations.get(argument.conversationId)
  const requestId = message.requestId ?? argument.requestId
  const echo: Echo = {
    invocationId: typeof record.invocationId === 'string' ? record.invocationId : '0',
    requestId: typeof requestId === 'string' ? requestId : crypto.randomUUID(),
    conversationId: typeof argument.conversationId === 'string' ? argument.conversationId : null
  }
  const refusal =
    faultOfShape(record, argument, message) ??
    faultOfPairing(argument, conversation, token) ??
    faultOfState(argument, conversation as Conversation)
  if (refusal !== undefined) return { echo, refusal }
  return {
    echo,
    conversation: conversation as Conversation,
    question: {
      invocationId: echo.invocationId,
      requestId: echo.requestId,
      prompt: message.text as string,
      tone: (argument.tone as string | undefined) ?? null,
      optionsSets: argument.optionsSets as string[],
      context: contextOf(argument.previousMessages)
    }
  }
}
