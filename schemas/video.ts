import { type Static, Type } from '@sinclair/typebox'
import { envelope, StringEnum, webhookUrl } from './common.ts'
import type { TaskView } from './task.ts'

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
          "Bing's queue. `standard` takes minutes to hours, `fast` uses up one of the account's fast creations. Default: `standard`.",
        examples: ['standard']
      })
    ),
    webhookUrl
  },
  { $id: 'CreateVideoRequest', examples: [{ query: 'ocean waves at sunset', speed: 'standard' }] }
)
export type CreateVideoRequest = Static<typeof CreateVideoRequestSchema>

export const CreatedVideoSchema = Type.Object(
  {
    taskId: Type.String({
      format: 'uuid',
      description: 'Ask `GET /task/{taskId}` for the video.',
      examples: ['123e4567-e89b-12d3-a456-426614174000']
    }),
    prompt: Type.String({ description: 'The text as it was sent.', examples: ['ocean waves at sunset'] }),
    task: Type.Optional(Type.Unsafe<TaskView>({ $ref: 'Task#' }))
  },
  { $id: 'CreatedVideo' }
)
export const CreateVideoResponseSchema = envelope('CreateVideoResponse', CreatedVideoSchema, {
  description: 'The task that makes the video.',
  example: { taskId: '123e4567-e89b-12d3-a456-426614174000', prompt: 'ocean waves at sunset' }
})
