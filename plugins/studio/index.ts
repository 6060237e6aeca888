import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { errors } from '../../schemas/common.ts'
import type { Config } from '../../src/config.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { encodeCursor } from '../core/page.ts'
import { toTaskView } from '../core/task-view.ts'
import { studioPage } from './page.ts'
import { SCRIPT } from './script.ts'
import { STYLE } from './style.ts'

const RECENT = 12

const sha256 = (source: string) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`

/**
 * Nothing but the page's own script and style runs, nothing but this gateway is asked, media come from Bing. Pictures of
 * answers come from Copilot, where that chats.
 */
function policy({
  BING_URL,
  BING_MEDIA_URL,
  CHAT_UPSTREAM,
  COPILOT_URL
}: Pick<Config, 'BING_URL' | 'BING_MEDIA_URL' | 'CHAT_UPSTREAM' | 'COPILOT_URL'>) {
  const media = [
    ...new Set([
      "'self'",
      'data:',
      'https://bing.com',
      'https://*.bing.com',
      'https://*.mm.bing.net',
      new URL(BING_URL).origin,
      new URL(BING_MEDIA_URL).origin
    ])
  ]
  return {
    useDefaults: false as const,
    directives: {
      'default-src': ["'none'"],
      'script-src': [sha256(SCRIPT)],
      'style-src': [sha256(STYLE)],
      'img-src': CHAT_UPSTREAM === 'copilot' ? [...new Set([...media, new URL(COPILOT_URL).origin])] : media,
      'media-src': media,
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'none'"],
      'frame-ancestors': ["'none'"]
    }
  }
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  const { config, media, store } = fastify
  fastify.get(
    '/studio',
    {
      config: { helmet: { contentSecurityPolicy: policy(config), xFrameOptions: { action: 'deny' } } },
      schema: {
        operationId: 'getStudio',
        tags: ['service'],
        summary: 'Open the studio page',
        description:
          'A page for people: chat, images and video over the routes of this document, and the recent creations of callers without a name where those are allowed.',
        security: [],
        response: {
          200: {
            description: 'The page.',
            content: {
              'text/html': {
                schema: { type: 'string', examples: ['<!doctype html><html lang="en">…</html>'] }
              }
            }
          },
          ...errors(400, 500, 503)
        }
      }
    },
    async (request, reply) => {
      const anonymous = fastify.allowsAnonymous(request)
      const found = anonymous ? await store.tasks.list('', { limit: RECENT + 1 }) : []
      const page = found.slice(0, RECENT)
      const last = page.at(-1)
      const copies = await media.views(
        page.map(({ id }) => id),
        baseUrlOf(request)
      )
      // It shows what one visitor may see.
      reply.header('cache-control', 'no-store')
      return reply
        .type('text/html; charset=utf-8')
        .serializer(String)
        .send(
          studioPage({
            recent: page.map((task) => toTaskView(task, copies.get(task.id))),
            nextCursor: found.length > RECENT && last !== undefined ? encodeCursor(last) : null,
            anonymous,
            keysOnly: config.AUTH_MODE === 'key',
            chatName: config.CHAT_UPSTREAM === 'copilot' ? 'Copilot' : 'Bing'
          })
        )
    }
  )
}

/** Facade: the studio page, over the same routes that every client uses. */
export default fp(
  async (fastify) => {
    fastify.register(routes)
  },
  { name: 'studio', dependencies: ['config', 'errors', 'store', 'whitelist-auth', 'media'] }
)
