import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { GatewayError } from '../../src/errors.ts'
import { createTimeSpent, NOTHING_SPENT, type TimeSpent } from '../../src/jobs/time-spent.ts'

/** A request that is over, one way or the other. Times in milliseconds. */
export interface EndedRequest {
  request: FastifyRequest
  /** As it was registered, e.g. `/task/:taskId`; `unknown` where there is none. */
  route: string
  /** As it was sent; 499 when the caller had left before. */
  status: number
  ms: number
  /** Of it, waiting for Microsoft. */
  upstreamMs: number
  /** Of it, waiting for a free place. */
  queueMs: number
  /** What is left: the gateway's own work. */
  ownMs: number
  /** What the caller was told, or would have been. */
  failure: GatewayError | null
  /** The caller closed the connection before the answer was complete. */
  left: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    requests: {
      /** Being answered right now. */
      readonly active: number
      /** Tells of every request when it is over, streams that their caller has left included. */
      onEnd(listener: (ended: EndedRequest) => void): void
    }
  }
  interface FastifyRequest {
    /** Set by whoever reports a failure to the caller. */
    failure: GatewayError | null
    timeSpent: TimeSpent | null
    /** Names the request's span when it is traced. */
    trace: { traceparent: string } | null
  }
}

/** Probes and scrapes come every few seconds and would drown everything else. */
const QUIET = new Set(['/livez', '/readyz', '/metrics'])
/** What nginx logs for a caller who has closed the connection. Nobody gets to see it. */
const CALLER_LEFT = 499

/** Where this request's time goes; to be handed to what waits on its behalf. */
export function timeSpentOf(request: FastifyRequest): TimeSpent {
  request.timeSpent ??= createTimeSpent(request.server.clock)
  return request.timeSpent
}

/**
 * The end of each request: one log line, and whoever else wants to know; and how its time was spent, in the header
 * `Server-Timing` (W3C Server Timing): of an answer that is streamed, until its first byte.
 *
 * Fastify's `onResponse` would run for answers that were complete, and whoever leaves a stream would be in no log and no
 * metric.
 */
export default fp(
  async (fastify) => {
    const listeners: ((ended: EndedRequest) => void)[] = []
    let active = 0
    fastify.decorateRequest('failure', null)
    fastify.decorateRequest('timeSpent', null)
    fastify.decorateRequest('trace', null)
    fastify.decorate('requests', {
      get active() {
        return active
      },
      onEnd: (listener) => void listeners.push(listener)
    })

    function over(request: FastifyRequest, reply: FastifyReply, left: boolean): void {
      active -= 1
      const { raw, elapsedTime: ms } = reply
      const { upstream: upstreamMs, queue: queueMs } = request.timeSpent?.read() ?? NOTHING_SPENT
      const ended: EndedRequest = {
        request,
        route: request.routeOptions.url ?? 'unknown',
        status: left && !raw.headersSent ? CALLER_LEFT : reply.statusCode,
        ms,
        upstreamMs,
        queueMs,
        ownMs: own(ms, upstreamMs + queueMs),
        failure: request.failure,
        left
      }
      log(ended)
      for (const listener of listeners) listener(ended)
    }

    // With `done`: an async hook costs each request more than what these do.
    fastify.addHook('onRequest', (request, reply, done) => {
      active += 1
      let isOver = false
      const end = (left: boolean) => {
        if (isOver) return
        isOver = true
        over(request, reply, left)
      }
      reply.raw.on('finish', () => end(false)).on('close', () => end(true))
      done()
    })
    fastify.addHook('onSend', (request, reply, payload, done) => {
      reply.header('server-timing', serverTiming(request, reply.elapsedTime))
      done(null, payload)
    })
  },
  { name: 'requests' }
)

/** Never below 0: two clocks measure, and what waits in parallel counts twice. */
const own = (ms: number, elsewhereMs: number) => Math.max(0, ms - elsewhereMs)

function serverTiming({ timeSpent, trace }: FastifyRequest, ms: number): string {
  // Most requests wait for nobody.
  let text: string
  if (timeSpent === null) text = `upstream;dur=0, queue;dur=0, app;dur=${tenths(ms)}`
  else {
    const { upstream, queue } = timeSpent.read()
    const app = own(ms, upstream + queue)
    text = `upstream;dur=${tenths(upstream)}, queue;dur=${tenths(queue)}, app;dur=${tenths(app)}`
  }
  return trace === null ? text : `${text}, traceparent;desc="${trace.traceparent}"`
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}

function log({ request, route, status, ms, upstreamMs, queueMs, ownMs, failure, left }: EndedRequest): void {
  const line = {
    method: request.method,
    route,
    status,
    ms: tenths(ms),
    upstreamMs: tenths(upstreamMs),
    queueMs: tenths(queueMs) || undefined,
    ownMs: tenths(ownMs),
    caller: request.caller?.userId || undefined,
    type: failure?.type,
    code: failure?.code ?? undefined,
    param: failure?.param ?? undefined,
    left: left || undefined
  }
  if (QUIET.has(route)) request.log.debug(line, 'request')
  else request.log.info(line, 'request')
}
