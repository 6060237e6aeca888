import { GatewayError } from '../errors.ts'
import type { Task, TaskError } from '../store/task-store.ts'
import { UpstreamError } from '../upstream/failures.ts'

/** What a task whose time is over failed with. */
export function timeout(task: Task): GatewayError {
  if (task.state === 'queued') {
    // It could not be sent: that says more than that its time is over.
    if (task.error !== null) return fromTaskError(task.error)
    return new UpstreamError('I21', {
      message: 'The creation waited for a free place until its time was over. Nothing was sent to Bing.',
      asked: false
    })
  }
  if (task.state === 'submitting') {
    // Reaches the caller only while no prompt is on its way; a lost answer is `outcome-unknown`.
    return new UpstreamError('I21', {
      message: 'The time of the creation was over before Bing had accepted it. Nothing goes on at Bing.'
    })
  }
  if (task.state === 'paused' && task.error !== null) return fromTaskError(task.error)
  if (task.kind === 'video') return new UpstreamError('V9')
  return new UpstreamError(task.memory.onlyPendingJson === true ? 'I21-review' : 'I21')
}

/** The gateway stopped before it had sent a prompt whose caller was waiting. */
export function notSubmitted(): GatewayError {
  return new GatewayError(
    'service_unavailable_error',
    'The gateway was restarted before the prompt was sent to Bing. Send the request again.',
    { code: 'restarted', retryAfter: 1 }
  )
}

/**
 * A failure as it is stored.
 * @param sent whether the prompt had left; without, Bing was not asked, whatever it said to a question before
 */
export function toTaskError(error: unknown, sent = true): TaskError {
  const asked = sent ? {} : { asked: false }
  if (!(error instanceof GatewayError))
    return { type: 'api_error', code: null, message: 'Internal error.', ...asked }
  const { type, code, message, param, retryAfter, shouldRetry } = error
  return { type, code, message, param, retryAfter, shouldRetry, ...(error.asked ? asked : { asked: false }) }
}

/** The stored failure as the error that it was. */
export function fromTaskError(error: TaskError): GatewayError {
  const { type, code, message, param, retryAfter, shouldRetry, asked } = error
  return new GatewayError(type, message, { code, param, retryAfter, shouldRetry, asked: asked ?? true })
}

/** What the caller of a creation is told that somebody has cancelled meanwhile. */
export function cancelled(): GatewayError {
  return new GatewayError('conflict_error', 'The creation was cancelled.', {
    code: 'task_cancelled',
    shouldRetry: false,
    asked: true
  })
}

const UNSPENT: ReadonlySet<GatewayError['type']> = new Set([
  'auth_error',
  'rate_limit_error',
  'upstream_unavailable_error',
  'service_unavailable_error',
  'api_error'
])

/** Whether a submit that failed like this has used up nothing of the account, so that it should not count against its owner's limit. */
export function isUnspent(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return true
  return error.code !== 'outcome_unknown' && (!error.asked || UNSPENT.has(error.type))
}
