import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'
import { enveloped, errors, Ref, withHeaders } from '../../schemas/common.ts'
import { ASPECTS, MODELS, OptionsResponseSchema, OptionsSchema } from '../../schemas/image.ts'
import { HealthResponseSchema, HealthSchema, InfoSchema } from '../../schemas/info.ts'
import { packageInfo } from '../../src/config.ts'

const AUTHOR = 'The bing-gateway authors'
const REPOSITORY = 'https://github.com/bing-gateway/bing-gateway'

const ENDPOINTS = {
  info: 'GET /',
  health: 'GET /health',
  create_conversation: 'POST /create_conversation',
  chat: 'POST /chatgpt',
  list_conversations: 'GET /conversations',
  get_conversation: 'GET /conversations/:conversationId',
  delete_conversation: 'DELETE /conversations/:conversationId',
  create_image: 'POST /create/image',
  create_video: 'POST /create/video',
  list_tasks: 'GET /tasks',
  get_task: 'GET /task/:taskId',
  follow_task: 'GET /task/:taskId/events',
  cancel_task: 'DELETE /task/:taskId',
  get_media: 'GET /media/:id',
  delete_media: 'DELETE /media/:id',
  options: 'GET /options',
  studio: 'GET /studio',
  docs: 'GET /docs'
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  const { name, version } = packageInfo()
  /** As last counted. */
  let activeTasks = 0

  fastify.get(
    '/',
    {
      schema: {
        operationId: 'getInfo',
        tags: ['service'],
        summary: 'Describe the service',
        description:
          'Name, version and routes. A browser, which asks for `text/html`, is sent to the studio page.',
        security: [],
        response: {
          200: Ref(InfoSchema),
          302: withHeaders(Type.Null({ description: 'A browser is sent to `/studio`.' }), {
            location: Type.String({ description: 'The studio page.', examples: ['/studio'] })
          }),
          ...errors(400, 500)
        }
      }
    },
    async (request, reply) => {
      reply.header('vary', 'accept')
      // Browsers name text/html themselves; curl and SDKs send */* or application/json.
      if (/\btext\/html\b/i.test(request.headers.accept ?? '')) return reply.redirect('/studio', 302)
      return {
        success: true as const,
        name,
        version,
        author: AUTHOR,
        repository: REPOSITORY,
        endpoints: ENDPOINTS,
        timestamp: new Date().toISOString()
      }
    }
  )

  fastify.get(
    '/health',
    {
      schema: {
        operationId: 'getHealth',
        tags: ['service'],
        summary: 'Show how the service stands with Bing',
        description:
          'Answers from memory and from the store; Bing is not asked. It answers as long as the process serves: with the store away, `activeTasks` is the number last seen.',
        security: [],
        response: { 200: Ref(HealthResponseSchema), ...errors(400, 500) }
      }
    },
    async (request) => {
      const { account, states } = fastify.upstream
      try {
        activeTasks = await fastify.store.tasks.countProcessing()
      } catch (error) {
        request.log.warn({ err: error }, 'tasks could not be counted')
      }
      return enveloped({
        status: 'ok' as const,
        cookie: account.configured ? ('set' as const) : ('not set' as const),
        session:
          states.some((state) => state.accepted) && !states.some((state) => state.view().state === 'expired')
            ? ('active' as const)
            : ('inactive' as const),
        activeTasks,
        upstreams: states.map((upstream) => {
          const { name, state, since, until, action } = upstream.view()
          return {
            name,
            state,
            since: new Date(since).toISOString(),
            ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
            ...(action === undefined ? {} : { action })
          }
        })
      })
    }
  )

  fastify.get(
    '/options',
    {
      schema: {
        operationId: 'getOptions',
        tags: ['image'],
        summary: 'List models and aspect ratios',
        description: 'What `POST /create/image` takes as `model` and `aspect`.',
        security: [],
        response: { 200: Ref(OptionsResponseSchema), ...errors(400, 500) }
      }
    },
    async () => enveloped({ models: [...MODELS], aspects: [...ASPECTS] })
  )
}

/** What anybody may ask: what this is, how it is, what it offers (seed B's routes). */
export default fp(
  async (fastify) => {
    for (const schema of [
      InfoSchema,
      HealthSchema,
      HealthResponseSchema,
      OptionsSchema,
      OptionsResponseSchema
    ]) {
      fastify.addSchema(schema)
    }
    fastify.register(routes)
  },
  { name: 'info', dependencies: ['config', 'errors', 'store', 'upstream'] }
)
