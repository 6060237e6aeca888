import { type Static, Type } from '@sinclair/typebox'
import { Nullable } from './common.ts'

export const MediaItemSchema = Type.Object(
  {
    url: Type.String({
      format: 'uri',
      description: 'Signed address of the copy; valid for a day, for whoever has it.',
      examples: ['http://127.0.0.1:7860/media/0f343b0931126a20f133d67c2b018a3b?exp=1767355200&sig=bWFjLi4u']
    }),
    width: Nullable(Type.Integer(), { description: 'Pixels, as the bytes say.', examples: [1792] }),
    height: Nullable(Type.Integer(), { description: 'Pixels, as the bytes say.', examples: [1024] }),
    contentType: Type.String({ examples: ['image/jpeg'] })
  },
  { $id: 'MediaItem' }
)
export type MediaItem = Static<typeof MediaItemSchema>

const ID = '0f343b0931126a20f133d67c2b018a3b'

export const MediaParamsSchema = Type.Object({
  id: Type.String({ description: 'The last part of the URL that an answer handed out.', examples: [ID] })
})
export type MediaParams = Static<typeof MediaParamsSchema>

export const MediaQuerySchema = Type.Object({
  exp: Type.Optional(
    Type.String({ description: 'When the URL ends, in seconds since 1970.', examples: ['1767355200'] })
  ),
  sig: Type.Optional(
    Type.String({
      description: 'Signature of the URL; stands for the identity of its owner.',
      examples: ['bWFjLi4u']
    })
  )
})
export type MediaQuery = Static<typeof MediaQuerySchema>

export const MediaHeadersSchema = Type.Object({
  Range: Type.Optional(
    Type.String({
      description: 'The part of the file to send (RFC 9110 section 14).',
      examples: ['bytes=0-1023']
    })
  ),
  'If-Range': Type.Optional(
    Type.String({
      description: 'The `ETag` for which `Range` holds; of another file all is sent.',
      examples: ['"9f86d081…"']
    })
  ),
  'If-None-Match': Type.Optional(
    Type.String({ description: 'The `ETag` of a copy that is there already.', examples: ['"9f86d081…"'] })
  )
})

const bytes = {
  'image/*': { schema: Type.String({ format: 'binary', examples: ['(the picture)'] }) },
  'video/*': { schema: Type.String({ format: 'binary', examples: ['(the video)'] }) }
}
const length = { 'Content-Length': Type.Integer({ description: 'Bytes that follow.', examples: [183204] }) }
const tag = {
  ETag: Type.String({
    description: 'Names the bytes, for `If-None-Match` and `If-Range`.',
    examples: ['"9f86d081…"']
  })
}
const unit = {
  'Accept-Ranges': Type.Literal('bytes', { description: 'A part can be asked for with `Range`.' })
}

/** What a picture or video is answered with. */
export const MEDIA_RESPONSES = {
  200: { description: 'The whole file.', headers: { ...length, ...tag, ...unit }, content: bytes },
  206: {
    description: 'The part of the file that `Range` asked for. Of several parts, the whole file is sent.',
    headers: {
      ...length,
      ...tag,
      'Content-Range': Type.String({
        description: 'Which part this is, and of how much.',
        examples: ['bytes 0-1023/183204']
      })
    },
    content: bytes
  },
  304: Type.Null({ description: 'The copy that `If-None-Match` names is still good.' })
}
