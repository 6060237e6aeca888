import type { Operation } from './document.ts'
import type { FuzzRequest } from './requests.ts'

/** An answer as it came over the wire. */
export interface FuzzAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  text: string
}

export interface Rules {
  operations: readonly Operation[]
  errorFault(json: unknown): string | undefined
  /** Values that no answer may hold, by what they are. */
  secrets: ReadonlyMap<string, string>
}

/**
 * What Node or Fastify refuse before there is a route: they stand in no operation of the document.
 * 408 and 431 end the connection, 415 may be for a compressed body that nobody reads.
 */
const BEFORE_ROUTES: ReadonlySet<number> = new Set([400, 404, 408, 413, 415, 431])
/** The simulated Bing is well, so that the gateway has no reason to blame it. */
const OWN_FAULTS: ReadonlySet<number> = new Set([500, 502, 503, 504])

/** What is wrong with an answer; `undefined`: nothing. */
export function faultOf(request: FuzzRequest, answer: FuzzAnswer, rules: Rules): string | undefined {
  const { status, headers, text } = answer
  const type = String(headers['content-type'] ?? '')
  const isJson = type.startsWith('application/json')
  const json = isJson && request.method !== 'HEAD' ? parsed(text) : undefined
  if (OWN_FAULTS.has(status)) return `answered with ${status}`
  if (headers['x-request-id'] === undefined) return 'no x-request-id'
  for (const [name, secret] of rules.secrets)
    if (text.includes(secret) || JSON.stringify(headers).includes(secret)) return `shows ${name}`
  if (isJson && request.method !== 'HEAD' && text !== '' && json === undefined)
    return 'says it is JSON and is not'
  if (request.method === 'HEAD') return text === '' ? undefined : 'a body for HEAD'

  if (status >= 400) {
    if (!isJson) return `an error of type ${type}`
    const fault = rules.errorFault(json)
    if (fault !== undefined) return `an error body of another shape: ${fault}`
    const { error } = json as { error: { type: string; param: string | null } }
    if (error.type === 'api_error') return 'a defect'
    const wait = headers['retry-after']
    if (status === 429 && wait === undefined) return '429 without Retry-After'
    if (wait !== undefined && !/^[1-9]\d*$/.test(String(wait))) return `Retry-After: ${wait}`
  }
  const { wants } = request
  if (wants !== undefined) {
    if (status !== wants.status) return `${wants.status} was wanted, not ${status}`
    const { error } = json as { error: { param: string | null } }
    if (wants.param !== undefined && error.param !== wants.param)
      return `blames ${error.param}, not ${wants.param}`
  }
  const operation = rules.operations.find(({ matches }) =>
    matches(request.method, request.path.split(/[?#]/)[0] ?? '')
  )
  return operation === undefined ? undefined : undocumented(operation, answer, type, json)
}

function undocumented(
  operation: Operation,
  { status, text }: FuzzAnswer,
  type: string,
  json: unknown
): string | undefined {
  const types = operation.answers.get(status)
  if (types === undefined)
    return BEFORE_ROUTES.has(status) ? undefined : `${status} is no documented answer of ${operation.id}`
  const bare = type.split(';')[0] ?? ''
  const isDocumented = types.some(
    (one) => one === bare || (one.endsWith('/*') && bare.startsWith(one.slice(0, -1)))
  )
  if (!isDocumented)
    return `${operation.id} answers ${status} as ${JSON.stringify(bare)}, not ${types.join(' or ')}`
  if (bare === 'application/json') return operation.fault(status, json)
  return bare === 'text/event-stream' ? eventFault(text) : undefined
}

/** Events have one line of JSON each; a turn ends with `done` or `error`. */
function eventFault(text: string): string | undefined {
  const events = text.split('\n\n').filter((event) => event !== '' && !event.startsWith(':'))
  let last = ''
  for (const event of events) {
    const [, name = '', data = ''] = /^event: (\w+)\ndata: ([^\r\n]*)$/.exec(event) ?? []
    if (!['delta', 'replace', 'done', 'error', 'status'].includes(name) || parsed(data) === undefined)
      return `an event like ${JSON.stringify(event.slice(0, 200))}`
    if (name === 'error') return `a turn failed: ${data}`
    last = name
  }
  return last === 'done' || last === 'status' ? undefined : `a stream that ends with ${last || 'nothing'}`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
