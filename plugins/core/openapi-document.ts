import { type ErrorType, errorBody, GatewayError } from '../../src/errors.ts'
import { type FailureId, UpstreamError } from '../../src/upstream/failures.ts'

interface Schema {
  $ref?: string
  required?: string[]
  examples?: unknown[]
  [keyword: string]: unknown
}
interface Media {
  schema?: Schema
  example?: unknown
  examples?: Record<string, { value: unknown } | { $ref: string }>
}
interface Response {
  description: string
  headers?: Record<string, unknown>
  content?: Record<string, Media>
}
export interface Operation {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: { name: string; in: string }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, Response>
  /** Only on its way into the document: what a call uses up. */
  'x-limit'?: string
}
export interface OpenApiDocument {
  openapi: string
  info: object
  servers: object[]
  security: object[]
  tags: object[]
  paths: Record<string, Record<string, Operation>>
  webhooks?: object
  components: {
    securitySchemes: object
    schemas: Record<string, Schema>
    headers?: object
    examples?: object
  }
}

const HEADERS = {
  RequestId: {
    description: "Names the request in the gateway's log. The caller's own `x-request-id` is taken over.",
    required: true,
    schema: { type: 'string', examples: ['4f6c1d1e-9a53-4a0e-8f37-2b8d4c1d5a10'] }
  },
  ServerTiming: {
    description:
      'Where the time went, in milliseconds (W3C Server Timing): waiting for Microsoft (`upstream`), waiting for a free place (`queue`), and the gateway itself (`app`). Of an answer that is streamed, until its first byte. A traced request names its span as well (`traceparent`).',
    required: true,
    schema: { type: 'string', examples: ['upstream;dur=812.4, queue;dur=0, app;dur=3.1'] }
  },
  RetryAfter: {
    description: 'Seconds until a repeat may help.',
    schema: { type: 'integer', minimum: 1, examples: [60] }
  },
  ShouldRetry: {
    description: "`false` where a repeat of the same request can't help.",
    schema: { type: 'string', enum: ['false'] }
  },
  Authenticate: {
    description: 'There when it is the caller who did not say, or not rightly, who they are.',
    schema: { type: 'string', examples: ['Bearer'] }
  },
  RateLimitPolicy: {
    description:
      "The caller's limit: `q` of them in each window of `w` seconds (draft-ietf-httpapi-ratelimit-headers). There is none where nothing limits the caller.",
    schema: { type: 'string', examples: ['"images";q=100;w=86400'] }
  },
  RateLimit: {
    description: 'How many are left (`r`), and the seconds until the window ends (`t`).',
    schema: { type: 'string', examples: ['"images";r=99;t=3600'] }
  }
}

/** Statuses after which a repeat may help later. */
const WITH_RETRY_AFTER = ['409', '429', '503']

/** Failures worth showing. `of` limits one to operations with that tag, or to those that ask Bing. */
interface Shown {
  name: string
  error: GatewayError
  of?: readonly string[]
  /** Only where a call uses something up. */
  limited?: boolean
}

const BING = ['chat', 'image', 'video']
const CREATIONS = ['image', 'video']

const upstream = (row: FailureId, of = BING): Shown => {
  const error = new UpstreamError(row)
  return { name: error.code as string, error, of }
}
const own = (
  name: string,
  type: ErrorType,
  message: string,
  {
    of,
    limited,
    ...details
  }: { of?: readonly string[]; limited?: boolean; code?: string; param?: string; status?: number } = {}
): Shown => ({ name, error: new GatewayError(type, message, details), of, limited })

const SHOWN: readonly Shown[] = [
  upstream('T6'),
  upstream('C1'),
  own(
    'identity_required',
    'auth_error',
    'Say who you are: send an API key, or a whitelisted name in the X-User-Id header.',
    {
      code: 'identity_required',
      of: [...CREATIONS, 'task', 'media']
    }
  ),
  own(
    'api_key_required',
    'auth_error',
    'An API key is needed: send it as "Authorization: Bearer …" or "X-API-Key: …".',
    { code: 'api_key_required' }
  ),
  own('invalid_api_key', 'auth_error', 'This API key is not valid.', { code: 'invalid_api_key' }),
  own('not_whitelisted', 'permission_error', 'This user is not on the whitelist.', {
    code: 'not_whitelisted'
  }),
  own(
    'wrong_signature',
    'permission_error',
    'The signature or clientId does not belong to this conversation.',
    {
      code: 'wrong_signature',
      of: ['chat']
    }
  ),
  own('conversation_unknown', 'not_found_error', 'There is no such conversation.', {
    code: 'conversation_unknown',
    of: ['chat']
  }),
  own('task_unknown', 'invalid_request_error', 'Task not found.', { status: 404, of: ['task'] }),
  own('media_unknown', 'not_found_error', 'There is no such file.', { of: ['media'] }),
  own('media_expired', 'not_found_error', 'This file has been removed.', {
    code: 'media_expired',
    of: ['media']
  }),
  own('range_outside', 'invalid_request_error', 'The range lies outside the file.', { status: 416 }),
  own('turn_in_progress', 'conflict_error', 'A turn of this conversation is under way.', {
    code: 'turn_in_progress'
  }),
  own('wrong_invocation', 'conflict_error', 'This conversation expects invocationId 3.', {
    code: 'wrong_invocation',
    param: 'invocationId'
  }),
  own('body_too_large', 'invalid_request_error', 'The body is larger than 1 MiB.', { status: 413 }),
  own(
    'content_type_unknown',
    'invalid_request_error',
    'This route does not read bodies of this content type. Send application/json.',
    {
      status: 415
    }
  ),
  upstream('I4'),
  upstream('T8'),
  upstream('I10', CREATIONS),
  own(
    'quota_exceeded',
    'rate_limit_error',
    'Your limit, 100 images a day, is used up. The next one is possible in 3600 s.',
    { code: 'quota_exceeded', limited: true }
  ),
  own(
    'too_many_failed_authentications',
    'rate_limit_error',
    'Too many failed authentications from this address. Valid API keys still work.',
    { code: 'too_many_failed_authentications' }
  ),
  own('internal', 'api_error', 'Internal error.'),
  upstream('C7'),
  upstream('T1'),
  upstream('T7'),
  own('store_unavailable', 'service_unavailable_error', "The gateway's store can't be used right now.", {
    code: 'store_unavailable'
  }),
  upstream('W10')
]

/**
 * Adds to the generated document what holds for every route: headers, and examples of bodies and of failures.
 * Bodies take the examples of their shared schema, so that they stand in one place.
 */
export function completeDocument({ paths, components, ...document }: OpenApiDocument): OpenApiDocument {
  const shown: Record<string, { summary: string; value: unknown }> = {}
  const show = (name: string, error: GatewayError) => {
    shown[name] = { summary: error.message, value: errorBody(error) }
    return { $ref: `#/components/examples/${name}` }
  }

  for (const operation of Object.values(paths).flatMap(Object.values<Operation>)) {
    const limited = operation['x-limit'] !== undefined
    delete operation['x-limit']
    const body = Object.values(operation.requestBody?.content ?? {})
    for (const media of body) takeExamples(media, components.schemas)

    for (const [status, response] of Object.entries(operation.responses)) {
      response.headers = {
        ...response.headers,
        'x-request-id': { $ref: '#/components/headers/RequestId' },
        'Server-Timing': { $ref: '#/components/headers/ServerTiming' }
      }
      if (limited) {
        response.headers['RateLimit-Policy'] = { $ref: '#/components/headers/RateLimitPolicy' }
        response.headers.RateLimit = { $ref: '#/components/headers/RateLimit' }
      }
      if (status === '401') {
        response.headers['WWW-Authenticate'] = { $ref: '#/components/headers/Authenticate' }
      }
      const media = response.content?.['application/json']
      if (media === undefined) continue
      if (media.schema?.$ref !== '#/components/schemas/Error') {
        takeExamples(media, components.schemas)
        continue
      }
      if (WITH_RETRY_AFTER.includes(status)) {
        response.headers['Retry-After'] = { $ref: '#/components/headers/RetryAfter' }
      }
      response.headers['x-should-retry'] = { $ref: '#/components/headers/ShouldRetry' }
      const fitting = SHOWN.filter(
        ({ error, of, limited: onlyLimited = false }) =>
          String(error.status) === status &&
          (limited || !onlyLimited) &&
          (of === undefined || of.some((tag) => operation.tags?.includes(tag)))
      )
      media.examples =
        status === '400'
          ? { malformed: { value: errorBody(malformed(operation, components.schemas)) } }
          : Object.fromEntries(fitting.map(({ name, error }) => [name, show(name, error)]))
    }
  }

  return { ...document, paths, components: { ...components, headers: HEADERS, examples: shown } }
}

/** The complaint that this operation's callers are most likely to meet. */
function malformed(operation: Operation, schemas: Record<string, Schema>): GatewayError {
  const media = operation.requestBody?.content['application/json']
  const param = resolve(media?.schema, schemas)?.required?.[0]
  return param === undefined
    ? new GatewayError('invalid_request_error', 'The request is malformed.')
    : new GatewayError('invalid_request_error', `${param} is required.`, { param })
}

function takeExamples(media: Media, schemas: Record<string, Schema>): void {
  const example = resolve(media.schema, schemas)?.examples?.[0]
  if (media.example === undefined && media.examples === undefined && example !== undefined)
    media.example = example
}

function resolve(schema: Schema | undefined, schemas: Record<string, Schema>): Schema | undefined {
  const name = schema?.$ref?.replace('#/components/schemas/', '')
  return name === undefined ? schema : schemas[name]
}
