import { type DestinationStream, type Logger, pino } from 'pino'

/** Header and field names whose values never reach a log line, wherever an object with them is logged. */
const SECRET_KEYS = [
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'proxy-authorization',
  'conversationSignature',
  'encryptedSignature',
  'sec_access_token',
  'BING_COOKIE_U',
  'HTTPS_PROXY',
  'DATABASE_URL',
  'WEBHOOK_SECRET',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN'
]

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
    redact: {
      paths: SECRET_KEYS.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`]),
      censor: '[redacted]'
    },
    serializers: { err: serializeError, req: serializeRequest }
  }
  if (destination !== undefined) return pino(options, destination)
  if (pretty)
    return pino({ ...options, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } })
  return pino(options)
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
