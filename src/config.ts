import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type Static, type TLiteral, type TSchema, type TUnion, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

type TLiteralUnion<T extends string> = TUnion<[TLiteral<T>]>

const oneOf = <T extends string>(values: readonly T[], description: string, fallback: T) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description, default: fallback }
  ) as unknown as TLiteralUnion<T>

const url = (description: string, fallback: string, protocols: string) =>
  Type.String({ description, default: fallback, pattern: `^(${protocols})://[^\\s?#]+$` })

const milliseconds = (description: string, fallback: number) =>
  Type.Integer({ description, default: fallback, minimum: 1, maximum: 2_147_483_647 })

const parallel = (description: string, fallback: number) =>
  Type.Integer({ description, default: fallback, minimum: 0, maximum: 100_000 })

/**
 * Every setting of the service, in the order of the README's table. Names are environment variables, defaults stand
 * here and nowhere else, `.env.example` and the README are compared with this by a test.
 */
export const ConfigSchema = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on.' }),
  PORT: Type.Integer({
    default: 7860,
    minimum: 0,
    maximum: 65_535,
    description: 'Port to listen on; 0 takes a free one.'
  }),
  PUBLIC_URL: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s?#]+$',
      description:
        'Base URL under which clients reach the gateway; named as the server in the API document. Default: the address of the request.'
    })
  ),
  BING_COOKIE_U: Type.Optional(
    Type.String({ minLength: 1, description: 'The `_U` cookie of the Microsoft account. Secret.' })
  ),
  BING_COOKIE_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'File with the `_U` value, a whole `Cookie` header or the JSON export of a browser extension. Re-read within 2 s of a change. Wins over `BING_COOKIE_U`.'
    })
  ),
  BING_URL: url('Base URL of Bing.', 'https://www.bing.com', 'https?'),
  BING_CHAT_URL: Type.String({
    description: 'URL of the chat hub.',
    default: 'wss://sydney.bing.com/sydney/ChatHub',
    pattern: '^(wss?)://[^\\s#]+$'
  }),
  BING_MEDIA_URL: url('Base URL of finished pictures and videos.', 'https://th.bing.com', 'https?'),
  CHAT_UPSTREAM: oneOf(['sydney'], 'Chat protocol. This version speaks `sydney` only.', 'sydney'),
  WHITELIST_FILE: Type.String({
    default: 'whitelist.txt',
    minLength: 1,
    description: 'File with one userId a line. Re-read within 2 s of a change.'
  }),
  AUTH_MODE: oneOf(['whitelist'], 'Who may call. This version knows `whitelist` only.', 'whitelist'),
  ALLOW_ANONYMOUS: Type.Optional(
    Type.Boolean({
      description:
        'Whether callers without a name may create images and videos. Default: true where HOST is a loopback address, else false.'
    })
  ),
  DATA_DIR: Type.String({ default: './data', minLength: 1, description: 'Folder of the SQLite store.' }),
  CHAT_TIMEOUT_MS: milliseconds('Total time of one conversation start or turn, in milliseconds.', 120_000),
  IMAGE_TIMEOUT_MS: milliseconds('Total time of one image creation, in milliseconds.', 300_000),
  VIDEO_TIMEOUT_MS: milliseconds(
    'Total time of one video creation from its submit, in milliseconds.',
    21_600_000
  ),
  CHAT_CONCURRENCY: parallel(
    'Turns and conversation starts in flight at once; more wait their turn. 0: no limit.',
    50
  ),
  IMAGE_CONCURRENCY: parallel('Image creations in flight at once; more wait their turn. 0: no limit.', 3),
  VIDEO_CONCURRENCY: parallel('Video creations in flight at once; more wait their turn. 0: no limit.', 3),
  POLL_INTERVAL_MS: Type.Optional(
    Type.Integer({
      minimum: 10,
      maximum: 3_600_000,
      description:
        'Fixed time between two looks at a creation, in milliseconds. Default: 5 s (3 s for GPT4O), growing to 60 s for old videos.'
    })
  ),
  LOG_LEVEL: oneOf(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'Least severe log line that is written. JSON lines on stdout, readable lines on a terminal.',
    'info'
  ),
  HTTPS_PROXY: Type.Optional(
    Type.String({
      pattern: '^https?://\\S+$',
      description: 'Proxy for https and wss upstreams. May hold credentials. Secret.'
    })
  ),
  NO_PROXY: Type.Optional(
    Type.String({ description: 'Comma-separated hosts that are reached without the proxy.' })
  )
})

export type Config = Static<typeof ConfigSchema>

/** Settings of later versions that can't be ignored: the store would not be where the operator thinks. */
const NOT_YET: Record<string, string> = {
  DATABASE_URL: 'this version stores in SQLite under DATA_DIR only'
}

/** Settings of later versions that do nothing here, which the operator is told at start. */
const LATER = [
  'DEFAULT_LIMITS',
  'TASK_RETENTION_DAYS',
  'WEBHOOK_SECRET',
  'WEBHOOK_ALLOW_PRIVATE',
  'COPILOT_URL',
  'COPILOT_COOKIE_FILE',
  'COPILOT_ACCESS_TOKEN',
  'COPILOT_ACCESS_TOKEN_FILE'
]

/** Bad settings, all of them, by name. The message never quotes a value: it may be a secret. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`Bad configuration: ${problems.join('; ')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Reads the settings from environment variables. An empty variable counts as not set.
 * @throws {ConfigError} naming every bad variable
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(ConfigSchema.properties)) {
    const raw =
      env[name]?.trim() ||
      (name === 'HTTPS_PROXY' || name === 'NO_PROXY' ? env[name.toLowerCase()]?.trim() : '')
    if (!raw) continue
    const value = fromText(schema, raw)
    if (name !== 'HTTPS_PROXY' && hasUserInfo(schema, raw)) {
      problems.push(`${name} must not hold a user name or password`)
    } else if (Value.Check(schema, value) && isUsable(schema, value)) given[name] = value
    else problems.push(`${name} ${expectation(schema)}`)
  }
  for (const [name, why] of Object.entries(NOT_YET)) {
    if (env[name]?.trim()) problems.push(`${name} can't be used: ${why}`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return completeConfig(given)
}

/** Names of the settings that are given and do nothing in this version. */
export function unusedSettings(env: Record<string, string | undefined>): string[] {
  return LATER.filter((name) => env[name]?.trim())
}

/** Fills in the defaults. */
export function completeConfig(given: Partial<Config>): Config {
  return Value.Default(ConfigSchema, { ...given }) as Config
}

/** Whether a bind address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}

/** Name and version as package.json has them. Works from the sources and from dist/. */
export function packageInfo(): { name: string; version: string } {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (name === 'bing-gateway') return { name, version }
    } catch {
      // One level further up when running from dist/.
    }
  }
  throw new Error('package.json of bing-gateway not found')
}

function fromText(schema: TSchema, raw: string): unknown {
  if (schema.type === 'integer') return /^-?\d+$/.test(raw) ? Number(raw) : raw
  if (schema.type === 'boolean')
    return { true: true, '1': true, false: false, '0': false }[raw.toLowerCase()] ?? raw
  return raw
}

/** What a URL's pattern can't tell: a port out of range, a broken IPv6 address. */
function isUsable(schema: TSchema, value: unknown): boolean {
  return !schema.pattern?.includes('://') || URL.canParse(value as string)
}

/** A URL that is logged and shown is no place for a secret. */
function hasUserInfo(schema: TSchema, raw: string): boolean {
  if (!schema.pattern?.includes('://') || !URL.canParse(raw)) return false
  const { username, password } = new URL(raw)
  return username !== '' || password !== ''
}

function expectation(schema: TSchema): string {
  if (schema.type === 'integer') return `must be a whole number from ${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return 'must be true or false'
  if (schema.const) return `must be ${schema.const}`
  if (schema.anyOf) return `must be ${schema.anyOf.map((option: TLiteral) => option.const).join(' or ')}`
  if (schema.pattern) {
    const [, inBrackets, bare] = /^\^(?:\((.*?)\)|(.*?)):\/\//.exec(schema.pattern) ?? []
    const protocols = (inBrackets ?? bare)?.replace('https?', 'http or https').replace('wss?', 'ws or wss')
    const without = schema.pattern.includes('?#') ? ', without query and fragment' : ''
    return `must be a URL that starts with ${protocols}://${without}`
  }
  return 'must not be empty'
}
