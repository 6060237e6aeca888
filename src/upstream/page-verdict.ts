import { LOGIN_PAGE, REGION_PAGE } from './bing-hosts.ts'
import { UpstreamError } from './failures.ts'
import type { UpstreamResponse } from './http.ts'

/**
 * What an HTTP answer means before anybody reads its body: rows T5 to T9 of docs/protocol/failures.md section 1.
 * Answers that a protocol must judge itself (200, other redirects, 404) pass through.
 *
 * @throws {UpstreamError} T5 | T6 | T7 | T8 | T9
 */
export function refuseBadStatus(response: UpstreamResponse): void {
  const { status, location, text } = response
  if (status >= 300 && status < 400 && location !== undefined) {
    if (LOGIN_PAGE.test(location)) throw new UpstreamError('T6')
    if (REGION_PAGE.test(location)) throw new UpstreamError('T5')
  }
  if (status === 403 && looksLikeHtml(text)) throw new UpstreamError('T7')
  if (status === 429) throw new UpstreamError('T8', { retryAfter: retryAfterSeconds(response) })
  if (status === 503 || status === 504)
    throw new UpstreamError('T9', { retryAfter: retryAfterSeconds(response) })
  if (status >= 500) throw new UpstreamError('T9-bad', { retryAfter: retryAfterSeconds(response) })
}

export function looksLikeHtml(text: string): boolean {
  return /^\s*(<!doctype html|<html|<head|<body|<!--)/i.test(text)
}

/**
 * `Retry-After` in whole seconds (RFC 9110 section 10.2.3: seconds or a date), from one to a day. A fraction of a second
 * counts as a whole one; what is neither seconds nor a date counts as absent.
 */
export function retryAfterSeconds(response: Pick<UpstreamResponse, 'headers'>): number | undefined {
  const value = response.headers['retry-after']?.trim() ?? ''
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (httpDate(value) - Date.now()) / 1000
  return Number.isNaN(seconds) ? undefined : Math.min(86_400, Math.max(1, Math.ceil(seconds)))
}

/** RFC 9110 section 5.6.7. Its third form, C's `asctime`, names no zone and means UTC. */
const HTTP_DATE = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*(?:, .+ GMT|( \w{3} [ \d]\d [\d:]{8} \d{4}))$/i

/** Milliseconds since the epoch; NaN for anything else than a date of HTTP's. */
function httpDate(text: string): number {
  const match = HTTP_DATE.exec(text)
  return match === null ? Number.NaN : Date.parse(match[1] === undefined ? text : `${text} GMT`)
}
