import { LOGIN_PAGE } from '../bing-hosts.ts'
import { UpstreamError } from '../failures.ts'
import type { UpstreamResponse } from '../http.ts'
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
