import type { ErrorDetails } from '../../errors.ts'
import { UpstreamError } from '../failures.ts'
import type { ResultRule } from './constants.ts'
import { textOf } from './message.ts'

/** A `result` as create calls and final records carry it. */
export interface Result {
  /** Empty when the peer gave none. */
  value: string
  message: string
  exception: string
}

/** Reads a `result`; `undefined` when there is none. */
export function readResult(value: unknown): Result | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { value: name, message, exception } = value as Record<string, unknown>
  return { value: textOf(name), message: textOf(message), exception: textOf(exception) }
}

/** The failure that a `result` stands for: the first rule that fits. */
export function failureOf(result: Result, rules: readonly ResultRule[]): UpstreamError {
  const fits = (pattern: RegExp | undefined, text: string) => pattern === undefined || pattern.test(text)
  const rule = rules.find(
    ({ value, message, exception }) =>
      fits(value, result.value) && fits(message, result.message) && fits(exception, result.exception)
  )
  if (rule === undefined) throw new TypeError('the result rules have no last rule that fits everything')
  const details: ErrorDetails = { cause: new Error(forTheLog(result)) }
  // Row C9: the value itself is the code, as far as it can be one.
  if (rule.row === 'C9' && isName(result.value)) details.code = result.value
  return new UpstreamError(rule.row, details)
}

/** Longest piece of an upstream's wording that is logged, in characters. */
const LOGGED_CHARS = 300

/** The upstream's own words without ids, signatures, tokens and anything quoted (it may quote the prompt). */
function forTheLog({ value, message, exception }: Result): string {
  const words = [message, exception.split('\n', 1)[0] ?? '']
    .map((text) => text.replace(/'[^']*'|"[^"]*"/g, '…').replace(/[\w+/=|%.-]{32,}/g, '…'))
    .filter((text) => text !== '')
  const name = isName(value) ? value : `(${value.length} characters)`
  return [`result ${name}`, ...words].join(': ').slice(0, LOGGED_CHARS)
}

function isName(value: string): boolean {
  return /^[A-Za-z]{1,40}$/.test(value)
}
