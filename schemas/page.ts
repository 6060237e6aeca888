import { Type } from '@sinclair/typebox'
import { Nullable } from './common.ts'

export const DEFAULT_LIMIT = 20
const MAX_LIMIT = 100

/** Query parameters of every list; to be spread into the route's querystring schema. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_LIMIT,
      default: DEFAULT_LIMIT,
      description: 'Entries of a page at most.',
      examples: [20]
    })
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description: '`nextCursor` of the page before. Left out: the first page.'
    })
  )
}

/** Where the next page begins; part of the answer of every list. */
export const nextCursor = Nullable(Type.String(), {
  description: '`cursor` of the next page; null on the last one.',
  examples: [null]
})

/** Headers of every list, for its documentation. */
export const pageHeaders = {
  Link: Type.String({
    description: 'The next page with `rel="next"`, when there is one (RFC 8288).',
    examples: ['</conversations?limit=20&cursor=MTc2Nzc>; rel="next"']
  })
}
