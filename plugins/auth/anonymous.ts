import type { FastifyRequest } from 'fastify'
import { isLoopback } from '../../src/config.ts'

/**
 * The default for anonymous callers: the service listens on loopback, and the request was made to it by that name and
 * not by a web page of another site. The name keeps out DNS rebinding and reverse proxies, the origin keeps out
 * pages that post forms to localhost: either would let strangers spend the operator's creations.
 * Behind a trusted proxy, address and name are those that the proxy forwards.
 */
export function isFromThisMachine(
  request: FastifyRequest,
  config: { HOST: string; PUBLIC_URL?: string }
): boolean {
  // Whoever hung up at once has no address any more.
  const ip: string | undefined = request.ip
  if (!isLoopback(config.HOST) || !isLoopback(ip?.replace(/^::ffff:/i, '') ?? '')) return false
  const { host } = request
  const known = hostnameOf(`http://${host}`)
  if (known === undefined || !(isLoopback(known) || known === hostnameOf(config.PUBLIC_URL ?? '')))
    return false
  const { origin } = request.headers
  if (origin !== undefined && hostOf(origin) !== host) return false
  return request.headers['sec-fetch-site'] !== 'cross-site'
}

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}
