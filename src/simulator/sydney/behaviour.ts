import { type FieldRules, HTTP_FAULT_FIELDS, type HttpFaults } from '../behaviour.ts'

/** Ways in which creating a conversation fails; docs/protocol/chat-sydney.md section 2.3. */
export const CREATE_FAILURES = [
  'none',
  'unauthorized',
  'user-status',
  'forbidden',
  'internal',
  'no-signature',
  'no-ids',
  'empty',
  'html',
  'not-json',
  'region',
  'region-loop',
  'login-redirect',
  'cloudflare-403',
  'not-found',
  'challenge-message'
] as const

/** Named failures of the final record; docs/protocol/chat-sydney.md section 8.2. */
export const RESULT_FAILURES = [
  'none',
  'throttled',
  'captcha',
  'invalid-session',
  'token-expired',
  'signature-missing',
  'unauthorized',
  'deepleo',
  'chatgpt',
  'user-offense',
  'storage',
  'context-length',
  'invalid-request'
] as const

/** How the upstream refuses content inside a `Success`; docs/protocol/chat-sydney.md sections 6.4 and 8.2. */
export const FILTERS = [
  'none',
  'apology-before',
  'apology-after',
  'disengaged',
  'disengaged-after-text',
  'echo-last',
  'offense',
  'topic-changer',
  'no-bot-message'
] as const

export type CreateFailure = (typeof CREATE_FAILURES)[number]
export type ResultFailure = (typeof RESULT_FAILURES)[number]
export type Filter = (typeof FILTERS)[number]

/** `GET …/turing/conversation/create`. */
export interface CreateBehaviour extends HttpFaults {
  /** Where the signature is: two response headers (since October 2023) or the body (before). */
  signatures: 'headers' | 'body'
  failure: CreateFailure
  /** Answers 200 with this `result.value` and null ids, whatever it is. */
  resultValue?: string
  /** `result.message` beside `resultValue`. */
  resultMessage?: string
  /** Gives conversations to callers without a good cookie, as some regions did. */
  anonymous: boolean
  /** Milliseconds after which the conversation answers `InvalidSession`. */
  conversationTtlMs: number
  /** Milliseconds after which the `sec_access_token` is refused with IDX10223. */
  tokenTtlMs: number
}

/**
 * How the hub gives up a socket: with a close frame (1000), without one (1006), with a type 7 record first; or `deaf`:
 * the connection stays, but nothing is read or said any more, as when a firewall has forgotten it.
 */
export const GIVE_UPS = ['close', 'terminate', 'type-7', 'deaf'] as const

/** `WS /sydney/ChatHub`: the upgrade and the handshake. A verbatim `status` refuses the upgrade with it. */
export interface UpgradeBehaviour extends HttpFaults {
  /** What follows the client's handshake record. `terminate` closes without a close frame (1006). */
  handshake: 'answer' | 'error' | 'silent' | 'close' | 'terminate'
  /** Milliseconds before the handshake is answered. */
  handshakeDelayMs: number
  /** Milliseconds after the handshake without a question, after which the hub gives the socket up; 0: never. */
  idleMs: number
  idleEnd: (typeof GIVE_UPS)[number]
  /** Whether WebSocket pings are answered, as RFC 6455 wants it. */
  pongs: boolean
  /** Gives the socket up just when the question is under way, so that it never sees it. */
  questionEnd: 'none' | (typeof GIVE_UPS)[number]
}

/** One question and its answer. */
export interface TurnBehaviour {
  // Content
  /** The answer's text in place of the generated one. */
  answer?: string
  /** Whether the turn searches the web first; `auto`: when the prompt asks for facts. */
  search: 'auto' | 'always' | 'never'
  /** Number of sources of a search turn. */
  sources: number
  /** Number of suggested prompts. */
  suggestions: number
  /** Puts the suggestions on the last update as well. */
  suggestionsOnUpdate: boolean
  /** A `RenderCardRequest` after the answer. */
  renderCard: 'search' | 'always' | 'never'
  /** `Progress` and `GeneratedCode` messages before the text. */
  progress: boolean
  /** A `GenerateContentQuery` of type `IMAGE` after the answer. */
  image: boolean
  /** A second answer message, opened by `cursor`. */
  secondMessage: boolean
  /** The card's text: as the plain one, differing at its end, in `body[1]` behind an image, or no card. */
  card: 'same' | 'differs' | 'image-first' | 'absent'
  /** Turns of a conversation before the farewell. */
  maxTurns: number
  /** Answers with a farewell in place of an answer, whatever was counted. */
  farewell: 'none' | 'limit' | 'move-on' | 'daily'

  // Pace
  /** Milliseconds of silence before the first text. */
  thinkMs: number
  /** Milliseconds before each update. */
  updateDelayMs: number
  /** Characters (code points) that each update adds; 0: the whole text in one update. */
  charsPerUpdate: number
  /** Counts UTF-16 units in place of code points, so that an update may end with half a character. */
  halfCharacters: boolean
  /** A first update that holds nothing but `throttling`. */
  throttlingFirst: boolean

  // Framing
  /** Cuts of the outgoing text into WebSocket messages: none, at every character, anywhere, or n characters each. */
  split: 'none' | 'every-char' | 'random' | number
  /** Start of the random cuts; the same seed cuts alike. */
  splitSeed: number
  /** Writes everything beyond ASCII as `\uXXXX`, so that cuts may fall inside an escape. */
  escapeUnicode: boolean
  /** Records put together into one WebSocket message. */
  recordsPerMessage: number
  /** Milliseconds between pings of the server while the turn lasts, silence included; 0: none. */
  pingEveryMs: number

  // Irregularities
  /** The text shrinks or diverges in an update, or the final record differs from the updates. */
  rewrite: 'none' | 'shrink' | 'diverge' | 'final-differs'
  /** A record of an unknown type, an invocation of an unknown target and an unknown message type. */
  unknownRecord: boolean
  /** Members that no client knows, in every record. */
  unknownFields: boolean
  /** Types 2 and 3 of another invocation, to be ignored. */
  foreignInvocation: boolean
  /** A record that is not JSON. */
  notJson: 'none' | 'before-text' | 'mid-text'
  /** Adds this many characters to the final record, in a field that is not the answer. */
  largeRecordBytes: number

  // The end
  filter: Filter
  /** Ends the turn with this named failure of section 8.2. */
  failure: ResultFailure
  /** Ends the turn with this `item.result`, whatever it is; wins over `failure`. */
  result?: { value: string; message?: string; error?: string; exception?: string }
  /** What ends the turn: types 2 and 3, one of them, or something worse. `terminate` is a close 1006. */
  end: 'final' | 'no-completion' | 'completion-only' | 'close' | 'terminate' | 'type-7' | 'silence'
  /**
   * When it ends. `start`: before any record; `before-text`; `mid-text`; `after-text`. When absent: `after-text`
   * for a good final record and for `no-completion`, `before-text` for anything else.
   */
  endAt?: 'start' | 'before-text' | 'mid-text' | 'after-text'
  /** Sends type 3 in the WebSocket message of type 2. */
  finalTogether: boolean
  /** `error` of the type 3 record. */
  completionError?: string
  /** Close code of `end: 'close'`. */
  closeCode: number
}

/** Operations of the chat half. */
export interface SydneyBehaviours {
  create: CreateBehaviour
  upgrade: UpgradeBehaviour
  turn: TurnBehaviour
}

const HOUR_MS = 3_600_000

/** What every operation does when nobody said otherwise: everything succeeds, fast. */
export const sydneyDefaults: SydneyBehaviours = {
  create: {
    signatures: 'headers',
    failure: 'none',
    anonymous: false,
    conversationTtlMs: 6 * HOUR_MS,
    tokenTtlMs: HOUR_MS
  },
  upgrade: {
    handshake: 'answer',
    handshakeDelayMs: 0,
    idleMs: 0,
    idleEnd: 'close',
    pongs: true,
    questionEnd: 'none'
  },
  turn: {
    search: 'auto',
    sources: 2,
    suggestions: 3,
    suggestionsOnUpdate: false,
    renderCard: 'search',
    progress: false,
    image: false,
    secondMessage: false,
    card: 'same',
    maxTurns: 30,
    farewell: 'none',
    thinkMs: 0,
    updateDelayMs: 2,
    charsPerUpdate: 24,
    halfCharacters: false,
    throttlingFirst: true,
    split: 'none',
    splitSeed: 1,
    escapeUnicode: false,
    recordsPerMessage: 1,
    pingEveryMs: 15_000,
    rewrite: 'none',
    unknownRecord: false,
    unknownFields: false,
    foreignInvocation: false,
    notJson: 'none',
    largeRecordBytes: 0,
    filter: 'none',
    failure: 'none',
    end: 'final',
    finalTogether: true,
    closeCode: 1000
  }
}

/** Allowed fields and their types, checked by the control routes. */
export const sydneyFields: FieldRules<SydneyBehaviours> = {
  create: {
    ...HTTP_FAULT_FIELDS,
    signatures: ['headers', 'body'],
    failure: CREATE_FAILURES,
    resultValue: 'string',
    resultMessage: 'string',
    anonymous: 'boolean',
    conversationTtlMs: 'number',
    tokenTtlMs: 'number'
  },
  upgrade: {
    ...HTTP_FAULT_FIELDS,
    handshake: ['answer', 'error', 'silent', 'close', 'terminate'],
    handshakeDelayMs: 'number',
    idleMs: 'number',
    idleEnd: GIVE_UPS,
    pongs: 'boolean',
    questionEnd: ['none', ...GIVE_UPS]
  },
  turn: {
    answer: 'string',
    search: ['auto', 'always', 'never'],
    sources: 'number',
    suggestions: 'number',
    suggestionsOnUpdate: 'boolean',
    renderCard: ['search', 'always', 'never'],
    progress: 'boolean',
    image: 'boolean',
    secondMessage: 'boolean',
    card: ['same', 'differs', 'image-first', 'absent'],
    maxTurns: 'number',
    farewell: ['none', 'limit', 'move-on', 'daily'],
    thinkMs: 'number',
    updateDelayMs: 'number',
    charsPerUpdate: 'number',
    halfCharacters: 'boolean',
    throttlingFirst: 'boolean',
    split: { anyOf: ['number', ['none', 'every-char', 'random']] },
    splitSeed: 'number',
    escapeUnicode: 'boolean',
    recordsPerMessage: 'number',
    pingEveryMs: 'number',
    rewrite: ['none', 'shrink', 'diverge', 'final-differs'],
    unknownRecord: 'boolean',
    unknownFields: 'boolean',
    foreignInvocation: 'boolean',
    notJson: ['none', 'before-text', 'mid-text'],
    largeRecordBytes: 'number',
    filter: FILTERS,
    failure: RESULT_FAILURES,
    result: 'object',
    end: ['final', 'no-completion', 'completion-only', 'close', 'terminate', 'type-7', 'silence'],
    endAt: ['start', 'before-text', 'mid-text', 'after-text'],
    finalTogether: 'boolean',
    completionError: 'string',
    closeCode: 'number'
  }
}
