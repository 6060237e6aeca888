import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CallerGone, errorBody, GatewayError, storeUnavailable } from '../../src/errors.ts'
import { isStoreFault } from '../../src/store/database.ts'

/** What Fastify itself refuses, in the contract's words. */
const FASTIFY_ERRORS: Record<string, { status: number; message: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, message: 'The body is larger than 1 MiB.' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    status: 415,
    message: 'This route does not read bodies of this content type. Send application/json.'
  },
  FST_ERR_CTP_INVALID_JSON_BODY: { status: 400, message: 'The body is not valid JSON.' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { status: 400, message: 'The body is empty.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    status: 400,
    message: 'The body is shorter or longer than its Content-Length.'
  },
  // Longer than any id that was ever given out, so there is nothing of that name.
  FST_ERR_MAX_PARAM_LENGTH: { status: 404, message: 'There is no such path.' },
  FST_ERR_BAD_URL: { status: 400, message: 'The path is not a valid URL path.' }
}

/** Turns whatever was thrown into the error that the caller sees. The only place that knows Fastify's and the store's errors. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  if (isStoreFault(error)) return storeUnavailable({ cause: error })
  const { validation, validationContext, code, statusCode } = (error ?? {}) as Partial<FastifyError>
  if (validation !== undefined) return invalidField(validation, validationContext)
  const known = FASTIFY_ERRORS[code ?? '']
  if (known !== undefined)
    return new GatewayError('invalid_request_error', known.message, { status: known.status, cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith('FST_')) {
    return new GatewayError('invalid_request_error', 'The request is malformed.', {
      status: statusCode,
      cause: error
    })
  }
  return new GatewayError('api_error', 'Internal error.', { cause: error })
}

/** Where a field stands, in front of its name; in the body it needs no saying. */
const WHERE: Record<string, string> = {
  body: '',
  params: 'path parameter ',
  querystring: 'query parameter ',
  headers: 'header '
}

function invalidField(validation: NonNullable<FastifyError['validation']>, where = 'body'): GatewayError {
  const [first] = validation
  const missing = (first?.params as { missingProperty?: string } | undefined)?.missingProperty
  const path = (first?.instancePath ?? '').split('/').slice(1)
  const param = [...path, ...(missing === undefined ? [] : [missing])].join('.')
  if (param === '')
    return new GatewayError('invalid_request_error', 'The body must be an object with the documented fields.')
  const allowed = (first?.params as { allowedValues?: unknown[] } | undefined)?.allowedValues
  const reason =
    missing !== undefined
      ? 'is required'
      : allowed !== undefined
        ? `must be one of ${allowed.join(', ')}`
        : first?.keyword === 'minLength'
          ? 'must not be empty'
          : (first?.message ?? 'is invalid')
  const kind = WHERE[where] ?? `${where} `
  return new GatewayError('invalid_request_error', `${kind}${param} ${reason}.`, { param })
}

/** What an error says in headers. */
export function errorHeaders({ retryAfter, shouldRetry }: GatewayError): Record<string, string> {
  return {
    ...(retryAfter === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfter))) }),
    ...(shouldRetry === false ? { 'x-should-retry': 'false' } : {})
  }
}

export function sendError(error: GatewayError, reply: FastifyReply): FastifyReply {
  return reply
    .code(error.status)
    .headers(errorHeaders(error))
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(errorBody(error))
}

function logError(error: GatewayError, request: FastifyRequest): void {
  const detail = { err: error, type: error.type, code: error.code ?? undefined }
  if (error.type === 'api_error') request.log.error(detail, 'request failed')
  else if (error.status >= 500) request.log.warn(detail, 'request failed')
  // At the end it stands in the line of the request, which a reader who does not read can put off.
  else request.log.debug({ type: error.type, code: error.code ?? undefined }, 'request refused')
}

/**
 * Makes of a failure what its caller is told, and notes it in the log.
 * @returns `undefined` when the caller has left, so that nobody is there to be told
 */
export function reportFailure(thrown: unknown, request: FastifyRequest): GatewayError | undefined {
  if (thrown instanceof CallerGone || (request.raw.destroyed && !request.raw.complete)) {
    request.log.debug('caller left before the answer')
    return undefined
  }
  const error = toGatewayError(thrown)
  request.failure = error
  logError(error, request)
  return error
}

/** What Fastify refuses before it has found a route (a path that can't be decoded). Hooks don't run for these. */
export function answerFrameworkError(
  thrown: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply
): void {
  const error = toGatewayError(thrown)
  logError(error, request)
  reply.header('x-request-id', request.id)
  sendError(error, reply)
}

/** What Node's parser refuses: it is no HTTP, its headers are too large, or it comes too slowly. There is no request to answer through. */
export function answerClientError(
  this: FastifyInstance,
  thrown: Error & { code?: string },
  socket: Socket
): void {
  this.log.debug({ err: thrown }, 'unreadable request')
  if (thrown.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, reason, message] =
    thrown.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'The headers are too large.']
      : thrown.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'The request did not arrive in time.']
        : [400, 'Bad Request', 'This is not a valid HTTP request.']
  const body = JSON.stringify(errorBody(new GatewayError('invalid_request_error', message)))
  socket.end(
    [
      `HTTP/1.1 ${status} ${reason}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${randomUUID()}`,
      'connection: close',
      '',
      body
    ].join('\r\n')
  )
}

/** One error mapping for every route, unknown ones included. */
export default fp(
  async (fastify: FastifyInstance) => {
    fastify.setErrorHandler((thrown, request, reply) => {
      const error = reportFailure(thrown, request)
      return error === undefined ? reply.code(499).send() : sendError(error, reply)
    })
    // Node would refuse these without a body and a request id. An expectation that nobody knows may be ignored (RFC 9110
    // section 10.1.1).
    fastify.server.on('checkExpectation', (request, response) => {
      fastify.server.emit('request', request, response)
    })
    fastify.addHook('onRequest', (request, _reply, done) => {
      const { headers, raw } = request
      const coding = headers['content-encoding']?.trim().toLowerCase()
      if (headers.host === undefined && raw.httpVersion === '1.1')
        done(new GatewayError('invalid_request_error', 'header Host is required.', { param: 'Host' }))
      else if (coding === undefined || coding === '' || coding === 'identity') done()
      else done(new GatewayError('invalid_request_error', 'Bodies must not be compressed.', { status: 415 }))
    })
    fastify.setNotFoundHandler((request, reply) =>
      sendError(
        new GatewayError(
          'invalid_request_error',
          `There is no route ${request.method} ${request.url.split('?')[0]}.`,
          { status: 404 }
        ),
        reply
      )
    )
  },
  { name: 'errors' }
)
