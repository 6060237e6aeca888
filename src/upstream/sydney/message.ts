import type { Source } from '../chat-client.ts'
import {
  ANSWER_TYPE,
  APOLOGY_ORIGIN,
  ATTRIBUTIONS_BLOCK_ID,
  DISENGAGED_TYPE,
  IMAGE_BLOCK_TYPE,
  INTERNAL_TYPES,
  OFFENSE,
  SEARCH_RESULT_TYPE
} from './constants.ts'

type Json = Readonly<Record<string, unknown>>

/** One chat message of an update or of the final record, reduced to what the answer is made of. */
export interface HubMessage {
  /** `user`, `bot`, or empty. */
  author: string
  kind: 'answer' | 'apology' | 'disengaged' | 'search-result' | 'other'
  /** Its `messageType`, where this version does not know that. */
  unknownType: string | undefined
  id: string | undefined
  /** The plain channel, see answer.ts; empty when absent. */
  text: string
  /** The other channel: the same text as the card has it, without link definitions; empty when absent. */
  card: string
  /** The upstream marked the prompt as one it does not answer. */
  isFiltered: boolean
  suggestions: string[]
  /** `sourceAttributions`. */
  attributions: Source[]
  /** Link definitions of the card, or the pages of a search result. */
  links: () => Source[]
}

/**
 * Reads `messages`; anything that is no message is skipped, wrong types count as absent.
 * @see docs/protocol/chat-sydney.md sections 6.3 and 6.4
 */
export function readMessages(value: unknown): HubMessage[] {
  return objects(value).map((raw) => {
    const kind = kindOf(raw)
    return {
      author: textOf(raw.author),
      kind,
      unknownType: kind === 'other' ? unknownTypeOf(raw) : undefined,
      id: textOf(raw.messageId) || undefined,
      text: textOf(raw.text),
      card: kind === 'answer' ? cardText(raw) : '',
      isFiltered: raw.offense === OFFENSE || textOf(raw.topicChangerText) !== '',
      suggestions: objects(raw.suggestedResponses)
        .map((suggestion) => textOf(suggestion.text))
        .filter((text) => text !== ''),
      attributions: objects(raw.sourceAttributions).flatMap((source) =>
        toSource(source.providerDisplayName, source.seeMoreUrl)
      ),
      // Parsed only when asked for: results have tens of kilobytes, and mostly the attributions are enough.
      links: () => (kind === 'search-result' ? searchedPages(raw) : cardLinks(raw))
    }
  })
}

function kindOf(raw: Json): HubMessage['kind'] {
  if (raw.author !== 'bot') return 'other'
  if (raw.contentOrigin === APOLOGY_ORIGIN) return 'apology'
  const type = raw.messageType ?? ANSWER_TYPE
  if (type === ANSWER_TYPE) return 'answer'
  if (type === DISENGAGED_TYPE) return 'disengaged'
  return type === SEARCH_RESULT_TYPE ? 'search-result' : 'other'
}

function unknownTypeOf({ author, messageType }: Json): string | undefined {
  if (author !== 'bot' || typeof messageType !== 'string') return undefined
  return INTERNAL_TYPES.has(messageType) ? undefined : messageType
}

/** The text block of the first card: its first one, or the one behind an image (section 6.1). */
function cardText(raw: Json): string {
  const [first, second] = objects(objects(raw.adaptiveCards)[0]?.body)
  const block = first?.type === IMAGE_BLOCK_TYPE ? second : first
  if (block === undefined || block.id === ATTRIBUTIONS_BLOCK_ID) return ''
  // A definition that is still being written, up to a lone `[`, is none of the text either.
  return textOf(block.text)
    .replace(/^(?:\[\d+\]:[^\n]*(?:\n|$))+(?:[ \t\r]*\n)*/, '')
    .replace(/^\[\d*\]?$/, '')
}

/** Lines like `[1]: https://harbour.example/tower "Harbour tower"` in the card's text blocks (section 6.1). */
function cardLinks(raw: Json): Source[] {
  const blocks = objects(raw.adaptiveCards).flatMap((card) => objects(card.body))
  const definitions = blocks.flatMap((block) => [
    ...textOf(block.text).matchAll(/^\[\d+\]:\s+(\S+)(?:[ \t]+"(.*)")?[ \t]*$/gm)
  ])
  return definitions.flatMap(([, url, title]) => toSource(title, url))
}

/** Pages of `groundingInfo`, else of the JSON in `text`; empty when that is prose (section 6.3). */
function searchedPages(raw: Json): Source[] {
  const grounding = isObject(raw.groundingInfo) ? raw.groundingInfo : parsed(textOf(raw.text))
  if (!isObject(grounding)) return []
  return Object.values(grounding)
    .flatMap(objects)
    .flatMap((page) => toSource(page.title, page.url))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** None when the URL is not one that a reader could open. */
function toSource(title: unknown, url: unknown): Source[] {
  const address = textOf(url).trim()
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return []
  return [{ title: textOf(title).trim() || new URL(address).hostname, url: address }]
}

/** First appearance of each URL, in order. */
export function uniqueSources(sources: Source[]): Source[] {
  const seen = new Set<string>()
  return sources.filter(({ url }) => !seen.has(url) && seen.add(url))
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The objects of an array; empty when it is none. */
export function objects(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
