import fp from 'fastify-plugin'
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errors } from '../../schemas/common.ts'
import { publicStatus, type TaskState } from '../../src/jobs/task-states.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What `/metrics` shows. Capabilities add theirs. */
    metrics: Registry
  }
}

/** Seconds. OpenTelemetry's HTTP buckets, and longer ones for turns and pictures. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300]

/** `/metrics` in Prometheus' text format, with OpenTelemetry's names. No user, prompt or id is a label. */
export default fp(
  async (fastify) => {
    const registry = new Registry()
    fastify.decorate('metrics', registry)
    collectDefaultMetrics({ register: registry })
    const duration = new Histogram({
      name: 'http_server_request_duration_seconds',
      help: 'Duration of HTTP server requests.',
      labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
      buckets: BUCKETS,
      registers: [registry]
    })
    new Gauge({
      name: 'bing_gateway_tasks',
      help: 'Stored creation tasks by status.',
      labelNames: ['status'],
      registers: [registry],
      async collect() {
        try {
          const counts = Object.entries(await fastify.store.tasks.countByState())
          this.reset()
          for (const [state, n] of counts) this.inc({ status: publicStatus(state as TaskState) }, n)
        } catch (error) {
          // The last numbers stay: with the store away, all the other metrics are wanted most.
          fastify.log.warn({ err: error }, 'tasks could not be counted')
        }
      }
    })

    fastify.addHook('onResponse', (request, reply, done) => {
      duration.observe(
        {
          http_request_method: request.method,
          http_route: request.routeOptions.url ?? 'unknown',
          http_response_status_code: reply.statusCode
        },
        reply.elapsedTime / 1000
      )
      done()
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
  { name: 'metrics', dependencies: ['store'] }
)
