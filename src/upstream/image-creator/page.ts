import { type HTMLElement, NodeType, parse } from 'node-html-parser'
import { type FailureId, UpstreamError } from '../failures.ts'
import { decodeEntities } from '../media/media-url.ts'
import {
  ADDRESS_ATTRIBUTE,
  CHALLENGE_MARKERS,
  CHALLENGE_PAGE,
  CREATE_PAGE,
  ERROR_PANELS,
  ERROR_TEXTS,
  FORM_OR_LINK,
  HIDDEN_PANEL_ID,
  IG_PATTERNS,
  REFUSAL_PANEL_ID,
  REJECTION_MARKERS,
  SALT_PATTERN,
  SIGNED_IN,
  SIGNED_OUT
} from './constants.ts'

/**
 * What a page may ask of the parser and of the searches in what it makes: both go from tags to those around them, and
 * recurse. A page of Bing's has a few thousand tags, a few dozen of them open at once; some hundreds more seem to be where
 * scripts compare with "less than".
 */
const MAX_OPEN_TAGS = 2000
/** Comments too: wherever the parser may begin to make something. */
const MAX_TAGS = 100_000
/** For each tag and text, the tags that are open around it, taken together. */
const MAX_NESTING = 20_000_000

/** What a Creator page says about the visitor. */
export interface LandingPage {
  signedIn: boolean
  /** Page impression id; absent when the page shows none. */
  ig: string | undefined
  salt: string | undefined
  /** The page is Bing's apology for an outage. */
  outage: boolean
  /** The page stands in the way until a person has passed a check. */
  challenge: boolean
}

export function readLandingPage(html: string): LandingPage {
  const signedIn = SIGNED_IN.test(html)
  return {
    signedIn,
    ig: cookieSafe(firstMatch(html, IG_PATTERNS)),
    salt: cookieSafe(SALT_PATTERN.exec(html)?.[1]),
    outage: textRow(visibleText(parsePage(html))) === 'I15',
    challenge: !isFullPage(html) && (isChallenge(html) || CHALLENGE_PAGE.test(html))
  }
}

/** Whether an answer that is none of the Creator's own pages has a mark of a check or of a blocked cookie (row I17). */
export function isChallenge(text: string): boolean {
  return CHALLENGE_MARKERS.some((marker) => text.includes(marker))
}

/** Whether a page is what somebody sees who is not signed in. A page fragment is not. */
export function isSignedOut(html: string): boolean {
  return SIGNED_OUT.test(html) && !SIGNED_IN.test(html)
}

/** As `isChallenge`, for an answer that may repeat the prompt. */
export function isChallengeBeside(text: string, prompt: string): boolean {
  return isChallenge(text) && !isChallenge(prompt)
}

/** Whether a page has the site's header, signed in or not. Error pages and answers to polls have none. */
export function isFullPage(html: string): boolean {
  return SIGNED_IN.test(html) || SIGNED_OUT.test(html)
}

/**
 * Whether an answer is the Creator's start page: it has the site's header, or a form or link that leads to the Creator.
 * Empty answers, JSON, plain text and other pages are not: they say nothing about what became of a prompt.
 */
export function isStartPage(text: string): boolean {
  if (/^\s*[{[]/.test(text)) return false
  if (isFullPage(text)) return true
  if (CHALLENGE_PAGE.test(text)) return false
  for (const [tag] of text.matchAll(FORM_OR_LINK)) {
    if (addressesIn(tag).some((address) => CREATE_PAGE.test(address.split(/[?#]/)[0] ?? ''))) return true
  }
  return false
}

/** The addresses that links, forms and poll containers hold, entities decoded. */
export function addressesIn(html: string): string[] {
  return [...html.matchAll(ADDRESS_ATTRIBUTE)].map(([, double, single, bare]) =>
    decodeEntities(double ?? single ?? bare ?? '').trim()
  )
}

/** Whether a page carries one of the structural signs of a refused prompt; docs/protocol/images.md section 5.1. */
export function hasRejectionMarker(text: string): boolean {
  return REJECTION_MARKERS.some((marker) => marker.test(text))
}

/**
 * What a page's visible words say went wrong; docs/protocol/images.md section 5.2.
 *
 * Error panels are read first. When there is none, the whole page is read without the prompt, because some error pages
 * have no panel: pass `panelsOnly` for pages that show results, whose captions are other people's words.
 */
export function errorTextRow(
  page: HTMLElement,
  { prompt, panelsOnly = false }: { prompt: string; panelsOnly?: boolean }
): FailureId | undefined {
  const panels = page.querySelectorAll(ERROR_PANELS).filter(isVisible)
  for (const panel of panels) {
    const row = textRow(visibleText(panel))
    if (row !== undefined) return row
  }
  if (panels.some((panel) => panel.id === REFUSAL_PANEL_ID && visibleText(panel) !== '')) return 'I4'
  return panelsOnly ? undefined : textRow(wordsBesidePrompt(page, prompt))
}

/** The visible words of a page, lower-case, without those that repeat the prompt. */
export function wordsBesidePrompt(page: HTMLElement, prompt: string): string {
  const echo = normalised(prompt)
  const words = visibleText(page)
  return echo === '' ? words : words.replaceAll(echo, ' ')
}

/** The failure that an error text of Bing stands for. */
export function textRow(text: string): FailureId | undefined {
  const words = normalised(text)
  return ERROR_TEXTS.find((entry) => entry.text.test(words))?.row
}

const PARSING = { blockTextElements: { script: false, style: false } }

/** Parses HTML, with the content of `noscript` as elements and that of scripts and styles as nothing. */
export function parsePage(html: string): HTMLElement {
  const ended = withoutUnended(withoutUnended(html, '<!--', '-->'), '<![CDATA[', ']]>')
  if (isTooMuch(ended))
    throw new UpstreamError('T11', { cause: new Error('page: more tags than a page has') })
  return parse(ended, PARSING)
}

/** Leaves out beginnings without an end: the parser would look for one from each of them, through all of the page. */
function withoutUnended(html: string, beginning: string, end: string): string {
  const last = html.lastIndexOf(end)
  return html.slice(0, last + 1) + html.slice(last + 1).replaceAll(beginning, '')
}

const UNSEEN = new Set(['SCRIPT', 'STYLE', 'TEMPLATE', 'HEAD', 'TITLE', 'NOSCRIPT'])

function hides(element: HTMLElement): boolean {
  return (
    UNSEEN.has(element.tagName) ||
    element.id === HIDDEN_PANEL_ID ||
    element.hasAttribute('hidden') ||
    /display:\s*none|visibility:\s*hidden/i.test(element.getAttribute('style') ?? '')
  )
}

/** Whether neither an element nor one around it is hidden, as far as the markup itself tells. */
export function isVisible(element: HTMLElement): boolean {
  return !isWithin(element, hides)
}

/** Whether a browser with scripts makes an element of it, hidden or not. */
export function isInDocument(element: HTMLElement): boolean {
  return !isWithin(element, ({ tagName }) => UNSEEN.has(tagName))
}

function isWithin(element: HTMLElement, test: (element: HTMLElement) => boolean): boolean {
  for (let at: HTMLElement | null = element; at !== null; at = at.parentNode) {
    if (at.tagName !== undefined && at.tagName !== null && test(at)) return true
  }
  return false
}

function visibleText(root: HTMLElement): string {
  const words: string[] = []
  const rest: HTMLElement['childNodes'] = [root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if (node.nodeType === NodeType.TEXT_NODE) words.push(node.text)
    else if (node.nodeType === NodeType.ELEMENT_NODE) {
      const element = node as HTMLElement
      if (element.tagName && hides(element)) continue
      // Not as arguments, of which a call can't have so many.
      for (const child of element.childNodes.toReversed()) rest.push(child)
    }
  }
  return normalised(words.join(' '))
}

function normalised(text: string): string {
  return text.toLowerCase().replaceAll('’', "'").replace(/\s+/g, ' ').trim()
}

function firstMatch(text: string, patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const found = pattern.exec(text)?.[1]
    if (found !== undefined) return found
  }
  return undefined
}

/** IG and Salt go into a cookie and into URLs; a value that fits neither is worth nothing. */
function cookieSafe(value: string | undefined): string | undefined {
  return value !== undefined && /^[\x21-\x3a\x3c-\x7e]{1,256}$/.test(value) ? value : undefined
}

const MARKUP = /<[a-z/!]/gi

/**
 * Which tags are open where, only the parser knows: no other reading of hostile markup agrees with its own. So it reads
 * the page, and leaves tags without an end as they are, which takes time in proportion to the page. Taking them out is what
 * takes the square of it.
 */
function isTooMuch(html: string): boolean {
  let tags = 0
  for (const _ of html.matchAll(MARKUP)) tags += 1
  if (tags > MAX_TAGS) return true
  // No more than that can be open in it.
  return tags > MAX_OPEN_TAGS && isTooDeep(parse(html, { ...PARSING, parseNoneClosedTags: true }))
}

function isTooDeep(page: HTMLElement): boolean {
  let nesting = 0
  let level: HTMLElement['childNodes'] = page.childNodes
  for (let depth = 1; level.length > 0; depth++) {
    nesting += depth * level.length
    if (nesting > MAX_NESTING) return true
    level = level.flatMap(({ childNodes }) => childNodes)
    if (depth > MAX_OPEN_TAGS) return true
  }
  return false
}
