import { type FailureId, UpstreamError } from '../failures.ts'
import { ERROR_ROWS, SHOWN_CODE } from './constants.ts'
import { isObject, textOf } from './json.ts'
import type { CopilotEvent } from './scanner.ts'

/** Row P9. */
export function challengeFailure({ method }: CopilotEvent): UpstreamError {
  const name = typeof method === 'string' && SHOWN_CODE.test(method) ? method : 'none'
  return new UpstreamError('P9', { cause: new Error(`challenge, method ${name}`) })
}

/** Rows P10 to P14. @param now milliseconds since the epoch */
export function errorFailure({ event, errorCode, errorDetail }: CopilotEvent, now: number): UpstreamError {
  const code = textOf(errorCode)
  const row: FailureId = Object.hasOwn(ERROR_ROWS, code) ? (ERROR_ROWS[code] as FailureId) : 'P14'
  const cause = new Error(`${textOf(event)}: ${SHOWN_CODE.test(code) ? code : `${code.length} characters`}`)
  if (row === 'P12') return new UpstreamError(row, { param: 'prompt', cause })
  if (row === 'P13') return new UpstreamError(row, { retryAfter: secondsUntil(errorDetail, now), cause })
  if (row === 'P14' && SHOWN_CODE.test(code)) return new UpstreamError(row, { code, cause })
  return new UpstreamError(row, { cause })
}

/** Seconds until `nextAvailableAt`: whole, at least 1. Nothing when no date is named. */
function secondsUntil(detail: unknown, now: number): number | undefined {
  const at = Date.parse(isObject(detail) ? textOf(detail.nextAvailableAt) : '')
  if (Number.isNaN(at)) return undefined
  return Math.max(1, Math.ceil((at - now) / 1000))
}
