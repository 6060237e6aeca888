import type { HTMLElement } from 'node-html-parser'
import type { ImageModel } from '../creation-client.ts'
import { cleanPictureUrl, type MediaHosts } from '../media/media-url.ts'
import {
  BAD_IMAGES,
  ENHANCED_PROMPT_ATTRIBUTE,
  ENHANCED_PROMPT_IMAGES,
  FINISHED,
  FURNITURE,
  G3_STATUS,
  G3_UNSAFE,
  PENDING_MESSAGE,
  PICTURE_ELEMENTS,
  STATUS_PAGE,
  STREAMING
} from './constants.ts'
import type { PollVerdict } from './look.ts'
import {
  errorTextRow,
  hasRejectionMarker,
  isChallengeBeside,
  isInDocument,
  isSignedOut,
  isVisible,
  parsePage,
  textRow
} from './page.ts'

export interface ImagePollContext {
  prompt: string
  model: ImageModel
  /** Base of relative picture addresses. */
  mediaUrl: string
  hosts: MediaHosts
}

/** Reads the body of an image poll, in the order of docs/protocol/images.md section 4. */
export function readImagePoll(body: string, context: ImagePollContext): PollVerdict {
  if (hasRejectionMarker(body)) return { kind: 'failed', row: 'I4' }
  if (body.trim().length <= 1) return { kind: 'pending', json: false }
  const json = parseJsonObject(body)
  if (json !== undefined)
    return readMessage(json) ?? readG3(json, context) ?? { kind: 'pending', json: false }
  if (body.includes(STATUS_PAGE)) return { kind: 'pending', json: false }
  if (isSignedOut(body)) return { kind: 'signed-out' }
  return readPage(parsePage(body), body, context)
}

/** The `errorMessage` of a poll's JSON; `undefined` when it holds none. */
export function readMessage(json: Record<string, unknown>): PollVerdict | undefined {
  const message = json.errorMessage
  if (typeof message !== 'string' || message.trim() === '') return undefined
  if (PENDING_MESSAGE.test(message)) return { kind: 'pending', json: true }
  return { kind: 'failed', row: textRow(message) ?? 'I19', said: message }
}

/** The text as a JSON object; `undefined` when it is something else. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function readPage(page: HTMLElement, body: string, context: ImagePollContext): PollVerdict {
  const { prompt, model } = context
  const pictures = picturesOf(page, context)
  if (pictures.length === 0 && isChallengeBeside(body, prompt)) return { kind: 'signed-out', row: 'I17' }
  const row = errorTextRow(page, { prompt, panelsOnly: pictures.length > 0 })
  if (row !== undefined) return { kind: 'failed', row }
  const quoted = parseJsonObject(page.querySelector('[data-results]')?.getAttribute('data-results') ?? '')
  if (quoted !== undefined) return readG3(quoted, context) ?? { kind: 'pending', json: false }
  if (model === 'GPT4O' && body.includes(STREAMING)) return { kind: 'pending', json: false }
  if (!FINISHED.test(body)) return { kind: 'pending', json: false }
  if (pictures.length > 0) {
    return {
      kind: 'ready',
      result: { images: pictures, video: null, prompt: enhancedPrompt(page) ?? prompt }
    }
  }
  const sources = page.querySelectorAll('img').filter(isVisible).map(sourceOf)
  const bad = BAD_IMAGES.find(({ name }) => sources.some((source) => pathOf(source).endsWith(name)))
  if (bad !== undefined) return { kind: 'failed', row: bad.row }
  // A source that is no address at all stands in for a withheld picture (row I23).
  if (sources.some(isPlaceholder)) return { kind: 'failed', row: 'I7' }
  return { kind: 'hollow' }
}

/** Variant G3; docs/protocol/images.md section 6.4. `undefined`: the object is no such answer. */
function readG3(json: Record<string, unknown>, context: ImagePollContext): PollVerdict | undefined {
  switch (json.status ?? json.requestStatus) {
    case G3_STATUS.pending:
    case G3_STATUS.partial:
      return { kind: 'pending', json: false }
    case G3_STATUS.failed:
      return json.errorType === G3_UNSAFE
        ? { kind: 'failed', row: 'I7' }
        : { kind: 'failed', row: 'I19', said: `errorType ${shown(json.errorType)}` }
    case G3_STATUS.complete: {
      const images = cleaned(
        list(json.records)
          .flatMap((record) => list(record.mediaItems))
          .map((item) => item.src),
        context
      )
      if (images.length === 0) return { kind: 'hollow' }
      return { kind: 'ready', result: { images, video: null, prompt: context.prompt } }
    }
    default:
      return undefined
  }
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'object' && entry !== null) : []
}

function picturesOf(page: HTMLElement, context: ImagePollContext): string[] {
  // Pages hide results until they are loaded; only error panels have to be visible.
  return cleaned(page.querySelectorAll(PICTURE_ELEMENTS).filter(isInDocument).map(sourceOf), context)
}

function cleaned(addresses: readonly unknown[], { mediaUrl, hosts }: ImagePollContext): string[] {
  const urls = addresses.map((address) =>
    typeof address === 'string' ? cleanPictureUrl(address, mediaUrl, hosts) : undefined
  )
  return [...new Set(urls.filter((url) => url !== undefined))]
}

/** The address that an element carries: `src` of an image, the media URL in the attribute `m` of a link. */
function sourceOf(element: HTMLElement): string {
  if (element.tagName !== 'A') return element.getAttribute('src') ?? ''
  const data = parseJsonObject(element.getAttribute('m') ?? '') ?? {}
  const custom = typeof data.CustomData === 'string' ? parseJsonObject(data.CustomData) : undefined
  const address = custom?.MediaUrl ?? data.murl
  return typeof address === 'string' ? address : ''
}

/** A number or a text for the log; objects may refuse to become one. */
function shown(value: unknown): string {
  return typeof value === 'number' || typeof value === 'string' ? String(value).slice(0, 40) : typeof value
}

function pathOf(address: string): string {
  return address.split(/[?#]/)[0] ?? ''
}

function isPlaceholder(source: string): boolean {
  return source !== '' && !/^([a-z][a-z0-9+.-]*:|\/)/i.test(source) && !FURNITURE.test(pathOf(source))
}

function enhancedPrompt(page: HTMLElement): string | undefined {
  const caption = page
    .querySelector(`[${ENHANCED_PROMPT_ATTRIBUTE}]`)
    ?.getAttribute(ENHANCED_PROMPT_ATTRIBUTE)
  const captions = [
    caption,
    ...page.querySelectorAll(ENHANCED_PROMPT_IMAGES).map((image) => image.getAttribute('alt'))
  ]
  return captions.find((text) => text !== undefined && text.trim() !== '')
}
