import type { FastifyReply, FastifyRequest } from 'fastify'
import { DEFAULT_LIMIT } from '../../schemas/page.ts'
import { GatewayError } from '../../src/errors.ts'
import type { PageEnd } from '../../src/store/page.ts'
import { baseUrlOf } from './base-url.ts'

/** The end of a page as callers carry it to the next one: base64url, and nothing to rely on. */
export function encodeCursor({ createdAt, id }: PageEnd): string {
  return Buffer.from(`${createdAt},${id}`).toString('base64url')
}

/**
 * The other way round. What comes out is safe to ask any engine for: nothing but a time and the id of a row.
 * @throws {GatewayError} invalid_request_error, param `cursor`, for anything that `encodeCursor` did not make
 */
export function decodeCursor(cursor: string): PageEnd {
  const text = Buffer.from(cursor, 'base64url').toString()
  const [, createdAt, id] = /^(\d{1,15}),([0-9a-f-]{36})$/.exec(text) ?? []
  if (createdAt !== undefined && id !== undefined) {
    const end = { createdAt: Number(createdAt), id }
    if (encodeCursor(end) === cursor) return end
  }
  throw new GatewayError('invalid_request_error', 'query parameter cursor is not one that a list returned.', {
    param: 'cursor',
    shouldRetry: false
  })
}

/**
 * The page that a query asks for, in the words of the stores' `list`.
 * @returns `limit` entries to show; ask the store for `rows`, one more, which tells whether another page follows
 */
export function pageOf({ limit = DEFAULT_LIMIT, cursor }: { limit?: number; cursor?: string }) {
  return { limit, rows: limit + 1, after: cursor === undefined ? undefined : decodeCursor(cursor) }
}

/** Cuts the row that was asked for beyond the page, and says where the next page begins, in the body and in `Link`. */
export function endPage<T extends PageEnd>(
  rows: readonly T[],
  limit: number,
  request: FastifyRequest,
  reply: FastifyReply
): { page: readonly T[]; nextCursor: string | null } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  if (rows.length <= limit || last === undefined) return { page, nextCursor: null }
  const cursor = encodeCursor(last)
  const [path = '', query] = request.url.split('?', 2)
  const parameters = new URLSearchParams(query)
  parameters.set('limit', String(limit))
  parameters.set('cursor', cursor)
  reply.header('link', `<${baseUrlOf(request)}${path}?${parameters}>; rel="next"`)
  return { page, nextCursor: cursor }
}
