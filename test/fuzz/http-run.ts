import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Agent, type Dispatcher } from 'undici'
import { startSimulator } from '../../src/simulator/index.ts'
import type { Store } from '../../src/store/database.ts'
import { call } from '../support/http.ts'
import { startPostgres } from '../support/postgres.ts'
import { runCli, startProcess } from '../support/process.ts'
import { readDocument } from './document.ts'
import { type Random, randomFrom, seedOf } from './random.ts'
import { answersIn, BROKEN_REQUESTS, rawRequest, sendRaw } from './raw-requests.ts'
import { createRequests, type FuzzRequest } from './requests.ts'
import { type FuzzAnswer, faultOf, type Rules } from './rules.ts'
import { createWorld, type Person } from './world.ts'

export interface HttpFuzzSettings {
  seed: number
  /** Requests in all. */
  count: number
  mode: 'whitelist' | 'key'
  engine: Store['engine']
}

export interface HttpReport {
  mode: HttpFuzzSettings['mode']
  requests: number
  raw: number
  statuses: Record<string, number>
  ms: number
  slowestMs: number
  /** What took that long. */
  slowest: string
  /** Resident memory of the gateway after a fifth of the requests, and at the end, in megabytes; NaN where nobody says. */
  rss: [number, number]
  failures: string[]
}

/** What a request may take. The simulated Bing answers at once; the machine may be busy. */
const DEADLINE_MS = 20_000
const AT_ONCE = 16
/** Share of the requests that are broken HTTP, over a connection of their own. */
const RAW_SHARE = 0.04
const MOST_FAILURES = 8
/** Resident memory that the gateway may take beyond what it had after a fifth of the requests, in megabytes. */
const MAX_GROWTH_MB = 256

const COOKIE = 'CANARYfuzzCookie5d1'
const WEBHOOK_SECRET = `whsec_${Buffer.from('CANARY of the fuzzing, 32 bytes long').toString('base64')}`

/** Asks a gateway that runs as a process of its own, over a simulator that is well, for what it should refuse. */
export async function fuzzHttp(
  t: Test,
  { seed, count, mode, engine }: HttpFuzzSettings
): Promise<HttpReport> {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const sim = await startSimulator({ cookies: [COOKIE] })
  sim.set('media', { plain: true })
  sim.set('poll', { pendingPolls: 0, images: 1 })
  sim.set('videoPoll', { pendingPolls: 0 })
  sim.set('turn', { charsPerUpdate: 0, updateDelayMs: 0, maxTurns: 1_000_000 })
  const hooks = createServer((_req, res) => res.writeHead(204).end()).listen(0, '127.0.0.1')
  await once(hooks, 'listening')
  t.teardown(async () => {
    await sim.close()
    hooks.closeAllConnections()
    await new Promise((resolve) => hooks.close(resolve))
    rmSync(dir, { recursive: true, force: true })
  })
  writeFileSync(join(dir, 'whitelist.txt'), 'alice\nbob\n')
  const database = engine === 'postgres' ? await (await startPostgres(t)).database() : undefined
  const env = {
    BING_URL: sim.url,
    BING_MEDIA_URL: sim.url,
    BING_CHAT_URL: sim.chatUrl,
    BING_COOKIE_U: COOKIE,
    WEBHOOK_SECRET,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    DATA_DIR: dir,
    WHITELIST_FILE: join(dir, 'whitelist.txt'),
    AUTH_MODE: mode,
    TRUST_PROXY: '127.0.0.1',
    POLL_INTERVAL_MS: '10',
    IMAGE_CONCURRENCY: '0',
    VIDEO_CONCURRENCY: '0',
    CHAT_CONCURRENCY: '0',
    LOG_LEVEL: 'trace',
    ...(database === undefined ? {} : { DATABASE_URL: database })
  }
  const keys = await keysFor(t, env, ['alice', 'bob'])
  const gateway = await startProcess(t, env)
  const agent = new Agent({ connections: AT_ONCE, pipelining: 1, bodyTimeout: 0, headersTimeout: 0 })
  t.teardown(() => agent.destroy())

  const hookUrl = `http://127.0.0.1:${(hooks.address() as AddressInfo).port}/`
  const world = createWorld(people(mode, keys), hookUrl)
  const { operations, errorFault } = readDocument()
  const secrets = new Map([
    ['the cookie', COOKIE],
    ['the webhook secret', WEBHOOK_SECRET.slice('whsec_'.length)],
    ['the key of alice', keys.alice as string],
    ['the key of bob', keys.bob as string]
  ])
  const rules: Rules = { operations, errorFault, secrets }
  const requests = createRequests(operations, world)
  const report: HttpReport = {
    mode,
    requests: count,
    raw: 0,
    statuses: {},
    ms: 0,
    slowestMs: 0,
    slowest: '',
    rss: [Number.NaN, Number.NaN],
    failures: []
  }
  const fail = (index: number, what: string) =>
    report.failures.push(`${what}\n  request ${index} of SEED=${seed} (${mode}, ${engine})`)

  async function ask(request: FuzzRequest): Promise<FuzzAnswer> {
    const { statusCode, headers, body } = await agent.request({
      origin: gateway.url,
      method: request.method as Dispatcher.HttpMethod,
      path: request.path,
      headers: request.headers.flat(),
      body: request.body ?? null,
      signal: AbortSignal.timeout(DEADLINE_MS)
    })
    return { status: statusCode, headers, text: await body.text() }
  }

  /** What is wrong with the answer to a request; nothing, mostly. */
  async function faultAfter(request: FuzzRequest): Promise<string | undefined> {
    let answer: FuzzAnswer
    try {
      answer = await ask(request)
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException
      // undici itself refuses what can't be sent; that is the business of the raw ones.
      if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') return undefined
      // A gateway that does not want to hear the end of a body that is too large hangs up.
      if ((request.body?.length ?? 0) > 1_000_000 && /RESET|SOCKET|EPIPE/.test(String(code))) return undefined
      return `no answer: ${name} ${code}`
    }
    report.statuses[answer.status] = (report.statuses[answer.status] ?? 0) + 1
    const fault = faultOf(request, answer, rules)
    const { userId } = request.person
    if (
      request.method !== 'HEAD' &&
      answer.status === 200 &&
      userId !== undefined &&
      String(answer.headers['content-type']).includes('json')
    )
      world.learn(userId, JSON.parse(answer.text))
    return fault === undefined
      ? undefined
      : `${fault}\n  answer: ${answer.status} ${answer.text.slice(0, 500)}`
  }

  async function one(index: number, random: Random): Promise<void> {
    const startedAt = performance.now()
    let what = 'bytes'
    // Each of the known ones once, then changed ones.
    const known = BROKEN_REQUESTS[index]
    if (known !== undefined || random.chance(RAW_SHARE)) {
      report.raw += 1
      const bytes = known ?? rawRequest(random)
      const [problem] = await rawFaults(gateway.url, bytes, random, rules)
      if (problem !== undefined)
        fail(index, `${problem}\n  bytes (base64): ${bytes.toString('base64').slice(0, 4000)}`)
    } else {
      const request = requests.next(random)
      what = describe(request)
      const fault = await faultAfter(request)
      if (fault !== undefined) {
        const smaller = await smallest(request, fault, faultAfter)
        fail(index, `${fault}\n  ${describe(smaller)}${whatTheLogSays(fault, gateway.output())}`)
      }
    }
    const ms = performance.now() - startedAt
    if (ms > report.slowestMs) Object.assign(report, { slowestMs: ms, slowest: what })
  }

  // Something to ask for, for each of them.
  for (const person of world.people.filter(({ userId }) => userId !== undefined)) {
    const headers = Object.fromEntries(person.headers)
    const make = async (path: string, body: object) => {
      const reply = await call(`${gateway.url}${path}`, { body, headers: { ...headers, prefer: 'wait=60' } })
      if (reply.status !== 200) throw new Error(`${path} answered ${reply.status}: ${reply.text}`)
      world.learn(person.userId as string, reply.json)
    }
    await make('/create_conversation', { userId: person.userId })
    await make('/create/image', { query: 'a fox' })
    await make('/create/video', { query: 'a fox that runs' })
  }

  const startedAt = performance.now()
  let next = 0
  const isOver = () =>
    next >= count || report.failures.length >= MOST_FAILURES || gateway.child.exitCode !== null
  async function work(): Promise<void> {
    while (!isOver()) {
      const index = next++
      if (index === Math.floor(count / 5)) report.rss[0] = rssOf(gateway.child.pid)
      await one(index, randomFrom(seedOf(seed, mode, index)))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  report.ms = performance.now() - startedAt
  report.rss[1] = rssOf(gateway.child.pid)
  // NaN compares as false: where nobody says, nothing is known.
  if (report.rss[1] > report.rss[0] + MAX_GROWTH_MB)
    fail(next, `memory has grown: ${report.rss.join(' MB, ')} MB`)

  if (gateway.child.exitCode !== null) fail(next, `the gateway ended: ${gateway.output().slice(-2000)}`)
  else if ((await call(`${gateway.url}/livez`)).status !== 200) fail(next, '/livez is not well')
  else if ((await call(`${gateway.url}/readyz`)).status !== 200) fail(next, '/readyz is not well')
  for (const [name, secret] of secrets)
    if (gateway.output().includes(secret)) fail(next, `${name} is in the log`)
  for (const { credentials } of world.things.conversation)
    if (gateway.output().includes(credentials?.conversationSignature as string))
      fail(next, 'a signature is in the log')
  for (const { detail } of sim.violations.slice(0, 3)) fail(next, `Bing was asked wrongly: ${detail}`)
  const code = gateway.child.exitCode === null ? await gateway.end('SIGTERM') : 0
  if (code !== 0) fail(next, `the gateway ended with ${code} when it was told to`)
  return report
}

async function rawFaults(url: string, bytes: Buffer, random: Random, rules: Rules): Promise<string[]> {
  let received: Buffer
  try {
    received = await sendRaw(url, bytes, random, DEADLINE_MS)
  } catch (error) {
    return [(error as Error).message]
  }
  const faults: string[] = []
  for (const { status, headers, text } of answersIn(received)) {
    if (status === 500) faults.push(`answered with 500: ${text}`)
    else if (Number.isNaN(status))
      faults.push(`no answer of HTTP: ${received.toString('latin1').slice(0, 300)}`)
    else if (status < 200) continue
    else if (headers['x-request-id'] === undefined) faults.push(`${status} without x-request-id`)
    else if (status >= 400 && text !== '' && rules.errorFault(JSON.parse(text)) !== undefined)
      faults.push(`${status} with another body: ${text}`)
  }
  return faults
}

/** Who calls: by name or by key, and some who may not. */
function people(mode: HttpFuzzSettings['mode'], keys: Record<string, string>): Person[] {
  const known = ['alice', 'bob'].flatMap((userId): Person[] => [
    { userId, headers: [['x-api-key', keys[userId] as string]] },
    { userId, headers: [['authorization', `Bearer ${keys[userId]}`]] },
    ...(mode === 'key'
      ? []
      : ([
          { userId, headers: [['x-user-id', userId]] },
          { userId, headers: [['authorization', `Bearer ${userId}`]] }
        ] as Person[]))
  ])
  return [
    ...known,
    { userId: undefined, headers: [] },
    { userId: undefined, headers: [['x-user-id', 'mallory']] },
    { userId: undefined, headers: [['x-api-key', 'bgw_0123456789012345678901234567890123456789012']] }
  ]
}

async function keysFor(
  t: Test,
  env: Record<string, string>,
  users: string[]
): Promise<Record<string, string>> {
  const entries = await Promise.all(
    users.map(async (user) => {
      const { output, exited } = runCli(t, ['keys', 'create', user, '--json'], env)
      if ((await exited) !== 0) throw new Error(output())
      return [user, JSON.parse(/\{[\s\S]*\}/.exec(output())?.[0] ?? '').key]
    })
  )
  return Object.fromEntries(entries)
}

/** Leaves out headers, query and body, as long as the answer stays as wrong. */
async function smallest(
  request: FuzzRequest,
  fault: string,
  faultAfter: (request: FuzzRequest) => Promise<string | undefined>
): Promise<FuzzRequest> {
  const kind = fault.split('\n', 1)[0]
  let best = request
  const attempt = async (smaller: FuzzRequest) => {
    if ((await faultAfter(smaller))?.split('\n', 1)[0] === kind) best = smaller
  }
  for (const header of request.headers)
    await attempt({ ...best, headers: best.headers.filter((one) => one !== header) })
  await attempt({ ...best, path: best.path.split('?')[0] as string })
  await attempt({ ...best, body: undefined })
  return best
}

/** A request as somebody can send it again. */
function describe({ method, path, headers, body }: FuzzRequest): string {
  const shown = headers
    .filter(([name]) => name !== 'x-forwarded-for')
    .map(([name, value]) => ` -H ${JSON.stringify(`${name}: ${value.slice(0, 300)}`)}`)
  const text =
    body === undefined
      ? ''
      : ` --data-binary ${JSON.stringify(body.toString().slice(0, 300))} (${body.length} bytes)`
  return `${method} ${path.slice(0, 300)}${shown.join('')}${text}`
}

/** The last error in the log, for a defect. */
function whatTheLogSays(fault: string, output: string): string {
  if (!/^(answered with|a defect)/.test(fault)) return ''
  const line = output
    .trimEnd()
    .split('\n')
    .findLast((text) => /"level":(50|40)/.test(text))
  return line === undefined ? '' : `\n  log: ${line.slice(0, 2000)}`
}

/** Resident memory in megabytes; NaN where the system does not say. */
function rssOf(pid: number | undefined): number {
  try {
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Math.round(Number(kilobytes) / 1024)
  } catch {
    return Number.NaN
  }
}

export function httpTable({
  mode,
  requests,
  raw,
  statuses,
  ms,
  slowestMs,
  slowest,
  rss,
  failures
}: HttpReport): string {
  const lines: [string, string][] = [
    ['mode', mode],
    ['requests, of them broken HTTP', `${requests}, ${raw}`],
    [
      'answers by status',
      Object.entries(statuses)
        .map((entry) => entry.join(': '))
        .join(', ')
    ],
    ['time', `${(ms / 1000).toFixed(0)} s, the slowest request ${(slowestMs / 1000).toFixed(1)} s`],
    ['which was', slowest.replaceAll('|', '¦')],
    ['resident memory after a fifth, at the end', `${rss[0]} MB, ${rss[1]} MB`],
    ['failures', String(failures.length)]
  ]
  return ['| | |', '| --- | --- |', ...lines.map(([name, value]) => `| ${name} | ${value} |`)].join('\n')
}
