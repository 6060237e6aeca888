import { type Static, Type } from '@sinclair/typebox'
import { envelope, StringEnum, timestamp } from './common.ts'

export const InfoSchema = Type.Object(
  {
    success: Type.Literal(true),
    name: Type.String({ examples: ['bing-gateway'] }),
    version: Type.String({ examples: ['0.1.0'] }),
    author: Type.String(),
    repository: Type.String(),
    endpoints: Type.Record(Type.String(), Type.String(), {
      description: 'Name of each route, with method and path.'
    }),
    timestamp: timestamp()
  },
  { $id: 'Info' }
)

export const HealthSchema = Type.Object(
  {
    status: Type.Literal('ok'),
    cookie: StringEnum(['set', 'not set'] as const, {
      description: 'Whether a `_U` cookie is configured.',
      examples: ['set']
    }),
    session: StringEnum(['active', 'inactive'] as const, {
      description: 'Whether Bing accepted the cookie when it was last asked.',
      examples: ['active']
    }),
    activeTasks: Type.Integer({ description: 'Creations that are still processing.', examples: [2] })
  },
  { $id: 'Health' }
)
export const HealthResponseSchema = envelope(Type.Unsafe<Static<typeof HealthSchema>>({ $ref: 'Health#' }))
