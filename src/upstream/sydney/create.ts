import { randomUUID } from 'node:crypto'
import { isBingHost } from '../bing-hosts.ts'
import type { UpstreamConversation } from '../chat-client.ts'
import { UpstreamError } from '../failures.ts'
import type { UpstreamHttp, UpstreamResponse } from '../http.ts'
import { looksLikeHtml, refuseBadStatus } from '../page-verdict.ts'
import {
  BUNDLE_VERSION,
  CREATE_HEADERS,
  CREATE_PATH,
  CREATE_RESULTS,
  ENCRYPTED_SIGNATURE_HEADER,
  MAX_REDIRECTS,
  REFERER_PATH,
  REQUEST_ID_HEADER,
  SIGNATURE_HEADER,
  SUCCESS
} from './constants.ts'
import { isObject, textOf } from './message.ts'
import { failureOf, readResult } from './result.ts'

/** What the wire wants back with each turn; see `UpstreamConversation`. */
export type SydneyConversation = UpstreamConversation & {
  conversationId: string
  clientId: string
  conversationSignature: string
  /** Goes into the hub's query; `null` where the signature came in the body (before October 2023). */
  encryptedSignature: string | null
}

/**
 * Opens a conversation, once: repeats are the caller's business.
 * @throws {UpstreamError} T1–T11, C2–C10, S1, S2, or the signal's reason
 * @see docs/protocol/chat-sydney.md section 2
 */
export async function createConversation(
  http: UpstreamHttp,
  bingUrl: string,
  signal: AbortSignal
): Promise<SydneyConversation> {
  const base = bingUrl.replace(/\/+$/, '')
  let url = `${base}${CREATE_PATH}?bundleVersion=${BUNDLE_VERSION}`
  const headers = {
    ...CREATE_HEADERS,
    referer: `${base}${REFERER_PATH}`,
    [REQUEST_ID_HEADER]: randomUUID()
  }
  for (let hops = 0; ; hops++) {
    const response = await http.request({ url, headers, signal })
    refuseBadStatus(response)
    if (response.status < 300 || response.status >= 400) return readConversation(response)
    // A region's redirect often goes in circles: each hop sets a cookie that sends the next one back.
    if (hops === MAX_REDIRECTS) throw new UpstreamError('T5')
    url = nextHop(response, base)
  }
}

/** The cookies of the account follow a redirect, so it may lead only to where they are at home. */
function nextHop({ location }: UpstreamResponse, base: string): string {
  if (location === undefined)
    throw new UpstreamError('T11', { cause: new Error('redirect without location') })
  const [home, next] = [new URL(base), new URL(location)]
  const isWithinBing =
    isBingHost(home.hostname) && isBingHost(next.hostname) && next.protocol === home.protocol
  if (next.origin === home.origin || isWithinBing) return location
  throw new UpstreamError('T10', { cause: new Error(`redirect to ${next.host}`) })
}

function readConversation({ status, headers, text }: UpstreamResponse): SydneyConversation {
  if (status === 404) throw new UpstreamError('C8')
  if (text.trim() === '' && status < 300) throw new UpstreamError('C6')
  const body = parse(text)
  const result = isObject(body) ? readResult(body.result) : undefined
  if (result !== undefined && result.value !== SUCCESS) throw failureOf(result, CREATE_RESULTS)
  if (status >= 300) {
    const cause = new Error(`create answered with ${status}`)
    throw new UpstreamError(status === 401 ? 'C3' : status === 403 ? 'T7' : 'C9', { cause })
  }
  if (looksLikeHtml(text)) throw new UpstreamError('T10')
  if (!isObject(body) || result === undefined) {
    // Shape only: the body may hold secrets.
    const shape = isObject(body)
      ? `keys ${Object.keys(body).slice(0, 20).join(', ')}`
      : `${text.length} characters`
    throw new UpstreamError('T11', { cause: new Error(`create answer of an unknown shape: ${shape}`) })
  }
  const conversationId = idOf(body.conversationId)
  const clientId = idOf(body.clientId)
  const conversationSignature = textOf(body.conversationSignature) || (headers[SIGNATURE_HEADER] ?? '')
  if (conversationId === '' || clientId === '' || conversationSignature === '') throw new UpstreamError('C7')
  const encryptedSignature = headers[ENCRYPTED_SIGNATURE_HEADER] || null
  return { conversationId, clientId, conversationSignature, encryptedSignature }
}

/** Ids are strings on the wire; digits without quotes are taken too. */
function idOf(value: unknown): string {
  return typeof value === 'number' ? String(value) : textOf(value)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
