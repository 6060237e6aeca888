import type { Tone } from '../chat-client.ts'
import type { FailureId } from '../failures.ts'

/**
 * Everything about this protocol that Microsoft may change without notice, and nothing else.
 * Sections are those of docs/protocol/chat-copilot.md; "seen" names the time of the captures and clients it was taken from.
 */
export const CONSTANTS_VERSION = '2026-11-22'

// --- HTTP: starting a conversation -------------------------------------------------------------------------------

/** Paths below the base URL. Section 2; start seen since 2025-10, conversations since 2024-11. */
export const START_PATH = '/c/api/start'
export const CONVERSATIONS_PATH = '/c/api/conversations'

/** Body of the start call beside the time zone. Section 2, seen 2026-08. */
export const START_BODY = {
  startNewConversation: true,
  teenSupportEnabled: true,
  correctPersonalizationSetting: true,
  performUserMerge: true,
  deferredDataUseCapable: true
} as const
/** Members of the answer that may hold the conversation's id, the first one that is there counts. Section 2. */
export const ID_FIELDS = ['currentConversationId', 'conversationId', 'id'] as const

/** Chrome on Windows. Section 2 asks for a current one; version seen 2026-08. */
export const USER_AGENT =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0'
const ACCEPT_LANGUAGE = 'en-US,en;q=0.9'

/** Headers of the calls beside cookie, `origin` and `referer`. Section 2. */
export const API_HEADERS: Readonly<Record<string, string>> = {
  accept: 'application/json',
  'accept-language': ACCEPT_LANGUAGE,
  'content-type': 'application/json',
  'user-agent': USER_AGENT
}

/** The site's start page, whose answer sets Cloudflare's cookie. Section 2, last row. */
export const VISIT_PATH = '/'
export const VISIT_HEADERS: Readonly<Record<string, string>> = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-language': ACCEPT_LANGUAGE,
  'user-agent': USER_AGENT
}
/** Cookie that a visit earns. Lives for half an hour. Section 2.1. */
export const VISIT_COOKIE = '__cf_bm'
/** Milliseconds before the start page is visited again for want of that cookie. */
export const VISIT_EVERY_MS = 25 * 60_000
/** Milliseconds that a visit may take; the start call goes on without it. */
export const VISIT_TIMEOUT_MS = 5_000

/** Who is signed in, and what the site allows: harmless to ask for. Section 2. */
export const USER_PATH = '/c/api/user'
export const CONFIG_PATH = '/c/api/config'

/** Cookie that an empty `Set-Cookie` must not take away. Section 2.1. */
export const KEPT_COOKIE = '_C_Auth'
/** Cookie of an anonymous visitor who was let in. Section 2, seen since 2025-10. */
export const ANONYMOUS_COOKIE = '__Host-copilot-anon'
/** Names the kind of a federated account, as a query of the socket and as a header of the calls. Section 2.1. */
export const IDENTITY_QUERY = 'X-UserIdentityType'
export const IDENTITY_HEADER = 'x-useridentitytype'

/** Status of a refused client kind, seen at the upgrade of the mobile client. Section 7, seen 2026. */
export const CLIENT_REFUSED_STATUS = 460

// --- WebSocket: the turn -----------------------------------------------------------------------------------------

/** Path below the base URL. Section 3. */
export const CHAT_PATH = '/c/api/chat'
/** Queries of the socket. Section 3. */
export const API_VERSION_QUERY = { name: 'api-version', value: '2' } as const
/** A new UUID; without it events are answered with `invalid-event`. Section 3. */
export const SESSION_QUERY = 'clientSessionId'
export const TOKEN_QUERY = 'accessToken'

/** Headers of the upgrade beside cookie and `origin`. Section 3. */
export const SOCKET_HEADERS: Readonly<Record<string, string>> = {
  'user-agent': USER_AGENT,
  'accept-language': ACCEPT_LANGUAGE,
  'cache-control': 'no-cache',
  pragma: 'no-cache'
}

/**
 * Capabilities, first event on a socket. A card that is named here may come instead of text, so nothing is but the
 * previews of pictures. Sections 4 and 10.
 */
export const SET_OPTIONS = {
  event: 'setOptions',
  supportedFeatures: ['partial-generated-images'],
  supportedCards: [],
  supportedUIComponents: {},
  ads: { supportedTypes: [] },
  supportedActions: []
} as const
/** Second event. Section 4. */
export const REPORT_CONSENTS = { event: 'reportLocalConsents', grantedConsents: [] } as const

/** `mode` of the question. Copilot has no tone, so this is the gateway's own choice. Section 4. */
export const MODES: Readonly<Record<Tone, string>> = {
  balanced: 'smart',
  creative: 'chat',
  precise: 'reasoning'
}
export const DEFAULT_MODE = 'smart'

/** Longest prompt in characters (UTF-16 units): 10 000 passed and 12 000 failed. Section 7, seen 2026-08. */
export const MAX_PROMPT_CHARS = 10_000

/**
 * Longest event in characters, and longest WebSocket message in bytes: previews are whole pictures in base64 (section 3).
 * Twice the largest one that is kept; to read one that long takes a tenth of a second.
 */
export const MAX_EVENT_CHARS = 16 * 1024 * 1024
/**
 * Characters outside strings, in one event and in all events of one message: what makes them slow to read, where their
 * length alone does not. Events have about 50.
 */
export const MAX_STRUCTURE_CHARS = 256 * 1024
/** What may stand between two events beside white space. Section 3. */
export const RECORD_SEPARATOR = '\u001e'
/** Pictures of one answer that are kept; four are drawn at most. */
export const MAX_PICTURES = 8
/** Characters of base64 of one preview that is kept, and of all previews of one answer: 6 MB and 18 MB of picture. */
export const MAX_PREVIEW_CHARS = 8 * 1024 * 1024
export const MAX_PREVIEWS_CHARS = 24 * 1024 * 1024

/** Parts of one answer, the characters of its text, and its sources; a few parts of a few thousand characters have been seen. */
export const MAX_PARTS = 256
export const MAX_ANSWER_CHARS = 2 * 1024 * 1024
export const MAX_SOURCES = 200
/** Characters of the address and the title of one source that is kept. */
export const MAX_SOURCE_CHARS = 16 * 1024
/**
 * Characters of text that are looked at again, all in all, for parts that begin, go on out of turn, or are replaced. An
 * answer of 20,000 characters may be replaced 3,000 times.
 */
export const MAX_REREAD_CHARS = 64 * 1024 * 1024

/** Rows of the error codes, in `error` and `chatMessageError` alike. Any other code is row P14. Section 7. */
export const ERROR_ROWS: Readonly<Record<string, FailureId>> = {
  'invalid-event': 'P10',
  'chat-service-unavailable': 'P11',
  'text-too-long': 'P12',
  throttled: 'P13'
}
/** An error code that may be shown as `code`. */
export const SHOWN_CODE = /^[a-z][a-z0-9_-]{0,39}$/i

/** Milliseconds for TCP, TLS and the upgrade together (T2, P18). */
export const OPEN_TIMEOUT_MS = 10_000
/** Milliseconds that `connected` is waited for; then the question goes out all the same. Section 3, "Order". */
export const CONNECTED_TIMEOUT_MS = 3_000
/** Milliseconds between two events that are no pongs (row P18). Section 7, `[win-copilot]`. */
export const IDLE_TIMEOUT_MS = 60_000
/** Milliseconds after `done` in which suggestions may follow. Section 5. */
export const FOLLOWUPS_MS = 1_000
/** Milliseconds that the peer gets to answer our close frame. */
export const CLOSE_TIMEOUT_MS = 1_000

/** Turns a minute that are safe for one account: 502 answers begin at 15. Section 7, "Pace". */
export const TURNS_PER_MINUTE = 12
/** Turns and starts at once for one account: 502 answers begin at 8. Section 7, "Pace". */
export const CONCURRENCY = 4
