import type { ErrorType } from '../schemas/common.ts'

export type { ErrorType }

/** HTTP status of each public error type. Published in docs/contract.md; a type never changes its meaning. */
export const STATUS = {
  invalid_request_error: 400,
  auth_error: 401,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  prompt_rejected_error: 422,
  rate_limit_error: 429,
  api_error: 500,
  upstream_error: 502,
  upstream_unavailable_error: 503,
  service_unavailable_error: 503,
  upstream_timeout_error: 504
} as const satisfies Record<ErrorType, number>

export interface ErrorDetails extends ErrorOptions {
  /** Stable machine-readable reason, e.g. `cookie_expired`. */
  code?: string | null
  /** The request field at fault. */
  param?: string | null
  /** Seconds until a repeat may help; sent as `Retry-After`. */
  retryAfter?: number
  /** `false` when a repeat of the same request can't help; sent as `x-should-retry: false`. */
  shouldRetry?: boolean
  /** Overrides the type's status where one type has several (an unknown task is a 404 `invalid_request_error`). */
  status?: number
  /** Whether the upstream was asked, so that the request may have had an effect there. Default: no. */
  asked?: boolean | undefined
}

/** A failure the caller may see. `type` and `code` are public and stable, `message` is safe to show, `cause` is for the log. */
export class GatewayError extends Error {
  readonly type: ErrorType
  readonly code: string | null
  readonly param: string | null
  readonly retryAfter: number | undefined
  readonly shouldRetry: boolean | undefined
  readonly status: number
  readonly asked: boolean

  constructor(type: ErrorType, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.type = type
    this.code = details.code ?? null
    this.param = details.param ?? null
    this.retryAfter = details.retryAfter
    this.shouldRetry = details.shouldRetry
    this.status = details.status ?? STATUS[type]
    this.asked = details.asked ?? false
  }
}

/** The body of every error answer. */
export interface ErrorBody {
  error: { message: string; type: ErrorType; code: string | null; param: string | null }
}

export function errorBody(error: Pick<GatewayError, 'message' | 'type' | 'code' | 'param'>): ErrorBody {
  return { error: { message: error.message, type: error.type, code: error.code, param: error.param } }
}

/** The caller closed the connection before the answer was complete. Nobody is left to tell; it only stops work. */
export class CallerGone extends Error {
  constructor() {
    super('The caller closed the connection.')
    this.name = 'CallerGone'
  }
}

/**
 * Whether something ended because it was told to, so that it has not failed: its caller left, or the gateway stops.
 * @param signal what it was told by; its reason counts unless it is a failure itself, as a deadline's is
 */
export function wasStopped(error: unknown, signal?: AbortSignal): boolean {
  if (error instanceof GatewayError) return false
  if (error instanceof CallerGone || (error instanceof Error && error.name === 'AbortError')) return true
  return signal?.aborted === true && error === signal.reason
}

/** The gateway's own store could not be asked. */
export function storeUnavailable(details: Pick<ErrorDetails, 'cause' | 'shouldRetry'> = {}): GatewayError {
  return new GatewayError('service_unavailable_error', "The gateway's store can't be used right now.", {
    code: 'store_unavailable',
    retryAfter: 5,
    ...details
  })
}
