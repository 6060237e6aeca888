import type { IncomingMessage } from 'node:http'
import { UpstreamError } from '../failures.ts'
import { transportFailure } from '../http.ts'
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
  // is a connection, the proxy agent.
  if (hasConnected && codeOf(error) === undefined) return new UpstreamError('W12', { cause: bare(error) })
  const isReset = ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '')
  if (hasAsked && isReset) return new UpstreamError('W4', { cause: bare(error) })
  return transportFailure(bare(error), 'connecting')
}

/**
 * An error that says no more than its code. What ws, TLS and proxies put into messages (URLs with the token, proxy
 * addresses with passwords) must not reach a log.
 */
export function bare(error: unknown): Error {
  const code = codeOf(error)
  const cause = new Error(code ?? (error instanceof Error ? error.name : 'unknown'))
  return code === undefined ? cause : Object.assign(cause, { code })
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return typeof code === 'string' ? code : undefined
}
