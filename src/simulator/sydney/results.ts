import type { ResultFailure, TurnBehaviour } from './behaviour.ts'
import { TOKEN_EXPIRED } from './question.ts'

/** `item.result` of a final record. */
export interface Result {
  value: string
  message?: string | null
  error?: string
  exception?: string
}

/** Values and wordings of docs/protocol/chat-sydney.md section 8.2. */
const FAILURES: Record<Exclude<ResultFailure, 'none'>, (conversationId: string) => Result> = {
  throttled: () => ({ value: 'Throttled', message: 'Request is throttled.' }),
  captcha: () => ({ value: 'CaptchaChallenge', message: 'User needs to solve CAPTCHA to continue.' }),
  'invalid-session': (id) => ({
    value: 'InvalidSession',
    message: `Conversation '${id}' doesn't exist or has expired. Conversations expire after 06:00:00.`
  }),
  'token-expired': () => TOKEN_EXPIRED,
  'signature-missing': () => ({
    value: 'UnauthorizedRequest',
    message: 'The conversationSignature is not set and is required. IsAuthenticated=False renewCert:true'
  }),
  unauthorized: () => ({ value: 'UnauthorizedRequest', message: 'The request is not authorized.' }),
  deepleo: () => ({
    value: 'InternalError',
    message: 'Unhandled Dependency Failure: DeepLeo/Bing',
    exception: 'DependencyFailureException: DeepLeo/Bing\n   at Bot.Turn.RunAsync(ITurnContext turnContext)'
  }),
  chatgpt: () => ({
    value: 'InternalError',
    message: 'ServiceClient failure for ChatGpt. Cancellation not requested'
  }),
  'user-offense': () => ({ value: 'InternalError', message: 'ServiceClient failure for UserOffense' }),
  storage: () => ({
    value: 'InternalError',
    message: 'ConversationStorage:Set:Storage Error: Sender.UserId required'
  }),
  'context-length': () => ({
    value: 'InternalError',
    message: 'Unhandled Exception',
    exception: "ModelException: This model's maximum context length is 8193 tokens, your messages are longer."
  }),
  'invalid-request': () => ({
    value: 'InvalidRequest',
    message: "Sorry, I wasn't able to respond to that. Please try something else."
  })
}

/** The failure that a behaviour asks for, or `undefined` for a `Success`. */
export function failureOf(behaviour: TurnBehaviour, conversationId: string): Result | undefined {
  if (behaviour.result !== undefined)
    return behaviour.result.value === 'Success' ? undefined : behaviour.result
  return behaviour.failure === 'none' ? undefined : FAILURES[behaviour.failure](conversationId)
}

const SERVICE_VERSION = '20240203.103'

/** Type 2 of a failed turn: no messages, and `error` repeats the value; section 8.1. */
export function failedItem(conversationId: string | null, requestId: string, result: Result): object {
  return {
    firstNewMessageIndex: null,
    defaultChatName: null,
    conversationId,
    requestId,
    telemetry: { metrics: null, startTime: new Date().toISOString() },
    result: { error: result.value, ...result, serviceVersion: SERVICE_VERSION }
  }
}

export interface GoodItem {
  messages: object[]
  conversationId: string
  requestId: string
  expiresAt: number
  startedAt: number
  throttling: object
  /** Plain answer text, `null` when there is none. */
  message: string | null
}

/** Type 2 of a turn that ended well; section 7. */
export function successItem(good: GoodItem): object {
  return {
    messages: good.messages,
    firstNewMessageIndex: 1,
    defaultChatName: null,
    conversationId: good.conversationId,
    requestId: good.requestId,
    conversationExpiryTime: new Date(good.expiresAt).toISOString(),
    shouldInitiateConversation: true,
    telemetry: { startTime: new Date(good.startedAt).toISOString() },
    throttling: good.throttling,
    result: { value: 'Success', message: good.message, serviceVersion: SERVICE_VERSION }
  }
}
