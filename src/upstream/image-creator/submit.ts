import type { Clock } from '../../clock.ts'
import type { Accepted } from '../creation-client.ts'
import { type FailureId, UpstreamError } from '../failures.ts'
import { surelyNotSent, type UpstreamHttp, type UpstreamResponse } from '../http.ts'
import { decodeEntities } from '../media/media-url.ts'
import { ownUrl } from '../media/own-url.ts'
import { refuseBadStatus } from '../page-verdict.ts'
import { withRetries } from '../retry.ts'
import {
  FORM_CONTENT_TYPE,
  ID_IN_PATH,
  ID_IN_RESULTS_PATH,
  ID_PARAMETER,
  ID_PATTERN,
  NOTIFY_PARAMETER,
  REDIRECT_ID_PATTERN,
  REFRESH,
  REFRESH_ADDRESS
} from './constants.ts'
import { addressesIn, errorTextRow, hasRejectionMarker, isChallenge, isStartPage, parsePage } from './page.ts'
import { type CreatorSession, type PageSession, pageHeaders } from './session.ts'

/** What the calls of images and video need. */
export interface CreatorContext {
  bingUrl: string
  mediaUrl: string
  http: UpstreamHttp
  clock: Clock
  session: CreatorSession
}

/** A prompt on its way to Bing. */
export interface Submission {
  prompt: string
  /** The page that the form is on: path with query. */
  referer: string
  /** The POST as it is made first, and as it is made once more where `repeatable` allows it. */
  first: SubmitForm
  second: SubmitForm
  /** Whether `second` avoids the quota of fast creations that `first` ran into (row I11). */
  secondIsFree: boolean
  /** Row of an answer that neither accepts nor refuses, after both. */
  notAccepted: 'I2' | 'V3'
  /** Judges error texts that only this kind of creation has, and rows that mean something else to it. */
  refusal?: (row: FailureId | undefined, html: string) => FailureId | undefined
}

/** The POST within one session. */
export type SubmitForm = (session: PageSession) => {
  path: string
  query: Record<string, string | number | undefined>
  body: Record<string, string>
}

/** What an answer to a submit says; docs/protocol/images.md section 2.3. */
export type SubmitAnswer =
  | ({ kind: 'accepted' } & Accepted)
  | { kind: 'refused'; row: FailureId }
  | { kind: 'start-page' }
  /** None of these, so nobody knows whether the prompt was accepted. */
  | { kind: 'unknown' }

/**
 * Submits a prompt. Each POST leaves once and is never repeated because its answer was lost; it is tried again where
 * no connection came about (T1, T2). A second one is made only after an answer that surely accepted nothing: the start
 * page of a signed-in visitor, or used-up fast creations.
 *
 * @throws {UpstreamError} C1, T1–T11, `outcome-unknown`, I1–I17 or the submission's own rows. An abort while a POST is
 *   under way is `outcome-unknown`, with the signal's reason as its cause; before or after that, the reason itself
 */
export async function submitCreation(
  context: CreatorContext,
  submission: Submission,
  signal: AbortSignal,
  beforeSend: () => Promise<void> = async () => {}
): Promise<Accepted> {
  const { clock, session } = context
  let visit = await session.open(signal)
  await beforeSend()
  const first = await post(context, submission, submission.first(visit), signal)
  if (first.kind === 'accepted') return accepted(first)
  if (first.kind === 'refused') {
    if (first.row !== 'I11' || !submission.secondIsFree) throw creationFailure(first.row, clock)
  } else {
    visit = await session.renew(visit, signal).catch((error: unknown) => {
      throw error instanceof UpstreamError && error.row === 'I1'
        ? new UpstreamError('I3', { cause: error })
        : error
    })
  }
  await beforeSend()
  const second = await post(context, submission, submission.second(visit), signal)
  if (second.kind === 'accepted') return accepted(second)
  throw creationFailure(second.kind === 'refused' ? second.row : submission.notAccepted, clock)
}

/** A failure row as an error, with the wait that depends on the time of day. */
export function creationFailure(row: FailureId, clock: Clock, cause?: unknown): UpstreamError {
  if (row !== 'I11') return new UpstreamError(row, { cause })
  const day = 86_400_000
  // Fast creations come back with the day, in UTC.
  return new UpstreamError(row, { cause, retryAfter: Math.ceil((day - (clock.now() % day)) / 1000) })
}

/**
 * Reads the answer to a submit.
 * @param base the upstream base that was asked
 * @throws {UpstreamError} T5–T9, T11, I16
 */
export function readSubmitAnswer(response: UpstreamResponse, base: string, prompt: string): SubmitAnswer {
  refuseBadStatus(response)
  const { status, location, text } = response
  if (status >= 300 && status < 400) {
    const id = location === undefined ? undefined : idInLocation(location, base)
    // Bing may have begun a creation, so that the same prompt should not be sent again blindly.
    if (location === undefined || id === undefined) throw new UpstreamError('I16', { shouldRetry: false })
    return { kind: 'accepted', upstreamId: id, resultUrl: resultUrl(location, base) }
  }
  if (status === 401) throw new UpstreamError('T6')
  if (status === 403) throw new UpstreamError('T7')
  if (status === 414 || status === 431) {
    throw new UpstreamError('T11', {
      type: 'invalid_request_error',
      code: 'prompt_too_long',
      param: 'query',
      message: 'The prompt is too long for Bing.',
      shouldRetry: false
    })
  }
  if (status !== 200) throw new UpstreamError('T11', { cause: new Error(`submit: status ${status}`) })
  if (hasRejectionMarker(text)) return { kind: 'refused', row: 'I4' }
  const row = errorTextRow(parsePage(text), { prompt })
  if (row !== undefined) return { kind: 'refused', row }
  const id = idInBody(text, prompt)
  if (id !== undefined) return { kind: 'accepted', upstreamId: id, resultUrl: undefined }
  if (isChallenge(text)) return { kind: 'refused', row: 'I17' }
  return { kind: isStartPage(text) ? 'start-page' : 'unknown' }
}

/** A query or form body, percent-encoded UTF-8; `undefined` values are left out. */
export function encodeForm(fields: Record<string, string | number | undefined>): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) params.append(name, String(value))
  }
  return params.toString()
}

/** As `encodeForm`, with spaces as `%20`. */
export function encodeQuery(fields: Record<string, string | number | undefined>): string {
  return encodeForm(fields).replaceAll('+', '%20')
}

async function post(
  { bingUrl, clock, http, session }: CreatorContext,
  { prompt, referer, refusal }: Submission,
  { path, query, body }: ReturnType<SubmitForm>,
  signal: AbortSignal
): Promise<SubmitAnswer> {
  signal.throwIfAborted()
  const base = bingUrl.replace(/\/+$/, '')
  // A lost answer is returned, not thrown: it ends the repeats, and says more than the signal's reason.
  const response = await withRetries({ clock, signal }, () =>
    http
      .request({
        method: 'POST',
        url: `${base}${path}?${encodeQuery(query)}`,
        headers: { ...pageHeaders(bingUrl, referer), 'content-type': FORM_CONTENT_TYPE },
        body: encodeForm(body),
        signal
      })
      .catch((error: unknown) => {
        if (surelyNotSent(error)) throw error
        return new UpstreamError('outcome-unknown', { cause: error })
      })
  )
  if (response instanceof UpstreamError) throw response
  try {
    const answer = readSubmitAnswer(response, base, prompt)
    if (answer.kind === 'accepted') return answer
    const row = refusal?.(answer.kind === 'refused' ? answer.row : undefined, response.text)
    if (row !== undefined) return { kind: 'refused', row }
    if (answer.kind === 'unknown') throw unknownOutcome(response.text)
    return answer
  } catch (error) {
    if (error instanceof UpstreamError && error.row === 'T6') session.forget()
    throw error
  }
}

/** What is thrown for an answer of kind `unknown`, as if it had been lost. */
function unknownOutcome(text: string): UpstreamError {
  return new UpstreamError('outcome-unknown', {
    message:
      'Bing gave an answer to the prompt that the gateway does not know, so the outcome is unknown. It was not sent again; look at bing.com/images/create before you repeat it.',
    cause: new Error(`submit: status 200, no page that is known, ${text.length} characters`)
  })
}

function accepted({ upstreamId, resultUrl }: Accepted): Accepted {
  return { upstreamId, resultUrl }
}

/** The id in a redirect of Bing's. Elsewhere only what surely is one counts. */
function idInLocation(location: string, base: string): string | undefined {
  const url = new URL(location.replaceAll('&amp;', '&'))
  const id = lastId(url.searchParams)
  const pattern = ownUrl(url.href, base) === undefined ? ID_PATTERN : REDIRECT_ID_PATTERN
  return id !== undefined && pattern.test(id) ? id : ID_IN_PATH.exec(url.pathname)?.[1]
}

/** The prompt stands before the id, and may look like a parameter itself. */
function lastId(query: URLSearchParams): string | undefined {
  return query
    .getAll(ID_PARAMETER)
    .map((id) => id.trim())
    .findLast((id) => id !== '')
}

/** A page also shows ids of earlier creations and of other people: only one that comes with this prompt counts. */
function idInBody(html: string, prompt: string): string | undefined {
  const shown = ID_IN_RESULTS_PATH.exec(html)?.[1]
  if (shown !== undefined) return shown
  for (const address of refreshesIn(html)) {
    const { id, path, query } = parts(address)
    const other = query.has('q') && query.get('q')?.trim() !== prompt.trim()
    if (id !== undefined && !other) return id
    const segment = ID_IN_PATH.exec(path)?.[1]
    if (segment !== undefined && !other) return segment
  }
  for (const address of addressesIn(html)) {
    const { id, query } = parts(address)
    if (id !== undefined && query.get('q')?.trim() === prompt.trim()) return id
  }
  return undefined
}

/** Addresses that the page itself redirects to. */
function refreshesIn(html: string): string[] {
  return [...html.matchAll(REFRESH)].map(([tag]) => {
    const [, double, single] = REFRESH_ADDRESS.exec(tag) ?? []
    return decodeEntities(double ?? single ?? '')
      .trim()
      .replace(/^[\d.\s;,]*url\s*=\s*["']?/i, '')
      .replace(/["']$/, '')
  })
}

function parts(address: string): { id: string | undefined; path: string; query: URLSearchParams } {
  const whole = address.split('#')[0] ?? ''
  const mark = whole.includes('?') ? whole.indexOf('?') : whole.length
  const query = new URLSearchParams(whole.slice(mark))
  const id = lastId(query)
  return { id: id !== undefined && ID_PATTERN.test(id) ? id : undefined, path: whole.slice(0, mark), query }
}

function resultUrl(location: string, base: string): string | undefined {
  return ownUrl(location.replace(NOTIFY_PARAMETER, ''), base)
}
