import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type Static, type TLiteral, type TSchema, type TUnion, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { LOCATION_FORM, parseMediaLocation } from './media/location.ts'
import { OTLP_HEADERS_FORM, parseOtlpHeaders } from './otlp-headers.ts'
import { PROXIES_FORM, parseTrustedProxies } from './trusted-proxies.ts'
import { CONCURRENCY, TURNS_PER_MINUTE } from './upstream/copilot/constants.ts'
import { WARM_SOCKETS } from './upstream/sydney/constants.ts'
import { isPublicAddress, isPublicOrPrivateAddress, parseTarget, TargetRefused } from './webhooks/target.ts'
import { LIMIT_FORM, parseLimits } from './whitelist.ts'

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
  SESSION_CHECK_MINUTES: Type.Integer({
    default: 30,
    minimum: 0,
    maximum: 10_080,
    description:
      'Minutes after which an account that nothing was learnt of is looked at, by fetching the start page of Image Creator. 0: never.'
  }),
  BING_URL: url('Base URL of Bing.', 'https://www.bing.com', 'https?'),
  BING_CHAT_URL: Type.String({
    description: 'URL of the chat hub.',
    default: 'wss://sydney.bing.com/sydney/ChatHub',
    pattern: '^(wss?)://[^\\s#]+$'
  }),
  BING_MEDIA_URL: url('Base URL of finished pictures and videos.', 'https://th.bing.com', 'https?'),
  CHAT_UPSTREAM: oneOf(
    ['sydney', 'copilot'],
    'Chat protocol: `sydney` (Bing Chat, until 2025) or `copilot` (copilot.microsoft.com).',
    'sydney'
  ),
  COPILOT_URL: url(
    'Base URL of Copilot; its socket has the same host.',
    'https://copilot.microsoft.com',
    'https?'
  ),
  COPILOT_COOKIE_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'File with the cookies of copilot.microsoft.com: a whole `Cookie` header or the JSON export of a browser extension. Re-read within 2 s of a change. Without cookies and token: an anonymous session, where Copilot allows one.'
    })
  ),
  COPILOT_ACCESS_TOKEN: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Access token of copilot.microsoft.com, which most accounts need beside the cookies. Secret.'
    })
  ),
  COPILOT_ACCESS_TOKEN_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'File with that token. Re-read within 2 s of a change. Wins over `COPILOT_ACCESS_TOKEN`.'
    })
  ),
  COPILOT_TOKEN_ON_HTTP: Type.Boolean({
    default: false,
    description:
      'Whether the token goes with HTTP calls too (`Authorization: Bearer`), not only with the socket.'
  }),
  COPILOT_IDENTITY_TYPE: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Kind of a federated Copilot account, e.g. `google` for one that signs in with Google.'
    })
  ),
  WHITELIST_FILE: Type.String({
    default: 'whitelist.txt',
    minLength: 1,
    description: 'File with one userId a line. Re-read within 2 s of a change.'
  }),
  AUTH_MODE: oneOf(
    ['whitelist', 'key'],
    'Who may call: `whitelist`: whoever names a listed userId; `key`: whoever has an API key of one.',
    'whitelist'
  ),
  ALLOW_ANONYMOUS: Type.Optional(
    Type.Boolean({
      description:
        'Whether callers without a name may create images and videos. Default: true where HOST is a loopback address, else false.'
    })
  ),
  DEFAULT_LIMITS: Type.String({
    default: 'conversations=30/h images=100/d videos=20/d',
    description:
      'Limits of users for whom the whitelist gives none, and of anonymous callers together, as `thing=count/window` with `s`, `m`, `h` or `d`. Set, but empty: no limits.'
  }),
  TRUST_PROXY: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Reverse proxies whose `X-Forwarded-*` headers are believed: comma-separated addresses or CIDR ranges, or the number of proxies in front. Default: none are.'
    })
  ),
  DATABASE_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://\\S+$',
      description:
        'PostgreSQL (14 or later) that any number of replicas share. Default: SQLite under `DATA_DIR`. May hold credentials. Secret.'
    })
  ),
  DATA_DIR: Type.String({
    default: './data',
    minLength: 1,
    description: 'Folder of the SQLite store and of the media copies.'
  }),
  MEDIA_STORAGE: Type.Optional(
    Type.String({
      pattern: '^(s3|file)://\\S+$',
      description:
        'Where copies of finished pictures and videos are kept: `s3://bucket/prefix?region=…&endpoint=…` (credentials from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`) or `file:///folder`. Replicas must share it. Default: `media` under `DATA_DIR`.'
    })
  ),
  AWS_ACCESS_KEY_ID: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Key id for `MEDIA_STORAGE=s3://…`. Default: what the machine itself is given (profile, container or instance role).'
    })
  ),
  AWS_SECRET_ACCESS_KEY: Type.Optional(
    Type.String({ minLength: 1, description: 'The secret of that key. Secret.' })
  ),
  AWS_SESSION_TOKEN: Type.Optional(
    Type.String({ minLength: 1, description: 'Session token, where that key is a temporary one. Secret.' })
  ),
  TASK_RETENTION_DAYS: Type.Integer({
    default: 30,
    minimum: 1,
    maximum: 36_500,
    description: 'Days after which finished tasks and their media are removed.'
  }),
  WEBHOOK_SECRET: Type.Optional(
    Type.String({
      pattern: '^whsec_[A-Za-z0-9+/]{32,88}={0,2}$',
      description:
        'Key that signs webhooks (Standard Webhooks): `whsec_` and 24 to 64 bytes in base64. Unset: no webhooks. Secret.'
    })
  ),
  WEBHOOK_ALLOW_PRIVATE: Type.Boolean({
    default: false,
    description: 'Whether webhooks may go to private and loopback addresses.'
  }),
  SESSION_WEBHOOK_URL: Type.Optional(
    Type.String({
      pattern: '^https?://\\S+$',
      description:
        'Where the gateway says by webhook (`session.changed`) that the account needs a person, is throttled, or is all right again. Needs `WEBHOOK_SECRET`. May hold a token. Secret.'
    })
  ),
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
  COPILOT_TURNS_PER_MINUTE: parallel(
    'Questions to Copilot within any minute; more wait their turn, as long as their deadline allows. 0: no limit.',
    TURNS_PER_MINUTE
  ),
  COPILOT_CONCURRENCY: parallel(
    'Turns and conversation starts in flight at once with Copilot, where `CHAT_CONCURRENCY` allows more. 0: no limit.',
    CONCURRENCY
  ),
  CHAT_WARM_SOCKETS: parallel(
    'Connections to the chat hub that are opened ahead of the next question, at most; each waits a minute for it. 0: none.',
    WARM_SOCKETS
  ),
  IMAGE_CONCURRENCY: parallel('Image creations in flight at once; more wait their turn. 0: no limit.', 3),
  VIDEO_CONCURRENCY: parallel('Video creations in flight at once; more wait their turn. 0: no limit.', 3),
  POLL_INTERVAL_MS: Type.Optional(
    Type.Integer({
      minimum: 10,
      maximum: 3_600_000,
      description:
        'Fixed time between two looks at a creation, in milliseconds. Default: learnt from how long creations take, at no more looks than one every 5 s (GPT4O 3 s, old videos up to 60 s).'
    })
  ),
  LOG_LEVEL: oneOf(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'Least severe log line that is written. JSON lines on stdout, readable lines on a terminal.',
    'info'
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s?#]+$',
      description:
        'OpenTelemetry collector that traces are sent to, over HTTP, e.g. `http://localhost:4318`; `/v1/traces` is added. Default: no traces.'
    })
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s?#]+$',
      description: 'The same as a whole URL, to which nothing is added. Wins.'
    })
  ),
  OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Headers that the collector wants, as `name=value,…` with percent-encoded values. Secret.'
    })
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: oneOf(
    ['http/protobuf', 'http/json'],
    'How traces are written.',
    'http/protobuf'
  ),
  OTEL_SERVICE_NAME: Type.String({
    default: 'bing-gateway',
    minLength: 1,
    description: 'Name of the service in traces.'
  }),
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

/** Settings that only one of the chat upstreams looks at. */
const ONLY_FOR: { sydney: readonly string[]; copilot: readonly string[] } = {
  sydney: ['BING_CHAT_URL', 'CHAT_WARM_SOCKETS'],
  copilot: Object.keys(ConfigSchema.properties).filter((name) => name.startsWith('COPILOT_'))
}

const MAY_HOLD_CREDENTIALS: ReadonlySet<string> = new Set(['HTTPS_PROXY', 'DATABASE_URL'])

/** Settings with a language of their own: whether a value can be read, and what is said when it can't. */
const LANGUAGES: Record<string, { reads: (text: string) => boolean; form: string }> = {
  COPILOT_IDENTITY_TYPE: {
    reads: (text) => /^[a-z]{1,20}$/.test(text),
    form: 'must be one word in small letters, such as google'
  },
  DEFAULT_LIMITS: { reads: (text) => parseLimits(text) !== undefined, form: LIMIT_FORM },
  MEDIA_STORAGE: { reads: (text) => parseMediaLocation(text) !== undefined, form: LOCATION_FORM },
  OTEL_EXPORTER_OTLP_HEADERS: {
    reads: (text) => parseOtlpHeaders(text) !== undefined,
    form: OTLP_HEADERS_FORM
  },
  TRUST_PROXY: { reads: (text) => parseTrustedProxies(text) !== undefined, form: PROXIES_FORM },
  WEBHOOK_SECRET: {
    reads: (text) => Value.Check(ConfigSchema.properties.WEBHOOK_SECRET, text),
    form: 'must be whsec_ and 24 to 64 bytes in base64'
  }
}

/** Settings for which an empty variable is a value. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['DEFAULT_LIMITS'])

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
 * Reads the settings from environment variables. An empty variable counts as not set, except for `DEFAULT_LIMITS`.
 * @throws {ConfigError} naming every bad variable
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(ConfigSchema.properties)) {
    const raw =
      env[name]?.trim() ||
      (name === 'HTTPS_PROXY' || name === 'NO_PROXY' ? env[name.toLowerCase()]?.trim() : '')
    if (!raw) {
      if (MAY_BE_EMPTY.has(name) && env[name] !== undefined) given[name] = ''
      continue
    }
    const value = fromText(schema, raw)
    const language = LANGUAGES[name]
    if (!MAY_HOLD_CREDENTIALS.has(name) && hasUserInfo(schema, raw)) {
      problems.push(`${name} must not hold a user name or password`)
    } else if (language !== undefined && !language.reads(raw)) {
      problems.push(`${name} ${language.form}`)
    } else if (Value.Check(schema, value) && isUsable(schema, value)) given[name] = value
    else problems.push(`${name} ${expectation(schema)}`)
  }
  if ((given.AWS_ACCESS_KEY_ID === undefined) !== (given.AWS_SECRET_ACCESS_KEY === undefined))
    problems.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of use together only')
  problems.push(...problemsOfSessionWebhook(env, given))
  if (problems.length > 0) throw new ConfigError(problems)
  return completeConfig(given)
}

/** Names of the settings that are given and do nothing beside the others: those of the chat upstream that is not in use. */
export function unusedSettings(env: Record<string, string | undefined>): string[] {
  const names = env.CHAT_UPSTREAM?.trim() === 'copilot' ? ONLY_FOR.sydney : ONLY_FOR.copilot
  return names.filter((name) => env[name]?.trim())
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

/** What is known of the target without asking a name server; each delivery checks it again. */
function problemsOfSessionWebhook(env: Record<string, string | undefined>, given: Partial<Config>): string[] {
  const { SESSION_WEBHOOK_URL: url, WEBHOOK_ALLOW_PRIVATE: allowPrivate } = given
  if (url === undefined) return []
  // A secret that can't be used has been named by itself.
  if (!env.WEBHOOK_SECRET?.trim())
    return ['SESSION_WEBHOOK_URL needs WEBHOOK_SECRET, with which the webhooks are signed']
  try {
    parseTarget(url, { allows: allowPrivate ? isPublicOrPrivateAddress : isPublicAddress })
    return []
  } catch (error) {
    if (!(error instanceof TargetRefused)) throw error
    if (error.reason === 'url')
      return ['SESSION_WEBHOOK_URL must be an http or https URL of 2048 characters at most']
    return [
      allowPrivate
        ? 'SESSION_WEBHOOK_URL must lead to a public, private or loopback address'
        : 'SESSION_WEBHOOK_URL must lead to a public address, unless WEBHOOK_ALLOW_PRIVATE is true'
    ]
  }
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
    const protocols = (inBrackets ?? bare)
      ?.replace('https?', 'http or https')
      .replace('wss?', 'ws or wss')
      .replace('postgres(ql)?', 'postgres or postgresql')
      .replace('|', ' or ')
    const without = schema.pattern.includes('?#') ? ', without query and fragment' : ''
    return `must be a URL that starts with ${protocols}://${without}`
  }
  return 'must not be empty'
}
