import { type Static, Type } from '@sinclair/typebox'
import { ERROR_TYPES, envelope, Nullable, Ref, StringEnum, timestamp } from './common.ts'
import { MediaItemSchema } from './media.ts'
import { nextCursor, pageQuery } from './page.ts'

export const TaskParamsSchema = Type.Object({
  taskId: Type.String({
    description: 'The id that the creation returned.',
    examples: ['123e4567-e89b-12d3-a456-426614174000']
  })
})

export const TaskSchema = Type.Object(
  {
    id: Type.String({ format: 'uuid', examples: ['123e4567-e89b-12d3-a456-426614174000'] }),
    kind: StringEnum(['image', 'video'] as const, { examples: ['video'] }),
    status: StringEnum(['processing', 'completed', 'failed', 'cancelled'] as const, {
      examples: ['completed']
    }),
    prompt: Type.String({ description: 'The text as it was sent.', examples: ['ocean waves at sunset'] }),
    enhancedPrompt: Type.Optional(
      Type.String({
        description: 'What the upstream made of the text, where that differs.',
        examples: ['ocean waves at sunset, golden light']
      })
    ),
    video: Nullable(Type.String(), {
      description: "The upstream's URL of the finished video.",
      examples: ['https://th.bing.com/th/id/OVID.k3Jd9a?pid=videocreator']
    }),
    images: Type.Optional(
      Type.Array(Type.String({ format: 'uri' }), {
        description: "The upstream's URLs of the finished pictures.",
        examples: [['https://th.bing.com/th/id/OIG1.k3Jd9a?pid=ImgGn']]
      })
    ),
    media: Type.Optional(
      Type.Array(Ref(MediaItemSchema), {
        description:
          "The gateway's own copies of what was made. What could not be copied, or was deleted, is missing."
      })
    ),
    error: Nullable(Type.String(), { description: 'Why it failed, for people.', examples: [null] }),
    errorDetail: Type.Optional(
      Type.Object(
        {
          type: StringEnum(ERROR_TYPES, { examples: ['prompt_rejected_error'] }),
          code: Nullable(Type.String(), { examples: ['content_policy'] })
        },
        { description: 'Why it failed, for programs.' }
      )
    ),
    createdAt: timestamp(),
    completedAt: Nullable(Type.String({ format: 'date-time' }), {
      description: 'When it ended, however it ended.',
      examples: ['2026-01-01T12:01:30.000Z']
    })
  },
  { $id: 'Task' }
)
export type TaskView = Static<typeof TaskSchema>

export const TaskResponseSchema = envelope('TaskResponse', TaskSchema, {
  description: 'The creation as it stands.',
  example: {
    id: '123e4567-e89b-12d3-a456-426614174000',
    kind: 'video',
    status: 'completed',
    prompt: 'ocean waves at sunset',
    video: 'https://th.bing.com/th/id/OVID.k3Jd9a?pid=videocreator',
    error: null,
    createdAt: '2026-01-01T11:58:20.000Z',
    completedAt: '2026-01-01T11:59:50.000Z'
  }
})

export const TaskListQuerySchema = Type.Object({
  kind: Type.Optional(
    StringEnum(['image', 'video'] as const, { description: 'Only these.', examples: ['video'] })
  ),
  status: Type.Optional(
    StringEnum(['processing', 'completed', 'failed', 'cancelled'] as const, {
      description: 'Only those that stand like this.',
      examples: ['completed']
    })
  ),
  ...pageQuery
})

export const TaskListSchema = Type.Object(
  {
    tasks: Type.Array(Ref(TaskSchema), { description: 'Own tasks, the newest first.' }),
    nextCursor
  },
  { $id: 'TaskList' }
)
export const TaskListResponseSchema = envelope('TaskListResponse', TaskListSchema, {
  description: 'One page of the own tasks.',
  example: { tasks: [], nextCursor: null }
})
