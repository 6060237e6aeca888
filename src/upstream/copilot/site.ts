import { UpstreamError } from '../failures.ts'
import type { UpstreamHttp } from '../http.ts'
import { looksLikeHtml } from '../page-verdict.ts'
import {
  API_HEADERS,
  API_VERSION_QUERY,
  CONFIG_PATH,
  IDENTITY_HEADER,
  USER_PATH,
  VISIT_HEADERS,
  VISIT_PATH
} from './constants.ts'
import { isObject } from './json.ts'
import { refuseRedirect, refuseStatus } from './status.ts'

export interface SiteSettings {
  http: UpstreamHttp
  /** The site, e.g. `https://copilot.microsoft.com`. */
  baseUrl: string
  /** Goes along as `Authorization: Bearer`; absent: cookies only. */
  bearer: string | undefined
  identityType: string | undefined
  signal: AbortSignal
}

/**
 * Fetches the site's start page, as a browser does before anything else.
 * @throws {UpstreamError} T1–T6, T8, T9, P1, P2, P7, P19, or the signal's reason
 */
export async function visitSite({ http, baseUrl, signal }: SiteSettings): Promise<void> {
  const url = `${baseUrl.replace(/\/+$/, '')}${VISIT_PATH}`
  refuseStatus(await http.request({ url, headers: VISIT_HEADERS, signal }), 'P1')
}

/**
 * Asks who is signed in. Costs nothing and changes nothing.
 * @returns whether the site knows the visitor by name; of one who is anonymous it says that there is none
 * @throws {UpstreamError} T1–T6, T8–T11, P1, P2, P7, P14, P19, or the signal's reason
 * @see docs/protocol/chat-copilot.md section 2
 */
export async function isUserKnown(settings: SiteSettings): Promise<boolean> {
  const { name, value } = API_VERSION_QUERY
  const { firstName } = await read(settings, `${USER_PATH}?${name}=${value}`)
  if (firstName !== null && typeof firstName !== 'string')
    throw new UpstreamError('T11', { cause: new Error('answer without a first name') })
  return firstName !== null && firstName !== ''
}

/**
 * Asks for the longest prompt that the site takes, in characters.
 * @returns `undefined` when it does not say
 * @throws as `isUserKnown`
 */
export async function longestPrompt(settings: SiteSettings): Promise<number | undefined> {
  const { maxTextMessageLength } = await read(settings, CONFIG_PATH)
  return typeof maxTextMessageLength === 'number' ? maxTextMessageLength : undefined
}

async function read(settings: SiteSettings, path: string): Promise<Readonly<Record<string, unknown>>> {
  const { http, bearer, identityType, signal } = settings
  const baseUrl = settings.baseUrl.replace(/\/+$/, '')
  const { 'content-type': _, ...headers } = API_HEADERS
  const response = await http.request({
    url: `${baseUrl}${path}`,
    headers: {
      ...headers,
      origin: new URL(baseUrl).origin,
      referer: `${baseUrl}/`,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(identityType === undefined ? {} : { [IDENTITY_HEADER]: identityType })
    },
    signal
  })
  refuseStatus(response, 'P1')
  refuseRedirect(response, response.url)
  const { status, text } = response
  if (status !== 200) throw new UpstreamError('P14', { cause: new Error(`answered with ${status}`) })
  if (looksLikeHtml(text)) throw new UpstreamError('T10')
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // Judged below: what JSON.parse says quotes the body.
  }
  if (!isObject(body))
    throw new UpstreamError('T11', { cause: new Error(`answer of ${text.length} characters`) })
  return body
}
