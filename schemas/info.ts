import { Type } from '@sinclair/typebox'
import { envelope, StringEnum, timestamp } from './common.ts'

export const InfoSchema = Type.Object(
  {
    success: Type.Literal(true),
    name: Type.String({ examples: ['bing-gateway'] }),
    version: Type.String({ examples: ['0.1.0'] }),
    author: Type.String({ examples: ['The bing-gateway authors'] }),
    repository: Type.String({ examples: ['https://github.com/bing-gateway/bing-gateway'] }),
    endpoints: Type.Record(Type.String(), Type.String(), {
      description: 'Name of each route, with method and path.',
      examples: [{ create_image: 'POST /create/image' }]
    }),
    timestamp: timestamp()
  },
  {
    $id: 'Info',
    description: 'What this service is.',
    examples: [
      {
        success: true,
        name: 'bing-gateway',
        version: '0.1.0',
        author: 'The bing-gateway authors',
        repository: 'https://github.com/bing-gateway/bing-gateway',
        endpoints: { create_image: 'POST /create/image', get_task: 'GET /task/:taskId' },
        timestamp: '2026-01-01T12:00:00.000Z'
      }
    ]
  }
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
    activeTasks: Type.Integer({ description: 'Creations that are still processing.', examples: [2] }),
    upstreams: Type.Array(
      Type.Object({
        name: StringEnum(['sydney', 'copilot', 'image-creator', 'video-creator'] as const, {
          examples: ['image-creator']
        }),
        state: StringEnum(
          ['unconfigured', 'ok', 'throttled', 'challenged', 'expired', 'forbidden', 'unreachable'] as const,
          {
            description: 'As the latest calls have shown it; `ok` until one has shown otherwise.',
            examples: ['ok']
          }
        ),
        since: timestamp(),
        until: Type.Optional(timestamp({ description: 'When it ends by itself, if that is known.' })),
        action: Type.Optional(
          Type.String({
            description: 'What a person must do.',
            examples: ['Sign in at bing.com and give the gateway the new _U cookie.']
          })
        )
      }),
      { description: 'How each of the services behind the gateway stands with the account.' }
    )
  },
  { $id: 'Health' }
)
export const HealthResponseSchema = envelope('HealthResponse', HealthSchema, {
  description: 'The service runs; this is how it stands with Bing.',
  example: {
    status: 'ok',
    cookie: 'set',
    session: 'active',
    activeTasks: 2,
    upstreams: [{ name: 'image-creator', state: 'ok', since: '2026-01-01T12:00:00.000Z' }]
  }
})
