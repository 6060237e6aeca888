import type { Tone } from '../chat-client.ts'
import type { FailureId } from '../failures.ts'

/**
 * Everything about this protocol that Microsoft may change without notice, and nothing else.
 * Sections are those of docs/protocol/chat-sydney.md; "seen" names the time of the captures and clients it was taken from.
 * All of it describes the hub of February 2023 to January 2025.
 */
export const CONSTANTS_VERSION = '2026-11-21'

// --- HTTP: creating a conversation -------------------------------------------------------------------------------

/** Path below the base URL. Section 2, seen 2023-02 to 2024-12 (bing.com), 2025-01 (edgeservices.bing.com). */
export const CREATE_PATH = '/turing/conversation/create'
/** Query `bundleVersion`. Section 2, seen 2025-01; nothing shows that the server looks at it. */
export const BUNDLE_VERSION = '1.1816.0'
/** Redirects of one create call that are followed, in hops. More is the loop of row T5. */
export const MAX_REDIRECTS = 5
/** Response header with the conversation signature. Section 2.2, seen since 2023-10. Lower case, as node gives it. */
export const SIGNATURE_HEADER = 'x-sydney-conversationsignature'
/** Response header with the secret for the hub's query. Section 2.2, seen since 2023-10. */
export const ENCRYPTED_SIGNATURE_HEADER = 'x-sydney-encryptedconversationsignature'
/** Query name that carries it, percent-encoded because it is base64. Section 2.2, seen since 2023-10. */
export const ACCESS_TOKEN_QUERY = 'sec_access_token'

/** Edge on Windows, as every client of 2023 and 2024 presents itself. Section 2.1, version seen 2024-12. */
export const USER_AGENT =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0'
const ACCEPT_LANGUAGE = 'en-US,en;q=0.9'

/**
 * Headers of the create call beside cookie, `referer` and the request id. Section 2.1, seen 2023-02 to 2024-12.
 * Left out on purpose: `sec-ms-gec` (clients invent its value) and any header that claims another client address.
 */
export const CREATE_HEADERS: Readonly<Record<string, string>> = {
  accept: 'application/json',
  'accept-language': ACCEPT_LANGUAGE,
  'user-agent': USER_AGENT,
  'x-ms-useragent': 'azsdk-js-api-client-factory/1.0.0-beta.1 core-rest-pipeline/1.16.0 OS/Win32',
  'x-edge-shopping-flag': '1',
  'sec-ch-ua': '"Microsoft Edge";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
  'sec-ch-ua-mobile': '?0',
  'sec-ch-ua-platform': '"Windows"',
  'sec-fetch-dest': 'empty',
  'sec-fetch-mode': 'cors',
  'sec-fetch-site': 'same-origin'
}
/** Header with a new UUID for each create call. Section 2.1. */
export const REQUEST_ID_HEADER = 'x-ms-client-request-id'
/** Cookies of bing.com that browsers send beside `_U`. Section 2.1: advised since 2023-11, none was shown to be needed. */
export const BROWSER_COOKIES = ['MUID', 'SRCHD', 'SRCHHPGUSR', 'KievRPSSecAuth', 'PPLState'] as const
/** Path of the `referer`, below the base URL. Section 2.1, seen 2023. */
export const REFERER_PATH = '/search?q=Bing+AI&showconv=1'

// --- WebSocket: the hub ------------------------------------------------------------------------------------------

/** Headers of the upgrade beside cookie and `origin`. Section 3, seen 2023-02 to 2024-12. */
export const HUB_HEADERS: Readonly<Record<string, string>> = {
  'user-agent': USER_AGENT,
  'accept-language': ACCEPT_LANGUAGE,
  'cache-control': 'no-cache',
  pragma: 'no-cache'
}
/** Ends every record in both directions (ASCII RS). Section 3. */
export const RECORD_SEPARATOR = '\u001e'
/** First record of the client. Section 3, SignalR JSON hub protocol, version 1. */
export const HANDSHAKE = { protocol: 'json', version: 1 }
/** `type` of each record. Section 3, SignalR JSON hub protocol. */
export const RECORD_TYPE = {
  invocation: 1,
  streamItem: 2,
  completion: 3,
  streamInvocation: 4,
  ping: 6,
  close: 7
} as const
/** Longest record and longest WebSocket message, in characters and bytes; the protocol names no limit (section 3). */
export const MAX_RECORD_CHARS = 16 * 1024 * 1024
/** Messages of one answer, and their characters together; two messages, and a few thousand characters, have been seen. */
export const MAX_MESSAGES = 64
export const MAX_ANSWER_CHARS = 2 * 1024 * 1024

/** Milliseconds between the client's own pings. Section 3, seen 2023. */
export const PING_INTERVAL_MS = 15_000
/** Milliseconds between two answers to received pings, so that two peers that echo don't flood each other. Section 3. */
export const PING_ANSWER_GAP_MS = 1000
/** Milliseconds for TCP, TLS and the upgrade together. */
export const OPEN_TIMEOUT_MS = 10_000
/** Milliseconds until the handshake is answered (row W5). Section 7.4. */
export const HANDSHAKE_TIMEOUT_MS = 10_000
/** Milliseconds from the question to the first record that is not a ping (row W10). Section 7.4. */
export const FIRST_RECORD_TIMEOUT_MS = 40_000
/** Milliseconds between two records that are not pings (row W10). Section 7.4. */
export const IDLE_TIMEOUT_MS = 60_000
/** Milliseconds that the peer gets to answer our close frame. */
export const CLOSE_TIMEOUT_MS = 1000

// --- Warm sockets: ours to choose, within what the hub bears ------------------------------------------------------

/** Handshaken sockets without a question that are kept at most, unless the operator says otherwise. */
export const WARM_SOCKETS = 64
/** Of those, at most this many where no token binds them to a conversation; fewer while fewer turns run at once. */
export const WARM_SHARED_SOCKETS = 16
/**
 * Milliseconds from an answer's first record to the opening of the next socket: an answer that is there by then is not
 * held up by it. A person's next question takes longer than both.
 */
export const WARM_AFTER_MS = 100
/** Milliseconds that a socket waits for its question. Less than any hub's patience with a client that pings. */
export const WARM_LIFE_MS = 60_000
/** Milliseconds before a socket may be closed to make room for another one. */
export const WARM_SETTLED_MS = 5000
/** Milliseconds after which an opening counts as stuck: a turn that comes then does not wait for it. */
export const WARM_OPENING_MS = 2000
/** Milliseconds without further attempts after one in the background failed; doubles up to the second number. */
export const WARM_BACKOFF_MS = [1000, 60_000] as const
/** Milliseconds between WebSocket pings on waiting sockets. RFC 6455 section 5.5.2: the peer must answer with a pong. */
export const PROBE_INTERVAL_MS = 10_000
/** Milliseconds for any sign of life after a WebSocket ping. */
export const PROBE_TIMEOUT_MS = 5000
/** Milliseconds since the last sign of life after which a waiting socket is not used: pings must have been missed. */
export const SILENCE_LIMIT_MS = 20_000

// --- The question ------------------------------------------------------------------------------------------------

/** Longest prompt in characters (UTF-16 units). 2 000 in 2023-02, later more; failures.md row G5 asks for one place. */
export const MAX_PROMPT_CHARS = 16_000
/** Prompt plus context, in characters, from which a normal close counts as "too long" (row W9). Seen 2023. */
export const LONG_CONTEXT_CHARS = 8000
/** Section 4, seen in all clients 2023-02 to 2024-12. */
export const SOURCE = 'cib'
/** Section 4, seen 2023 and 2024. */
export const SCENARIO = 'SERP'
export const LOCALE = 'en-US'
export const REGION = 'US'

/**
 * Sent with every question. Section 4.1, seen 2023-10 to 2024-12.
 * The names that switch a safety filter off never belong here. `gencontentv3` (drawing inside a chat) is left out
 * because this client shows text only: the bot would announce a picture that nobody gets to see.
 */
export const OPTION_SETS: readonly string[] = [
  'nlu_direct_response_filter',
  'deepleo',
  'disable_emoji_spoken_text',
  'responsible_ai_policy_235',
  'enablemm',
  'dv3sugg',
  'autosave',
  'iyxapbing',
  'iycapbing',
  'saharagenconv5',
  'eredirecturl'
]
/** Name on the wire and further option sets of each tone. Section 4.1, seen 2024. */
export const TONES: Readonly<Record<Tone, { name: string; optionSets: readonly string[] }>> = {
  creative: { name: 'Creative', optionSets: ['h3imaginative', 'clgalileo'] },
  balanced: { name: 'Balanced', optionSets: ['galileo'] },
  precise: { name: 'Precise', optionSets: ['h3precise', 'clgalileo'] }
}
export const DEFAULT_TONE: Tone = 'balanced'
/** What the server may send back. Sections 4 and 4.1, seen 2024-02; no `GenerateContentQuery`, as with the option sets. */
export const ALLOWED_MESSAGE_TYPES: readonly string[] = [
  'ActionRequest',
  'Chat',
  'Context',
  'Disengaged',
  'InternalLoaderMessage',
  'InternalSearchQuery',
  'InternalSearchResult',
  'Progress',
  'RenderCardRequest',
  'SearchQuery'
]

// --- The answer --------------------------------------------------------------------------------------------------

/** `messageType` of text for the reader, beside none at all. Section 6.3. */
export const ANSWER_TYPE = 'Chat'
/** `messageType` of what the bot read; its `text` is JSON or prose. Section 6.3. */
export const SEARCH_RESULT_TYPE = 'InternalSearchResult'
/** `messageType` with which the bot ends the conversation. Section 6.3, row S18. */
export const DISENGAGED_TYPE = 'Disengaged'
/** Other `messageType`s that are known and show nothing. Section 6.3. */
export const INTERNAL_TYPES: ReadonlySet<string> = new Set([
  'InternalSearchQuery',
  'InternalLoaderMessage',
  'RenderCardRequest',
  'GenerateContentQuery',
  'Progress',
  'GeneratedCode',
  'AdsQuery',
  'SemanticSerp',
  'ActionRequest',
  'ConfirmationCard',
  'RenderContentRequest',
  'InvokeAction',
  'SearchQuery',
  'Context',
  'InternalTasksMessage',
  'Suggestion'
])
/** `id` of the card's block of numbered links; no answer text. Section 6.1. */
export const ATTRIBUTIONS_BLOCK_ID = 'AttributionsTextBlockID'
/** `type` of the card's block that may stand before the text. Section 6.1. */
export const IMAGE_BLOCK_TYPE = 'Image'
/** `contentOrigin` of the safety layer's replacement. Section 6.4, rows S16 and S17. */
export const APOLOGY_ORIGIN = 'Apology'
/** `offense` of a prompt that was filtered. Section 8.2, row S19. */
export const OFFENSE = 'OffenseTrigger'
/** `item.result.value` of a good turn, and `result.value` of a good create call. Sections 2.2 and 8.2. */
export const SUCCESS = 'Success'

/** Beginnings of the texts that stand in for an answer once the limit of turns is reached. Section 7.2, seen 2023. */
export const FAREWELL_OPENINGS: readonly string[] = [
  "Thanks for this conversation! I've reached my limit",
  "Thanks for this conversation! I've reached my daily limit",
  'Sorry, I think we need to move on!'
]
/** Characters; a longer text that begins like a farewell is an answer after all. */
export const FAREWELL_MAX_CHARS = 400
/** Says that a farewell means the account's day, not this conversation (row S15). Section 7.2, seen 2023. */
export const DAILY_LIMIT = /\bdaily\b|\bper day\b|\b24 hours\b|\btomorrow\b/i

// --- What result values mean -------------------------------------------------------------------------------------

/** One rule; the first that fits decides. An absent part fits everything. */
export interface ResultRule {
  value?: RegExp
  message?: RegExp
  exception?: RegExp
  row: FailureId
}

/** `result` of the create call. Section 2.3, rows C2 to C10; wordings seen 2023 and 2024. */
export const CREATE_RESULTS: readonly ResultRule[] = [
  { message: /\bpass\b.*\bcloudflare\b|\bcloudflare check\b/i, row: 'C10' },
  { value: /^UnauthorizedRequest$/, message: /retrieve user status/i, row: 'C3' },
  { value: /^UnauthorizedRequest$/, row: 'C2' },
  { value: /^Forbidden$/, row: 'C4' },
  { value: /^InternalServerError$/, row: 'C5' },
  { value: /^Throttled$/, row: 'S1' },
  { value: /^CaptchaChallenge$/, row: 'S2' },
  { row: 'C9' }
]

/** `item.result` of the final record. Section 8.2, rows S1 to S11 and C4; wordings seen 2023 and 2024. */
export const TURN_RESULTS: readonly ResultRule[] = [
  { exception: /maximum context length/i, row: 'S10' },
  { value: /^Throttled$/, row: 'S1' },
  { value: /^CaptchaChallenge$/, row: 'S2' },
  { value: /^InvalidSession$/, row: 'S3' },
  { value: /^UnauthorizedRequest$/, message: /IDX10223|token is expired/i, row: 'S4' },
  { value: /^UnauthorizedRequest$/, message: /conversationSignature is not set/i, row: 'S5' },
  { value: /^UnauthorizedRequest$/, row: 'S6' },
  { value: /^InternalError$/, message: /DeepLeo/i, row: 'S7' },
  { value: /^InternalError$/, message: /ConversationStorage|Sender\.UserId/i, row: 'S9' },
  // "ServiceClient failure …", and whatever else is internal: one repeat does no harm.
  { value: /^Internal(Server)?Error$/, row: 'S8' },
  { value: /^InvalidRequest$/, row: 'S11' },
  { value: /^Forbidden$/, row: 'C4' },
  { row: 'S-other' }
]

/** Seconds: `Retry-After` of a throttled account doubles with each repeat up to this (row S1). */
export const THROTTLED_MAX_S = 86_400
