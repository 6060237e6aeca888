import type { UpstreamConversation } from '../chat-client.ts'
import { UpstreamError } from '../failures.ts'
import type { UpstreamHttp, UpstreamResponse } from '../http.ts'
import { looksLikeHtml } from '../page-verdict.ts'
import {
  API_HEADERS,
  CONVERSATIONS_PATH,
  ID_FIELDS,
  IDENTITY_HEADER,
  START_BODY,
  START_PATH
} from './constants.ts'
import { isObject, textOf } from './json.ts'
import { refuseRedirect, refuseStatus } from './status.ts'

/** What the wire wants back with each turn; see `UpstreamConversation`. */
export type CopilotConversation = UpstreamConversation & { conversationId: string }

export interface StartSettings {
  http: UpstreamHttp
  /** The site, without a slash at its end. */
  baseUrl: string
  /** Goes along as `Authorization: Bearer`; absent: cookies only. */
  bearer: string | undefined
  /** Kind of a federated account, e.g. `google`. */
  identityType: string | undefined
  /** Milliseconds since the epoch; for dates that the upstream names. */
  now: () => number
  signal: AbortSignal
}

/**
 * Opens a conversation, once: repeats are the caller's business. Where the start call is not known (404), the one before
 * it is made.
 * @throws {UpstreamError} T1–T6, T8–T11, P1–P5, P7, P19, or the signal's reason
 * @see docs/protocol/chat-copilot.md section 2
 */
export async function startConversation(settings: StartSettings): Promise<CopilotConversation> {
  const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const started = await post(settings, START_PATH, { timeZone, ...START_BODY })
  const response = started.status === 404 ? await post(settings, CONVERSATIONS_PATH, {}) : started
  return readConversation(response, settings.now())
}

async function post(settings: StartSettings, path: string, body: object): Promise<UpstreamResponse> {
  const { http, baseUrl, bearer, identityType, signal } = settings
  const response = await http.request({
    method: 'POST',
    url: `${baseUrl}${path}`,
    headers: {
      ...API_HEADERS,
      origin: new URL(baseUrl).origin,
      referer: `${baseUrl}/`,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(identityType === undefined ? {} : { [IDENTITY_HEADER]: identityType })
    },
    body: JSON.stringify(body),
    signal
  })
  refuseStatus(response, 'P1')
  refuseRedirect(response, response.url)
  return response
}

function readConversation({ status, text }: UpstreamResponse, now: number): CopilotConversation {
  if (status >= 300) throw new UpstreamError('P14', { cause: new Error(`start answered with ${status}`) })
  if (looksLikeHtml(text)) throw new UpstreamError('T10')
  const body = parsed(text)
  // Shape only: the body tells who the user is.
  if (!isObject(body))
    throw new UpstreamError('T11', { cause: new Error(`start answer of ${text.length} characters`) })
  refuseBan(body, now)
  if (typeof body.remainingTurns === 'number' && body.remainingTurns <= 0) throw new UpstreamError('P5')
  const conversationId = ID_FIELDS.map((name) => textOf(body[name])).find((id) => id !== '')
  if (conversationId === undefined) {
    const keys = Object.keys(body).slice(0, 20).join(', ')
    throw new UpstreamError('P4', { cause: new Error(`start answer without an id: keys ${keys}`) })
  }
  return { conversationId }
}

/** Row P3: with a date in the future it is a limit that ends, without one nobody knows whether it does. */
function refuseBan({ isBlocked, banExpiresAt }: Readonly<Record<string, unknown>>, now: number): void {
  const until = Date.parse(textOf(banExpiresAt))
  if (until > now) throw new UpstreamError('P3-until', { retryAfter: Math.ceil((until - now) / 1000) })
  if (isBlocked === true) throw new UpstreamError('P3')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
