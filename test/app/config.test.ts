import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  ConfigError,
  ConfigSchema,
  completeConfig,
  isLoopback,
  loadConfig,
  unusedSettings
} from '../../src/config.ts'
import { envExample } from '../../src/env-example.ts'

const settings = Object.entries(ConfigSchema.properties).map(([name, schema]) => ({
  name,
  fallback: schema.default === undefined ? undefined : String(schema.default),
  description: schema.description
}))

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

function problemsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    return [...(error as ConfigError).problems]
  }
}

t.test('without any variable, the defaults of the schema hold', async (t) => {
  t.strictSame(
    Object.entries(loadConfig({}))
      .map(([name, value]) => `${name}=${value}`)
      .sort(),
    settings
      .filter(({ fallback }) => fallback !== undefined)
      .map(({ name, fallback }) => `${name}=${fallback}`)
      .sort()
  )
  t.strictSame(completeConfig({}), loadConfig({}))
  t.match(loadConfig({}), {
    HOST: '127.0.0.1',
    PORT: 7860,
    BING_URL: 'https://www.bing.com',
    CHAT_TIMEOUT_MS: 120_000,
    IMAGE_TIMEOUT_MS: 300_000,
    VIDEO_TIMEOUT_MS: 21_600_000,
    CHAT_CONCURRENCY: 50,
    IMAGE_CONCURRENCY: 3,
    VIDEO_CONCURRENCY: 3,
    DATA_DIR: './data',
    LOG_LEVEL: 'info'
  })
})

t.test('an empty variable counts as not set', async (t) => {
  const empty = Object.fromEntries(settings.map(({ name }, index) => [name, index % 2 === 0 ? '' : '  ']))
  t.strictSame(
    loadConfig({ ...empty, DATABASE_URL: ' ' }),
    { ...loadConfig({}), DEFAULT_LIMITS: '' },
    'but no limits are a setting'
  )
  t.equal(loadConfig({ DEFAULT_LIMITS: ' ' }).DEFAULT_LIMITS, '')
})

t.test('variables become what they stand for', async (t) => {
  const cases: [name: keyof typeof ConfigSchema.properties, text: string, value: unknown][] = [
    ['HOST', '0.0.0.0', '0.0.0.0'],
    ['PORT', '0', 0],
    ['PORT', ' 65535 ', 65_535],
    ['PUBLIC_URL', 'https://gateway.example/base', 'https://gateway.example/base'],
    ['BING_COOKIE_U', 'abc=', 'abc='],
    ['ALLOW_ANONYMOUS', 'true', true],
    ['ALLOW_ANONYMOUS', '0', false],
    ['ALLOW_ANONYMOUS', 'False', false],
    ['CHAT_CONCURRENCY', '0', 0],
    ['POLL_INTERVAL_MS', '250', 250],
    ['BING_CHAT_URL', 'ws://127.0.0.1:7870/sydney/ChatHub', 'ws://127.0.0.1:7870/sydney/ChatHub'],
    ['BING_CHAT_URL', 'wss://bing.example/hub?x=1', 'wss://bing.example/hub?x=1'],
    ['AUTH_MODE', 'whitelist', 'whitelist'],
    ['AUTH_MODE', 'key', 'key'],
    ['DEFAULT_LIMITS', 'images=5/h', 'images=5/h'],
    ['TRUST_PROXY', '10.0.0.0/8, 2001:db8::/32,127.0.0.1', '10.0.0.0/8, 2001:db8::/32,127.0.0.1'],
    ['TRUST_PROXY', '2', '2'],
    ['CHAT_UPSTREAM', 'sydney', 'sydney'],
    ['LOG_LEVEL', 'silent', 'silent'],
    ['HTTPS_PROXY', 'http://user:pass@proxy.example:3128', 'http://user:pass@proxy.example:3128'],
    ['NO_PROXY', 'localhost,.example', 'localhost,.example']
  ]
  for (const [name, text, value] of cases)
    t.equal(loadConfig({ [name]: text })[name], value, `${name}=${text}`)
  t.equal(loadConfig({ https_proxy: 'http://proxy.example' }).HTTPS_PROXY, 'http://proxy.example')
  t.equal(
    loadConfig({ HTTPS_PROXY: 'http://a.example', https_proxy: 'http://b.example' }).HTTPS_PROXY,
    'http://a.example'
  )
})

t.test('bad values are refused one by one', async (t) => {
  const cases: [name: string, text: string, why: RegExp][] = [
    ['PORT', '65536', /whole number from 0 to 65535/],
    ['PORT', '78.60', /whole number/],
    ['PORT', '0x1f', /whole number/],
    ['PUBLIC_URL', 'gateway.example', /URL that starts with http or https:\/\//],
    ['PUBLIC_URL', 'https://gateway.example/?a=b', /URL/],
    ['BING_URL', 'https://bing.example/?x=1', /http or https:\/\/, without query/],
    ['BING_MEDIA_URL', 'https://bing.example/?x=1', /http or https:\/\/, without query/],
    ['BING_CHAT_URL', 'wss://bing.example/hub#x', /URL that starts with ws or wss/],
    ...['PUBLIC_URL', 'BING_URL', 'BING_MEDIA_URL'].flatMap((name): [string, string, RegExp][] => [
      [name, 'http://user:secret@bing.example', /must not hold a user name or password$/],
      [name, 'https://user@bing.example/a', /must not hold a user name or password$/]
    ]),
    ['BING_CHAT_URL', 'wss://:secret@bing.example/hub?x=1', /must not hold a user name or password$/],
    ['BING_URL', 'ftp://bing.example', /URL that starts with http or https/],
    ['BING_CHAT_URL', 'https://bing.example', /URL that starts with ws or wss/],
    ['BING_URL', 'https://bing.example:99999', /URL that starts with http or https/],
    ['BING_CHAT_URL', 'wss://[bing', /URL that starts with ws or wss/],
    ['HTTPS_PROXY', 'http://a:b@c:d', /URL that starts with http or https/],
    ['HTTPS_PROXY', 'socks5://proxy.example', /URL that starts with http or https/],
    ['ALLOW_ANONYMOUS', 'maybe', /true or false/],
    ['CHAT_TIMEOUT_MS', '0', /from 1 /],
    ['IMAGE_CONCURRENCY', '-1', /from 0 /],
    ['POLL_INTERVAL_MS', '1', /from 10 /],
    ['LOG_LEVEL', 'loud', /fatal.*info.*silent/],
    ['AUTH_MODE', 'open', /must be whitelist or key$/],
    ['DEFAULT_LIMITS', 'images=5', /must look like images=50\/d/],
    ['DEFAULT_LIMITS', 'pictures=5/d', /for conversations, images, videos$/],
    ['DEFAULT_LIMITS', 'none', /must look like/],
    ['TRUST_PROXY', 'yes', /addresses or CIDR ranges .* or the number of proxies/],
    ['TRUST_PROXY', '10.0.0.0/33', /CIDR/],
    ['TRUST_PROXY', '10.0.0.1,proxy.example', /CIDR/],
    ['TRUST_PROXY', '0.0.0.0/0', /CIDR/],
    ['TRUST_PROXY', '::/0', /CIDR/],
    ['TRUST_PROXY', '-1', /CIDR/],
    ['TRUST_PROXY', ',', /CIDR/],
    ['CHAT_UPSTREAM', 'bard', /must be sydney or copilot$/],
    ['COPILOT_IDENTITY_TYPE', 'Google Inc', /must be one word in small letters/],
    ['DATABASE_URL', 'mysql://u:p@db.example/gateway', /starts with postgres or postgresql:\/\/$/],
    ['MEDIA_STORAGE', 'ftp://media.example', /file:\/\/\/folder, or s3:\/\//],
    ['WEBHOOK_SECRET', 'whsec_short', /whsec_ and 24 to 64 bytes/]
  ]
  for (const [name, text, why] of cases) {
    const problems = problemsOf({ [name]: text })
    t.equal(problems.length, 1, `${name}=${text}`)
    t.match(problems[0], why, `${name}=${text}: why`)
    t.ok(problems[0]?.startsWith(`${name} `), `${name}=${text}: by name`)
  }
})

t.test('all bad values are listed in one message, and none is quoted', async (t) => {
  const bad = {
    PORT: 'canary-port',
    PUBLIC_URL: 'canary-public',
    BING_URL: 'canary-bing',
    ALLOW_ANONYMOUS: 'canary-anonymous',
    CHAT_TIMEOUT_MS: 'canary-timeout',
    LOG_LEVEL: 'canary-level',
    AUTH_MODE: 'canary-mode',
    HTTPS_PROXY: 'canary://user:secret@proxy',
    DATABASE_URL: 'mysql://user:canary@db'
  }
  const error = t.throws(() => loadConfig({ ...bad, HOST: '0.0.0.0' })) as unknown as ConfigError
  t.ok(error instanceof ConfigError)
  for (const name of Object.keys(bad)) t.match(error.message, new RegExp(`\\b${name} `), name)
  t.equal(error.problems.length, Object.keys(bad).length)
  t.notMatch(error.message, /canary|secret|0\.0\.0\.0|\n/)
})

t.test('loopback addresses are told from others', async (t) => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', '[::1]', 'localhost', 'LOCALHOST'])
    t.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.example', 'localhost.example', ''])
    t.notOk(isLoopback(host), host)
})

t.test('.env.example has every setting at its default; `npm run env-example` writes it', async (t) => {
  const text = read('.env.example')
  t.equal(text, envExample())
  const lines = [...text.matchAll(/^# ([A-Z][A-Z_]*)=(.*)$/gm)].map(([, name, value]) => ({ name, value }))
  t.strictSame(
    lines.filter(({ name }) => name !== 'NAME'),
    settings.map(({ name, fallback }) => ({ name, value: fallback ?? '' }))
  )
  t.notMatch(text, /^[^#\n]/m, 'nothing is set')
  for (const { name, description } of settings) t.ok(description, `${name} is described`)
})

t.test("the README's table has every setting and its default", async (t) => {
  const rows = [...read('README.md').matchAll(/^\| `([A-Z][A-Z_]*)` \| ([^|]*) \|/gm)].map(
    ([, name, cell = '']) => ({
      name,
      fallback: /^`(.*)`$/.exec(cell.trim())?.[1]
    })
  )
  const wanted = settings.map(({ name, fallback }) => ({ name, fallback }))
  t.strictSame(
    rows.filter(({ name = '' }) => name in ConfigSchema.properties),
    wanted,
    'rows look like "| `NAME` | `default` | …", in the order of the schema; no backticks where there is no default'
  )
})

t.test('settings of the chat upstream that is not in use are named', async (t) => {
  const env = {
    DEFAULT_LIMITS: 'images=1/d',
    BING_CHAT_URL: 'wss://hub.example/x',
    COPILOT_URL: 'https://copilot.example',
    COPILOT_COOKIE_FILE: ' '
  }
  t.strictSame(unusedSettings(env), ['COPILOT_URL'])
  t.strictSame(unusedSettings({ ...env, CHAT_UPSTREAM: 'copilot' }), ['BING_CHAT_URL'])
})
