/** `bing-gateway doctor`: what it says in each broken mode of the upstream, of the settings and of this machine. */
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import t, { type Test } from 'tap'
import { formatEnd, formatStep } from '../../src/cli-doctor.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { ADVICE } from '../../src/doctor/advice.ts'
import { createSecrets } from '../../src/doctor/redact.ts'
import { type Report, RunEnded, type Step } from '../../src/doctor/report.ts'
import { type DoctorOptions, runDoctor } from '../../src/doctor/run.ts'
import { placeOf, shapeOf } from '../../src/doctor/wire.ts'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { openStore } from '../../src/store/database.ts'
import { createAccount } from '../../src/upstream/account.ts'
import { createCopilotAccount } from '../../src/upstream/copilot/account.ts'
import * as copilotConstants from '../../src/upstream/copilot/constants.ts'
import { FAILURES } from '../../src/upstream/failures.ts'
import * as creatorConstants from '../../src/upstream/image-creator/constants.ts'
import * as sydneyConstants from '../../src/upstream/sydney/constants.ts'
import {
  type Case,
  COOKIE,
  COPILOT,
  type Environment,
  OTHER,
  TABLES,
  TOKEN,
  WORDS
} from '../support/doctor-cases.ts'
import { startPostgres } from '../support/postgres.ts'
import { runCli, startProcess } from '../support/process.ts'

/** Waits of the clients take no time here. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal) }

function simulator(t: Test): Promise<Simulator> {
  return startSimulator({ cookies: [COOKIE], copilotCookies: [OTHER], copilotTokens: [TOKEN] }).then(
    (sim) => {
      t.teardown(() => sim.close())
      return sim
    }
  )
}

/** A whitelist, a folder for the store, and the settings that lead to a simulator. */
function settings(t: Test, sim: Simulator, more: Environment = {}): Environment {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'whitelist.txt'), 'alice\nbob images=5/d\n')
  writeFileSync(join(dir, 'copilot.txt'), `_C_Auth=${OTHER}; MUID=${WORDS}`)
  return {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: `_U=${COOKIE}; MUID=${OTHER}`,
    COPILOT_URL: sim.copilotUrl,
    ...(more.CHAT_UPSTREAM === 'copilot' ? { COPILOT_COOKIE_FILE: join(dir, 'copilot.txt') } : {}),
    DATA_DIR: join(dir, 'data'),
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    ...more
  }
}

/** Everything that a person or a program could read of a report. */
function everythingOf(report: Report): string {
  const looks = [
    { colours: true, columns: 60 },
    { colours: false, columns: undefined }
  ]
  const lines = looks.flatMap((look) => report.steps.map((step) => formatStep(step, look)))
  return [JSON.stringify(report), ...lines, formatEnd(report)].join('\n')
}

/** What the simulator gave out and was sent that nobody else may see. */
function secretsOf(sim: Simulator): string[] {
  const queries = sim.requests.flatMap(({ search }) => [...new URLSearchParams(search)])
  const secret = queries.filter(([name]) => ['sec_access_token', 'IG', 'id', 'accessToken'].includes(name))
  const [argument] = sim.questions.flatMap(({ arguments: list }) => (list as object[] | undefined) ?? [])
  const { conversationSignature, conversationId } = (argument ?? {}) as Record<string, string | undefined>
  return [...secret.map(([, value]) => value), conversationSignature, conversationId].filter(
    (value) => value !== undefined && value !== ''
  ) as string[]
}

/** Runs the doctor and checks what holds for every report. */
async function diagnose(
  t: Test,
  sim: Simulator,
  env: Environment,
  options: DoctorOptions = {}
): Promise<Report> {
  const told: Step[] = []
  const report = await runDoctor(env, { clock: hurried, onStep: (step) => told.push(step), ...options })
  t.strictSame(told, report.steps, 'each step was told of')
  t.equal(
    report.ok,
    report.steps.every(({ ok }) => ok)
  )
  const odd = report.steps.filter(
    ({ name, ok, detail, hint }) =>
      typeof name !== 'string' || typeof ok !== 'boolean' || detail === '' || hint === ''
  )
  t.strictSame(odd, [], 'each step has its fields')
  t.equal(new Set(report.steps.map(({ name }) => name)).size, report.steps.length, 'names are unique')
  const text = everythingOf(report)
  t.notMatch(text, /CANARY/, 'no secret and no content')
  t.notMatch(text, /\?\w+=/, 'no query of a URL')
  t.strictSame(
    secretsOf(sim).filter((secret) => text.includes(secret)),
    [],
    'no token, signature or id'
  )
  return report
}

/** The first step that was tried and does not hold. */
function broken({ steps }: Report): Step {
  return steps.find((step) => !step.ok && !step.skipped) ?? { name: 'none', ok: true, detail: '', ms: 0 }
}

const named = (report: Report, name: string) => report.steps.find((step) => step.name === name)

for (const { title, prefix, spend, env: standing, cases } of TABLES) {
  t.test(title, async (t) => {
    const sim = await simulator(t)
    for (const { name, sim: behave = {}, env = {}, stepMs, step, detail, hint } of cases) {
      await t.test(name, async (t) => {
        sim.reset()
        sim.cookies.accept(COOKIE)
        sim.set('media', { plain: true })
        sim.set('turn', { answer: WORDS })
        sim.set('copilot.turn', { answer: WORDS })
        for (const [op, how] of Object.entries(behave)) sim.set(op as 'turn', how as object)
        const report = await diagnose(
          t,
          sim,
          settings(t, sim, { POLL_INTERVAL_MS: '20', ...standing, ...env }),
          {
            ...(spend === undefined ? {} : { spend }),
            ...(stepMs === undefined ? {} : { stepMs })
          }
        )
        const found = broken(report)
        t.equal(found.name, `${prefix}: ${step}`, found.detail)
        t.match(found.detail, detail)
        if (hint !== undefined) t.match(found.hint, hint)
        const own = report.steps.filter((one) => one.name.startsWith(`${prefix}: `))
        const at = own.indexOf(found)
        t.ok(
          own.slice(0, at).every((one) => one.ok),
          'what came before holds'
        )
        t.equal(report.ok, false)
        const counts = sim.counts
        t.ok(
          (counts['sydney.create'] ?? 0) <= (spend === 'chat' ? 6 : 0),
          'conversations are not started in vain'
        )
        if (prefix === 'copilot') t.ok((counts['copilot.start'] ?? 0) <= (spend === 'chat' ? 1 : 0))
        if (spend === 'chat' && prefix === 'sydney' && !name.startsWith('redirects'))
          t.equal(counts['sydney.create'], 1, 'one start, whatever came of it')
        t.strictSame(
          sim.violations.map(({ rule }) => rule),
          [],
          'the doctor speaks the protocol'
        )
      })
    }
  })
}

t.test('all is well', async (t) => {
  const sim = await simulator(t)
  sim.set('media', { plain: true })
  sim.set('turn', { answer: WORDS })

  const report = await diagnose(t, sim, settings(t, sim))
  t.strictSame(
    report.steps.map(({ name, ok, skipped }) => [name, ok ? (skipped ? 'skipped' : 'ok') : 'failed']),
    [
      ['configuration', 'ok'],
      ['store', 'ok'],
      ['whitelist', 'ok'],
      ['cookie', 'ok'],
      ['bing: reach', 'ok'],
      ['clock', 'ok'],
      ['image-creator: landing page', 'ok'],
      ['image-creator: signed-in marker', 'ok'],
      ['image-creator: IG', 'ok'],
      ['image-creator: Salt', 'ok'],
      ['media: reach', 'ok'],
      ['image-creator: submit', 'skipped'],
      ['sydney: reach', 'ok'],
      ['sydney: create', 'skipped']
    ],
    everythingOf(report)
  )
  t.equal(report.ok, true)
  t.match(
    named(report, 'cookie')?.detail,
    /Cookie header with 2 cookies; _U is there \(20 characters\).*KievRPSSecAuth/
  )
  t.match(named(report, 'whitelist')?.detail, /2 users, 1 with limits/)
  t.strictSame(
    sim.requests.map(({ method, path }) => `${method} ${path}`),
    ['GET /favicon.ico', 'GET /images/create'],
    'nothing that costs anything'
  )
  t.equal(sim.requests[0]?.headers.cookie, undefined, 'the clock is asked for by nobody')

  sim.reset()
  sim.set('media', { plain: true })
  sim.set('turn', { answer: WORDS })
  const spent = await diagnose(t, sim, settings(t, sim, { POLL_INTERVAL_MS: '20' }), { spend: 'all' })
  t.equal(spent.ok, true, everythingOf(spent))
  t.notOk(spent.steps.some(({ skipped }) => skipped))
  t.match(named(spent, 'image-creator: result')?.detail, /^4 pictures after \d looks/)
  t.match(named(spent, 'media: fetch')?.detail, /^image\/jpeg, \d+ bytes/)
  t.match(named(spent, 'sydney: create')?.detail, /HTTP 200, JSON .* with a token/)
  t.match(named(spent, 'sydney: final record')?.detail, /A whole answer of 15 characters, turn 1 of 30/)
  t.strictSame(sim.violations, [])
  t.strictSame([sim.counts['sydney.create'], sim.counts['sydney.questions']], [1, 1])
})

t.test('a new cookie comes during the run', async (t) => {
  const sim = await simulator(t)
  sim.set('bootstrap', { rotate: '_U' })
  const report = await diagnose(t, sim, settings(t, sim))
  t.match(named(report, 'cookie: renewed'), {
    ok: true,
    detail: /new _U cookie/,
    hint: /expired cookie soon/
  })
  t.equal(report.ok, true)
})

t.test('cookies that the gateway has kept', async (t) => {
  const sim = await simulator(t)
  const env = settings(t, sim, COPILOT)
  const dir = env.DATA_DIR as string
  mkdirSync(dir)
  // What a gateway leaves behind that Microsoft has given other cookies than those that were imported.
  const bing = createAccount([sim.url, sim.chatUrl])
  bing.replace(env.BING_COOKIE_U as string)
  bing.keep(sim.url, ['_U=rotated-CANARY-1; Path=/'])
  writeFileSync(join(dir, 'session-bing.json'), bing.save() as string)
  const copilot = createCopilotAccount(sim.copilotUrl)
  copilot.replace(`_C_Auth=${OTHER}; MUID=${WORDS}`)
  copilot.replaceToken(TOKEN)
  copilot.keep(sim.copilotUrl, ['_C_Auth=rotated-CANARY-2; Path=/'])
  writeFileSync(join(dir, 'session-copilot.json'), copilot.save() as string)

  const report = await diagnose(t, sim, env)
  t.match(named(report, 'cookie')?.detail, /kept since in .*session-bing\.json/)
  t.match(named(report, 'copilot: credentials')?.detail, /kept since in .*session-copilot\.json/)
  const sent = sim.requests.map(({ headers }) => headers.cookie ?? '').filter((cookie) => cookie !== '')
  t.ok(sent.some((cookie) => cookie.includes('_U=rotated-CANARY-1')))
  t.ok(sent.some((cookie) => cookie.includes('_C_Auth=rotated-CANARY-2')))
  t.notOk(
    sent.some((cookie) => cookie.includes(`_U=${COOKIE}`)),
    'the imported one is of no more use'
  )
  t.notOk(named(report, 'cookie: renewed'), 'it was not renewed just now')

  writeFileSync(join(dir, 'session-bing.json'), '{')
  const damaged = await diagnose(t, sim, env)
  t.match(named(damaged, 'cookie'), { ok: true, detail: /Used as they are: .* can't be read \(these are no/ })
  sim.cookies.accept(COOKIE)
  const other = { ...env, BING_COOKIE_U: `_U=${COOKIE}` }
  writeFileSync(join(dir, 'session-bing.json'), bing.save() as string)
  t.match(named(await diagnose(t, sim, other), 'cookie')?.detail, /kept no newer ones/)
})

t.test('all is well with Copilot', async (t) => {
  const sim = await simulator(t)
  sim.set('copilot.turn', { answer: WORDS })
  const report = await diagnose(t, sim, settings(t, sim, COPILOT))
  t.equal(report.ok, true, everythingOf(report))
  t.strictSame(
    report.steps.slice(12).map(({ name, skipped }) => [name, skipped ?? false]),
    [
      ['copilot: credentials', false],
      ['copilot: reach', false],
      ['copilot: start page', false],
      ['copilot: user', false],
      ['copilot: limits', false],
      ['copilot: start', true]
    ]
  )
  t.match(named(report, 'copilot: credentials')?.detail, /^2 cookies and an access token of 20 characters/)
  t.match(named(report, 'copilot: user')?.detail, /Signed in: HTTP 200, JSON \{ firstName: string\(7\)/)
  t.equal(sim.counts['copilot.start'], 0)

  const spent = await diagnose(t, sim, settings(t, sim, COPILOT), { spend: 'chat' })
  t.equal(spent.ok, true, everythingOf(spent))
  t.match(named(spent, 'copilot: done')?.detail, /whole answer of 15 characters/)
  t.strictSame([sim.counts['copilot.start'], sim.counts['copilot.questions']], [1, 1])
  t.equal(sim.counts['sydney.upgrade'], 0)

  const both = await diagnose(t, sim, settings(t, sim, { COPILOT_ACCESS_TOKEN: TOKEN }))
  t.ok(named(both, 'sydney: reach')?.ok)
  t.match(named(both, 'copilot: user'), {
    ok: true,
    detail: /Nobody is signed in by cookie/,
    hint: /--spend chat/
  })
  t.match(named(both, 'configuration')?.detail, /COPILOT_ACCESS_TOKEN \(CHAT_UPSTREAM is sydney\)/)

  const nobody = await diagnose(t, sim, {
    ...settings(t, sim, { CHAT_UPSTREAM: 'copilot', COPILOT_URL: 'http://127.0.0.1:1' }),
    COPILOT_COOKIE_FILE: ''
  })
  t.match(named(nobody, 'copilot: credentials'), { ok: false, detail: /anonymous visitor/ })
  t.match(named(nobody, 'copilot: reach'), { ok: false, hint: /COPILOT_URL/ })
  t.match(named(nobody, 'copilot: user'), { ok: false, skipped: true })

  const gone = await diagnose(t, sim, {
    ...settings(t, sim, COPILOT),
    COPILOT_ACCESS_TOKEN_FILE: join(tmpdir(), 'bing-gateway-is-not-there')
  })
  t.match(named(gone, 'copilot: credentials'), { ok: false, detail: /COPILOT_ACCESS_TOKEN_FILE: ENOENT/ })
})

t.test('settings', async (t) => {
  const sim = await simulator(t)
  const bad = await diagnose(
    t,
    sim,
    settings(t, sim, { PORT: 'CANARYport', BING_URL: 'ftp://CANARY', AUTH_MODE: 'CANARYmode' })
  )
  t.strictSame(
    bad.steps.map(({ name, ok, skipped }) => [name, ok, skipped ?? false]),
    [
      ['configuration', false, false],
      ['everything else', false, true]
    ]
  )
  t.match(bad.steps[0]?.detail, /3 bad settings: .*PORT .*BING_URL .*AUTH_MODE /)

  const idle = await diagnose(
    t,
    sim,
    settings(t, sim, {
      BING_COOKIE_FILE: join(t.testdir({ c: `_U=${COOKIE}` }), 'c'),
      WEBHOOK_ALLOW_PRIVATE: 'true',
      BING_COKIE_U: 'CANARYtypo',
      BING_GATEWAY_URL: 'http://127.0.0.1:1'
    })
  )
  const { ok, detail, hint } = named(idle, 'configuration') as Step
  t.equal(ok, true, 'they do no harm')
  t.match(detail, /Without effect: .*BING_COOKIE_U \(BING_COOKIE_FILE wins\)/)
  t.match(detail, /WEBHOOK_ALLOW_PRIVATE/)
  t.match(detail, /No setting has the name BING_COKIE_U\./)
  t.match(hint, /something else was meant/)
})

t.test('store', async (t) => {
  const sim = await simulator(t)
  const storeOf = async (t: Test, more: Environment = {}, options: DoctorOptions = {}) =>
    named(await diagnose(t, sim, settings(t, sim, more), options), 'store') as Step
  const made = async (t: Test) => {
    const dataDir = join(t.testdir({}), 'made')
    await (await openStore({ dataDir })).close()
    return { dataDir, file: join(dataDir, 'bing-gateway.sqlite') }
  }

  await t.test('none yet, and none is made', async (t) => {
    const dir = join(t.testdir({}), 'a', 'b')
    const step = await storeOf(t, { DATA_DIR: dir })
    t.match(step, { ok: true, detail: /no store in DATA_DIR yet.* [MG]B free/ })
    t.notOk(existsSync(join(dir, '..')))
  })
  await t.test('one that a gateway works on', async (t) => {
    const dataDir = join(t.testdir({}), 'made')
    const running = await openStore({ dataDir, exclusive: true })
    t.teardown(() => running.close())
    t.match(await storeOf(t, { DATA_DIR: dataDir }), { ok: true, detail: /up to date, writable/ })
  })
  await t.test('one of an older version is left as it is', async (t) => {
    const { dataDir, file } = await made(t)
    const db = new Database(file)
    db.exec("delete from kysely_migration where name like '006%'")
    t.match(await storeOf(t, { DATA_DIR: dataDir }), { ok: true, detail: /\d changes? of the tables/ })
    const { count } = db
      .prepare("select count(*) count from kysely_migration where name like '006%'")
      .get() as {
      count: number
    }
    t.equal(count, 0)
    db.close()
  })
  await t.test('one of a newer version', async (t) => {
    const { dataDir, file } = await made(t)
    const db = new Database(file)
    db.exec("insert into kysely_migration (name, timestamp) values ('999-from-the-future', '2099')")
    db.close()
    t.match(await storeOf(t, { DATA_DIR: dataDir }), {
      ok: false,
      detail: /newer version/,
      hint: /later one/
    })
  })
  await t.test('one that another program has locked', async (t) => {
    const { dataDir, file } = await made(t)
    const db = new Database(file)
    db.exec('begin immediate')
    t.teardown(() => db.close())
    t.match(await storeOf(t, { DATA_DIR: dataDir }), { ok: false, detail: /SQLITE_BUSY/, hint: /locked/ })
  })
  await t.test('a damaged file', async (t) => {
    const dir = t.testdir({ 'bing-gateway.sqlite': 'CANARY no database '.repeat(100) })
    t.match(await storeOf(t, { DATA_DIR: dir }), { ok: false, detail: /SQLITE_NOTADB/, hint: /backup/ })
  })
  await t.test('a file in place of the folder', async (t) => {
    const dir = join(t.testdir({ file: '' }), 'file')
    t.match(await storeOf(t, { DATA_DIR: dir }), { ok: false, detail: /is no folder/ })
  })
  await t.test('a full disk', async (t) => {
    const step = await storeOf(t, {}, { leastFreeBytes: Number.MAX_SAFE_INTEGER })
    t.match(step, { ok: false, detail: /only \d+ [MG]B are free/, hint: /Make room/ })
  })
  await t.test('PostgreSQL', async (t) => {
    const DATABASE_URL = await (await startPostgres(t)).database()
    t.match(await storeOf(t, { DATABASE_URL }), {
      ok: true,
      detail: /PostgreSQL.* \d+ changes .* next start, writable/
    })
    await (await openStore({ databaseUrl: DATABASE_URL, dataDir: t.testdir({}) })).close()
    t.match(await storeOf(t, { DATABASE_URL }), { ok: true, detail: /tables up to date, writable/ })
    const wrong = new URL(DATABASE_URL)
    wrong.pathname = '/CANARY'
    t.match(await storeOf(t, { DATABASE_URL: wrong.href }), {
      ok: false,
      detail: /3D000/,
      hint: /Create the database/
    })
  })
  await t.test('PostgreSQL that is not there', async (t) => {
    const step = await storeOf(t, { DATABASE_URL: 'postgres://someone:CANARYpassword@127.0.0.1:1/db' })
    t.match(step, { ok: false, detail: /DATABASE_URL can't be used \(ECONNREFUSED\)/, hint: /server runs/ })
  })
})

t.test('whitelist and cookie', async (t) => {
  const sim = await simulator(t)
  const dir = t.testdir({
    bad: 'alice\nbob images=many\n',
    none: '# nobody\n',
    html: '<html>\n<p>CANARY</p>',
    export: JSON.stringify([{ domain: '.bing.com', name: '_U', value: COOKIE }])
  })
  const cases: { name: string; env: Environment; step: string; ok?: true; detail: RegExp }[] = [
    {
      name: 'no whitelist',
      env: { WHITELIST_FILE: join(dir, 'gone') },
      step: 'whitelist',
      detail: /is not there, so nobody/
    },
    { name: 'a folder for one', env: { WHITELIST_FILE: dir }, step: 'whitelist', detail: /EISDIR/ },
    {
      name: 'malformed',
      env: { WHITELIST_FILE: join(dir, 'bad') },
      step: 'whitelist',
      detail: /malformed: line 2: a limit must look/
    },
    {
      name: 'without users',
      env: { WHITELIST_FILE: join(dir, 'none') },
      step: 'whitelist',
      detail: /0 users/
    },
    { name: 'no cookie', env: { BING_COOKIE_U: '' }, step: 'cookie', detail: /No cookie is set/ },
    {
      name: 'a file that is not there',
      env: { BING_COOKIE_FILE: join(dir, 'gone') },
      step: 'cookie',
      detail: /BING_COOKIE_FILE: .* \(ENOENT\)/
    },
    {
      name: 'a file that holds something else',
      env: { BING_COOKIE_FILE: join(dir, 'html') },
      step: 'cookie',
      detail: /more than one line/
    },
    {
      name: 'without _U',
      env: { BING_COOKIE_U: `MUID=${OTHER}; SRCHD=${OTHER}` },
      step: 'cookie',
      detail: /Cookie header with 2 cookies, but none is called _U/
    },
    {
      name: 'bare',
      env: { BING_COOKIE_U: COOKIE },
      step: 'cookie',
      ok: true,
      detail: /bare _U value with 1 cookie/
    },
    {
      name: 'an export',
      env: { BING_COOKIE_FILE: join(dir, 'export') },
      step: 'cookie',
      ok: true,
      detail: /JSON export with 1 cookie/
    }
  ]
  for (const { name, env, step, ok, detail } of cases) {
    await t.test(name, async (t) => {
      const report = await diagnose(t, sim, settings(t, sim, env))
      const found = named(report, step) as Step
      t.equal(found.ok, ok ?? false)
      t.match(found.detail, detail)
      t.equal(report.ok, ok ?? false)
      if (ok !== undefined) return
      t.ok(found.hint, 'somebody is told what to do')
      t.equal(named(report, 'clock')?.ok, true, 'the rest is looked at all the same')
      t.equal(named(report, 'image-creator: landing page')?.skipped ?? false, step === 'cookie')
    })
  }
})

t.test('the way there', async (t) => {
  const sim = await simulator(t)
  const listening = async (server: Server) => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    return (server.address() as AddressInfo).port
  }
  const deaf = await listening(createServer((socket) => socket.on('error', () => {})))
  const rude = await listening(createServer((socket) => socket.destroy()))
  const wantsPassword = createHttpServer().on('connect', (_request, socket) =>
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n')
  )
  const asks = await listening(wantsPassword)
  const cases: (Omit<Case, 'sim'> & { env: Environment })[] = [
    {
      name: 'nobody listens',
      env: { BING_URL: 'http://127.0.0.1:1' },
      step: 'bing: reach',
      detail: /127\.0\.0\.1:1: connection: ECONNREFUSED \(before that: no name/,
      hint: /host and port of BING_URL/
    },
    {
      name: 'no such name',
      env: { BING_URL: 'http://nobody.invalid' },
      step: 'bing: reach',
      detail: /nobody\.invalid:80: name: E\w+/,
      hint: /DNS/
    },
    {
      name: 'no TLS',
      env: { BING_URL: `https://127.0.0.1:${sim.port}` },
      step: 'bing: reach',
      detail: /TLS: .*\(before that: .*TCP connected/,
      hint: /does not speak TLS/
    },
    {
      name: 'cut within TLS',
      env: { BING_URL: `https://127.0.0.1:${rude}` },
      step: 'bing: reach',
      detail: /TLS: /,
      hint: /blocked regions/
    },
    {
      name: 'TLS without an answer',
      env: { BING_URL: `https://127.0.0.1:${deaf}` },
      stepMs: 300,
      step: 'bing: reach',
      detail: /no end within 300 ms/,
      hint: /firewall/
    },
    {
      name: 'HTTP without an answer',
      env: { BING_URL: `http://127.0.0.1:${deaf}`, CHAT_TIMEOUT_MS: '300' },
      stepMs: 300,
      step: 'clock',
      detail: /no end within 300 ms/,
      hint: /firewall/
    },
    {
      name: 'no proxy there',
      env: { BING_URL: 'https://www.bing.com', HTTPS_PROXY: 'http://me:CANARYpw@127.0.0.1:1' },
      step: 'bing: reach',
      detail: /proxy: ECONNREFUSED/,
      hint: /HTTPS_PROXY can not be reached/
    },
    {
      name: 'a proxy that wants a password',
      env: { BING_URL: 'https://www.bing.com', HTTPS_PROXY: `http://127.0.0.1:${asks}` },
      step: 'bing: reach',
      detail: /proxy: CONNECT answered with 407/,
      hint: /user name and password/
    },
    {
      name: 'no media host',
      env: { BING_MEDIA_URL: 'http://127.0.0.1:1' },
      step: 'media: reach',
      detail: /ECONNREFUSED/,
      hint: /BING_MEDIA_URL/
    },
    {
      name: 'no hub',
      env: { BING_CHAT_URL: 'ws://127.0.0.1:1/hub' },
      step: 'sydney: reach',
      detail: /ECONNREFUSED/,
      hint: /BING_CHAT_URL/
    },
    {
      name: 'a hub without a name',
      env: { BING_CHAT_URL: 'wss://sydney.invalid/hub' },
      step: 'sydney: reach',
      detail: /name: /,
      hint: /CHAT_UPSTREAM=copilot/
    }
  ]
  for (const { name, env, stepMs = 15_000, step, detail, hint } of cases) {
    await t.test(name, async (t) => {
      sim.reset()
      const report = await diagnose(t, sim, settings(t, sim, env), { stepMs, spend: 'chat' })
      const found = broken(report)
      t.equal(found.name, step, found.detail)
      t.match(found.detail, detail)
      t.match(found.hint, hint as RegExp)
      t.equal(
        sim.counts['sydney.create'] ?? 0,
        env.BING_MEDIA_URL ? 1 : 0,
        'no conversation without a way to talk'
      )
    })
  }

  await t.test('a clock that is wrong', async (t) => {
    const ahead = { ...hurried, now: () => Date.now() + 3_600_000 }
    const report = await diagnose(t, sim, settings(t, sim), { clock: ahead })
    t.match(broken(report), { name: 'clock', detail: /3[56]\d\d s ahead/, hint: /NTP/ })
    const behind = { ...hurried, now: () => Date.now() - 3_600_000 }
    t.match(broken(await diagnose(t, sim, settings(t, sim), { clock: behind })).detail, /3[56]\d\d s behind/)
  })

  await t.test('stopped in the middle', async (t) => {
    sim.reset()
    sim.set('bootstrap', { stall: 'before' })
    const stop = new AbortController()
    const running = diagnose(t, sim, settings(t, sim), { signal: stop.signal })
    while ((sim.counts['creator.bootstrap'] ?? 0) === 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    stop.abort(new RunEnded('it was stopped'))
    const report = await running
    t.match(broken(report), { name: 'image-creator: landing page', detail: /when it was stopped/ })
    t.match(named(report, 'media: reach'), { ok: false, skipped: true, detail: /Not tried: it was stopped/ })
  })
})

t.test('what is said names things that exist', async (t) => {
  const files = { 'image-creator': creatorConstants, sydney: sydneyConstants, copilot: copilotConstants }
  for (const [protocol, advice] of Object.entries(ADVICE) as [
    keyof typeof ADVICE,
    (typeof ADVICE)['sydney']
  ][]) {
    for (const [row, { constants = [] }] of Object.entries(advice)) {
      t.ok(Object.hasOwn(FAILURES, row))
      for (const name of constants) t.ok(Object.hasOwn(files[protocol], name), `${protocol} ${row}: ${name}`)
    }
  }
})

t.test('shapes and secrets', async (t) => {
  t.equal(shapeOf(' '), 'empty body')
  t.equal(shapeOf('<!DOCTYPE html>x'), 'HTML of 16 characters')
  t.equal(
    shapeOf('{"a":"bc","d":[1],"e":{"f":1},"g":null,"h":2,"i j":true}'),
    'JSON { a: string(2), d: array[1], e: object{1}, g: null, h: number, (other): boolean }'
  )
  t.equal(shapeOf('[1,2]'), 'JSON array[2]')
  t.equal(shapeOf('{"a'), 'broken JSON of 3 characters')
  t.equal(shapeOf('hello'), 'text of 5 characters')
  t.equal(placeOf(`https://a.example/b/${'x'.repeat(40)}/c?d=e#f`), 'a.example/b/…/c')
  const { add, redact } = createSecrets()
  add('to"ken+1/', undefined, 'ab')
  t.strictSame(
    redact({ a: ['x to"ken+1/ y', 'to%22ken%2B1%2F', JSON.stringify('to"ken+1/')], ab: 1, n: null }),
    {
      a: ['x … y', '…', '"…"'],
      ab: 1,
      n: null
    }
  )
})

t.test('the command line', async (t) => {
  const sim = await simulator(t)
  const cli = async (t: Test, env: Environment, ...args: string[]) => {
    const { child, exited } = runCli(t, ['doctor', ...args], env)
    const output = { stdout: '', stderr: '' }
    child.stdout?.on('data', (chunk) => {
      output.stdout += chunk
    })
    child.stderr?.on('data', (chunk) => {
      output.stderr += chunk
    })
    const code = await exited
    t.notMatch(output.stdout + output.stderr, /CANARY/)
    return { code, ...output }
  }

  await t.test('one of everything, beside a running gateway', async (t) => {
    sim.set('media', { plain: true })
    sim.set('turn', { answer: WORDS })
    const env = settings(t, sim, { POLL_INTERVAL_MS: '20' })
    mkdirSync(env.DATA_DIR as string, { recursive: true })
    const gateway = await startProcess(t, env)
    const { code, stdout, stderr } = await cli(t, env, '--json', '--spend', 'all')
    t.strictSame([code, stderr], [0, ''], stdout)
    const report = JSON.parse(stdout) as Report
    t.equal(report.ok, true)
    t.notOk(report.steps.some(({ skipped }) => skipped))
    t.match(named(report, 'store')?.detail, /opened, tables up to date, writable/)
    const tasks = await (await fetch(`${gateway.url}/tasks`)).json()
    t.strictSame((tasks as { data: { tasks: unknown[] } }).data.tasks, [], 'it leaves nothing in the store')
    t.equal(await gateway.end('SIGTERM'), 0)
  })
  await t.test('bad settings are JSON too', async (t) => {
    const { code, stdout, stderr } = await cli(t, { PORT: 'CANARY' }, '--json')
    t.strictSame([code, stderr], [1, ''])
    t.match(JSON.parse(stdout), { ok: false, steps: [{ name: 'configuration', ok: false, detail: /PORT/ }] })
  })
  await t.test('for a person', async (t) => {
    sim.set('bootstrap', { page: 'signed-out' })
    const { code, stdout, stderr } = await cli(t, settings(t, sim))
    sim.reset()
    t.strictSame([code, stderr], [1, ''])
    t.match(stdout, /^ok {7}bing: reach – /m)
    t.match(
      stdout,
      /^failed {3}image-creator: signed-in marker – SIGNED_IN missed.*\n {9}What to do: Sign in/m
    )
    t.match(stdout, /^skipped {2}sydney: create – Not asked for/m)
    t.match(stdout, /^1 step failed: image-creator: signed-in marker\.$/m)
    t.notMatch(stdout, /\u001b/, 'no escape codes in a pipe')
  })
  await t.test('stopped with Ctrl-C', async (t) => {
    sim.reset()
    sim.set('bootstrap', { stall: 'before' })
    const { child, exited } = runCli(t, ['doctor', '--json'], settings(t, sim))
    let stdout = ''
    child.stdout?.on('data', (chunk) => {
      stdout += chunk
    })
    for (let n = 0; (sim.counts['creator.bootstrap'] ?? 0) === 0; n++) {
      if (n === 3000) throw new Error('the landing page was not asked for')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    child.kill('SIGINT')
    t.equal(await exited, 1)
    const report = JSON.parse(stdout) as Report
    t.match(broken(report), { name: 'image-creator: landing page', detail: /stopped by SIGINT/ })
    t.match(named(report, 'sydney: reach'), { ok: false, skipped: true, detail: /stopped by SIGINT/ })
  })
  await t.test('nothing else may be spent', async (t) => {
    const { code, stdout, stderr } = await cli(t, {}, '--spend', 'video')
    t.equal(code, 1)
    t.equal(stdout, '')
    t.match(stderr, /image, chat, all/)
  })
})
