import type { IncomingMessage } from 'node:http'
import { bare, codeOf } from '../bare-error.ts'
import { LOGIN_PAGE } from '../bing-hosts.ts'
import { FAILURES, UpstreamError } from '../failures.ts'
import { isMalformed, transportFailure, type UpstreamResponse } from '../http.ts'
import { refuseBadStatus, retryAfterSeconds } from '../page-verdict.ts'
import { CLIENT_REFUSED_STATUS } from './constants.ts'

/**
 * What the status of a call, or of a refused upgrade, means before anybody reads a body.
 * @param row401 of an answer that doesn't accept who asks: P1 for the session of a call, P6 for the token of the socket, or
 *   P6-cookies for its cookies, where no token goes along
 * @throws {UpstreamError} P1, P2, P6, P6-cookies, P7, P19, T5, T6, T8, T9
 * @see docs/protocol/chat-copilot.md section 7
 */
export function refuseStatus(
  response: Pick<UpstreamResponse, 'status' | 'location'> & { headers: UpstreamResponse['headers'] },
  row401: 'P1' | 'P6' | 'P6-cookies'
): void {
  const { status } = response
  const cause = new Error(`answered with ${status}`)
  if (status === 401) throw new UpstreamError(row401, { cause })
  if (status === 403) throw new UpstreamError('P2', { cause })
  if (status === CLIENT_REFUSED_STATUS) throw new UpstreamError('P7', { cause })
  if (status === 502) throw new UpstreamError('P19', { retryAfter: retryAfterSeconds(response), cause })
  // The row's own words are about Bing's cookie.
  if (isRedirect(response) && LOGIN_PAGE.test(response.location ?? ''))
    throw new UpstreamError('T6', { message: FAILURES.P1.message, cause })
  refuseBadStatus({ ...response, text: '', url: '' })
}

/**
 * What is left of redirects after `refuseStatus`. None is followed: calls have one address, and cookies or a token go along.
 * @param url what was asked; its query may hold the token, and is not looked at
 * @throws {UpstreamError} T5 for one that leads to where it came from; T10 for any other; T11 without a usable address
 */
export function refuseRedirect(response: Pick<UpstreamResponse, 'status' | 'location'>, url: string): void {
  const { status, location } = response
  if (!isRedirect(response)) return
  const from = new URL(url)
  const cause = (what: string) => ({ cause: new Error(`answered with ${status}, a redirect ${what}`) })
  if (location === undefined || !URL.canParse(location, url))
    throw new UpstreamError('T11', cause('without an address'))
  const to = new URL(location, url)
  // A socket is asked for over HTTP, and so is its redirect answered.
  const isSame = to.pathname === from.pathname && to.host === from.host
  throw isSame
    ? new UpstreamError('T5', cause('to itself'))
    : new UpstreamError('T10', cause(`to ${to.host}`))
}

function isRedirect({ status }: Pick<UpstreamResponse, 'status'>): boolean {
  return status >= 300 && status < 400 && status !== 304
}

/** Rows for an upgrade that was answered like a plain request. @param url what was asked */
export function upgradeFailure(response: IncomingMessage, url: string, row401: 'P6' | 'P6-cookies'): unknown {
  const status = response.statusCode ?? 0
  const { location, 'retry-after': retryAfter, 'content-type': type = '' } = response.headers
  try {
    const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
    refuseStatus({ status, location, headers }, row401)
    refuseRedirect({ status, location }, url)
  } catch (error) {
    return error
  }
  if (status === 200 && /^text\/html\b/i.test(type)) return new UpstreamError('T10')
  return new UpstreamError('P14', { cause: new Error(`upgrade answered with ${status}`) })
}

/** Rows for a connection that broke before the WebSocket was open. */
export function openFailure(error: Error, hasTcp: boolean, hasLine: boolean): UpstreamError {
  // Without a code it is not the network but ws, which found the answer to the upgrade malformed; or, before there is a
  // connection, the proxy agent. What is no HTTP at all has the parser's code.
  if (hasTcp && (codeOf(error) === undefined || isMalformed(error)))
    return new UpstreamError('T11', { cause: bare(error) })
  if (hasLine && ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? ''))
    return new UpstreamError('P15', { cause: bare(error) })
  return transportFailure(bare(error), 'connecting')
}
