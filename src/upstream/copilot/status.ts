import type { IncomingMessage } from 'node:http'
import { bare, codeOf } from '../bare-error.ts'
import { LOGIN_PAGE } from '../bing-hosts.ts'
import { UpstreamError } from '../failures.ts'
import { transportFailure, type UpstreamResponse } from '../http.ts'
import { refuseBadStatus, retryAfterSeconds } from '../page-verdict.ts'
import { CLIENT_REFUSED_STATUS } from './constants.ts'

/**
 * What the status of a call, or of a refused upgrade, means before anybody reads a body.
 * @param row401 of an answer that doesn't accept who asks: P1 for the session of a call, P6 for the token of the socket, or
 *   P6-cookies for its cookies, where no token goes along
 * @throws {UpstreamError} P1, P2, P6, P6-cookies, P7, P19, T5, T8, T9
 * @see docs/protocol/chat-copilot.md section 7
 */
export function refuseStatus(
  response: Pick<UpstreamResponse, 'status' | 'location'> & { headers: UpstreamResponse['headers'] },
  row401: 'P1' | 'P6' | 'P6-cookies'
): void {
  const { status, location } = response
  const cause = new Error(`answered with ${status}`)
  if (status === 401) throw new UpstreamError(row401, { cause })
  if (status === 403) throw new UpstreamError('P2', { cause })
  if (status === CLIENT_REFUSED_STATUS) throw new UpstreamError('P7', { cause })
  if (status === 502) throw new UpstreamError('P19', { retryAfter: retryAfterSeconds(response), cause })
  if (status >= 300 && status < 400 && location !== undefined && LOGIN_PAGE.test(location))
    throw new UpstreamError('P1', { cause })
  refuseBadStatus({ ...response, text: '', url: '' })
}

/** Rows for an upgrade that was answered like a plain request. */
export function upgradeFailure(response: IncomingMessage, row401: 'P6' | 'P6-cookies'): unknown {
  const status = response.statusCode ?? 0
  const retryAfter = response.headers['retry-after']
  try {
    refuseStatus(
      {
        status,
        location: response.headers.location,
        headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter }
      },
      row401
    )
  } catch (error) {
    return error
  }
  return new UpstreamError('P14', { cause: new Error(`upgrade answered with ${status}`) })
}

/** Rows for a connection that broke before the WebSocket was open. */
export function openFailure(error: Error, hasTcp: boolean, hasLine: boolean): UpstreamError {
  // Without a code it is not the network but ws, which found the answer to the upgrade malformed; or, before there is a
  // connection, the proxy agent.
  if (hasTcp && codeOf(error) === undefined) return new UpstreamError('T11', { cause: bare(error) })
  if (hasLine && ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? ''))
    return new UpstreamError('P15', { cause: bare(error) })
  return transportFailure(bare(error), 'connecting')
}
