import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { errors } from '../../schemas/common.ts'
import {
  MEDIA_RESPONSES,
  MediaHeadersSchema,
  type MediaParams,
  MediaParamsSchema,
  type MediaQuery,
  MediaQuerySchema
} from '../../schemas/media.ts'
import { GatewayError } from '../../src/errors.ts'
import { MEDIA_ID } from '../../src/media/archive.ts'
import { MediaStorageError } from '../../src/media/storage.ts'
import type { MediaRow } from '../../src/store/schema.ts'
import { isFresh, rangeOf } from './conditions.ts'

/** The bytes behind an id never change, so nobody needs to ask for them again. */
const CACHE_CONTROL = 'private, max-age=31536000, immutable'
/** For whoever opens the file itself: it may show itself, and nothing in it runs. */
const POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"

const EXTENSIONS: Record<string, string> = {
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/gif': 'gif',
  'image/webp': 'webp',
  'image/avif': 'avif',
  'video/mp4': 'mp4',
  'video/webm': 'webm'
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  const { clock, media } = fastify

  /** A copy of the caller's, or that their URL's signature stands for. Others look like ids that never were. */
  async function find(id: string, mayRead: (row: MediaRow) => boolean): Promise<MediaRow> {
    const row = MEDIA_ID.test(id) ? await media.files.get(id) : undefined
    if (row === undefined || !mayRead(row))
      throw new GatewayError('not_found_error', 'There is no such file.')
    return row
  }

  const isOwner = (row: MediaRow, request: FastifyRequest) =>
    row.owner === request.caller.userId && (request.caller.named || fastify.allowsAnonymous(request))

  async function answer(
    request: FastifyRequest<{ Params: MediaParams; Querystring: MediaQuery }>,
    reply: FastifyReply
  ) {
    const { id } = request.params
    const signed = media.signatures.holds(id, request.query, clock.now())
    const row = await find(id, (found) => signed || isOwner(found, request))
    const etag = `"${row.sha256}"`
    if (isFresh(request.headers['if-none-match'], etag))
      // Not null, which would be announced as four bytes of JSON.
      return reply.code(304).headers({ etag, 'cache-control': CACHE_CONTROL }).send()
    return sendFile(row, etag, request, reply)
  }

  // Fastify's own HEAD routes run the one for GET, and would read the whole file for its length.
  const request = { params: MediaParamsSchema, querystring: MediaQuerySchema }
  fastify.head('/media/:id', { config: { access: 'signed' }, schema: { ...request, hide: true } }, answer)
  fastify.get(
    '/media/:id',
    {
      config: { access: 'signed' },
      exposeHeadRoute: false,
      schema: {
        operationId: 'getMedia',
        tags: ['media'],
        summary: 'Fetch a picture or video',
        description:
          "The gateway's own copy of a finished picture or video. For its owner, and for whoever has the signed URL that an answer handed out, until that ends.",
        ...request,
        headers: MediaHeadersSchema,
        response: { ...MEDIA_RESPONSES, ...errors(400, 401, 403, 404, 416, 429, 500, 503) }
      }
    },
    answer
  )

  /** Headers go to the reply once there is something to send, so that a failure doesn't carry them. */
  async function sendFile(row: MediaRow, etag: string, request: FastifyRequest, reply: FastifyReply) {
    const headers = {
      etag,
      'cache-control': CACHE_CONTROL,
      'accept-ranges': 'bytes',
      'content-type': row.content_type,
      'content-disposition': `inline; filename="bing-${row.id.slice(0, 8)}.${EXTENSIONS[row.content_type] ?? 'bin'}"`,
      'content-security-policy': POLICY,
      // Pages elsewhere may show what they have a signed URL for.
      'cross-origin-resource-policy': 'cross-origin'
    }
    // A range of a HEAD means nothing (RFC 9110 section 14.2).
    if (request.method === 'HEAD') {
      if (!(await read(() => media.storage.has(row.storage_key)))) throw expired()
      return reply.headers({ ...headers, 'content-length': row.bytes }).send(null)
    }
    const range = rangeOf(request.headers, etag, row.bytes)
    if (range === 'none') {
      reply.header('content-range', `bytes */${row.bytes}`)
      throw new GatewayError('invalid_request_error', 'The range lies outside the file.', { status: 416 })
    }
    const stream = await read(() => media.storage.open(row.storage_key, row.bytes, range))
    if (range === undefined)
      return reply.headers({ ...headers, 'content-length': row.bytes }).send(stream as Readable)
    const { start, end } = range
    return reply
      .code(206)
      .headers({
        ...headers,
        'content-length': end - start + 1,
        'content-range': `bytes ${start}-${end}/${row.bytes}`
      })
      .send(stream as Readable)
  }

  fastify.delete(
    '/media/:id',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'deleteMedia',
        tags: ['media'],
        summary: 'Remove a picture or video',
        description:
          "Removes the gateway's own copy, for its owner only. The task stays, and Bing's own file is not touched.",
        params: MediaParamsSchema,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errors(400, 401, 403, 404, 429, 500, 503)
        }
      }
    },
    async (request, reply) => {
      const row = await find(request.params.id, (found) => isOwner(found, request))
      await read(() => media.storage.remove(row.storage_key))
      await media.files.remove(row.id)
      return reply.code(204).send(null)
    }
  )
}

/** Asks the storage. A file that somebody has removed by hand is as gone as one that Bing has removed. */
async function read<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof MediaStorageError)) throw error
    if (error.missing) throw expired()
    throw new GatewayError(
      'service_unavailable_error',
      "The gateway's media storage can't be used right now.",
      {
        code: 'store_unavailable',
        retryAfter: 5,
        cause: error
      }
    )
  }
}

function expired(): GatewayError {
  return new GatewayError('not_found_error', 'This file has been removed.', {
    code: 'media_expired',
    shouldRetry: false
  })
}

/** Capability: the gateway's own copies over HTTP. */
export default fp(
  async (fastify) => {
    fastify.register(routes)
  },
  { name: 'media-routes', dependencies: ['config', 'errors', 'media', 'whitelist-auth'] }
)
