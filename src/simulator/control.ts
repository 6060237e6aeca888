import { faultOfBehaviour } from './behaviour.ts'
import { type Chaos, faultOfChaos } from './chaos.ts'
import { type Core, FIELDS } from './core.ts'
import type { Behaviours, CookieJar, Exchange } from './frame.ts'
import { sendJson } from './frame.ts'

const PREFIX = '/__simulator'

/** Thrown for a control call that makes no sense; its message is the 400 answer. */
class ControlError extends Error {}

function parseObject(body: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(body === '' ? '{}' : body)
  } catch {
    throw new ControlError('The body is not JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ControlError('The body must be a JSON object.')
  }
  return value as Record<string, unknown>
}

function refuseUnknown(body: Record<string, unknown>, known: readonly string[]): void {
  for (const name of Object.keys(body)) {
    if (!known.includes(name))
      throw new ControlError(`Unknown member '${name}'. Members: ${known.join(', ')}.`)
  }
}

function entriesOf(value: unknown, name: string): [string, unknown][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ControlError(`'${name}' must be an object of operations.`)
  }
  return Object.entries(value)
}

function stringsOf(value: unknown, name: string): string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.some((one) => typeof one !== 'string')) {
    throw new ControlError(`'${name}' must be an array of strings.`)
  }
  return value
}

/** Applies `{set?, enqueue?}`; nothing is applied when any part is wrong. */
function behave(core: Core, body: Record<string, unknown>): void {
  refuseUnknown(body, ['set', 'enqueue'])
  const set = entriesOf(body.set, 'set')
  const enqueue = entriesOf(body.enqueue, 'enqueue').map(([op, list]) => {
    if (!Array.isArray(list)) throw new ControlError(`'enqueue.${op}' must be an array.`)
    return [op, list] as const
  })
  for (const [op, partial] of [
    ...set,
    ...enqueue.flatMap(([op, list]) => list.map((one) => [op, one] as const))
  ]) {
    const fault = faultOfBehaviour(FIELDS, op, partial)
    if (fault !== undefined) throw new ControlError(fault)
  }
  for (const [op, partial] of set) core.set(op as keyof Behaviours, partial as object)
  for (const [op, list] of enqueue) core.enqueue(op as keyof Behaviours, ...list)
}

/** Applies `{share, seed?, faults?}`. */
function chaos(core: Core, body: Record<string, unknown>): void {
  const fault = faultOfChaos(FIELDS, body)
  if (fault !== undefined) throw new ControlError(fault)
  core.setChaos(body as unknown as Chaos)
}

/** Applies `{accept?, expire?}`; nothing is applied when any part is wrong. */
function replace(jar: CookieJar, change: Record<string, unknown>): void {
  refuseUnknown(change, ['accept', 'expire'])
  const accept = stringsOf(change.accept, 'accept')
  const expire = stringsOf(change.expire, 'expire')
  for (const value of accept) jar.accept(value)
  for (const value of expire) jar.expire(value)
}

function state(core: Core) {
  return { counts: core.counts(), violations: core.violations, behaviours: core.behaviours() }
}

/** Adds the control routes under `/__simulator`: state, behave, chaos, cookies, copilot/cookies, copilot/tokens, reset. */
export function registerControl(core: Core): void {
  const actions: Record<string, (exchange: Exchange) => void> = {
    'GET ': () => {},
    'POST /behave': ({ body }) => behave(core, parseObject(body)),
    'POST /chaos': ({ body }) => chaos(core, parseObject(body)),
    'POST /cookies': ({ body }) => replace(core.cookies, parseObject(body)),
    'POST /copilot/cookies': ({ body }) => replace(core.copilot.cookies, parseObject(body)),
    'POST /copilot/tokens': ({ body }) => replace(core.copilot.tokens, parseObject(body)),
    'POST /reset': () => core.reset()
  }
  core.handle(
    (url, method) =>
      Object.hasOwn(actions, `${method} ${url.pathname.slice(PREFIX.length)}`) &&
      url.pathname.startsWith(PREFIX),
    (exchange) => {
      const action = actions[`${exchange.req.method} ${exchange.url.pathname.slice(PREFIX.length)}`]
      try {
        action?.(exchange)
        sendJson(exchange.res, 200, state(core))
      } catch (error) {
        if (!(error instanceof ControlError)) throw error
        sendJson(exchange.res, 400, { error: error.message })
      }
    }
  )
}
