/**
 * Generic faults of an operation that is one HTTP call. Each half's behaviours extend this for its own calls.
 * Checked in this order: `delayMs`, `reset`, `raw`, `stall`, `redirect`, then `status`/`body`/`headers`.
 */
export interface HttpFaults {
  /** Milliseconds before the answer (or the fault) begins. */
  delayMs?: number
  /** Resets the TCP connection instead of answering. */
  reset?: boolean
  /** What is written to the connection in place of an HTTP answer; then it is closed. */
  raw?: string
  /** `before`: no answer at all. `during`: status, headers and a piece of the body, then silence. */
  stall?: 'before' | 'during'
  /** `Location` of a redirect; its status is `status` or 302. */
  redirect?: string
  /** A verbatim answer with this status, in place of the operation's own. */
  status?: number
  /** Body of the verbatim answer (status 200 unless `status` says otherwise). */
  body?: string
  /** Headers of the verbatim answer or redirect; alone they do not make an answer verbatim. */
  headers?: Record<string, string>
}

/** What a behaviour field may hold, for the runtime control routes: a type name, or the list of allowed strings. */
export type FieldRule = 'boolean' | 'number' | 'string' | 'object' | 'array' | readonly string[]

/** Rules of every field of every operation. A list with `|` semantics: one of the rules must fit. */
export type FieldRules<B> = {
  [Op in keyof B]: { [F in keyof B[Op]]-?: FieldRule | { anyOf: readonly FieldRule[] } }
}

/** Rules of {@link HttpFaults}, to spread into an operation's own rules. */
export const HTTP_FAULT_FIELDS = {
  delayMs: 'number',
  reset: 'boolean',
  raw: 'string',
  stall: ['before', 'during'],
  redirect: 'string',
  status: 'number',
  body: 'string',
  headers: 'object'
} as const

type Rules = Record<string, Record<string, FieldRule | { anyOf: readonly FieldRule[] }>>

function fits(rule: FieldRule, value: unknown): boolean {
  if (typeof rule !== 'string') return typeof value === 'string' && rule.includes(value)
  if (rule === 'array') return Array.isArray(value)
  if (rule === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  if (rule === 'number') return typeof value === 'number' && Number.isFinite(value)
  return typeof value === rule
}

function describe(rule: FieldRule): string {
  if (typeof rule === 'string') return rule
  return `one of ${rule.map((name) => `'${name}'`).join(', ')}`
}

/**
 * Says what is wrong with a partial behaviour that came from outside.
 * @returns a sentence, or `undefined` when it may be applied
 */
export function faultOfBehaviour(rules: Rules, op: string, partial: unknown): string | undefined {
  const fields = Object.hasOwn(rules, op) ? rules[op] : undefined
  if (fields === undefined) {
    return `Unknown operation '${op}'. Operations: ${Object.keys(rules).join(', ')}.`
  }
  if (!fits('object', partial)) return `The behaviour of '${op}' must be an object.`
  for (const [name, value] of Object.entries(partial as object)) {
    if (value === undefined) continue
    const rule = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (rule === undefined) {
      return `'${op}' has no field '${name}'. Fields: ${Object.keys(fields).join(', ')}.`
    }
    const allowed = typeof rule === 'object' && 'anyOf' in rule ? rule.anyOf : [rule]
    if (!allowed.some((one) => fits(one, value))) {
      return `'${op}.${name}' must be ${allowed.map(describe).join(' or ')}.`
    }
  }
  return undefined
}
