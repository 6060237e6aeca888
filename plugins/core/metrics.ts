import fp from 'fastify-plugin'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { errors } from '../../schemas/common.ts'
import { packageInfo } from '../../src/config.ts'
import { publicStatus, type TaskState } from '../../src/jobs/task-states.ts'
import { askedGauge, createInstruments, type Instruments } from './instruments.ts'
import type { EndedRequest } from './requests.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What `/metrics` shows. Capabilities add theirs. */
    metrics: Registry
    instruments: Instruments
  }
}

/** Those of RFC 9110 and PATCH; whatever else a caller invents is `_OTHER`, as OpenTelemetry has it. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/** `/metrics` in Prometheus' text format, with OpenTelemetry's names: docs/observability.md. */
export default fp(
  async (fastify) => {
    const registry = new Registry()
    const instruments = createInstruments(registry)
    fastify.decorate('metrics', registry)
    fastify.decorate('instruments', instruments)
    // The event loop's delay is among them.
    collectDefaultMetrics({ register: registry })
    const { version } = packageInfo()
    askedGauge(
      registry,
      { name: 'bing_gateway_info', help: 'The version that runs.', labelNames: ['version'] },
      (set) => set({ version }, 1)
    )
    askedGauge(
      registry,
      {
        name: 'http_server_active_requests',
        help: 'HTTP server requests that are being answered.'
      },
      // The scrape that asks is one of them, and would be the only one that is always there.
      (set) => set({}, Math.max(0, fastify.requests.active - 1))
    )
    askedGauge(
      registry,
      { name: 'bing_gateway_store_up', help: '1 when the store could be used, else 0.' },
      async (set) => set({}, (await fastify.store.ping()) ? 1 : 0)
    )
    const uncounted = (error: unknown) => fastify.log.warn({ err: error }, 'tasks could not be counted')
    askedGauge(
      registry,
      { name: 'bing_gateway_tasks', help: 'Stored creation tasks by status.', labelNames: ['status'] },
      async (set) => {
        const counts = new Map<string, number>()
        for (const [state, n] of Object.entries(await fastify.store.tasks.countByState())) {
          const status = publicStatus(state as TaskState)
          counts.set(status, (counts.get(status) ?? 0) + n)
        }
        for (const [status, n] of counts) set({ status }, n)
      },
      uncounted
    )
    askedGauge(
      registry,
      {
        name: 'bing_gateway_oldest_queued_task_age_seconds',
        help: 'How long the creation that has waited longest has been in the queue; 0 when none is.',
        labelNames: ['kind']
      },
      async (set) => {
        const oldest = await fastify.store.tasks.oldestQueued()
        for (const kind of ['image', 'video'] as const) {
          const since = oldest[kind]
          set({ kind }, since === undefined ? 0 : Math.max(0, fastify.clock.now() - since) / 1000)
        }
      },
      uncounted
    )
    fastify.requests.onEnd(durations(instruments.requestDuration))
    // Counted from 0, so that the first one is an increase too.
    fastify.requests.onEnd(({ failure }) => {
      if (failure?.type === 'api_error') instruments.internalErrors.inc()
    })

    fastify.register(async (scope) => {
      scope.get(
        '/metrics',
        {
          schema: {
            operationId: 'getMetrics',
            tags: ['service'],
            summary: 'Show metrics for Prometheus',
            description: 'No user, prompt or id is in them.',
            security: [],
            response: {
              200: {
                description: 'Metrics in the Prometheus text format.',
                content: {
                  'text/plain': {
                    schema: { type: 'string', examples: ['bing_gateway_tasks{status="completed"} 3'] }
                  }
                }
              },
              ...errors(400, 500, 503)
            }
          }
        },
        async (_request, reply) => {
          const text = await registry.metrics()
          return reply.type(registry.contentType).serializer(String).send(text)
        }
      )
    })
  },
  { name: 'metrics', dependencies: ['store', 'requests'] }
)

/** Observes requests that have ended, with label objects that are made once. */
function durations(histogram: Instruments['requestDuration']): (ended: EndedRequest) => void {
  const known = new Map<string, Record<string, string | number>>()
  return ({ request, route, status, ms, failure, left }) => {
    const method = METHODS.has(request.method) ? request.method : '_OTHER'
    const error = left ? 'caller_left' : (failure?.type ?? '')
    const key = `${status} ${method} ${route} ${error}`
    let labels = known.get(key)
    if (labels === undefined) {
      labels = {
        http_request_method: method,
        http_route: route,
        http_response_status_code: status,
        error_type: error
      }
      known.set(key, labels)
    }
    histogram.observe(labels, ms / 1000)
  }
}
