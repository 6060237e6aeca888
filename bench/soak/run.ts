/**
 * `npm run soak`: a gateway as it is in use, for a long time, while a part of everything goes wrong.
 * MINUTES (default 20), SEED (default: another one each time), UPSTREAM (sydney or copilot), SHARE (default 0.1).
 */
import { randomInt } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { copyFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { seededRandom } from '../../src/simulator/creator/random.ts'
import { temporaryFolder } from '../folders.ts'
import { machine } from '../lines.ts'
import { endAll, type GatewayPeer, startGatewayPeer, USER } from '../processes.ts'
import { createClient } from './client.ts'
import { converse } from './conversations.ts'
import { create, type Promised } from './creations.ts'
import { createEpisodes } from './episodes.ts'
import { explain } from './explained.ts'
import { createFindings } from './findings.ts'
import { readLog } from './log.ts'
import { browse, probe } from './reads.ts'
import { type Sample, sample, watchProcess } from './samples.ts'
import { allTasks, checkSubmits, checkTasks, checkWebhooks, type EndedTask } from './settle.ts'
import { createStats, type Limits, type Soak, type User } from './soak.ts'
import { startUpstream } from './upstream.ts'
import { isBack, printVerdict } from './verdict.ts'
import { receiveWebhooks, WEBHOOK_SECRET } from './webhooks.ts'

const CONVERSATIONS = 50
const CREATORS = { image: 8, video: 4 }
const BROWSERS = 3
const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan']

/** Of the gateway. Short, so that a stall is over while the soak still runs. */
const TIMEOUTS_MS = { chat: 10_000, image: 20_000, video: 30_000 }
/** What a busy machine may add to any answer, in milliseconds. */
const SLACK_MS = 15_000
const LIMITS: Limits = {
  turnMs: TIMEOUTS_MS.chat + SLACK_MS,
  // Copies of finished pictures are made after the deadline; each has 20 s.
  imageMs: TIMEOUTS_MS.image + 20_000 + SLACK_MS,
  // A submit has two minutes.
  videoSubmitMs: 120_000 + SLACK_MS,
  taskMs: 60_000,
  readMs: SLACK_MS
}

const SAMPLE_MS = 2000
const PROGRESS_MS = 15_000
/** Of the whole time, in milliseconds: for everything to come to its end. */
const CALM_MS = 50_000
/** What is still under way so long after the load hangs on connections that are dead. */
const PATIENCE_MS = 12_000
/** Episodes come again after this long at the latest, each at its part of it. */
const CYCLE_MS = 240_000
const EPISODES_AT = [0.08, 0.25, 0.36, 0.42]
/** Time that each needs until it is over, circuits that it opened included, in milliseconds. */
const EPISODES_TAKE_MS = [15_000, 15_000, 15_000, 60_000]
const LONGEST_BACK_OFF_MS = 3000
/** Looks at an idle process, half a second apart, until it is as it was before. */
const LONGEST_IDLE = 20

const { MINUTES = '20', SEED = String(randomInt(2 ** 31)), UPSTREAM = 'sydney', SHARE = '0.1' } = process.env
const totalMs = Number(MINUTES) * 60_000
const seed = Number(SEED)
const share = Number(SHARE)
if (!(totalMs >= 20_000) || Number.isNaN(seed) || !(share >= 0 && share <= 1))
  fail('MINUTES is at least 0.4, SEED a number, SHARE from 0 to 1')
if (UPSTREAM !== 'sydney' && UPSTREAM !== 'copilot') fail('UPSTREAM is sydney or copilot')

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}

const startedAt = performance.now()
const elapsed = () => performance.now() - startedAt
const progress = (text: string) => console.error(`${(elapsed() / 1000).toFixed(0).padStart(5)} s  ${text}`)

async function main(): Promise<boolean> {
  // Hundreds of calls share a signal.
  setMaxListeners(0)
  const folder = temporaryFolder()
  const file = (name: string) => join(folder, name)
  const findings = createFindings()
  const stats = createStats()
  const upstream = await startUpstream(UPSTREAM as 'sydney' | 'copilot', seed, file)
  const { sim } = upstream
  const receiver = await receiveWebhooks(findings)
  writeFileSync(file('whitelist.txt'), `${[USER, ...NAMES].join('\n')}\n`)
  const gateway = await startGatewayPeer({
    upstream: sim.url,
    env: {
      ...upstream.env,
      WHITELIST_FILE: file('whitelist.txt'),
      CHAT_TIMEOUT_MS: String(TIMEOUTS_MS.chat),
      IMAGE_TIMEOUT_MS: String(TIMEOUTS_MS.image),
      VIDEO_TIMEOUT_MS: String(TIMEOUTS_MS.video),
      CHAT_WARM_SOCKETS: UPSTREAM === 'sydney' ? '16' : '',
      IMAGE_CONCURRENCY: '8',
      VIDEO_CONCURRENCY: '8',
      POLL_INTERVAL_MS: '400',
      WEBHOOK_SECRET,
      WEBHOOK_ALLOW_PRIVATE: 'true'
    }
  })
  const over = new AbortController()
  let exited: string | undefined
  gateway.child.once('exit', (code, signal) => {
    exited = `exit code ${code}, signal ${signal}`
    over.abort()
  })

  const client = createClient(gateway.url, findings)
  const random = seededRandom(seed)
  const soak: Soak = {
    sim,
    client,
    findings,
    explanations: explain(sim),
    stats,
    limits: LIMITS,
    users: [
      { id: USER, headers: { authorization: `Bearer ${gateway.key}` } },
      ...NAMES.map((id): User => ({ id, headers: { 'x-user-id': id } }))
    ],
    webhookUrl: receiver.url,
    promised: new Map<string, Promised>(),
    random,
    isOver: () => over.signal.aborted,
    rest: (ms) => pause(ms, undefined, { signal: over.signal }).catch(() => {}),
    backOff: ({ retryAfter }) =>
      soak.rest(Math.min(LONGEST_BACK_OFF_MS, (retryAfter ?? 0.3) * 1000) * (0.5 + random()))
  }

  progress(
    `gateway ${gateway.pid} at ${gateway.url}, ${UPSTREAM}, SEED=${seed}, ${share * 100} % of all calls go wrong`
  )
  await lastCalls(soak, 'before')
  const before = await idle(soak, gateway)

  // The load, in trouble.
  const loadMs = Math.max(0.5 * totalMs, totalMs - elapsed() - CALM_MS)
  const watch = watchProcess(gateway.url, SAMPLE_MS)
  const loadFrom = performance.now()
  upstream.trouble(share)
  const users = (n: number) => soak.users[n % soak.users.length] as User
  const work = [
    ...Array.from({ length: CONVERSATIONS }, (_, n) => converse(soak, n, users(n))),
    ...Array.from({ length: CREATORS.image }, (_, n) => create(soak, 'image', users(n))),
    ...Array.from({ length: CREATORS.video }, (_, n) => create(soak, 'video', users(n + 3))),
    ...Array.from({ length: BROWSERS }, () => browse(soak)),
    probe(soak)
  ]
  const report = setInterval(() => progress(line(soak, watch.latest)), PROGRESS_MS)
  const episodes = createEpisodes({ upstream, findings, stats, share, latest: () => watch.latest, progress })
  const cycleMs = Math.min(loadMs, CYCLE_MS)
  const played = (async () => {
    for (let cycle = 0; cycle * cycleMs < loadMs; cycle++) {
      for (const [n, episode] of episodes.entries()) {
        const at = (cycle + (EPISODES_AT[n] ?? 0)) * cycleMs
        if (loadMs - at < (EPISODES_TAKE_MS[n] ?? 0)) continue
        await soak.rest(at - (performance.now() - loadFrom))
        if (soak.isOver()) return
        await episode()
      }
    }
  })()
  await soak.rest(loadMs)
  over.abort()
  const samples = watch.samples.slice()
  if (exited !== undefined) {
    progress(`the gateway has ended by itself: ${exited}`)
    console.log(`FAIL  the gateway ran through: ${exited}`)
    keepLog(gateway)
    return false
  }

  // All is well again, and everything comes to its end.
  await played
  progress('the load is over; nothing goes wrong from here on')
  upstream.trouble(0)
  await until(soak, () => watch.latest?.processing === 0, PATIENCE_MS)
  // Whatever still waits for an answer that never comes.
  sim.cut()
  await Promise.all(work)
  await until(soak, () => watch.latest?.processing === 0, CALM_MS)
  // One that is half-open closes with the next good call.
  await until(soak, () => !watch.latest?.open.some((name) => name.endsWith(' open')), CALM_MS + 30_000)
  const tasks = await settled(soak, receiver.told)
  await lastCalls(soak, 'after')
  await until(soak, () => watch.latest?.states.length === 0, PATIENCE_MS)
  clearInterval(report)
  await watch.stop()
  await client.close()
  const after = await idle(soak, gateway, before)

  checkTasks(soak, tasks)
  checkSubmits(soak, sim)
  checkWebhooks(soak, tasks, soak.promised.values(), receiver.told)
  stats.add('webhooks received', receiver.received)
  const ranUntil = exited
  const exitCode = await stop(gateway)
  receiver.close()
  const counts = sim.counts
  await sim.close()

  const good = printVerdict({
    title: `${(elapsed() / 60_000).toFixed(1)} minutes, ${UPSTREAM}, SEED=${seed}, SHARE=${share}; ${machine()}`,
    findings,
    stats,
    statuses: client.statuses,
    faults: sim.faults,
    counts,
    violations: sim.violations,
    samples,
    before,
    after,
    missed: watch.missed,
    log: await readLog(gateway.output),
    exited: ranUntil,
    exitCode
  })
  if (!good) keepLog(gateway)
  return good
}

/** The folder of the run is removed at its end. */
function keepLog({ output }: GatewayPeer): void {
  const kept = join(tmpdir(), `bing-gateway-soak-${seed}.log`)
  copyFileSync(output, kept)
  console.log(`\nThe gateway's log: ${kept}`)
}

/** Waits until it holds, or for so long at most: what does not hold then is seen by the checks. */
async function until(soak: Soak, holds: () => boolean, ms: number): Promise<void> {
  const from = performance.now()
  while (!holds() && performance.now() - from < ms) await pause(100)
  if (!holds()) soak.stats.add('waits at the end that were given up')
}

/** The ended tasks, once those that want to be told of theirs have been. */
async function settled(soak: Soak, told: ReadonlyMap<string, string>): Promise<EndedTask[]> {
  const wanted = [...soak.promised.values()].filter(({ webhook }) => webhook)
  await until(soak, () => wanted.every(({ taskId }) => told.has(taskId)), PATIENCE_MS)
  return allTasks(soak)
}

/** One of everything, with nothing going wrong. */
async function lastCalls({ client, users, findings, limits }: Soak, when: string): Promise<void> {
  const [user] = users as [User]
  const call = (path: string, body: object, withinMs: number) =>
    client.call({ path, body, headers: user.headers, withinMs })
  const talk = async () => {
    const { json } = await call('/create_conversation', { userId: user.id }, limits.turnMs)
    return call('/chatgpt', { ...json, prompt: `Say ${when}` }, limits.turnMs)
  }
  const draw = () => call('/create/image', { query: `a boat ${when}` }, limits.imageMs)
  const shoot = async () => {
    const { json } = await call('/create/video', { query: `a film ${when}` }, limits.videoSubmitMs)
    const path = `/task/${json?.data?.taskId}`
    const headers = { ...user.headers, prefer: 'wait=30' }
    return client.call({ path, route: '/task/:id', headers, withinMs: limits.taskMs })
  }
  const [said, image, film] = await Promise.all([talk(), draw(), shoot()])
  if (said.json?.message === when && image.status === 200 && film.json?.data?.status === 'completed') return
  const what = `a good call each, ${when}`
  findings.note('episodes', { what, said: said.json, image: image.json, film: film.json })
}

/** The gateway with nobody about: all connections are gone, on both sides. @param like what it should be like then */
async function idle({ sim }: Soak, { url }: GatewayPeer, like?: Sample): Promise<Sample> {
  await pause(1000)
  sim.cut()
  // Sockets take a moment to close.
  for (let n = 0; ; n++) {
    await pause(500)
    const one = await sample(url)
    if (n === LONGEST_IDLE || (like === undefined ? n === 2 : isBack(one, like))) return one
  }
}

/** @returns the exit code after a SIGTERM, `null` when it had to be killed */
async function stop({ child }: GatewayPeer): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  child.kill('SIGTERM')
  const cut = setTimeout(() => child.kill('SIGKILL'), 20_000)
  const code = await ended
  clearTimeout(cut)
  return code
}

function line({ stats, promised, sim, findings }: Soak, latest: Sample | undefined): string {
  const found = findings.examples().length
  return [
    `${stats.get('turns: answered')} turns`,
    `${promised.size} creations`,
    `${sim.faults.length} faults`,
    `RSS ${latest?.rss.toFixed(0)} MB, heap ${latest?.heap.toFixed(0)} MB, ${latest?.fds} files, ${latest?.handles} handles`,
    `${latest?.processing} tasks under way`,
    latest?.open.length ? latest.open.join(', ') : 'all circuits closed',
    ...(found > 0 ? [`${found} FINDINGS`] : [])
  ].join('; ')
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
// Nothing may keep it from ending: twice its time is enough for whatever goes wrong.
setTimeout(() => fail('the soak did not come to its end'), 2 * totalMs + 120_000).unref()
let code = 2
try {
  code = (await main()) ? 0 : 1
} catch (error) {
  console.error(error)
}
endAll()
process.exit(code)
