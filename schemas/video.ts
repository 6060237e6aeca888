import { type Static, Type } from '@sinclair/typebox'
import { envelope, StringEnum } from './common.ts'

export const CreateVideoRequestSchema = Type.Object(
  {
    query: Type.String({
      minLength: 1,
      description: 'Text the video is made from.',
      examples: ['ocean waves at sunset']
    }),
    speed: Type.Optional(
      StringEnum(['standard', 'fast'] as const, {
        description:
          "Bing's queue. `standard` takes minutes to hours, `fast` uses up one of the account's fast creations.",
        default: 'standard',
        examples: ['standard']
      })
    )
  },
  { $id: 'CreateVideoRequest' }
)
export type CreateVideoRequest = Static<typeof CreateVideoRequestSchema>

export const CreatedVideoSchema = Type.Object(
  {
    taskId: Type.String({ format: 'uuid', description: 'Ask `GET /task/{taskId}` for the video.' }),
    prompt: Type.String({ examples: ['ocean waves at sunset'] })
  },
  { $id: 'CreatedVideo' }
)
export const CreateVideoResponseSchema = envelope(
  Type.Unsafe<Static<typeof CreatedVideoSchema>>({ $ref: 'CreatedVideo#' })
)
