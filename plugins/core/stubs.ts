import fp from 'fastify-plugin'
import { MediaItemSchema } from '../../schemas/media.ts'
export default fp(async (fastify: any) => {
  if (fastify.getSchema('MediaItem') === undefined) fastify.addSchema(MediaItemSchema)
  if (!fastify.hasDecorator('limits')) fastify.decorate('limits', { take: async () => null, giveBack: async () => {} })
  if (!fastify.hasDecorator('webhooks')) fastify.decorate('webhooks', { check: async () => {}, kick() {} })
  if (!fastify.hasDecorator('media')) fastify.decorate('media', { archive: async () => [], views: async () => new Map() })
}, { name: 'stubs' })
