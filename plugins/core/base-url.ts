import type { FastifyRequest } from 'fastify'
import { GatewayError } from '../../src/errors.ts'

/** A name, an IPv4 address or one of IPv6 in brackets, and perhaps a port. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i

/**
 * Base of the URLs that an answer hands out, without a slash at the end: PUBLIC_URL, else the address that the request
 * was made to. `X-Forwarded-*` count only from proxies that TRUST_PROXY names.
 * @throws {GatewayError} invalid_request_error when that address is none (RFC 9110 section 7.2): URLs and headers are made of it
 */
export function baseUrlOf(request: FastifyRequest): string {
  const { PUBLIC_URL } = request.server.config
  if (PUBLIC_URL !== undefined) return PUBLIC_URL.replace(/\/+$/, '')
  const base = `${request.protocol}://${request.host}`
  if (HOST.test(request.host) && URL.canParse(base)) return base
  throw new GatewayError('invalid_request_error', 'header Host is not a host with or without a port.', {
    param: 'Host'
  })
}
