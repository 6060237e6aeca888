import type { FailureId } from '../failures.ts'

/**
 * Everything about Bing's creators (images, and what video shares with them) that Microsoft can change without notice.
 * Described with its evidence in docs/protocol/images.md; nothing here was tried against the live service by its author.
 * "Seen" names the state of the public clients in which a value was found.
 */

/** Date of the last comparison with docs/protocol/images.md; part of the gateway's diagnostics. */
export const CONSTANTS_VERSION = '2026-11-21'

/** Longest accepted prompt, in UTF-16 code units. Bing documents no limit; the gateway's own choice, November 2026. */
export const MAX_QUERY_CHARS = 4000
/**
 * Longest accepted prompt, percent-encoded. It goes into the URLs of the submit and of each poll, and common servers
 * allow 16 KiB for a request head; this leaves 4 KiB for cookies and the rest. A Chinese character takes nine bytes,
 * so `MAX_QUERY_CHARS` alone would let 36 KB through.
 */
export const MAX_QUERY_ENCODED_BYTES = 12_000

// Paths, relative to the base URL. Seen Nov 2025 to Feb 2026 (variant G2).
export const CREATE_PATH = '/images/create'
export const RESULTS_PATH = '/images/create/async/results/'
/** Path under which pictures and videos are served, on the media hosts. Seen 2023 to 2026. */
export const MEDIA_PATH = '/th/id/'

/** Value of `FORM` on a submit. Seen 2023 to Feb 2026. */
export const SUBMIT_FORM = 'GENCRE'
/** Value of `IID` on image polls. Seen Feb 2026. */
export const POLL_IID = 'images.as'

/** Queues by `rt`: 4 uses a fast creation, 3 does not. Seen 2023 to Feb 2026. */
export const RT = { fast: 4, standard: 3 } as const

/** `mdl`, the body's `model`, and the `rt` that is tried first. Seen Dec 2025 to Feb 2026. */
export const MODELS = {
  DALLE: { mdl: 0, body: 'dalle', rt: RT.standard },
  GPT4O: { mdl: 1, body: 'gpt4o', rt: RT.fast },
  MAI1: { mdl: 4, body: 'maiimage1', rt: RT.fast }
} as const

/** `ar` and the body's `aspectRatio` (width:height). Seen Dec 2025 to Feb 2026. */
export const ASPECTS = {
  SQUARE: { ar: 1, body: '1:1' },
  LANDSCAPE: { ar: 2, body: '7:4' },
  PORTRAIT: { ar: 3, body: '4:7' }
} as const

/** The error texts below are English, so the pages must be. */
const LANGUAGE = 'en'

/** Headers of every call but for media, without `Origin` and `Referer`. Chrome's, 2026. */
export const PAGE_HEADERS = {
  'user-agent':
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-language': 'en-US,en;q=0.9',
  'upgrade-insecure-requests': '1'
} as const

export const FORM_CONTENT_TYPE = 'application/x-www-form-urlencoded'

// Landing page. Markers seen Feb 2026, IG and Salt 2023 to 2026.
/** There if and only if the visitor is signed in. As the clients look for it, wherever it stands; or in any quoting, case and order of attributes. */
export const SIGNED_IN =
  /(?<![\w-])id="id_a"\s+style="display:\s*none;?"|<[a-z](?=[^<>]*\sid\s*=\s*["']?id_a["'\s/>])[^<>]*\bdisplay\s*:\s*none/i
/** The sign-in link of a visitor who is not. */
export const SIGNED_OUT = /<a\b[^<>]*\sid\s*=\s*["']?id_l["'\s/>]/i
/** A form or link of a start page that has neither marker, and its path. */
export const FORM_OR_LINK = /<(?:form|a)\b[^<>]*/gi
export const CREATE_PAGE = /(?:^|\/)images\/create(?:\/|$)/i
/** A challenge in front of the site, whose form may lead to the Creator all the same. The gateway's own choice, November 2026. */
export const CHALLENGE_PAGE = /__cf_chl|\bcf-chl|challenge-(?:form|platform)/i
/** Page impression id, 32 upper-case hexadecimal digits; goes into submit and poll URLs. */
export const IG_PATTERNS = [/\bIG:"([^"]+)"/, /\b_G\.IG="([^"]+)"/, /[?&;]IG=([0-9A-F]{32})\b/] as const
/** Goes into the cookie SRCHHPGUSR. */
export const SALT_PATTERN = /\bSalt:"([^"]+)"/

export const SETTINGS_COOKIE = 'SRCHHPGUSR'
/**
 * Value of SRCHHPGUSR, not percent-encoded, as browsers send it. Submits without this cookie failed in 2023.
 * @param unixSeconds time of the landing page
 */
export function settingsCookie(
  unixSeconds: number,
  salt: string | undefined,
  ig: string | undefined
): string {
  return [
    `SRCHLANG=${LANGUAGE}`,
    `HV=${unixSeconds}`,
    ...(salt === undefined ? [] : [`HVE=${salt}`]),
    ...(ig === undefined ? [] : [`IG=${ig}`])
  ].join('&')
}

// Submit answers. Seen 2023 to Mar 2026; video ids begin with 4, image ids with 1.
export const ID_PATTERN = /^\d-[0-9a-f]{16,}$/i
/** The parameter of a redirect that has the id. */
export const ID_PARAMETER = 'id'
/** The id of a redirect to Bing itself, where nothing else can be meant. Looser than what was seen: the creation exists. */
export const REDIRECT_ID_PATTERN = /^[\w-]{1,128}$/
/** The id in a redirect as a path segment. Seen 2026. */
export const ID_IN_PATH = /\/(\d-[0-9a-f]{16,})(?=\/|$)/i
/** The one place in a page where an id is surely that of the creation shown. */
export const ID_IN_RESULTS_PATH = /\/images\/create\/async\/results\/(\d-[0-9a-f]{16,})/i
/** Attributes of a page that may hold an address with an id, in any quoting. */
export const ADDRESS_ATTRIBUTE = /\b(?:href|action|data-c)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))/gi
/** A page's own redirect: the tag, and its attribute with the address. */
export const REFRESH = /<meta\b(?=[^<>]*\shttp-equiv\s*=\s*["']?refresh\b)[^<>]*/gi
export const REFRESH_ADDRESS = /\scontent\s*=\s*(?:"([^"]*)"|'([^']*)')/i
/** A parameter of the redirect that must not be kept. */
export const NOTIFY_PARAMETER = /&(?:amp;)?nfy=1(?=&|#|$)/
/** Bodies of a challenge, or of a blocked cookie. One source, 2026. */
export const CHALLENGE_MARKERS = ['authns', 'snrerror'] as const

/** Signs of a refused prompt in a page's markup, in any language. Seen Feb 2026; the last one 2023. */
export const REJECTION_MARKERS = [
  /girer_center block_icon/,
  /data-clarity-tag="BlockedByContentPolicy"/,
  /dq-err="/,
  /class="[^"]{0,200}\bgil_err_img\b[^"]{0,200}\bblock_icon\b/
] as const

/** Error panel that always means a refusal when it is visible and says something. Seen 2023 to 2024. */
export const REFUSAL_PANEL_ID = 'girer'
/** Error panels whose text decides. Seen 2023 to 2024, the last one 2026. */
export const ERROR_PANELS =
  '.gil_err_tc, .gil_err_mt, .gil_err_sbt, .girer_center, #girer, .aigc-error__desc' as const
/** The "can't create right now" panel that is part of every page and hidden. Seen 2023. */
export const HIDDEN_PANEL_ID = 'gil_err_d'

/**
 * English error texts, in lower case and with straight apostrophes, the more telling ones first.
 * Seen 2023 to 2026: docs/protocol/images.md section 5.2.
 */
export const ERROR_TEXTS: readonly { text: RegExp; row: FailureId }[] = [
  { text: /this prompt has been blocked/, row: 'I5' },
  { text: /unsafe image content detected/, row: 'I7' },
  { text: /this prompt is being reviewed/, row: 'I6' },
  { text: /content warning/, row: 'I5' },
  { text: /offer image creator in more languages/, row: 'I8' },
  { text: /provide a more descriptive prompt/, row: 'I9' },
  { text: /wait until your other ongoing creations are complete/, row: 'I10' },
  { text: /you can't submit any more prompts/, row: 'I10' },
  { text: /(?<!\d)0 coins available/, row: 'I11' },
  { text: /coming soon to your region/, row: 'I14' },
  { text: /due to high demand/, row: 'I12' },
  { text: /we can't create your images right now/, row: 'I12' },
  { text: /there was a problem creating your images/, row: 'I13' },
  // "avaiable" is Bing's spelling.
  { text: /bing isn't avail?able right now/, row: 'I15' },
  { text: /we've run into an issue/, row: 'I15' },
  { text: /please try again or come back later/, row: 'I13' }
]

// Poll answers. Seen Feb 2026 unless said otherwise.
/** `errorMessage` of the waiting JSON, any case. */
export const PENDING_MESSAGE = /^\s*(still )?pending\s*$/i
/** Waiting page. Seen 2023. */
export const STATUS_PAGE = 'GenerativeImagesStatusPage'
/** GPT-4o shows a preview while it draws. */
export const STREAMING = 'imgri-inner-container strm'
/** Only a finished result brings its style sheet. */
export const FINISHED = /text\/css|<style/i

/** `status` (in pages: `requestStatus`) of the JSON of variant G3. Seen mid-2026. */
export const G3_STATUS = { pending: 0, partial: 1, complete: 2, failed: 3 } as const
/** G3 `errorType` of a picture that was drawn and then withheld. One source, 2026. */
export const G3_UNSAFE = 16

/** Pictures that stand for an error, by the end of their path. Seen 2023. */
export const BAD_IMAGES: readonly { name: string; row: FailureId }[] = [
  { name: '/rp/in-2zU3AJUdkgFe7ZKv19yPBHVs.png', row: 'I7' },
  { name: '/rp/TX9QuO3WzcCJz1uaaSwQAz39Kb0.jpg', row: 'I12' }
]
/** Sources that belong to the page and never to a result. */
export const FURNITURE = /^data:|\/rp\/|\.(svg|js|css|gif|ico)$/i

/** Elements that may carry a picture's address. Seen 2023 to 2026. */
export const PICTURE_ELEMENTS = 'img, a.iusc'
/** Enhanced prompt: attribute first, then the `alt` of these images. */
export const ENHANCED_PROMPT_ATTRIBUTE = 'data-selcap'
export const ENHANCED_PROMPT_IMAGES = 'img.image-row-img'

// Media URLs. Seen 2023 to 2026.
/** The query that gives a picture in full size. */
export const FULL_PICTURE_QUERY = 'pid=ImgGn'
/** Alias hosts of the media host; they answer 403 at times. */
export const MEDIA_ALIAS_HOST = /^tse\d+\.mm\.bing\.net$/i
/** Takes over for an alias that answers 403. */
export const MEDIA_FALLBACK_BASE = 'https://th.bing.com'
