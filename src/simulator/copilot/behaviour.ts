import type { HttpFaults } from '../behaviour.ts'

/** Ways in which an HTTP call or an upgrade is refused; docs/protocol/chat-copilot.md section 7. */
export const REFUSALS = [
  'none',
  /** 401, JSON. */
  'unauthorized',
  /** 403 with Cloudflare's page. */
  'cloudflare',
  /** 460, no body. */
  'client-refused',
  /** 429 with `Retry-After: 7`. */
  'too-many',
  /** 502, a proxy's page. */
  'overloaded'
] as const

/** Where a start answer holds the conversation's id. `none`: nowhere. */
export const ID_FIELDS = ['currentConversationId', 'conversationId', 'id', 'none'] as const

/** Bodies of a start answer with status 200 that are none of the protocol. */
export const ODD_BODIES = ['none', 'empty', 'html', 'not-json', 'array'] as const

/** Methods of a challenge; `null` is sent as JSON null. `none`: no challenge. */
export const CHALLENGES = ['none', 'hashcash', 'copilot', 'cloudflare', 'clarity', 'null'] as const

/** What follows a challenge that nobody solves. `answer`: the turn goes on as if nothing had been asked. */
export const AFTER_CHALLENGE = ['invalid-event', 'silence', 'close', 'terminate', 'answer'] as const

/** How a socket is given up: close frame (1000), none (1006), or `deaf`: it stays, but nothing is read or said any more. */
export const GIVE_UPS = ['close', 'terminate', 'deaf'] as const

/** Named failures of a turn; docs/protocol/chat-copilot.md section 7. */
export const TURN_FAILURES = [
  'none',
  'invalid-event',
  'chat-service-unavailable',
  'text-too-long',
  'throttled'
] as const

export type Refusal = (typeof REFUSALS)[number]
export type IdField = (typeof ID_FIELDS)[number]
export type OddBody = (typeof ODD_BODIES)[number]
export type Challenge = (typeof CHALLENGES)[number]
export type AfterChallenge = (typeof AFTER_CHALLENGE)[number]
export type GiveUp = (typeof GIVE_UPS)[number]
export type TurnFailure = (typeof TURN_FAILURES)[number]

/** Any HTTP call of the page. */
export interface PageBehaviour extends HttpFaults {
  refusal: Refusal
}

/** `GET /`. */
export interface HomeBehaviour extends PageBehaviour {
  /** Sets `cf_clearance` beside `__cf_bm`, as a browser that passed the check would have it. */
  clearance: boolean
}

/** Opens a conversation: what `POST /c/api/start` and `POST /c/api/conversations` have in common. */
export interface OpenBehaviour extends PageBehaviour {
  /** 403 with Cloudflare's page unless the caller has a `__cf_bm` that `GET /` gave out. */
  needsHome: boolean
  /** Where the answer holds the id. */
  id: IdField
  /** A body with status 200 in place of the real one. */
  oddBody: OddBody
  /** What an `Authorization: Bearer` does: signs in, is answered 401, or is not looked at. */
  bearer: 'accepted' | 'refused' | 'ignored'
}

/** `POST /c/api/start`. */
export interface StartBehaviour extends OpenBehaviour {
  /** Gives callers without credentials a session: `__Host-copilot-anon` and an id. `false`: 401. */
  anonymous: boolean
  isBlocked: boolean
  /** `banExpiresAt` this many milliseconds from now, may be negative; 0: `null`. */
  banExpiresInMs: number
  remainingTurns: number
  /**
   * The cookie that the answer sets anew. `_C_Auth`: a fresh value, accepted from then on; `empty-auth`: an empty `_C_Auth`, which no client may
   * keep.
   */
  rotate: 'none' | '__cf_bm' | '_C_Auth' | 'empty-auth'
  /** The old `_C_Auth` expires when a new one is set. */
  expireRotated: boolean
}

/** `GET /c/api/user`. */
export interface UserBehaviour extends PageBehaviour {
  /** `firstName` is null, whoever asks. */
  anonymous: boolean
}

/** `GET /c/api/config`. */
export interface ConfigBehaviour extends PageBehaviour {
  /** What is announced; what is enforced is `copilot.turn`'s `maxTextLength`. */
  maxTextMessageLength: number
}

/** `WS /c/api/chat`: the upgrade and everything of a socket outside its turns. A verbatim `status` refuses the upgrade with it. */
export interface CopilotUpgradeBehaviour extends HttpFaults {
  refusal: Refusal
  /** 401 without an accepted `accessToken`, even with good cookies. */
  requireToken: boolean
  /** 401 unless the query has this `X-UserIdentityType`. */
  identityType?: string
  /** Sets `__cf_bm` anew with the 101 answer. */
  rotate: boolean
  /** Answers questions of anonymous sessions; otherwise `chat-service-unavailable`. */
  anonymous: boolean
  /** `twice`: two at once. `again`: the second one just before the first answer begins. */
  connected: 'once' | 'twice' | 'again' | 'never'
  /** Milliseconds from the upgrade to `connected`. */
  connectedDelayMs: number
  /** What is sent before `connected` is a violation and answered `invalid-event`. Otherwise it only counts as `copilot.early`. */
  strictOrder: boolean
  /** A challenge right after `connected`. */
  challenge: Challenge
  /** What follows it; `answer`: the socket works as usual. */
  challengeThen: AfterChallenge
  /** Milliseconds without a turn after which the socket is given up; 0: never. */
  idleMs: number
  idleEnd: GiveUp
  /** Gives the socket up just when a question is under way, so that it never sees it. */
  questionEnd: 'none' | GiveUp
  /** Whether WebSocket pings are answered, as RFC 6455 wants it. */
  pongs: boolean
  /** Cuts `connected` and other events outside turns as `copilot.turn`'s `split` does. */
  split: 'none' | 'every-char' | 'random' | number
}

/** One question (`send`) and its answer. Fields that `turn` has too mean the same there. */
export interface CopilotTurnBehaviour {
  // Content
  /** The answer's text in place of the generated one; may be empty. */
  answer?: string
  /** Whether the answer has citations; `auto`: when the prompt asks for facts. */
  search: 'auto' | 'always' | 'never'
  /** Number of sources of an answer with citations. */
  sources: number
  citationsAt: 'before-text' | 'mid-text' | 'after-text'
  /** Every citation comes twice. */
  duplicateCitations: boolean
  /** Number of suggested prompts in `suggestedFollowups`; 0: no such event. */
  suggestions: number
  /** When they come: before or after `done`. */
  followups: 'before' | 'after'
  /** Milliseconds between `done` and what follows it. */
  followupsDelayMs: number
  /** `first`: on the first turn of a conversation. */
  titleUpdate: 'first' | 'always' | 'never'
  /** `chainOfThought` before the text; `auto`: in mode `reasoning`. */
  reasoning: 'auto' | 'always' | 'never'
  /** A `modeSelected` after `received`. */
  modeSelected: boolean
  /** A second part of the same message, with its own `partId`. */
  secondPart: boolean
  /** A `partCompleted` after each part. */
  partCompleted: boolean

  // Pictures
  /** Draws; `auto`: when the prompt asks for a picture. */
  image: 'auto' | 'always' | 'never'
  /** Pictures of a turn that draws. */
  images: number
  /** Previews of each picture. They come only to a socket that advertises `partial-generated-images`. */
  previews: number
  previewFormat: 'jpeg' | 'png'
  /** The final `imageGenerated`; `false`: the turn ends after the previews. */
  imageFinal: boolean
  /** Text beside the picture. */
  imageText: boolean
  /** Host of the picture's URL: this simulator, the real site, a stranger, or none (a path). */
  imageHost: 'own' | 'real' | 'foreign' | 'relative'
  /** Flat colours in the same pixel sizes. */
  plain: boolean

  // Pace
  /** Milliseconds of silence before the first text. */
  thinkMs: number
  /** Milliseconds before each piece of text, preview and picture. */
  updateDelayMs: number
  /** Characters (code points) of each piece of text; 0: the whole text in one. */
  charsPerUpdate: number
  /** Counts UTF-16 units in place of code points, so that a piece may end with half a character (escaped in JSON). */
  halfCharacters: boolean
  /** Milliseconds between `pong`s that nobody asked for, silence included; 0: none. */
  noiseEveryMs: number

  // Framing
  /** Cuts of the outgoing text into WebSocket messages: none, at every character, anywhere, or n characters each. */
  split: 'none' | 'every-char' | 'random' | number
  /** Binary messages in place of text. `split` counts bytes then, so that it may cut inside a character. */
  binary: boolean
  /** Start of the random cuts; the same seed cuts alike. */
  splitSeed: number
  /** Writes everything beyond ASCII as `\uXXXX`, so that cuts may fall inside an escape or between the halves of a character. */
  escapeUnicode: boolean
  /** Objects put together into one WebSocket message. */
  eventsPerMessage: number
  /** What stands between two objects. */
  between: 'nothing' | 'newline' | 'record-separator'

  // Irregularities
  /** `replaceText`: with less, with another beginning, or with another text at the end. */
  rewrite: 'none' | 'shrink' | 'diverge' | 'final-differs'
  /** Events that no client knows. */
  unknownEvents: boolean
  /** Members that no client knows, in every event. */
  unknownFields: boolean
  /** Something that is not JSON. */
  notJson: 'none' | 'before-text' | 'mid-text'
  /** Adds this many characters to `done`, in a field that is not the answer. */
  largeRecordBytes: number
  /** Form of the events' `id`. */
  ids: 'plain' | 'dotted' | 'absent'

  // Challenges
  challenge: Challenge
  /** `before`: in place of `received`; `instead`: in place of the answer, after `received`; `during`: in the middle of the text. */
  challengeAt: 'before' | 'instead' | 'during'
  challengeThen: AfterChallenge

  // The end
  /** Longest text in UTF-16 units; longer ones are answered `text-too-long`. 0: any length. */
  maxTextLength: number
  /** Ends the turn with this named failure of section 7; at `endAt`, or before any text. */
  failure: TurnFailure
  /** Ends the turn with an `error` of this code, whatever it is; wins over `failure`. */
  errorCode?: string
  /** `nextAvailableAt` of `throttled`, milliseconds from now; may be negative. */
  nextAvailableInMs: number
  /** How `nextAvailableAt` is written. */
  nextAvailable: 'date' | 'absent' | 'garbage'
  /** What follows a failure. `auto`: a null challenge and a close after `throttled`, nothing after the others. */
  afterFailure: 'auto' | 'nothing' | 'close' | 'challenge-close'
  /** What ends the turn: `done`, everything but `done` (the socket stays silent), or something worse. `terminate` is a close 1006. */
  end: 'done' | 'no-done' | 'close' | 'terminate' | 'silence'
  /**
   * When it ends. `start`: before `received`; `before-text`; `mid-text`; `after-text`. When absent: `after-text` for `done` and `no-done`,
   * `before-text` for anything else.
   */
  endAt?: 'start' | 'before-text' | 'mid-text' | 'after-text'
  /** Close code of `end: 'close'`. */
  closeCode: number
  /** Closes the socket (1000) after the last event; otherwise it waits for the next turn. */
  closeAfter: boolean
}

/** How much the account bears; docs/protocol/chat-copilot.md section 7, Pace. Only `set` makes sense: it is looked at, not used up. */
export interface PaceBehaviour {
  /** Questions within `windowMs`; 0: any number. */
  turns: number
  windowMs: number
  /** Turns that may run at once; 0: any number. */
  parallel: number
  /** Which calls answer 502 while it is exceeded. */
  refuses: 'start' | 'upgrade' | 'both'
}

/** `GET /th/id/BCO.<uuid>.png`. */
export interface PictureBehaviour extends HttpFaults {
  /** 404, as when it is gone. */
  expired: boolean
}

/** Operations of the Copilot half. */
export interface CopilotBehaviours {
  'copilot.home': HomeBehaviour
  'copilot.start': StartBehaviour
  /** `POST /c/api/conversations`. */
  'copilot.conversations': OpenBehaviour
  /** `GET /c/api/conversations` and `GET /c/api/conversations/{id}/history`. */
  'copilot.history': PageBehaviour
  'copilot.user': UserBehaviour
  'copilot.config': ConfigBehaviour
  'copilot.upgrade': CopilotUpgradeBehaviour
  'copilot.turn': CopilotTurnBehaviour
  'copilot.picture': PictureBehaviour
  'copilot.pace': PaceBehaviour
}
