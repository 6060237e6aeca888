import { type FieldRule, type FieldRules, HTTP_FAULT_FIELDS, type HttpFaults } from '../behaviour.ts'

/** Structural signs of a refused prompt; docs/protocol/images.md section 5.1. */
export const MARKERS = ['none', 'girer-icon', 'clarity-tag', 'dq-err', 'gil-err-img', 'girer-title'] as const

/** Error texts; docs/protocol/images.md section 5.2, and those of docs/protocol/video.md section 2.4 (`video-…`). */
export const TEXTS = [
  'none',
  'blocked',
  'content-warning',
  'under-review',
  'unsafe-image',
  'language',
  'short-prompt',
  'ongoing',
  'queue-limit',
  'no-coins',
  'high-demand',
  'cannot-create',
  'problem',
  'try-later',
  'region',
  'outage',
  'sorry',
  'video-requests',
  'video-rate',
  'video-concurrent',
  'video-wrong',
  'video-later',
  'video-could-not',
  'video-error',
  'video-unable'
] as const

/** What a POST that is not refused answers; docs/protocol/images.md section 2.3. */
export const SUBMIT_ANSWERS = [
  'redirect',
  'start-page',
  'no-id',
  'login',
  'id-in-body',
  'authns',
  'snrerror',
  'lost'
] as const

/** Shapes of a poll answer while a job works; docs/protocol/images.md section 4. */
export const PENDING_SHAPES = [
  'empty',
  'one-character',
  'json',
  'json-still',
  'status-page',
  'no-css',
  'streaming'
] as const

/** Shapes of a poll answer when pictures are ready; docs/protocol/images.md sections 5.3 and 6. */
export const READY_SHAPES = [
  'page',
  'iusc',
  'no-images',
  'bad-unsafe',
  'bad-overloaded',
  'bad-unsafe-relative',
  'bad-overloaded-relative',
  'no-scheme',
  'one-no-scheme'
] as const

/** Shapes of a poll answer when a video is ready; docs/protocol/video.md section 2. */
export const VIDEO_READY_SHAPES = [
  'show-content-url',
  'show-content-html',
  'show-content-video-tag',
  'pending-and-content',
  'ourl',
  'ourl-slashes',
  'ourl-unicode',
  'ourl-entities',
  'ourl-after-poster',
  'ourl-tse',
  'card',
  'json-neither'
] as const

/** How picture addresses are written in a ready page. */
export const URL_FORMS = ['absolute', 'relative', 'tse', 'th', 'mixed'] as const

export type Marker = (typeof MARKERS)[number]
export type ErrorText = (typeof TEXTS)[number]
export type SubmitAnswer = (typeof SUBMIT_ANSWERS)[number]
export type PendingShape = (typeof PENDING_SHAPES)[number]
export type ReadyShape = (typeof READY_SHAPES)[number]
export type VideoReadyShape = (typeof VIDEO_READY_SHAPES)[number]
export type UrlForm = (typeof URL_FORMS)[number]

/** Ways in which any page of the Creator can be a refusal instead. */
export interface Refusals {
  /** Shows this refusal marker. */
  marker: Marker
  /** Shows this text in a visible error panel. */
  text: ErrorText
  /** Adds the hidden "can't create right now" panel to pages that are fine. */
  hiddenPanel: boolean
  /** Expires the caller's `_U` first, so that this call is already signed out. */
  expireCookie: boolean
}

/** `GET /images/create` without an id. */
export interface BootstrapBehaviour extends HttpFaults, Refusals {
  /** `by-cookie` looks at `_U`. */
  page: 'by-cookie' | 'signed-in' | 'signed-out'
  /** Answers with a 301 to the same page with another `FORM` first. */
  moved: boolean
  withoutIg: boolean
  withoutSalt: boolean
  /** The cookie that is set anew. A new `_U` value is accepted from then on; the old one stays accepted. */
  rotate: 'none' | '_EDGE_S' | '_U'
  /** The old `_U` expires when a new one is set. */
  expireRotated: boolean
  /** Fast creations in stock; each accepted one at `rt=4` uses one. Applies when the value changes; -1 leaves it. */
  fastLeft: number
  /** How the stock is shown: as a label, as `data-tb`, or as `data-tb` holding 15 minus the stock. */
  balance: 'label' | 'data-tb' | 'data-tb-used' | 'none'
}

/** `POST /images/create` for pictures. */
export interface SubmitBehaviour extends HttpFaults, Refusals {
  /** `lost` accepts the job, then cuts the connection without an answer. */
  answer: SubmitAnswer
  /** Checks parameters and session; turn off for clients of older dialects. */
  strict: boolean
  /** Appends `&nfy=1` to the redirect. */
  nfy: boolean
  /** The redirect is an absolute URL. */
  absoluteLocation: boolean
  /** Prompts with one of these words are refused at submit with a content policy marker. */
  refusedWords: string[]
  /** Prompts with one of these words are accepted, then rejected while polling. */
  rejectedLaterWords: string[]
  /** Jobs of this kind that may be unfinished at once, per simulator; 0 = any number. Bing: pictures 1, videos 3. */
  maxParallel: number
  /** As in `bootstrap`. */
  fastLeft: number
  /** What happens to a fast request when the stock is empty. */
  whenFastUsedUp: 'slow' | 'start-page' | 'no-coins'
}

/** The page behind the redirect of an accepted submit. */
export interface ResultPageBehaviour extends HttpFaults, Refusals {}

/** What polls for pictures and for videos have in common. */
export interface WaitBehaviour extends HttpFaults, Refusals {
  /** Polls of a job that find it working, before one that finds it ready. */
  pendingPolls: number
  /** Shapes of the pending answers, used in turn. */
  pending: PendingShape[]
  /** Milliseconds from the submit until a job can be ready. */
  readyAfterMs: number
  /**
   * How much jobs differ: `readyAfterMs` is the median of a log-normal distribution with this sigma, and each prompt has its
   * place in it. 0: all take the same.
   */
  readySpread: number
  /** Added to `readyAfterMs` for jobs in the standard queue after the fast creations were used up. */
  slowMs: number
  neverReady: boolean
  /** Stays pending until the poll's `IG` was handed out after the job's submit, as after a restart of the client. */
  onlyNewSession: boolean
  /** A finished job answers JSON with this `errorMessage`. */
  errorMessage: string
}

/** `GET /images/create/async/results/<id>` for pictures. */
export interface PollBehaviour extends WaitBehaviour {
  ready: ReadyShape
  /** Pictures in the answer, 1 to 4; 0 = four for DALL-E, one for the others. */
  images: number
  /** Every picture appears twice. */
  duplicates: boolean
  urls: UrlForm
  /** Icons, scripts and data pictures between the results. */
  furniture: boolean
  /** Where the enhanced prompt is written. */
  enhanced: 'selcap' | 'alt' | 'none'
  /** The enhanced prompt; empty = made from the prompt. */
  enhancedText: string
  /** Answers in the JSON of the newer protocol; docs/protocol/images.md section 6.4. */
  g3: boolean
  /** The first ready answer has status 1 and one picture. */
  g3Partial: boolean
  /** The JSON is inside a page, as `data-results` with `requestStatus`. */
  g3Page: boolean
  /** Status 3 with this number instead of pictures; 0 = pictures. 16 = unsafe. */
  errorType: number
  /** Slashes and ampersands of URLs in JSON are escaped. */
  escapedUrls: boolean
}

/** `GET /images/create/async/results/<id>` with `ctype=video`. */
export interface VideoPollBehaviour extends WaitBehaviour {
  ready: VideoReadyShape
}

/** `GET /th/id/<name>`. */
export interface MediaBehaviour extends HttpFaults {
  /** 404, as after Bing's retention. */
  expired: boolean
  /** 403, as a `tse` alias sometimes does. A `Host` of that form gives 403 in any case. */
  forbidden: boolean
  /** One flat colour per prompt in the same pixel sizes: for tests and benches that fetch much. */
  plain: boolean
}

/** Behaviours of everything under `/images/create` and `/th/id`. */
export interface CreatorBehaviours {
  bootstrap: BootstrapBehaviour
  submit: SubmitBehaviour
  resultPage: ResultPageBehaviour
  poll: PollBehaviour
  videoSubmit: SubmitBehaviour
  videoPoll: VideoPollBehaviour
  media: MediaBehaviour
}

const fine: Refusals = { marker: 'none', text: 'none', hiddenPanel: false, expireCookie: false }

const submitDefaults: SubmitBehaviour = {
  ...fine,
  answer: 'redirect',
  strict: true,
  nfy: false,
  absoluteLocation: false,
  refusedWords: ['forbidden', 'gore'],
  rejectedLaterWords: ['unsafe'],
  maxParallel: 0,
  fastLeft: -1,
  whenFastUsedUp: 'slow'
}

const waitDefaults: WaitBehaviour = {
  ...fine,
  pendingPolls: 1,
  pending: ['json'],
  readyAfterMs: 0,
  readySpread: 0,
  slowMs: 0,
  neverReady: false,
  onlyNewSession: false,
  errorMessage: ''
}

/** One pending poll, then ready; nothing waits. */
export const creatorDefaults: CreatorBehaviours = {
  bootstrap: {
    ...fine,
    page: 'by-cookie',
    moved: false,
    withoutIg: false,
    withoutSalt: false,
    rotate: '_EDGE_S',
    expireRotated: false,
    fastLeft: -1,
    balance: 'data-tb'
  },
  submit: submitDefaults,
  resultPage: fine,
  poll: {
    ...waitDefaults,
    ready: 'page',
    images: 0,
    duplicates: false,
    urls: 'absolute',
    furniture: true,
    enhanced: 'selcap',
    enhancedText: '',
    g3: false,
    g3Partial: false,
    g3Page: false,
    errorType: 0,
    escapedUrls: false
  },
  videoSubmit: submitDefaults,
  videoPoll: { ...waitDefaults, ready: 'show-content-url' },
  media: { expired: false, forbidden: false, plain: false }
}

const refusalFields = {
  ...HTTP_FAULT_FIELDS,
  marker: MARKERS,
  text: TEXTS,
  hiddenPanel: 'boolean',
  expireCookie: 'boolean'
} as const satisfies Record<string, FieldRule>

const submitFields = {
  ...refusalFields,
  answer: SUBMIT_ANSWERS,
  strict: 'boolean',
  nfy: 'boolean',
  absoluteLocation: 'boolean',
  refusedWords: 'array',
  rejectedLaterWords: 'array',
  maxParallel: 'number',
  fastLeft: 'number',
  whenFastUsedUp: ['slow', 'start-page', 'no-coins']
} as const satisfies Record<string, FieldRule>

const waitFields = {
  ...refusalFields,
  pendingPolls: 'number',
  pending: 'array',
  readyAfterMs: 'number',
  readySpread: 'number',
  slowMs: 'number',
  neverReady: 'boolean',
  onlyNewSession: 'boolean',
  errorMessage: 'string'
} as const satisfies Record<string, FieldRule>

/** Allowed fields and their types, checked by the control routes. */
export const creatorFields: FieldRules<CreatorBehaviours> = {
  bootstrap: {
    ...refusalFields,
    page: ['by-cookie', 'signed-in', 'signed-out'],
    moved: 'boolean',
    withoutIg: 'boolean',
    withoutSalt: 'boolean',
    rotate: ['none', '_EDGE_S', '_U'],
    expireRotated: 'boolean',
    fastLeft: 'number',
    balance: ['label', 'data-tb', 'data-tb-used', 'none']
  },
  submit: submitFields,
  resultPage: refusalFields,
  poll: {
    ...waitFields,
    ready: READY_SHAPES,
    images: 'number',
    duplicates: 'boolean',
    urls: URL_FORMS,
    furniture: 'boolean',
    enhanced: ['selcap', 'alt', 'none'],
    enhancedText: 'string',
    g3: 'boolean',
    g3Partial: 'boolean',
    g3Page: 'boolean',
    errorType: 'number',
    escapedUrls: 'boolean'
  },
  videoSubmit: submitFields,
  videoPoll: { ...waitFields, ready: VIDEO_READY_SHAPES },
  media: { ...HTTP_FAULT_FIELDS, expired: 'boolean', forbidden: 'boolean', plain: 'boolean' }
}
