import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'
import {
  ChatAnswerSchema,
  ChatEventsSchema,
  ChatRequestSchema,
  ConversationDetailsSchema,
  ConversationListSchema,
  ConversationSchema,
  ConversationSummarySchema,
  ConversationTurnSchema,
  CreateConversationRequestSchema,
  SourceSchema
} from '../../schemas/chat.ts'
import { errors, idempotencyKeyHeader, REPLAYED, Ref, StringEnum, withHeaders } from '../../schemas/common.ts'
import { createSydneyClient } from '../../src/upstream/sydney/client.ts'
import { CONSTANTS_VERSION, MAX_PROMPT_CHARS } from '../../src/upstream/sydney/constants.ts'
import { notListed } from '../auth/index.ts'
import { prefersEvents } from '../core/accept.ts'
import { hangUp } from '../core/hang-up.ts'
import { conversationRoutes } from './conversation-routes.ts'
import { type ConversationService, createConversationService } from './conversation-service.ts'
import { type ChatService, createChatService } from './service.ts'
import { createTurnClaims } from './turn-claims.ts'
import { streamTurn } from './turn-stream.ts'

declare module 'fastify' {
  interface FastifyInstance {
    chat: ChatService
    conversations: ConversationService
  }
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.addHook('onRequest', fastify.lifecycle.refuseWhileDraining)

  fastify.post(
    '/create_conversation',
    {
      config: { access: 'credential', limit: 'conversations' },
      schema: {
        operationId: 'createConversation',
        tags: ['chat'],
        summary: 'Start a conversation',
        description:
          'Opens a conversation with Bing for a whitelisted user. Keep what comes back: `POST /chatgpt` wants all of it. Many conversations can run at once and never mix.',
        headers: Type.Object(idempotencyKeyHeader),
        body: Ref(CreateConversationRequestSchema),
        response: {
          200: withHeaders(Ref(ConversationSchema), REPLAYED),
          ...errors(400, 401, 403, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const gone = hangUp(reply)
      const stop = hangUp(reply, fastify.lifecycle.stopping)
      const caller = await fastify.callerFor(request, request.body.userId)
      return fastify.idempotent(request, reply, {
        owner: caller.userId,
        signal: gone,
        answer: async () => ({ status: 200, body: { ...(await fastify.chat.create(caller, stop)) } })
      })
    }
  )

  fastify.post(
    '/chatgpt',
    {
      config: { access: 'credential' },
      schema: {
        operationId: 'chat',
        tags: ['chat'],
        summary: 'Ask the next question of a conversation',
        description:
          'Turns of one conversation never overlap: a second call while one runs is a 409. A repeat of the last answered turn returns the stored answer, marked `Idempotency-Replayed: true`, and asks Bing nothing, so a client that lost a response can safely send the request again. When the caller goes away, the turn is cancelled and the conversation stays usable.\n\nWith `"stream": true`, or an `Accept` header that prefers `text/event-stream` to JSON, the answer comes as it is written.',
        body: Ref(ChatRequestSchema),
        response: {
          200: {
            description: 'The answer, whole or as it is written.',
            headers: {
              'Idempotency-Replayed': StringEnum(['true'] as const, {
                description: 'There when the stored answer of a repeated turn is sent again.'
              })
            },
            content: {
              'application/json': { schema: Ref(ChatAnswerSchema) },
              'text/event-stream': { schema: ChatEventsSchema }
            }
          },
          ...errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const { body, caller, log } = request
      const { chat, clock, lifecycle } = fastify
      const context = {
        caller: caller.userId,
        onRepeat: (error: Error, attempt: number) => log.warn({ err: error, attempt }, 'turn repeated')
      }
      if (body.stream ?? prefersEvents(request.headers.accept)) {
        return streamTurn(reply, {
          clock,
          stopping: lifecycle.stopping,
          ask: (listening) => chat.ask(body, { ...context, ...listening })
        })
      }
      const signal = hangUp(reply, lifecycle.stopping)
      const { answer, replayed } = await chat.ask(body, { ...context, signal })
      if (replayed) reply.header('idempotency-replayed', 'true')
      return answer
    }
  )
}

/** Capability: chat sessions (seed A's routes). */
export default fp(
  async (fastify) => {
    const { config, clock, upstream, limits, log, worker } = fastify
    const { conversations, database } = fastify.store
    for (const schema of [
      CreateConversationRequestSchema,
      ConversationSchema,
      ChatRequestSchema,
      SourceSchema,
      ChatAnswerSchema,
      ConversationSummarySchema,
      ConversationListSchema,
      ConversationTurnSchema,
      ConversationDetailsSchema
    ]) {
      fastify.addSchema(schema)
    }
    const client = createSydneyClient({
      bingUrl: config.BING_URL,
      chatUrl: config.BING_CHAT_URL,
      account: upstream.account,
      http: upstream.http,
      proxy: { httpsProxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY },
      clock,
      warm: { sockets: config.CHAT_WARM_SOCKETS },
      log
    })
    fastify.log.info({ url: config.BING_CHAT_URL, constants: CONSTANTS_VERSION }, 'chat upstream')
    const claims = createTurnClaims({ store: conversations, worker, clock, log })
    fastify.addHook('onClose', async () => {
      await client.close()
      await claims.close()
    })
    fastify.decorate(
      'chat',
      createChatService({
        client: {
          create: (signal) => upstream.observe('sydney', client.create(signal)),
          ask: (...args) => upstream.observe('sydney', client.ask(...args)),
          close: () => client.close()
        },
        kind: 'sydney',
        store: conversations,
        claims,
        limits: {
          take: (caller) => limits.take(database.db, caller, 'conversations'),
          giveBack: (caller, windowEnds) => limits.giveBack(caller, 'conversations', windowEnds)
        },
        isWhitelisted: fastify.whitelist.has,
        notListed,
        clock,
        timeoutMs: config.CHAT_TIMEOUT_MS,
        concurrency: config.CHAT_CONCURRENCY,
        maxPromptChars: MAX_PROMPT_CHARS
      })
    )
    fastify.decorate('conversations', createConversationService(conversations))
    fastify.register(routes)
    fastify.register(conversationRoutes)
  },
  { name: 'chat', dependencies: ['config', 'errors', 'store', 'upstream', 'lifecycle', 'idempotency'] }
)
