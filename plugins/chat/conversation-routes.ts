import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import {
  ConversationDetailsSchema,
  ConversationListSchema,
  ConversationParamsSchema
} from '../../schemas/chat.ts'
import { errors, Ref, withHeaders } from '../../schemas/common.ts'
import { pageHeaders, pageQuery } from '../../schemas/page.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { endPage, pageOf } from '../core/page.ts'
import { toDetails, toSummary } from './view.ts'

/** A caller's own conversations. Nothing new begins here, so these go on while the service drains. */
export const conversationRoutes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.get(
    '/conversations',
    {
      schema: {
        operationId: 'listConversations',
        tags: ['chat'],
        summary: 'List conversations',
        description: "The caller's own conversations, the newest first.",
        querystring: Type.Object(pageQuery),
        response: {
          200: withHeaders(Ref(ConversationListSchema), pageHeaders),
          ...errors(400, 401, 403, 429, 500, 503)
        }
      }
    },
    async (request, reply) => {
      const { limit, rows, after } = pageOf(request.query)
      const listed = await fastify.conversations.list(request.caller.userId, { limit: rows, after })
      const { page, nextCursor } = endPage(listed, limit, request, reply)
      return { conversations: page.map(toSummary), nextCursor }
    }
  )

  fastify.get(
    '/conversations/:conversationId',
    {
      schema: {
        operationId: 'getConversation',
        tags: ['chat'],
        summary: 'Read a conversation',
        description:
          'A conversation of the caller with its answered turns. Its signature is never shown again: only who kept it can go on.',
        params: ConversationParamsSchema,
        response: { 200: Ref(ConversationDetailsSchema), ...errors(400, 401, 403, 404, 429, 500, 503) }
      }
    },
    async (request) => {
      const { conversation, turns } = await fastify.conversations.read(
        request.caller.userId,
        request.params.conversationId
      )
      const baseUrl = baseUrlOf(request)
      return toDetails(conversation, turns, (id) => fastify.media.urlOf(id, baseUrl))
    }
  )

  fastify.delete(
    '/conversations/:conversationId',
    {
      schema: {
        operationId: 'deleteConversation',
        tags: ['chat'],
        summary: 'Delete a conversation',
        description:
          'Removes a conversation of the caller and all its turns from the gateway. While a turn is under way it answers 409; ending that call ends the turn.',
        params: ConversationParamsSchema,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errors(400, 401, 403, 404, 409, 429, 500, 503)
        }
      }
    },
    async (request, reply) => {
      await fastify.conversations.remove(request.caller.userId, request.params.conversationId)
      return reply.code(204).send(null)
    }
  )
}
