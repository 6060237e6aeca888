/** What the doctor finds in each broken mode of the upstream: the rows of test/app/doctor.test.ts. */
import type { DoctorOptions } from '../../src/doctor/run.ts'
import type { PartialBehaviours } from '../../src/simulator/index.ts'

export const COOKIE = 'CANARYcookie7f3a91c2'
export const OTHER = 'CANARYother55ab'
export const TOKEN = 'CANARYtoken/90e+4d=='
/** Texts of the upstream, which are content: they too must not come out. */
export const WORDS = 'CANARYwords81d0'

export type Environment = Record<string, string>

export interface Case {
  name: string
  /** Behaviours of the simulator. */
  sim?: PartialBehaviours
  env?: Environment
  spend?: DoctorOptions['spend']
  stepMs?: number
  /** The step that fails, what it says, and what it tells the person. */
  step: string
  detail: RegExp
  hint?: RegExp
}

const html = `<!doctype html><title>${WORDS}</title><p>${WORDS}</p>`
const COOKIE_HINT = /Sign in at bing\.com/
const PASS = /pass the check/
const NETWORK = /does not serve this network/
const LATER = /again in some minutes/
const constant = (name: string, protocol: string) =>
  new RegExp(
    `Probably out of date: .*\\b${name}\\b.* in src/upstream/${protocol}/constants\\.ts \\(compared .* 20\\d\\d-`
  )

const LANDING: Case[] = [
  {
    name: '403 with a page',
    sim: { bootstrap: { status: 403, body: html } },
    step: 'landing page',
    detail: /HTTP 403, HTML of \d+ characters, headers .*date/,
    hint: PASS
  },
  {
    name: '429',
    sim: { bootstrap: { status: 429, body: WORDS, headers: { 'retry-after': '77' } } },
    step: 'landing page',
    detail: /throttling.*HTTP 429, text of \d+ characters, headers .*retry-after/,
    hint: /Not before 77 s/
  },
  {
    name: '500',
    sim: { bootstrap: { status: 500, body: WORDS } },
    step: 'landing page',
    detail: /HTTP 500/,
    hint: LATER
  },
  {
    name: '503',
    sim: { bootstrap: { status: 503, body: '' } },
    step: 'landing page',
    detail: /HTTP 503, empty body/,
    hint: LATER
  },
  {
    name: '404',
    sim: { bootstrap: { status: 404, body: html } },
    step: 'landing page',
    detail: /landing page: status 404.*HTTP 404/,
    hint: constant('CREATE_PATH', 'image-creator')
  },
  {
    name: 'redirect to login',
    sim: { bootstrap: { redirect: `https://login.live.com/login.srf?wa=${WORDS}` } },
    step: 'landing page',
    detail: /HTTP 302, redirect to login\.live\.com\/login\.srf, empty/,
    hint: COOKIE_HINT
  },
  {
    name: 'redirect to cn',
    sim: { bootstrap: { redirect: 'https://cn.bing.com/images/create' } },
    step: 'landing page',
    detail: /redirect to cn\.bing\.com/,
    hint: NETWORK
  },
  {
    name: 'redirect to a stranger',
    sim: { bootstrap: { redirect: 'https://example.com/' } },
    step: 'landing page',
    detail: /foreign host.*redirect to example\.com/,
    hint: constant('CREATE_PATH', 'image-creator')
  },
  {
    name: 'empty page',
    sim: { bootstrap: { status: 200, body: '' } },
    step: 'landing page',
    detail: /HTTP 200, empty body/,
    hint: PASS
  },
  {
    name: 'outage page',
    sim: { bootstrap: { text: 'outage' } },
    step: 'landing page',
    detail: /not available right now.*HTTP 200, HTML/,
    hint: LATER
  },
  {
    name: 'sorry page',
    sim: { bootstrap: { text: 'sorry' } },
    step: 'landing page',
    detail: /not available/,
    hint: LATER
  },
  {
    name: 'reset',
    sim: { bootstrap: { reset: true } },
    step: 'landing page',
    detail: /Seen: \w+/,
    hint: /firewall/
  },
  {
    name: 'no answer',
    sim: { bootstrap: { stall: 'before' } },
    stepMs: 700,
    step: 'landing page',
    detail: /no end within 700 ms/,
    hint: /does not answer/
  },
  {
    name: 'half an answer',
    sim: { bootstrap: { stall: 'during' } },
    stepMs: 700,
    step: 'landing page',
    detail: /no end within/,
    hint: /does not answer/
  },
  {
    name: 'signed out',
    sim: { bootstrap: { page: 'signed-out' } },
    step: 'signed-in marker',
    detail: /SIGNED_IN missed, and SIGNED_OUT.* found/,
    hint: COOKIE_HINT
  },
  {
    name: 'another page',
    sim: { bootstrap: { status: 200, body: html } },
    step: 'signed-in marker',
    detail: /SIGNED_IN missed, but SIGNED_OUT too: this is another page/,
    hint: constant('SIGNED_IN', 'image-creator')
  },
  {
    name: 'changed page',
    sim: {
      bootstrap: { status: 200, body: `${html}<script>_G={IG:"${'A1'.repeat(16)}",Salt:"x1"}</script>` }
    },
    step: 'signed-in marker',
    detail: /the page has changed/,
    hint: constant('SIGNED_IN', 'image-creator')
  },
  {
    name: 'without IG',
    sim: { bootstrap: { withoutIg: true } },
    step: 'IG',
    detail: /IG_PATTERNS missed/,
    hint: constant('IG_PATTERNS', 'image-creator')
  },
  {
    name: 'without Salt',
    sim: { bootstrap: { withoutSalt: true } },
    step: 'Salt',
    detail: /SALT_PATTERN missed/,
    hint: constant('SALT_PATTERN', 'image-creator')
  }
]

const PICTURE: Case[] = [
  {
    name: 'start page',
    sim: { submit: { answer: 'start-page' } },
    step: 'submit',
    detail: /start page instead of accepting.*HTTP 200, HTML/,
    hint: constant('SUBMIT_FORM', 'image-creator')
  },
  {
    name: 'redirect without id',
    sim: { submit: { answer: 'no-id' } },
    step: 'submit',
    detail: /HTTP 302/,
    hint: constant('ID_PATTERN', 'image-creator')
  },
  {
    name: 'login',
    sim: { submit: { answer: 'login' } },
    step: 'submit',
    detail: /HTTP 302, redirect to login/,
    hint: COOKIE_HINT
  },
  {
    name: 'challenge',
    sim: { submit: { answer: 'authns' } },
    step: 'submit',
    detail: /only a person/,
    hint: PASS
  },
  {
    name: 'cookie dies',
    sim: { submit: { expireCookie: true } },
    step: 'submit',
    detail: /does not accept the _U cookie/,
    hint: COOKIE_HINT
  },
  {
    name: 'lost',
    sim: { submit: { answer: 'lost' } },
    step: 'submit',
    detail: /outcome is unknown/,
    hint: /look at bing\.com\/images\/create/
  },
  {
    name: 'refused',
    sim: { submit: { marker: 'clarity-tag' } },
    step: 'submit',
    detail: /content policy/,
    hint: constant('REJECTION_MARKERS', 'image-creator')
  },
  {
    name: 'other creations',
    sim: { submit: { text: 'ongoing' } },
    step: 'submit',
    detail: /still working on other creations/,
    hint: /other creations/
  },
  {
    name: 'no fast creations',
    sim: { submit: { text: 'no-coins' } },
    step: 'submit',
    detail: /used up/,
    hint: /midnight UTC/
  },
  {
    name: '429 at submit',
    sim: { submit: { status: 429 } },
    step: 'submit',
    detail: /HTTP 429/,
    hint: /do not repeat/
  },
  {
    name: 'failed later',
    sim: { poll: { errorMessage: WORDS } },
    step: 'result',
    detail: /could not finish.*JSON \{ errorMessage: string\(15\)/,
    hint: LATER
  },
  {
    name: 'refused later',
    sim: { poll: { marker: 'girer-icon' } },
    step: 'result',
    detail: /content policy/,
    hint: /suspended/
  },
  {
    name: 'no pictures',
    sim: { poll: { ready: 'no-images' } },
    step: 'result',
    detail: /without any picture.*HTML|text of/,
    hint: constant('PICTURE_ELEMENTS', 'image-creator')
  },
  {
    name: 'never ready',
    sim: { poll: { neverReady: true } },
    env: { IMAGE_TIMEOUT_MS: '800' },
    step: 'result',
    detail: /no end within 800 ms.*JSON \{ errorMessage/,
    hint: /did not come in the time/
  },
  {
    name: 'polls refused',
    sim: { poll: { status: 404, body: html } },
    step: 'result',
    detail: /HTTP 404/,
    hint: constant('RESULTS_PATH', 'image-creator')
  }
]

const CREATE: Case[] = [
  {
    name: 'signed out',
    sim: { create: { failure: 'unauthorized' } },
    step: 'create',
    detail: /Seen: result UnauthorizedRequest\. .*JSON \{ conversationId: null/,
    hint: COOKIE_HINT
  },
  {
    name: 'user status',
    sim: { create: { failure: 'user-status' } },
    step: 'create',
    detail: /result UnauthorizedRequest/,
    hint: /dislikes this network/
  },
  {
    name: 'forbidden',
    sim: { create: { failure: 'forbidden' } },
    step: 'create',
    detail: /result Forbidden/,
    hint: /does not admit/
  },
  {
    name: 'internal',
    sim: { create: { failure: 'internal' } },
    step: 'create',
    detail: /result InternalServerError/,
    hint: constant('CREATE_HEADERS', 'sydney')
  },
  {
    name: 'no signature',
    sim: { create: { failure: 'no-signature' } },
    step: 'create',
    detail: /conversationId: string\(77\)/,
    hint: constant('SIGNATURE_HEADER', 'sydney')
  },
  {
    name: 'no ids',
    sim: { create: { failure: 'no-ids' } },
    step: 'create',
    detail: /conversationId: null/,
    hint: constant('SIGNATURE_HEADER', 'sydney')
  },
  {
    name: 'empty',
    sim: { create: { failure: 'empty' } },
    step: 'create',
    detail: /HTTP 200, empty body/,
    hint: NETWORK
  },
  {
    name: 'a page where JSON is due',
    sim: { create: { failure: 'html' } },
    step: 'create',
    detail: /HTTP 200, HTML of/,
    hint: /CHAT_UPSTREAM=copilot.*CREATE_PATH/
  },
  {
    name: 'broken JSON',
    sim: { create: { failure: 'not-json' } },
    step: 'create',
    detail: /broken JSON of \d+ characters/,
    hint: constant('CREATE_PATH', 'sydney')
  },
  {
    name: 'region',
    sim: { create: { failure: 'region' } },
    step: 'create',
    detail: /redirect to cn\.bing\.com/,
    hint: NETWORK
  },
  {
    name: 'redirects in a circle',
    sim: { create: { failure: 'region-loop' } },
    step: 'create',
    detail: /redirect to 127/,
    hint: NETWORK
  },
  {
    name: 'login',
    sim: { create: { failure: 'login-redirect' } },
    step: 'create',
    detail: /redirect to login\.live\.com/,
    hint: COOKIE_HINT
  },
  {
    name: 'Cloudflare',
    sim: { create: { failure: 'cloudflare-403' } },
    step: 'create',
    detail: /HTTP 403, HTML/,
    hint: PASS
  },
  {
    name: 'not found',
    sim: { create: { failure: 'not-found' } },
    step: 'create',
    detail: /HTTP 404/,
    hint: constant('BUNDLE_VERSION', 'sydney')
  },
  {
    name: 'challenge',
    sim: { create: { failure: 'challenge-message' } },
    step: 'create',
    detail: /result CaptchaChallenge/,
    hint: PASS
  },
  {
    name: 'throttled',
    sim: { create: { resultValue: 'Throttled', resultMessage: WORDS } },
    step: 'create',
    detail: /result Throttled\./,
    hint: /do not repeat it.*Not before 3600 s/
  },
  {
    name: 'unknown result',
    sim: { create: { resultValue: 'Novelty', resultMessage: WORDS } },
    step: 'create',
    detail: /result Novelty\./,
    hint: constant('CREATE_RESULTS', 'sydney')
  },
  {
    name: '429',
    sim: { create: { status: 429 } },
    step: 'create',
    detail: /HTTP 429/,
    hint: /do not repeat/
  },
  {
    name: '502',
    sim: { create: { status: 502, body: WORDS } },
    step: 'create',
    detail: /HTTP 502/,
    hint: LATER
  }
]

const TURN: Case[] = [
  {
    name: 'upgrade 200',
    sim: { upgrade: { status: 200, body: WORDS } },
    step: 'upgrade',
    detail: /upgrade answered with 200/,
    hint: constant('ACCESS_TOKEN_QUERY', 'sydney')
  },
  {
    name: 'upgrade 401',
    sim: { upgrade: { status: 401 } },
    step: 'upgrade',
    detail: /upgrade answered with 401/,
    hint: constant('HUB_HEADERS', 'sydney')
  },
  {
    name: 'upgrade 403',
    sim: { upgrade: { status: 403 } },
    step: 'upgrade',
    detail: /upgrade answered with 403/,
    hint: NETWORK
  },
  {
    name: 'upgrade 429',
    sim: { upgrade: { status: 429 } },
    step: 'upgrade',
    detail: /throttling/,
    hint: /do not repeat/
  },
  {
    name: 'upgrade to login',
    sim: { upgrade: { redirect: 'https://login.live.com/' } },
    step: 'upgrade',
    detail: /_U cookie/,
    hint: COOKIE_HINT
  },
  {
    name: 'upgrade reset',
    sim: { upgrade: { reset: true } },
    step: 'upgrade',
    detail: /ECONNRESET/,
    hint: NETWORK
  },
  {
    name: 'handshake refused',
    sim: { upgrade: { handshake: 'error' } },
    step: 'handshake',
    detail: /rejected the handshake/,
    hint: constant('HANDSHAKE', 'sydney')
  },
  {
    name: 'closed at the handshake',
    sim: { upgrade: { handshake: 'close' } },
    step: 'handshake',
    detail: /closed with 1000/,
    hint: NETWORK
  },
  {
    name: 'gone at the handshake',
    sim: { upgrade: { handshake: 'terminate' } },
    step: 'handshake',
    detail: /closed with 1006/,
    hint: NETWORK
  },
  {
    name: 'silent at the handshake',
    sim: { upgrade: { handshake: 'silent' } },
    env: { CHAT_TIMEOUT_MS: '1200' },
    step: 'handshake',
    detail: /no end within 1 s/
  },
  {
    name: 'closed before the first record',
    sim: { turn: { end: 'close', endAt: 'start', closeCode: 1011 } },
    step: 'first record',
    detail: /closed with 1011/,
    hint: LATER
  },
  {
    name: 'silent after the question',
    sim: { turn: { end: 'silence', endAt: 'start' } },
    env: { CHAT_TIMEOUT_MS: '1200' },
    step: 'first record',
    detail: /no end within 1 s/
  },
  {
    name: 'closed in the answer',
    sim: { turn: { end: 'close', endAt: 'mid-text' } },
    step: 'final record',
    detail: /middle of the answer.*closed with 1000/,
    hint: LATER
  },
  {
    name: 'no JSON',
    sim: { turn: { notJson: 'mid-text' } },
    step: 'final record',
    detail: /record of \d+ characters is not JSON/,
    hint: constant('RECORD_SEPARATOR', 'sydney')
  },
  {
    name: 'throttled',
    sim: { turn: { failure: 'throttled' } },
    step: 'final record',
    detail: /result Throttled/,
    hint: /do not repeat/
  },
  {
    name: 'captcha',
    sim: { turn: { failure: 'captcha' } },
    step: 'final record',
    detail: /result CaptchaChallenge/,
    hint: /solve the captcha/
  },
  {
    name: 'token expired',
    sim: { turn: { failure: 'token-expired' } },
    step: 'final record',
    detail: /result UnauthorizedRequest/,
    hint: constant('ENCRYPTED_SIGNATURE_HEADER', 'sydney')
  },
  {
    name: 'unauthorized',
    sim: { turn: { failure: 'unauthorized' } },
    step: 'final record',
    detail: /result UnauthorizedRequest/,
    hint: COOKIE_HINT
  },
  {
    name: 'transient',
    sim: { turn: { failure: 'deepleo' } },
    step: 'final record',
    detail: /result InternalError/,
    hint: LATER
  },
  {
    name: 'invalid request',
    sim: { turn: { failure: 'invalid-request' } },
    step: 'final record',
    detail: /result InvalidRequest/,
    hint: constant('OPTION_SETS', 'sydney')
  },
  {
    name: 'unknown result',
    sim: { turn: { result: { value: 'Novelty', message: WORDS } } },
    step: 'final record',
    detail: /result Novelty\./,
    hint: constant('TURN_RESULTS', 'sydney')
  },
  {
    name: 'filtered',
    sim: { turn: { filter: 'offense' } },
    step: 'final record',
    detail: /filtered this prompt/,
    hint: constant('OFFENSE', 'sydney')
  },
  {
    name: 'broken off',
    sim: { turn: { failure: 'throttled', endAt: 'mid-text' } },
    step: 'final record',
    detail: /answer_truncated/,
    hint: /broke off/
  }
]

/** Settings that make Copilot the chat upstream. */
export const COPILOT = { CHAT_UPSTREAM: 'copilot', COPILOT_ACCESS_TOKEN: TOKEN }
const PASS_COPILOT = /copilot\.microsoft\.com in a browser.*pass the check/
const NEW_COPILOT = /Sign in at copilot\.microsoft\.com/

const SITE: Case[] = [
  {
    name: 'Cloudflare',
    sim: { 'copilot.home': { refusal: 'cloudflare' } },
    step: 'start page',
    detail: /HTTP 403, HTML/,
    hint: PASS_COPILOT
  },
  {
    name: 'overloaded',
    sim: { 'copilot.home': { refusal: 'overloaded' } },
    step: 'start page',
    detail: /HTTP 502/,
    hint: /COPILOT_TURNS_PER_MINUTE/
  },
  {
    name: 'user 401',
    sim: { 'copilot.user': { refusal: 'unauthorized' } },
    step: 'user',
    detail: /HTTP 401, JSON/,
    hint: NEW_COPILOT
  },
  {
    name: 'user 403',
    sim: { 'copilot.user': { refusal: 'cloudflare' } },
    step: 'user',
    detail: /HTTP 403, HTML/,
    hint: PASS_COPILOT
  },
  {
    name: 'client refused',
    sim: { 'copilot.user': { refusal: 'client-refused' } },
    step: 'user',
    detail: /answered with 460/,
    hint: constant('USER_AGENT', 'copilot')
  },
  {
    name: 'a page where JSON is due',
    sim: { 'copilot.user': { status: 200, body: html } },
    step: 'user',
    detail: /HTTP 200, HTML/,
    hint: PASS_COPILOT
  },
  {
    name: 'no JSON',
    sim: { 'copilot.user': { status: 200, body: WORDS } },
    step: 'user',
    detail: /text of \d+ characters/,
    hint: constant('START_PATH', 'copilot')
  },
  {
    name: 'nobody',
    sim: { 'copilot.user': { anonymous: true } },
    step: 'user',
    detail: /Nobody is signed in.*firstName: null/,
    hint: /cookies are no longer good/
  },
  {
    name: 'login',
    sim: { 'copilot.user': { redirect: 'https://login.live.com/' } },
    step: 'user',
    detail: /redirect to login/,
    hint: NEW_COPILOT
  },
  {
    name: 'shorter prompts',
    sim: { 'copilot.config': { maxTextMessageLength: 4000 } },
    step: 'limits',
    detail: /up to 4000 characters/,
    hint: constant('MAX_PROMPT_CHARS', 'copilot')
  },
  {
    name: 'silent about prompts',
    sim: { 'copilot.config': { status: 200, body: '{"a":1}' } },
    step: 'limits',
    detail: /JSON \{ a: number \}/,
    hint: constant('CONFIG_PATH', 'copilot')
  },
  {
    name: 'no answer',
    sim: { 'copilot.user': { stall: 'before' } },
    stepMs: 700,
    step: 'user',
    detail: /no end within/
  }
]

const COPILOT_TURN: Case[] = [
  {
    name: 'start 401',
    sim: { 'copilot.start': { refusal: 'unauthorized' } },
    step: 'start',
    detail: /HTTP 401/,
    hint: NEW_COPILOT
  },
  {
    name: 'start 403',
    sim: { 'copilot.start': { refusal: 'cloudflare' } },
    step: 'start',
    detail: /HTTP 403, HTML/,
    hint: PASS_COPILOT
  },
  {
    name: 'blocked',
    sim: { 'copilot.start': { isBlocked: true } },
    step: 'start',
    detail: /blocked this account.*isBlocked: boolean/,
    hint: /another account/
  },
  {
    name: 'banned for a time',
    sim: { 'copilot.start': { banExpiresInMs: 60_000 } },
    step: 'start',
    detail: /for a time/,
    hint: /Not before \d+ s/
  },
  {
    name: 'no id',
    sim: { 'copilot.start': { id: 'none' } },
    step: 'start',
    detail: /start answer without an id: keys/,
    hint: constant('ID_FIELDS', 'copilot')
  },
  {
    name: 'nothing left',
    sim: { 'copilot.start': { remainingTurns: 0 } },
    step: 'start',
    detail: /used up/,
    hint: /do not repeat/
  },
  {
    name: 'a page',
    sim: { 'copilot.start': { oddBody: 'html' } },
    step: 'start',
    detail: /HTML of/,
    hint: constant('START_PATH', 'copilot')
  },
  {
    name: 'upgrade 401',
    sim: { 'copilot.upgrade': { refusal: 'unauthorized' } },
    step: 'upgrade',
    detail: /answered with 401/,
    hint: /access token has expired/
  },
  {
    name: 'upgrade 403',
    sim: { 'copilot.upgrade': { refusal: 'cloudflare' } },
    step: 'upgrade',
    detail: /answered with 403/,
    hint: PASS_COPILOT
  },
  {
    name: 'upgrade 460',
    sim: { 'copilot.upgrade': { refusal: 'client-refused' } },
    step: 'upgrade',
    detail: /answered with 460/,
    hint: constant('SOCKET_HEADERS', 'copilot')
  },
  {
    name: 'upgrade 200',
    sim: { 'copilot.upgrade': { status: 200 } },
    step: 'upgrade',
    detail: /upgrade answered with 200/,
    hint: constant('CHAT_PATH', 'copilot')
  },
  {
    name: 'challenge at once',
    sim: { 'copilot.upgrade': { challenge: 'hashcash' } },
    step: 'first text',
    detail: /only a person/,
    hint: PASS_COPILOT
  },
  {
    name: 'challenge instead of an answer',
    sim: { 'copilot.turn': { challenge: 'null', challengeAt: 'instead' } },
    step: 'first text',
    detail: /only a person/,
    hint: PASS_COPILOT
  },
  {
    name: 'throttled',
    sim: { 'copilot.turn': { failure: 'throttled', nextAvailableInMs: 90_000 } },
    step: 'first text',
    detail: /throttling/,
    hint: /Not before \d\d s/
  },
  {
    name: 'not served',
    sim: { 'copilot.turn': { failure: 'chat-service-unavailable' } },
    step: 'first text',
    detail: /does not serve/,
    hint: /copilot\.microsoft\.com/
  },
  {
    name: 'invalid event',
    sim: { 'copilot.turn': { failure: 'invalid-event' } },
    step: 'first text',
    detail: /order or the form/,
    hint: constant('SET_OPTIONS', 'copilot')
  },
  {
    name: 'too long',
    sim: { 'copilot.turn': { failure: 'text-too-long' } },
    step: 'first text',
    detail: /too long/,
    hint: constant('MAX_PROMPT_CHARS', 'copilot')
  },
  {
    name: 'another error',
    sim: { 'copilot.turn': { errorCode: 'novelty' } },
    step: 'first text',
    detail: /did not answer/,
    hint: constant('ERROR_ROWS', 'copilot')
  },
  {
    name: 'closed',
    sim: { 'copilot.turn': { end: 'close', endAt: 'before-text' } },
    step: 'first text',
    detail: /closed with 1000/,
    hint: NEW_COPILOT
  },
  {
    name: 'closed in the answer',
    sim: { 'copilot.turn': { end: 'terminate', endAt: 'mid-text' } },
    step: 'done',
    detail: /closed with 1006/,
    hint: LATER
  },
  {
    name: 'silent',
    sim: { 'copilot.turn': { end: 'silence', endAt: 'before-text' } },
    env: { CHAT_TIMEOUT_MS: '1200' },
    step: 'first text',
    detail: /no end within 1 s/
  }
]

export const TABLES: {
  title: string
  prefix: string
  env?: Environment
  spend?: DoctorOptions['spend']
  cases: Case[]
}[] = [
  { title: 'the page of the Image Creator', prefix: 'image-creator', cases: LANDING },
  { title: 'one picture', prefix: 'image-creator', spend: 'image', cases: PICTURE },
  { title: 'starting a conversation', prefix: 'sydney', spend: 'chat', cases: CREATE },
  { title: 'one turn', prefix: 'sydney', spend: 'chat', cases: TURN },
  { title: 'the site of Copilot', prefix: 'copilot', env: COPILOT, cases: SITE },
  { title: 'one turn with Copilot', prefix: 'copilot', spend: 'chat', env: COPILOT, cases: COPILOT_TURN }
]
