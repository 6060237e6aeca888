import type { FastifyRequest } from 'fastify'

/**
 * Base of the URLs that an answer hands out, without a slash at the end: PUBLIC_URL, else the address that the request
 * was made to. `X-Forwarded-*` count only from proxies that TRUST_PROXY names.
 */
export function baseUrlOf(request: FastifyRequest): string {
  const { PUBLIC_URL } = request.server.config
  return PUBLIC_URL?.replace(/\/+$/, '') ?? `${request.protocol}://${request.host}`
}
