import { type ErrorDetails, type ErrorType, GatewayError } from '../errors.ts'

/**
 * What a wire symptom means to the caller, as data: one row per row of docs/protocol/failures.md.
 * A change of judgement (another code, one more retry) is a change here and nowhere else.
 */
interface FailureRow {
  type: ErrorType
  code: string
  /** Safe to show: says what happened and, where a person must act, what to do. */
  message: string
  /** Delays in milliseconds before each repeat that the gateway itself may make; absent: never repeated. */
  retries?: readonly number[]
  /** `Retry-After` in seconds when the upstream named none. */
  retryAfter?: number
  /** What is believed of the upstream's own word at most, in seconds; absent: LONGEST_WAIT_S. */
  longestWait?: number
  /** `false`: the same request can't succeed later without somebody doing something. */
  shouldRetry?: false
  /** Nothing was sent that the upstream could have acted on. */
  asked?: false
}

/** A wait that the upstream asks for counts up to here, in seconds: dates may be of any year, and throttles have never been seen to last longer. */
const LONGEST_WAIT_S = 86_400

const cookieExpired = {
  type: 'auth_error',
  code: 'cookie_expired',
  message:
    'Microsoft does not accept the _U cookie any more. Sign in at bing.com and give the gateway the new cookie.',
  shouldRetry: false
} as const

const challenge = {
  type: 'upstream_unavailable_error',
  code: 'challenge_required',
  message:
    'Microsoft asks for a check that only a person can pass. Open bing.com in a browser with this account, pass it, and give the gateway the new cookies.',
  retryAfter: 1800,
  shouldRetry: false
} as const

const contentPolicy = {
  type: 'prompt_rejected_error',
  code: 'content_policy',
  message: 'Prompt rejected for content policy.',
  shouldRetry: false
} as const

const regionBlocked = {
  type: 'upstream_unavailable_error',
  code: 'region_blocked',
  message: 'Microsoft does not serve this from the region or network that the gateway runs in.',
  retryAfter: 3600
} as const

const conversationExpired = {
  type: 'not_found_error',
  code: 'conversation_expired',
  message: 'The conversation has expired at Bing. Create a new one.',
  shouldRetry: false
} as const

const badPayload = {
  type: 'upstream_error',
  code: 'bad_payload',
  message: 'Microsoft answered in a form that the gateway does not know.'
} as const

const copilotChallenge = {
  type: 'upstream_unavailable_error',
  code: 'challenge_required',
  message:
    'Copilot asks for a check that only a person can pass. Open copilot.microsoft.com in a browser with this account, pass it, and give the gateway the new cookies.',
  retryAfter: 1800,
  shouldRetry: false
} as const

const creationFailed = {
  type: 'upstream_error',
  code: 'creation_failed',
  message: 'Bing could not finish this creation.',
  retryAfter: 60
} as const

const tooManyJobs = {
  type: 'rate_limit_error',
  code: 'too_many_jobs',
  message: 'Bing is still working on other creations of this account.'
} as const

const notAccepted = {
  type: 'upstream_error',
  code: 'not_accepted',
  message:
    'Bing showed its start page instead of accepting the prompt. Either the prompt was blocked without saying so, or the account has no fast creations left.',
  shouldRetry: false
} as const

const outage = {
  type: 'upstream_unavailable_error',
  code: 'outage',
  message: 'Bing says that this service is not available right now.',
  retries: [5000, 5000],
  retryAfter: 600
} as const

const upstreamInternal = {
  type: 'upstream_error',
  code: 'upstream_internal',
  message: 'Bing reported an internal error.'
} as const

const contentFiltered = {
  type: 'prompt_rejected_error',
  code: 'content_filtered',
  message: 'Bing filtered this prompt and gave no answer.',
  shouldRetry: false
} as const

export const FAILURES = {
  // 1. Transport
  T1: {
    type: 'upstream_unavailable_error',
    code: 'unreachable',
    message: 'Microsoft could not be reached.',
    retries: [500, 500],
    retryAfter: 30,
    asked: false
  },
  T2: {
    type: 'upstream_unavailable_error',
    code: 'unreachable',
    message: 'Microsoft did not accept a connection in time.',
    retries: [500],
    retryAfter: 60,
    asked: false
  },
  T3: { ...regionBlocked, retries: [500], retryAfter: 60 },
  T4: {
    type: 'upstream_timeout_error',
    code: 'timeout',
    message: 'Microsoft fell silent before its answer was complete.'
  },
  T5: regionBlocked,
  T6: cookieExpired,
  T7: challenge,
  T8: {
    type: 'rate_limit_error',
    code: 'throttled',
    message: 'Microsoft is throttling this account.',
    retryAfter: 60
  },
  T9: {
    type: 'upstream_unavailable_error',
    code: 'upstream_5xx',
    message: 'Microsoft is having trouble.',
    retries: [1000, 3000],
    retryAfter: 30
  },
  'T9-bad': {
    type: 'upstream_error',
    code: 'upstream_5xx',
    message: 'Microsoft answered with a server error.',
    retries: [1000, 3000],
    retryAfter: 30
  },
  T10: {
    type: 'upstream_unavailable_error',
    code: 'unexpected_page',
    message: 'Microsoft answered with a web page where data was expected.',
    retries: [2000],
    retryAfter: 300
  },
  T11: badPayload,
  /** A submit whose answer was lost: it may or may not have been accepted, so nobody may send it again blindly. */
  'outcome-unknown': {
    type: 'upstream_error',
    code: 'outcome_unknown',
    message:
      'The connection to Bing broke while the prompt was being submitted, so the outcome is unknown. It was not sent again; look at bing.com/images/create before you repeat it.',
    shouldRetry: false
  },

  // 2. Sydney: create
  C1: {
    type: 'auth_error',
    code: 'cookie_missing',
    message: 'No _U cookie is set. Set BING_COOKIE_U or BING_COOKIE_FILE.',
    shouldRetry: false,
    asked: false
  },
  C2: { ...cookieExpired, retries: [2000] },
  C3: cookieExpired,
  C4: {
    type: 'permission_error',
    code: 'account_forbidden',
    message: 'Microsoft does not admit this account to Bing Chat.',
    shouldRetry: false
  },
  C5: { ...upstreamInternal, retries: [2000] },
  C6: {
    type: 'upstream_unavailable_error',
    code: 'ip_blocked',
    message: 'Bing answers this network with an empty page.',
    retries: [500, 500, 500],
    retryAfter: 600
  },
  C7: { ...badPayload, retries: [1000] },
  C8: {
    type: 'upstream_error',
    code: 'upstream_5xx',
    message: 'Bing did not find its own service.',
    retries: [1000, 1000]
  },
  C9: { type: 'upstream_error', code: 'upstream_rejected', message: 'Bing refused to start a conversation.' },
  C10: challenge,

  // 3. Sydney: connection
  W1: {
    type: 'upstream_unavailable_error',
    code: 'hub_refused',
    message: 'The chat hub refused the connection.',
    retryAfter: 60
  },
  W3: {
    type: 'upstream_unavailable_error',
    code: 'ip_blocked',
    message: 'The chat hub refuses this network.',
    retryAfter: 1800
  },
  W4: {
    type: 'upstream_unavailable_error',
    code: 'hub_closed',
    message: 'The chat hub closed the connection at once.',
    retries: [1000],
    retryAfter: 30
  },
  W5: {
    type: 'upstream_timeout_error',
    code: 'handshake_timeout',
    message: 'The chat hub did not answer the handshake.',
    retries: [0]
  },
  W6: { type: 'upstream_error', code: 'handshake_rejected', message: 'The chat hub rejected the handshake.' },
  W7: {
    type: 'upstream_error',
    code: 'hub_closed',
    message: 'The chat hub closed the connection before an answer came.',
    retries: [1000]
  },
  W8: {
    type: 'upstream_error',
    code: 'answer_truncated',
    message: 'The chat hub closed the connection in the middle of the answer.'
  },
  W9: {
    type: 'upstream_error',
    code: 'hub_closed',
    message: 'The chat hub ended the turn without an answer.'
  },
  'W9-long': {
    type: 'invalid_request_error',
    code: 'context_too_long',
    message: 'The prompt and the conversation before it are too long for Bing.',
    shouldRetry: false
  },
  W10: { type: 'upstream_timeout_error', code: 'timeout', message: 'Bing gave no answer in time.' },
  W11: { type: 'upstream_error', code: 'no_answer', message: 'Bing ended the turn without an answer.' },
  W12: badPayload,

  // 4. Sydney: final record
  S1: {
    type: 'rate_limit_error',
    code: 'throttled',
    message: 'Bing is throttling this account.',
    retryAfter: 3600,
    shouldRetry: false
  },
  S2: {
    type: 'upstream_unavailable_error',
    code: 'captcha_required',
    message:
      'Microsoft asks this account to solve a captcha. Open bing.com in a browser with this account and solve it.',
    retryAfter: 3600,
    shouldRetry: false
  },
  S3: conversationExpired,
  S4: conversationExpired,
  S5: {
    type: 'api_error',
    code: 'protocol_error',
    message: 'The gateway sent Bing an incomplete question. This is a defect of the gateway.'
  },
  S6: cookieExpired,
  S7: { ...upstreamInternal, retries: [1000, 3000] },
  S8: { ...upstreamInternal, retries: [2000] },
  S9: cookieExpired,
  S10: {
    type: 'invalid_request_error',
    code: 'context_too_long',
    message: 'The prompt and the conversation before it are too long for Bing.',
    shouldRetry: false
  },
  S11: {
    type: 'upstream_error',
    code: 'upstream_rejected',
    message: 'Bing refused this request.',
    retryAfter: 60
  },
  S14: {
    type: 'conflict_error',
    code: 'conversation_full',
    message: 'The conversation has reached its limit of turns. Create a new one.',
    shouldRetry: false
  },
  S15: {
    type: 'rate_limit_error',
    code: 'throttled',
    message: 'The daily limit of this account is used up.',
    retryAfter: 3600,
    shouldRetry: false
  },
  S16: contentFiltered,
  S18: {
    type: 'prompt_rejected_error',
    code: 'conversation_closed',
    message: 'Bing ended the conversation instead of answering. Create a new one.',
    shouldRetry: false
  },
  S19: contentFiltered,
  S20: { type: 'upstream_error', code: 'no_answer', message: 'Bing gave no answer.', retries: [1000] },
  /** Any other `result.value`. */
  'S-other': {
    type: 'upstream_error',
    code: 'upstream_rejected',
    message: 'Bing did not answer this request.'
  },

  // 6. Copilot
  P1: {
    type: 'auth_error',
    code: 'session_expired',
    message:
      'Copilot does not accept this session. Sign in at copilot.microsoft.com and give the gateway the new cookies and access token.',
    shouldRetry: false
  },
  P2: copilotChallenge,
  P3: {
    type: 'permission_error',
    code: 'account_blocked',
    message: 'Copilot has blocked this account.',
    shouldRetry: false
  },
  /** A ban that ends: `Retry-After` says when. */
  'P3-until': {
    type: 'rate_limit_error',
    code: 'account_blocked',
    message: 'Copilot has blocked this account for a time.',
    retryAfter: 3600,
    longestWait: 30 * 86_400,
    shouldRetry: false
  },
  P4: {
    type: 'upstream_error',
    code: 'bad_payload',
    message: 'Copilot started no conversation, or in a form that the gateway does not know.',
    retries: [1000]
  },
  // The repeat asks for a new session, which may have turns left.
  P5: {
    type: 'rate_limit_error',
    code: 'quota_exhausted',
    message: 'The turns of this account at Copilot are used up for now.',
    retries: [1000],
    retryAfter: 3600,
    shouldRetry: false
  },
  P6: {
    type: 'auth_error',
    code: 'token_invalid',
    message:
      "Copilot does not accept the access token: it has expired or is not the site's own. Give the gateway a new one.",
    shouldRetry: false
  },
  /** P6 where no token is set: it is the cookies, alone, that are not accepted. */
  'P6-cookies': {
    type: 'auth_error',
    code: 'session_expired',
    message:
      'Copilot does not accept these cookies for a chat. Sign in at copilot.microsoft.com and give the gateway the new ones; where they are new, it needs the access token as well.',
    shouldRetry: false
  },
  P7: {
    type: 'upstream_unavailable_error',
    code: 'client_refused',
    message: 'Copilot refuses this kind of client.',
    retryAfter: 3600
  },
  P9: copilotChallenge,
  // Repeated only where the question had gone out before Copilot said that it was ready.
  P10: {
    type: 'upstream_error',
    code: 'protocol_error',
    message: 'Copilot did not understand the order or the form of what the gateway sent.',
    retries: [500]
  },
  P11: {
    type: 'upstream_unavailable_error',
    code: 'region_blocked',
    message:
      'Copilot does not serve this account, or anonymous visitors, in the region that the gateway runs in.',
    retryAfter: 3600
  },
  P12: {
    type: 'invalid_request_error',
    code: 'prompt_too_long',
    message: 'The prompt is too long for Copilot.',
    shouldRetry: false
  },
  P13: {
    type: 'rate_limit_error',
    code: 'throttled',
    message: 'Copilot is throttling this account.',
    retryAfter: 60
  },
  P14: { type: 'upstream_error', code: 'upstream_rejected', message: 'Copilot did not answer this request.' },
  P15: {
    type: 'upstream_unavailable_error',
    code: 'hub_closed',
    message: 'Copilot closed the connection before an answer came.',
    retries: [1000],
    retryAfter: 30
  },
  P16: {
    type: 'upstream_error',
    code: 'answer_truncated',
    message: 'Copilot closed the connection in the middle of the answer.'
  },
  P18: { type: 'upstream_timeout_error', code: 'timeout', message: 'Copilot gave no answer in time.' },
  P19: {
    type: 'upstream_unavailable_error',
    code: 'upstream_5xx',
    message: 'Copilot is overloaded, or was asked too often.',
    retries: [1000, 3000],
    retryAfter: 60
  },
  /** A look at the account that shows nothing of it. No caller meets this. */
  'P-unclear': {
    type: 'upstream_error',
    code: 'inconclusive',
    message: 'What Copilot says of the visitor shows nothing of the account.'
  },
  /** `done` without a text or a picture. */
  'P-empty': { type: 'upstream_error', code: 'no_answer', message: 'Copilot gave no answer.' },

  // 7. Images
  I1: cookieExpired,
  I2: notAccepted,
  I3: cookieExpired,
  I4: contentPolicy,
  I5: contentPolicy,
  I6: {
    type: 'prompt_rejected_error',
    code: 'under_review',
    message: 'Bing put this prompt under review.',
    shouldRetry: false
  },
  I7: {
    type: 'prompt_rejected_error',
    code: 'unsafe_result',
    message: 'Bing drew the picture and then withheld it as unsafe.',
    shouldRetry: false
  },
  I8: {
    type: 'invalid_request_error',
    code: 'language_unsupported',
    message: 'Bing Image Creator does not support the language of this prompt.',
    shouldRetry: false
  },
  I9: {
    type: 'invalid_request_error',
    code: 'prompt_too_short',
    message: 'Bing asks for a more descriptive prompt.',
    shouldRetry: false
  },
  I10: { ...tooManyJobs, retries: [30_000], retryAfter: 120 },
  I11: {
    type: 'rate_limit_error',
    code: 'fast_quota_exhausted',
    message: 'The fast creations of this account are used up for today.',
    shouldRetry: false
  },
  I12: {
    type: 'upstream_unavailable_error',
    code: 'overloaded',
    message: 'Bing Image Creator is overloaded.',
    retryAfter: 120
  },
  I13: creationFailed,
  I14: {
    ...regionBlocked,
    message: 'Bing Image Creator is not offered in the region that the gateway runs in.'
  },
  I15: outage,
  I16: badPayload,
  I17: challenge,
  I19: creationFailed,
  I20: {
    type: 'upstream_error',
    code: 'upstream_rejected',
    message: 'Bing no longer shows the state of this creation.'
  },
  'I20-auth': cookieExpired,
  I21: {
    type: 'upstream_timeout_error',
    code: 'timeout',
    message: 'Bing did not finish in time. It may still finish: look at bing.com/images/create.'
  },
  'I21-review': {
    type: 'upstream_timeout_error',
    code: 'timeout',
    message:
      'Bing did not finish in time and only ever answered "pending"; the prompt may be under review. It may still finish: look at bing.com/images/create.'
  },
  I22: {
    type: 'upstream_error',
    code: 'no_images',
    message: 'Bing reported a finished creation without any picture.'
  },
  I25: {
    type: 'not_found_error',
    code: 'media_expired',
    message: 'Bing has removed this file.',
    shouldRetry: false
  },

  // 8. Video (submit answers are the rows of section 7)
  V2: { ...tooManyJobs, retryAfter: 600 },
  V3: notAccepted,
  V5: contentPolicy,
  V6: creationFailed,
  V7: badPayload,
  V8: cookieExpired,
  V9: {
    type: 'upstream_timeout_error',
    code: 'timeout',
    message: 'Bing did not finish this video in time. It may still finish: look at bing.com/images/create.'
  }
} as const satisfies Record<string, FailureRow>

export type FailureId = keyof typeof FAILURES

/** The code of a row as this table has it, for whom a word of the upstream's own choice (rows C9 and P14) won't do. */
export function codeOfRow(row: FailureId): string {
  return FAILURES[row].code
}

/** A failure seen on the upstream's wire. Thrown by src/upstream only. */
export class UpstreamError extends GatewayError {
  /** Row of docs/protocol/failures.md. */
  readonly row: FailureId
  /** Delays before the repeats that this row allows, in milliseconds. */
  readonly retries: readonly number[]
  /** What the upstream itself has asked to wait, in seconds, where it did. */
  readonly asksToWait: number | undefined

  constructor(row: FailureId, details: ErrorDetails & { type?: ErrorType; message?: string } = {}) {
    const failure: FailureRow = FAILURES[row]
    const asked = waitOf(details.retryAfter, failure)
    super(details.type ?? failure.type, details.message ?? failure.message, {
      code: details.code ?? failure.code,
      param: details.param,
      retryAfter: asked ?? failure.retryAfter,
      shouldRetry: details.shouldRetry ?? failure.shouldRetry,
      status: details.status,
      asked: details.asked ?? failure.asked ?? true,
      cause: details.cause
    })
    this.row = row
    this.retries = failure.retries ?? []
    this.asksToWait = asked
  }
}

/** What the upstream asks to wait, as far as it is believed. */
function waitOf(
  seconds: number | undefined,
  { longestWait = LONGEST_WAIT_S }: FailureRow
): number | undefined {
  if (seconds === undefined || Number.isNaN(seconds)) return undefined
  return Math.min(longestWait, Math.max(0, seconds))
}
