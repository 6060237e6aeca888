import { type DestinationStream, type Logger, pino } from 'pino'

/** Header and field names whose values never reach a log line, wherever a plain object with them is logged. */
const SECRET_KEYS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'proxy-authorization',
  'conversationSignature',
  'encryptedSignature',
  'sec_access_token',
  'accessToken',
  'BING_COOKIE_U',
  'COPILOT_ACCESS_TOKEN',
  'HTTPS_PROXY',
  'DATABASE_URL',
  'WEBHOOK_SECRET',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN'
])
/** Levels of nested objects in which they are looked for; nothing that is logged goes deeper. */
const SECRET_DEPTH = 4

/**
 * Lines are written together: a write for each of them would take longer than the requests that they are about. A process
 * that is killed loses those of this time, in milliseconds; one that ends by itself calls `flushed` first.
 */
const FLUSH_MS = 50
const FLUSH_BYTES = 8_192
const FLUSH_TIMEOUT_MS = 1000

export interface LoggerSettings {
  level: string
  /** Where lines go; default stdout. */
  destination?: DestinationStream
  /** Readable lines instead of JSON. */
  pretty?: boolean
}

/** The one place where a logger is made, and where secrets are taken out of it. */
export function createLogger({ level, destination, pretty = false }: LoggerSettings): Logger {
  const options = {
    level,
    formatters: { log: (logged: Record<string, unknown>) => withoutSecrets(logged) },
    serializers: { err: serializeError, req: serializeRequest }
  }
  if (destination !== undefined) return pino(options, destination)
  if (pretty)
    return pino({ ...options, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } })
  return pino(options, pino.destination({ sync: false, minLength: FLUSH_BYTES, periodicFlush: FLUSH_MS }))
}

/** Resolves when what was logged has been written, or after a second: whoever reads it may have stopped reading. */
export async function flushed(logger: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    new Promise<void>((resolve) => logger.flush(() => resolve())),
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_TIMEOUT_MS)
    })
  ])
  clearTimeout(timer)
}

/**
 * The same object, or a copy in which secrets are replaced. By hand, since pino's own redaction visits every path on
 * every line, which is a tenth of the time that a small request takes. Instances of classes are left alone: pino writes
 * those that it knows through the serializers below, and nobody logs others.
 */
function withoutSecrets(logged: Record<string, unknown>, depth = SECRET_DEPTH): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined
  for (const key in logged) {
    const value = logged[key]
    let safe = value
    if (SECRET_KEYS.has(key)) safe = '[redacted]'
    else if (typeof value === 'object' && value !== null && depth > 0 && isPlain(value))
      safe = withoutSecrets(value as Record<string, unknown>, depth - 1)
    if (safe === value) continue
    copy ??= (Array.isArray(logged) ? [...logged] : { ...logged }) as Record<string, unknown>
    copy[key] = safe
  }
  return copy ?? logged
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

/** Path without the query string: URLs of later routes carry signatures there. */
function serializeRequest(request: { method?: string; url?: string; ip?: string }) {
  return { method: request.method, path: request.url?.split('?')[0], remoteAddress: request.ip }
}

interface SerializedError {
  type: string
  message: string
  code?: unknown
  row?: unknown
  stack?: string
  cause?: SerializedError
}

/** Only known members: errors of libraries hang requests, headers and options on themselves. */
function serializeError(error: unknown, depth = 0): SerializedError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error' }
  const { code, row } = error as { code?: unknown; row?: unknown }
  return {
    type: error.name,
    message: withoutQueries(error.message),
    ...(code === undefined || code === null ? {} : { code }),
    ...(row === undefined ? {} : { row }),
    ...(depth === 0 && error.stack !== undefined ? { stack: withoutQueries(error.stack) } : {}),
    ...(error.cause instanceof Error && depth < 4 ? { cause: serializeError(error.cause, depth + 1) } : {})
  }
}

/** URLs in messages lose their query, where tokens and prompts travel. */
function withoutQueries(text: string): string {
  return text.replace(/(\b(?:https?|wss?):\/\/[^\s?"'<>]+)\?[^\s"'<>]*/g, '$1?…')
}
