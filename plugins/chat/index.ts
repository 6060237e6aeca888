import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'
import {
  AttachmentSchema,
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
import { notListed } from '../auth/index.ts'
import { prefersEvents } from '../core/accept.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { hangUp } from '../core/hang-up.ts'
import { timeSpentOf } from '../core/requests.ts'
import { conversationRoutes } from './conversation-routes.ts'
import { type ConversationService, createConversationService } from './conversation-service.ts'
import { createChatMetrics } from './metrics.ts'
import { type ChatService, createChatService } from './service.ts'
import { createTurnClaims } from './turn-claims.ts'
import { streamTurn } from './turn-stream.ts'
import { createChatUpstream } from './upstream.ts'

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
        answer: async () => ({
          status: 200,
          body: { ...(await fastify.chat.create(caller, stop, timeSpentOf(request))) }
        })
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
      const { chat, clock, lifecycle, media } = fastify
      const baseUrl = baseUrlOf(request)
      const context = {
        caller: caller.userId,
        spent: timeSpentOf(request),
        copyUrl: (id: string) => media.urlOf(id, baseUrl),
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
    const { config, clock, instruments, metrics, upstream, limits, log, media, worker } = fastify
    const { conversations, database } = fastify.store
    for (const schema of [
      CreateConversationRequestSchema,
      ConversationSchema,
      ChatRequestSchema,
      SourceSchema,
      AttachmentSchema,
      ChatAnswerSchema,
      ConversationSummarySchema,
      ConversationListSchema,
      ConversationTurnSchema,
      ConversationDetailsSchema
    ]) {
      fastify.addSchema(schema)
    }
    const driver = upstream.copilot === undefined ? 'sydney' : 'copilot'
    const measures = createChatMetrics({ driver, instruments, metrics, log })
    const { client, kind, ...chosen } = createChatUpstream(fastify, measures.onUnknown)
    const measured = measures.measured(client)
    fastify.log.info({ upstream: kind, url: chosen.url, constants: chosen.constants }, 'chat upstream')
    const claims = createTurnClaims({ store: conversations, worker, clock, log })
    fastify.addHook('onClose', async () => {
      await client.close()
      await claims.close()
    })
    fastify.decorate(
      'chat',
      createChatService({
        client: {
          create: (signal) => upstream.observe(kind, 'create', () => measured.create(signal), signal),
          ask: (...args) => upstream.observe(kind, 'turn', () => measured.ask(...args), args[2].signal),
          close: () => client.close()
        },
        kind,
        timeoutRow: chosen.timeoutRow,
        keepPictures: media.chatPictures.keep,
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
        concurrency: chosen.concurrency,
        turnsPerMinute: chosen.turnsPerMinute,
        maxPromptChars: chosen.maxPromptChars,
        onAdmitted: measures.onAdmitted
      })
    )
    fastify.decorate(
      'conversations',
      createConversationService(conversations, async (id) => {
        try {
          if ((await media.files.ofTasks([id])).size > 0) await media.removeOfTask(id)
        } catch (error) {
          // The conversation is gone all the same, and nobody finds the copies any more.
          log.warn({ err: error, conversationId: id }, 'copies of its pictures could not be removed')
        }
      })
    )
    fastify.register(routes)
    fastify.register(conversationRoutes)
  },
  {
    name: 'chat',
    dependencies: ['config', 'errors', 'store', 'metrics', 'upstream', 'media', 'lifecycle', 'idempotency']
  }
)
