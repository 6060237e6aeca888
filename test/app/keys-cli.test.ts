/** `bing-gateway keys`, and the commands that use a key. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createPrinter } from '../../src/cli-chat.ts'
import { parseAge } from '../../src/cli-keys.ts'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { isUserId } from '../../src/whitelist.ts'
import { startPostgres } from '../support/postgres.ts'
import { type GatewayProcess, runCli, startProcess } from '../support/process.ts'

const COOKIE = 'simulated-cookie'
const ISO = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/

/** Runs `bing-gateway` to its end. */
async function cli(t: Test, env: Record<string, string>, ...args: string[]) {
  const { child, exited } = runCli(t, args, env)
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk
  })
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk
  })
  child.stdin?.end()
  const code = await exited
  return { code, ...output, json: () => JSON.parse(output.stdout) }
}

/** A folder with a whitelist, and the settings that point to it. */
function settings(t: Test, more: Record<string, string> = {}) {
  const dir = t.testdir({ 'whitelist.txt': 'alice\nbob\n' })
  return { DATA_DIR: join(dir, 'data'), WHITELIST_FILE: join(dir, 'whitelist.txt'), ...more }
}

async function status(gateway: GatewayProcess, key: string): Promise<number> {
  const { status } = await fetch(`${gateway.url}/task/none`, { headers: { authorization: `Bearer ${key}` } })
  return status
}

/** `bing-gateway chat` prints while the answer is written, in a pipe too. */
async function answersAsWritten(t: Test, sim: Simulator, env: Record<string, string>) {
  sim.set('turn', { answer: 'One 😀 two three four five.', charsPerUpdate: 6, search: 'always', sources: 1 })
  const whole = await cli(t, env, 'chat', 'Count')
  t.strictSame([whole.code, whole.stderr], [0, ''])
  t.match(whole.stdout, /^One 😀 two three four five\[\^1\^\]\.\n\n\[1\] .+: https:\S+\n$/)

  sim.enqueue('turn', {
    answer: 'Never ends',
    charsPerUpdate: 4,
    search: 'never',
    end: 'silence',
    endAt: 'after-text'
  })
  const { child } = runCli(t, ['chat', 'Count'], env)
  let seen = ''
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk) => {
      seen += chunk
      if (seen.includes('Never ends')) resolve()
    })
  })
  t.equal(seen, 'Never ends', 'before the end of the turn')
  const aborted = () => sim.counts['sydney.aborted'] ?? 0
  const before = aborted()
  child.kill('SIGINT')
  while (aborted() === before) await new Promise((resolve) => setTimeout(resolve, 10))

  sim.set('turn', { answer: 'One two three.', charsPerUpdate: 4, end: 'terminate', endAt: 'mid-text' })
  const broken = await cli(t, env, 'chat', 'Count')
  t.strictSame([broken.code, broken.stdout], [1, 'One two \n'])
  t.match(broken.stderr, /^bing-gateway: .+\n$/)
  sim.set('turn', {})
}

t.test('a text that is taken back where nothing can be', async (t) => {
  const printed = (run: (printer: ReturnType<typeof createPrinter>) => void) => {
    let out = ''
    run(
      createPrinter((text) => {
        out += text
      })
    )
    return out
  }
  t.equal(
    printed((p) => {
      p.add('One two')
      p.replace('One')
      p.add(' two')
      p.add(' three')
      p.end('One two three')
    }),
    'One two three\n',
    'it shrinks and grows again'
  )
  t.equal(
    printed((p) => {
      p.add('One two')
      p.replace('Let me')
      p.add(' see')
      p.end('Let me see')
    }),
    'One two\n\nLet me see\n',
    'it becomes another'
  )
  t.equal(
    printed((p) => {
      p.add('One two\n')
      p.replace('One')
      p.end('One')
    }),
    'One two\n\nOne\n',
    'it stays short'
  )
  t.equal(
    printed((p) => p.end()),
    ''
  )
})

for (const engine of ['sqlite', 'postgres'] as const) {
  t.test(`keys are made, used, listed and revoked while a gateway runs on ${engine}`, async (t) => {
    const sim = await startSimulator({ cookies: [COOKIE] })
    t.teardown(() => sim.close())
    const env = settings(t, {
      AUTH_MODE: 'key',
      ...(engine === 'postgres' ? { DATABASE_URL: await (await startPostgres(t)).database() } : {})
    })
    const gateway = await startProcess(t, {
      ...env,
      BING_URL: sim.url,
      BING_MEDIA_URL: sim.url,
      BING_CHAT_URL: sim.chatUrl,
      BING_COOKIE_U: COOKIE
    })

    const created = await cli(t, env, 'keys', 'create', 'alice', '--expires', '90d', '--json')
    t.strictSame([created.code, created.stderr], [0, ''])
    const { id, key, ...rest } = created.json()
    t.strictSame(Object.keys(rest).sort(), ['expiresAt', 'userId'])
    t.equal(rest.userId, 'alice')
    t.match(key, /^bgw_[\w-]{43}$/)
    t.ok(Math.abs(Date.parse(rest.expiresAt) - Date.now() - 90 * 86_400_000) < 60_000, rest.expiresAt)
    t.equal(await status(gateway, key), 404, 'it counts at once')

    const client = { BING_GATEWAY_URL: gateway.url, BING_GATEWAY_USER: 'alice' }
    const asked = await cli(t, { ...client, BING_GATEWAY_KEY: key }, 'chat', 'Hi')
    t.equal(asked.code, 0, asked.stderr)
    t.equal((await cli(t, client, 'chat', 'Hi', '--key', key)).code, 0)
    const nameless = await cli(t, { BING_GATEWAY_URL: gateway.url, BING_GATEWAY_KEY: key }, 'chat', 'Hi')
    t.equal(nameless.code, 1)
    t.match(nameless.stderr, /beside an API key, the one it belongs to/)
    const without = await cli(t, client, 'chat', 'Hi')
    t.strictSame([without.code, without.stdout], [1, ''])
    t.match(without.stderr, /^bing-gateway: An API key is needed/)

    if (engine === 'sqlite') await answersAsWritten(t, sim, { ...client, BING_GATEWAY_KEY: key })

    const list = await cli(t, env, 'keys', 'list', '--json')
    t.strictSame([list.code, list.stderr], [0, ''])
    t.match(list.json(), [
      { id, userId: 'alice', createdAt: ISO, expiresAt: rest.expiresAt, revokedAt: null }
    ])
    t.strictSame(Object.keys(list.json()[0]), [
      'id',
      'userId',
      'prefix',
      'createdAt',
      'expiresAt',
      'lastUsedAt',
      'revokedAt'
    ])
    t.ok(key.startsWith(list.json()[0].prefix))

    const revoked = await cli(t, env, 'keys', 'revoke', id, '--json')
    const revokedAt = Date.now()
    t.equal(revoked.code, 0)
    t.match(revoked.json(), { id, userId: 'alice', revokedAt: ISO })
    let seen = await status(gateway, key)
    while (seen !== 401 && Date.now() - revokedAt < 3000) seen = await status(gateway, key)
    t.equal(seen, 401)
    t.ok(Date.now() - revokedAt <= 2000, 'within 2 s')
    t.strictSame(
      (await cli(t, env, 'keys', 'revoke', id, '--json')).json(),
      revoked.json(),
      'again: the same'
    )
    t.notOk(gateway.output().includes(key.slice(10)), 'the key is in no log line')
  })
}

t.test('what people see', async (t) => {
  const env = settings(t)
  const created = await cli(t, env, 'keys', 'create', 'carol', '--expires', '12h')
  t.equal(created.code, 0)
  t.match(created.stdout, /^bgw_[\w-]{43}\n$/, 'the key, alone')
  t.match(created.stderr, /warning: carol is not on the whitelist/)
  t.match(created.stderr, /shown this once/)
  const json = await cli(t, env, 'keys', 'create', 'carol', '--json')
  t.match(json.stderr, /warning: carol is not on the whitelist/)
  t.strictSame([json.json().userId, json.json().expiresAt], ['carol', null])
  const listed = await cli(t, env, 'keys', 'create', 'bob')
  t.notMatch(listed.stderr, /warning/)
  const nowhere = { ...env, WHITELIST_FILE: '/nonexistent' }
  t.match(
    (await cli(t, nowhere, 'keys', 'create', 'bob')).stderr,
    /warning: the whitelist .* can't be read \(ENOENT\)/
  )
  writeFileSync(env.WHITELIST_FILE, 'bob images=lots\n')
  t.match(
    (await cli(t, env, 'keys', 'create', 'bob')).stderr,
    /warning: the whitelist .* is malformed \(line 1/
  )

  const list = await cli(t, env, 'keys', 'list')
  const lines = list.stdout.trimEnd().split('\n')
  t.match(lines[0], /^ID +USER +KEY +CREATED +EXPIRES +LAST USED +REVOKED$/)
  t.equal(lines.length, 6)
  t.notMatch(list.stdout, new RegExp(created.stdout.trim()), 'no key is shown again')
  const id = lines[1]?.split(' ')[0] as string
  t.match(
    (await cli(t, env, 'keys', 'revoke', id)).stdout,
    new RegExp(`^${id}, a key of carol, is revoked\\.\\n$`)
  )
})

t.test('many commands at once on a new folder', async (t) => {
  const env = settings(t)
  const made = await Promise.all(
    Array.from({ length: 5 }, () => cli(t, env, 'keys', 'create', 'alice', '--json'))
  )
  t.strictSame(
    made.map(({ code, stderr }) => [code, stderr]),
    made.map(() => [0, ''])
  )
  t.equal((await cli(t, env, 'keys', 'list', '--json')).json().length, 5)
})

t.test('what can not be done is said in one line', async (t) => {
  const env = settings(t)
  const cases: [args: string[], more: Record<string, string>, why: RegExp][] = [
    [['create', 'alice', '--expires', '0d'], {}, /must look like 90d.* above 0/],
    [['create', '#alice'], {}, /userId/],
    [['create'], {}, /missing required argument 'userId'/],
    [['revoke', 'key_none'], {}, /there is no key with the id key_none/],
    [['list'], { AUTH_MODE: 'open', PORT: 'x' }, /PORT .*; AUTH_MODE /],
    [
      ['list'],
      { DATABASE_URL: 'postgres://u:hidden@127.0.0.1:1/none' },
      /DATABASE_URL names can't be used \(ECONNREFUSED/
    ],
    [['list'], { DATA_DIR: env.WHITELIST_FILE }, /the store in .* can't be used \(\w+\)/]
  ]
  const results = await Promise.all(
    cases.map(async ([args, more, why]) => ({
      args,
      why,
      ...(await cli(t, { ...env, ...more }, 'keys', ...args))
    }))
  )
  for (const { args, why, code, stdout, stderr } of results) {
    const name = args.join(' ').slice(0, 40)
    t.strictSame([code, stdout], [1, ''], name)
    t.match(stderr, why, name)
    t.match(stderr, /^[^\n]+\n$/, `${name}: one line`)
    t.notMatch(stderr, /hidden/, name)
  }
  t.notOk(existsSync(join(env.DATA_DIR, 'bing-gateway.lock')), 'the folder is not claimed for a gateway')
})

t.test('ages and userIds', async (t) => {
  t.strictSame(
    [
      'alice',
      'a@b.example',
      '名前',
      '',
      'two words',
      ' alice',
      '#alice',
      'a'.repeat(129),
      'a\u0007',
      'a\nb'
    ].map(isUserId),
    [true, true, true, ...Array(7).fill(false)]
  )
  t.strictSame(['90d', '12h', '30m', '30s', '0d', '1', 'd', '1.5h', '1w', '1000000d'].map(parseAge), [
    7_776_000_000,
    43_200_000,
    1_800_000,
    30_000,
    ...Array(6).fill(undefined)
  ])
})
