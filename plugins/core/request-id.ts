import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import fp from 'fastify-plugin'

const SANE = /^[\w.:/+=-]{1,128}$/

/** The caller's own id when it is sane, else a new one. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && SANE.test(given) ? given : randomUUID()
}

/** Probes and scrapes come every few seconds and would drown everything else. */
const QUIET = new Set(['/livez', '/readyz', '/metrics'])

/** Names the request on every answer, errors included, and writes one log line when it has ended. */
export default fp(
  async (fastify) => {
    // With `done`: an async hook costs each request more than what these do.
    fastify.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id)
      done()
    })
    fastify.addHook('onResponse', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'unknown'
      const line = {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime * 10) / 10,
        caller: request.caller?.userId || undefined
      }
      if (QUIET.has(route)) request.log.debug(line, 'request')
      else request.log.info(line, 'request')
      done()
    })
  },
  { name: 'request-id' }
)
