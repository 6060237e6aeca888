import type { IncomingMessage } from 'node:http'
import { bare, codeOf } from '../bare-error.ts'
import { UpstreamError } from '../failures.ts'
import { isMalformed, transportFailure } from '../http.ts'
import { refuseBadStatus } from '../page-verdict.ts'

/** Rows for an upgrade that was answered like a plain request (docs/protocol/failures.md section 3). */
export function upgradeFailure(response: IncomingMessage): unknown {
  const status = response.statusCode ?? 0
  const cause = new Error(`upgrade answered with ${status}`)
  const headers = { 'retry-after': response.headers['retry-after'] }
  try {
    refuseBadStatus({
      status,
      headers: headers['retry-after'] === undefined ? {} : { 'retry-after': headers['retry-after'] },
      location: response.headers.location,
      text: '',
      url: ''
    })
  } catch (error) {
    return error
  }
  return new UpstreamError(status === 403 ? 'W3' : 'W1', { cause })
}

/**
 * Rows for a connection that broke before the WebSocket was open.
 * @param hasConnected TCP was up
 * @param hasAsked TLS too, where there is one, so that the upgrade had been sent
 */
export function openFailure(error: Error, hasConnected: boolean, hasAsked: boolean): UpstreamError {
  // Without a code it is not the network but ws, which found the answer to the upgrade malformed; or, before there
  // is a connection, the proxy agent. What is no HTTP at all has the parser's code.
  if (hasConnected && (codeOf(error) === undefined || isMalformed(error)))
    return new UpstreamError('W12', { cause: bare(error) })
  const isReset = ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '')
  if (hasAsked && isReset) return new UpstreamError('W4', { cause: bare(error) })
  return transportFailure(bare(error), 'connecting')
}
