import { type Static, Type } from '@sinclair/typebox'
import { envelope, Ref, StringEnum, webhookUrl } from './common.ts'
import { MediaItemSchema } from './media.ts'

/** Models and aspects as clients name them. The numbers are seed B's and Bing's own. */
export const MODELS = [
  { id: 'DALLE', value: 0, description: 'DALL-E — fast, general purpose' },
  { id: 'GPT4O', value: 1, description: 'GPT-4o — higher quality, slower' },
  { id: 'MAI1', value: 4, description: 'MAI Image 1 — Microsoft model' }
] as const

export const ASPECTS = [
  { id: 'SQUARE', value: 1, ratio: '1:1' },
  { id: 'LANDSCAPE', value: 2, ratio: '7:4' },
  { id: 'PORTRAIT', value: 3, ratio: '4:7' }
] as const

const modelName = StringEnum(['DALLE', 'GPT4O', 'MAI1'] as const, { examples: ['DALLE'] })
const aspectName = StringEnum(['SQUARE', 'LANDSCAPE', 'PORTRAIT'] as const, { examples: ['LANDSCAPE'] })

const nameOrNumber = (names: string, fallback: string) =>
  Type.Unsafe<string | number>({
    anyOf: [{ type: 'string' }, { type: 'integer' }],
    description: `${names}. A name in any case, or its number. Default: \`${fallback}\`.`,
    examples: [fallback]
  })

export const CreateImageRequestSchema = Type.Object(
  {
    query: Type.String({
      minLength: 1,
      description: 'Text the picture is drawn from.',
      examples: ['a futuristic city at sunset']
    }),
    model: Type.Optional(nameOrNumber('`DALLE` (0), `GPT4O` (1) or `MAI1` (4)', 'DALLE')),
    aspect: Type.Optional(nameOrNumber('`SQUARE` (1), `LANDSCAPE` (2) or `PORTRAIT` (3)', 'SQUARE')),
    webhookUrl
  },
  {
    $id: 'CreateImageRequest',
    examples: [{ query: 'a futuristic city at sunset', model: 'DALLE', aspect: 'LANDSCAPE' }]
  }
)
export type CreateImageRequest = Static<typeof CreateImageRequestSchema>

export const CreatedImagesSchema = Type.Object(
  {
    images: Type.Array(Type.String({ format: 'uri' }), {
      description:
        "The upstream's URLs of the pictures, 1 to 4, without repeats. They expire after hours or days.",
      examples: [['https://th.bing.com/th/id/OIG1.k3Jd9a?pid=ImgGn']]
    }),
    prompt: Type.String({
      description: "The upstream's enhanced prompt, else the query.",
      examples: ['a futuristic city at sunset with neon lights and flying cars']
    }),
    model: modelName,
    aspect: aspectName,
    taskId: Type.String({
      format: 'uuid',
      description: 'The stored task; `GET /task/{taskId}` shows it again.',
      examples: ['123e4567-e89b-12d3-a456-426614174000']
    }),
    media: Type.Array(Ref(MediaItemSchema), {
      description:
        "The gateway's own copies, in the order of `images`. One that could not be copied is missing."
    })
  },
  { $id: 'CreatedImages' }
)
export const CreateImageResponseSchema = envelope('CreateImageResponse', CreatedImagesSchema, {
  description: 'The finished images.',
  example: {
    images: [
      'https://th.bing.com/th/id/OIG1.k3Jd9a?pid=ImgGn',
      'https://th.bing.com/th/id/OIG2.Wq81xe?pid=ImgGn'
    ],
    prompt: 'a futuristic city at sunset with neon lights and flying cars',
    model: 'DALLE',
    aspect: 'LANDSCAPE',
    taskId: '123e4567-e89b-12d3-a456-426614174000',
    media: [
      {
        url: 'http://127.0.0.1:7860/media/0f343b0931126a20f133d67c2b018a3b?exp=1767355200&sig=bWFjLi4u',
        width: 1792,
        height: 1024,
        contentType: 'image/jpeg'
      }
    ]
  }
})

export const AcceptedImageSchema = Type.Object(
  {
    taskId: Type.String({
      format: 'uuid',
      description: 'Ask `GET /task/{taskId}` for the images.',
      examples: ['123e4567-e89b-12d3-a456-426614174000']
    }),
    prompt: Type.String({ description: 'The text as it is sent.', examples: ['a futuristic city at sunset'] })
  },
  { $id: 'AcceptedImage' }
)
export const AcceptedImageResponseSchema = envelope('AcceptedImageResponse', AcceptedImageSchema, {
  description: 'The task that makes the images.',
  example: { taskId: '123e4567-e89b-12d3-a456-426614174000', prompt: 'a futuristic city at sunset' }
})

export const OptionsSchema = Type.Object(
  {
    models: Type.Array(
      Type.Object({
        id: modelName,
        value: Type.Integer({ examples: [0] }),
        description: Type.String({ examples: [MODELS[0].description] })
      })
    ),
    aspects: Type.Array(
      Type.Object({
        id: aspectName,
        value: Type.Integer({ examples: [1] }),
        ratio: Type.String({ examples: ['1:1'] })
      })
    )
  },
  { $id: 'Options' }
)
export const OptionsResponseSchema = envelope('OptionsResponse', OptionsSchema, {
  description: 'Models and aspect ratios.',
  example: { models: [...MODELS], aspects: [...ASPECTS] }
})
