import { type Static, type TSchema, Type } from '@sinclair/typebox'

/** A string with a fixed set of values. (`Type.Union` of literals would publish an `anyOf` of one-value enums.) */
export const StringEnum = <const T extends readonly string[]>(
  values: T,
  options: Record<string, unknown> = {}
) => Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })

/** A value that may be null, written as OpenAPI 3.1 has it: a list of types. */
export const Nullable = <T extends TSchema>(schema: T, options: Record<string, unknown> = {}) =>
  Type.Unsafe<Static<T> | null>({ ...schema, ...options, type: [schema.type, 'null'] })

/** A reference to a schema that was added under its `$id`, keeping its type. */
export const Ref = <T extends TSchema>(schema: T) => Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })

/** Public error types, as docs/contract.md lists them. `src/errors.ts` gives each one its HTTP status. */
export const ERROR_TYPES = [
  'invalid_request_error',
  'auth_error',
  'permission_error',
  'not_found_error',
  'conflict_error',
  'prompt_rejected_error',
  'rate_limit_error',
  'api_error',
  'upstream_error',
  'upstream_unavailable_error',
  'service_unavailable_error',
  'upstream_timeout_error'
] as const
export type ErrorType = (typeof ERROR_TYPES)[number]

export const ErrorSchema = Type.Object(
  {
    error: Type.Object({
      message: Type.String({ description: 'For people. May change.', examples: ['Task not found.'] }),
      type: StringEnum(ERROR_TYPES, {
        description: 'Kind of failure. Stable.',
        examples: ['invalid_request_error']
      }),
      code: Nullable(Type.String(), { description: 'Reason within the type. Stable.', examples: [null] }),
      param: Nullable(Type.String(), { description: 'The request field at fault.', examples: [null] })
    })
  },
  {
    $id: 'Error',
    description: 'The body of every failure.',
    examples: [
      { error: { message: 'Task not found.', type: 'invalid_request_error', code: null, param: null } }
    ]
  }
)

const ERROR_TEXTS = {
  400: 'The request is malformed; `param` names the field.',
  401: 'The caller did not say who they are, their API key is not valid, or the gateway has no valid `_U` cookie.',
  403: 'The caller is not allowed to do this.',
  404: 'There is no such thing, or it belongs to somebody else.',
  409: 'The request does not fit how the conversation or the creation stands.',
  413: 'The body is larger than 1 MiB.',
  415: 'The body has a content type that this route does not read.',
  416: 'The range lies outside the file. `Content-Range` has its size.',
  422: "The prompt was refused by the upstream's content policy, or an `Idempotency-Key` was used for another body.",
  429: 'The caller has used up a limit or failed to authenticate too often, or the upstream is throttling the account. `Retry-After` says how long.',
  500: 'A defect of the gateway.',
  502: 'The upstream gave an unusable answer.',
  503: 'The upstream or the gateway itself is not available right now. `Retry-After` says how long.',
  504: 'The upstream gave no answer in time.'
} as const

/** Response schemas for the error statuses that a route can answer. */
export function errors<S extends keyof typeof ERROR_TEXTS>(...statuses: S[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      Type.Unsafe<Static<typeof ErrorSchema>>({ $ref: 'Error#', description: ERROR_TEXTS[status] })
    ])
  ) as Record<S, ReturnType<typeof Ref<typeof ErrorSchema>>>
}

export const timestamp = (options: Record<string, unknown> = {}) =>
  Type.String({ format: 'date-time', examples: ['2026-01-01T12:00:00.000Z'], ...options })

/** Seed B's envelope round a shared schema. It needs `addSchema` too: `$id` names it in the document. */
export const envelope = <T extends TSchema>(
  $id: string,
  data: T,
  options: { description: string; example: Static<T> }
) =>
  Type.Object(
    {
      success: Type.Literal(true),
      data: Ref(data),
      timestamp: timestamp({ description: 'When this answer was made.' })
    },
    {
      $id,
      description: options.description,
      examples: [{ success: true, data: options.example, timestamp: '2026-01-01T12:00:00.000Z' }]
    }
  )

/** Adds headers to a response's documentation. */
export const withHeaders = <T extends TSchema>(schema: T, headers: Record<string, TSchema>): T => ({
  ...schema,
  headers
})

/** Response header of routes that take an `Idempotency-Key`. */
export const REPLAYED = {
  'Idempotency-Replayed': StringEnum(['true'] as const, {
    description:
      'There when an earlier request with the same `Idempotency-Key` has brought this answer about.'
  })
}

/** Without an example: Swagger UI would fill it in, and every try after the first would get the first one's answer. */
export const idempotencyKeyHeader = {
  'Idempotency-Key': Type.Optional(
    Type.String({
      description:
        'Any text that is new for each creation, such as a UUID. A repeat with the same key and body, within 24 hours, gets the answer of the first request and creates nothing.'
    })
  )
}

/**
 * Without an example, as above: Swagger UI would send it with every try.
 * @param what the preferences that the route knows
 */
export const preferHeader = (what: string) => ({
  Prefer: Type.Optional(Type.String({ description: `RFC 7240. ${what}.` }))
})

export const webhookUrl = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 2048,
    description:
      'Where to POST the task when it has ended (Standard Webhooks). For callers that do not wait.',
    examples: ['https://example.com/hooks/bing-gateway']
  })
)

export function enveloped<T>(data: T): { success: true; data: T; timestamp: string } {
  return { success: true, data, timestamp: new Date().toISOString() }
}
