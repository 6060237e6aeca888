/**
 * docs/protocol/failures.md section 1, rows T1, T2 and T3 where they happen: before anything is sent, and while the gateway
 * looks at a creation.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { startSimulator } from '../../../src/simulator/index.ts'
import { type ChatRig, chatRig, checkRefusal, type Manner, prompt } from '../chat-failures.ts'
import {
  checkAnswer,
  checkPeace,
  type FailureRig,
  failureRig,
  REGION,
  UNREACHABLE,
  type Want
} from '../failure-table.ts'
import { type Answer, COOKIE, type Gateway, USER } from '../gateway.ts'
import { type Column, type Group, group, outcomeOf, type PlayedOn, taskOutcome } from './cell.ts'
import { columnOf, MANNERS } from './chat-cells.ts'
import { finished } from './creations.ts'

/** A stretch of network between the gateway and the simulator that can be taken away. */
export interface Relay {
  port: number
  /** Resets each new connection at once. */
  resets: boolean
  /** On so many of the next connections a page drips in that never ends. */
  drips: number
  open(): Promise<void>
  /** Ends the connections that there are. */
  cut(): Promise<void>
  /** Refuses connections. */
  close(): Promise<void>
}

/** Answers a request with a page of which a byte comes now and then. */
function drip(socket: Socket): void {
  socket.once('data', () => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n')
    const timer = setInterval(() => socket.write('<'), 20)
    socket.once('close', () => clearInterval(timer))
  })
}

async function startRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    if (relay.resets) return void socket.resetAndDestroy()
    if (relay.drips > 0) {
      relay.drips -= 1
      sockets.add(socket.on('error', () => {}))
      return drip(socket)
    }
    const onward = connect(to, '127.0.0.1')
    for (const end of [socket, onward]) {
      sockets.add(end)
      end.on('error', () => {}).once('close', () => sockets.delete(end))
    }
    socket.pipe(onward).pipe(socket)
  })
  const relay: Relay = {
    port: 0,
    resets: false,
    drips: 0,
    async open() {
      server.listen(relay.port, '127.0.0.1')
      await once(server, 'listening')
      relay.port = (server.address() as AddressInfo).port
    },
    async cut() {
      for (const socket of sockets) socket.destroy()
      // The gateway's end has to hear of it.
      await new Promise((resolve) => setTimeout(resolve, 10))
    },
    async close() {
      server.close()
      await relay.cut()
    }
  }
  await relay.open()
  return relay
}

async function relayed(t: Test) {
  const sim = await startSimulator({ cookies: [COOKIE] })
  const relay = await startRelay(sim.port)
  t.teardown(async () => {
    await relay.close()
    await sim.close()
  })
  return { sim, relay }
}

export type Relayed<R> = R & { relay: Relay }

/** A gateway that reaches Bing's pages over a relay. */
export async function relayRig(t: Test, speed?: number): Promise<Relayed<FailureRig>> {
  const { sim, relay } = await relayed(t)
  const config = { BING_URL: `http://127.0.0.1:${relay.port}` }
  return { ...(await failureRig(t, { sim, speed, config })), relay }
}

/** A gateway that reaches the chat hub over a relay. */
async function relayedHub(t: Test): Promise<Relayed<ChatRig>> {
  const { sim, relay } = await relayed(t)
  const BING_CHAT_URL = sim.chatUrl.replace(String(sim.port), String(relay.port))
  return { ...(await chatRig(t, { sim, config: { BING_CHAT_URL } })), relay }
}

const countLines = (log: string, ...parts: string[]) =>
  log.split('\n').filter((line) => parts.every((part) => line.includes(part))).length

/** Requests that the gateway tried to make, answered or not. */
export function attempts(rig: Pick<Gateway, 'log'>, path: string): number {
  return countLines(rig.log(), '"upstream exchange"', `"path":"${path}"`)
}

/** How the network is taken away, what comes of it, and how often that is tried. */
const AWAY = [
  {
    row: 'T1',
    form: 'connection refused',
    want: UNREACHABLE,
    times: 3,
    away: (relay: Relay) => relay.close()
  },
  {
    row: 'T3',
    form: 'reset when connecting',
    want: { ...REGION, retryAfter: 60 } as Want,
    times: 2,
    async away(relay: Relay) {
      relay.resets = true
      await relay.cut()
    }
  }
] as const

async function back(relay: Relay, row: string): Promise<void> {
  relay.resets = false
  if (row === 'T1') await relay.open()
}

const startConversation = (rig: FailureRig) => rig.post('/create_conversation', { userId: USER })
const CALLS: { column: Column; name: string; path: string; call: (rig: FailureRig) => Promise<Answer> }[] = [
  { column: 'chat plain', name: 'create', path: '/turing/conversation/create', call: startConversation },
  { column: 'image', name: 'bootstrap', path: '/images/create', call: (rig) => rig.image() },
  { column: 'video submit', name: 'bootstrap', path: '/images/create', call: (rig) => rig.video() }
]

const pages = AWAY.flatMap(({ row, form, want, times, away }) =>
  CALLS.map(
    ({ column, name, path, call }): PlayedOn<Relayed<FailureRig>> => ({
      row,
      form: `${name}: ${form}`,
      column,
      async play(t, rig) {
        rig.freshSession()
        await away(rig.relay)
        const before = attempts(rig, path)
        const answer = await call(rig)
        checkAnswer(t, row, answer, want)
        const tried = attempts(rig, path) - before
        t.equal(tried, times, 'tried')
        await back(rig.relay, row)
        const good = await call(rig)
        t.equal(good.status, 200, `the next one works: ${good.text}`)
        await finished(rig, good)
        return outcomeOf(answer, tried)
      }
    })
  )
)

const turns = AWAY.flatMap(({ row, form, want, times, away }) =>
  MANNERS.map(
    (manner): PlayedOn<Relayed<ChatRig>> => ({
      row,
      form: `hub: ${form}`,
      column: columnOf(manner),
      play: (t, rig) => playTurn(t, rig, { row, want, times, away }, manner)
    })
  )
)

async function playTurn(
  t: Test,
  rig: Relayed<ChatRig>,
  { row, want, times, away }: Omit<(typeof AWAY)[number], 'form'>,
  manner: Manner
) {
  const identity = await rig.conversationAt(t, 1)
  await away(rig.relay)
  const before = countLines(rig.log(), '"turn repeated"')
  const answer = await rig.ask(identity, { prompt: prompt(1), invocationId: 1 }, manner)
  checkRefusal(t, { row, want }, answer, manner)
  const tried = 1 + countLines(rig.log(), '"turn repeated"') - before
  t.equal(tried, times, 'tried')
  await back(rig.relay, row)
  await rig.answered(t, identity, 1)
  return outcomeOf(answer, tried)
}

/** The network goes while a creation is at Bing, and comes back. */
const looks = AWAY.flatMap(({ row, form, away }) =>
  (['image', 'video'] as const).map(
    (kind): PlayedOn<Relayed<FailureRig>> => ({
      row,
      form: kind === 'image' ? `poll: ${form}` : form,
      column: kind === 'image' ? 'image' : 'video poll',
      async play(t, rig) {
        const op = kind === 'image' ? 'poll' : 'videoPoll'
        const counter = kind === 'image' ? 'creator.poll' : 'creator.video.poll'
        rig.sim.reset()
        rig.sim.set(op, { neverReady: true })
        const creation = rig[kind]()
        await rig.until(counter, 1)
        await away(rig.relay)
        const before = countLines(rig.log(), '"look failed"')
        for (let n = 0; countLines(rig.log(), '"look failed"') < before + 2; n++) {
          if (n === 2000) throw new Error('nobody looked')
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        rig.sim.set(op, {})
        await back(rig.relay, row)
        const answer = await creation
        t.equal(answer.status, 200, answer.text)
        t.match(rig.seen(), { submits: 1, accepted: 1 })
        if (kind === 'image') return { ...outcomeOf(answer, 1), got: '200 when it is back' }
        const task = await rig.ended(answer.json.data.taskId)
        t.equal(task.status, 'completed')
        return { ...taskOutcome(task, 1), got: 'task waits, then completed' }
      }
    })
  )
)

const OPTIONS = { end: (t: Test, rig: Gateway) => checkPeace(t, rig) }

/** Not the TLS that was expected. */
const tls = group(
  'network: no TLS',
  async (t) => {
    const sim = await startSimulator({ cookies: [COOKIE] })
    t.teardown(() => sim.close())
    return failureRig(t, { sim, config: { BING_URL: sim.url.replace('http:', 'https:') } })
  },
  CALLS.map(
    ({ column, name, path, call }): PlayedOn<FailureRig> => ({
      row: 'T1',
      form: `${name}: not TLS`,
      column,
      async play(t, rig) {
        const before = attempts(rig, path)
        const answer = await call(rig)
        checkAnswer(t, name, answer, UNREACHABLE)
        return outcomeOf(answer, attempts(rig, path) - before)
      }
    })
  )
)

/**
 * A port on which nobody takes connections, nor refuses them: a listener that has been stopped, with a full queue. Linux
 * drops what comes then, as a firewall does.
 */
async function startDeafPort(t: Test): Promise<number> {
  const script =
    "const s = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => console.log(s.address().port))"
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  const port = Number(String(line))
  const waiting = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => {
    for (const socket of waiting) socket.destroy()
    child.kill('SIGKILL')
  })
  await once(waiting[0] as Socket, 'connect')
  return port
}

/** Takes twice the 10 s of real time that a connection gets; on Linux. */
const deaf = CALLS.map(({ column, name, path, call }) =>
  group(
    `network: a connect timeout, ${column}`,
    async (t) => {
      const BING_URL = `http://127.0.0.1:${await startDeafPort(t)}`
      // What runs in real time must not meet a deadline that doesn't.
      return failureRig(t, { speed: 1, config: { BING_URL } })
    },
    [
      {
        row: 'T2',
        form: name,
        column,
        async play(t, rig) {
          const answer = await call(rig)
          checkAnswer(t, 'T2', answer, { ...UNREACHABLE, retryAfter: 60 })
          const tried = attempts(rig, path)
          t.equal(tried, 2, 'tried')
          return outcomeOf(answer, tried)
        }
      }
    ]
  )
)

export const networkGroups: readonly Group[] = [
  group('network: Bing is away', relayRig, pages, OPTIONS),
  group('network: the hub is away', relayedHub, turns, OPTIONS),
  group('network: Bing is away while it works', relayRig, looks, OPTIONS),
  tls
]

/** Half a minute: not part of `npm test`. */
export const slowGroups: readonly Group[] = process.platform === 'linux' ? deaf : []
