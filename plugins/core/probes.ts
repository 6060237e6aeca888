import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { errors, Ref } from '../../schemas/common.ts'
import { LivenessSchema, ReadinessSchema } from '../../schemas/probe.ts'
import type { UpstreamState } from '../../src/upstream/session-state.ts'

/** States of an upstream that a person must put right, the plainest first. */
const TROUBLES = ['expired', 'challenged', 'forbidden'] as const

/** What is to be said of an account whose upstreams stand so. */
function standing(upstreams: readonly UpstreamState[]): 'ok' | 'missing' | (typeof TROUBLES)[number] {
  if (upstreams.some(({ state }) => state === 'unconfigured')) return 'missing'
  return TROUBLES.find((trouble) => upstreams.some(({ state }) => state === trouble)) ?? 'ok'
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.get(
    '/livez',
    {
      schema: {
        operationId: 'getLiveness',
        tags: ['service'],
        summary: 'Tell whether the process lives',
        description: 'Asks nothing but the process itself.',
        security: [],
        response: { 200: Ref(LivenessSchema), ...errors(400, 500) }
      }
    },
    async () => ({ status: 'ok' as const })
  )

  fastify.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        tags: ['service'],
        summary: 'Tell whether to send requests here',
        description:
          'A missing or expired cookie, and any other trouble that a person must put right, is `degraded`, not unready: stored results must stay reachable.',
        security: [],
        response: {
          200: Ref(ReadinessSchema),
          503: {
            description: 'The store is unreachable, or the service is shutting down.',
            content: {
              'application/json': {
                schema: Ref(ReadinessSchema),
                example: {
                  status: 'unavailable',
                  checks: { store: 'unreachable', draining: false, cookie: 'ok' }
                }
              }
            }
          },
          ...errors(400, 500)
        }
      }
    },
    async (_request, reply) => {
      const states = fastify.upstream.states.map((state) => state.view())
      const storeReachable = await fastify.store.ping()
      const { draining } = fastify.lifecycle
      const ready = storeReachable && !draining
      const cookie = standing(states.filter(({ name }) => name !== 'copilot'))
      const own = states.filter(({ name }) => name === 'copilot')
      const copilot = own.length === 0 ? undefined : standing(own)
      const isFine = cookie === 'ok' && (copilot ?? 'ok') === 'ok'
      reply.code(ready ? 200 : 503)
      return {
        status: !ready ? ('unavailable' as const) : isFine ? ('ok' as const) : ('degraded' as const),
        checks: {
          store: storeReachable ? ('ok' as const) : ('unreachable' as const),
          draining,
          cookie,
          ...(copilot && { copilot })
        }
      }
    }
  )
}

/** Probes for whoever runs the container. They need no key and say nothing about users. */
export default fp(
  async (fastify) => {
    for (const schema of [LivenessSchema, ReadinessSchema]) fastify.addSchema(schema)
    fastify.register(routes)
  },
  { name: 'probes', dependencies: ['store', 'upstream', 'lifecycle'] }
)
