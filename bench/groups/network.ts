import { setTimeout as pause } from 'node:timers/promises'
import { createGatewayClient } from '../gateway-client.ts'
import { openDirect } from '../hub-client.ts'
import type { Group, Line } from '../lines.ts'
import { startGatewayPeer, startOwnPeer, startSimulatorPeer, USER } from '../processes.ts'
import { median } from '../stats.ts'

const ONE_WAY_MS = 50
const ROUND_TRIP_MS = 2 * ONE_WAY_MS
const THINK_MS = 40
const PROMPT = 'Say a few words'
/** A person reads an answer, or writes a question, at least this long. */
const PERSON_MS = 600

const TURN = { thinkMs: THINK_MS, updateDelayMs: 0, charsPerUpdate: 0, maxTurns: 1_000_000 }

type Signatures = 'body' | 'headers'

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const rounds = quick ? 1 : 5
  const personMs = quick ? 300 : PERSON_MS
  const simulator = await startSimulatorPeer({ turn: TURN })
  const link = await startOwnPeer('slow-link', [new URL(simulator.url).port, String(ONE_WAY_MS)])

  // What the first text takes without gateway and without distance: the think time as it really is.
  const near = await openDirect(simulator.url)
  const thinks: number[] = []

  /** Each measured in its own gateway: what it knows of sockets is that of the one kind. */
  async function measure(signatures: Signatures) {
    await simulator.set({ turn: TURN, create: { signatures } })
    const gateway = await startGatewayPeer({ upstream: link.url })
    const client = createGatewayClient(gateway, USER, 4)
    // The first conversation brings the connections up, and compiles the code.
    const first = await client.open()
    for (let n = 0; n < 3; n++) {
      await first.stream(PROMPT)
      await near.warm()
      await near.ask(PROMPT)
      await pause(personMs)
    }
    const later: number[] = []
    const atOnce: number[] = []
    const afterPause: number[] = []
    for (let round = 0; round < rounds; round++) {
      progress(`signatures in the ${signatures}, round ${round + 1} of ${rounds}`)
      const [one, other] = [await client.open(), await client.open()]
      await pause(personMs)
      afterPause.push(one.ms + (await one.stream(PROMPT)).firstMs)
      await pause(personMs)
      later.push((await one.stream(PROMPT)).firstMs)
      await other.stream(PROMPT)
      await near.warm()
      await pause(personMs)
      thinks.push((await near.ask(PROMPT)).firstMs)
      const fresh = await client.open()
      atOnce.push(fresh.ms + (await fresh.stream(PROMPT)).firstMs)
    }
    await client.close()
    await gateway.stop()
    return { later: median(later), atOnce: median(atOnce), afterPause: median(afterPause) }
  }

  const inHeaders = await measure('headers')
  const inBody = await measure('body')
  await simulator.counts()
  await Promise.all([link.stop(), simulator.stop()])

  const think = median(thinks)
  const beyond = (ms: number, roundTrips: number) => ms - roundTrips * ROUND_TRIP_MS - think
  const note = (ms: number) =>
    `${ms.toFixed(0)} ms; think time, as measured without distance: ${think.toFixed(0)} ms`
  return [
    {
      what: 'later turn, first token beyond 1 round trip + think time',
      value: beyond(inHeaders.later, 1),
      unit: 'ms',
      target: { atMost: 10 },
      note: `the hub's token in headers, as since October 2023; 0.6 s between the turns; ${note(inHeaders.later)}`
    },
    {
      what: 'later turn, first token beyond 1 round trip + think time, no token',
      value: beyond(inBody.later, 1),
      unit: 'ms',
      target: { atMost: 10 },
      note: note(inBody.later)
    },
    {
      what: 'create_conversation + first turn, beyond 2 round trips + think time, no token',
      value: beyond(inBody.atOnce, 2),
      unit: 'ms',
      target: { atMost: 20 },
      note: `the turn at once after the create; ${note(inBody.atOnce)}`
    },
    {
      what: 'create_conversation + first turn, beyond 2 round trips + think time, token in headers, 0.6 s between',
      value: beyond(inHeaders.afterPause, 2),
      unit: 'ms',
      target: { atMost: 20 },
      note: `the pause is not counted; ${note(inHeaders.afterPause)}`
    },
    {
      what: 'create_conversation + first turn, beyond 2 round trips + think time, token in headers, at once',
      value: beyond(inHeaders.atOnce, 2),
      unit: 'ms',
      note: `no target: the socket needs the token that the create brings, so connect, upgrade and handshake come after it; ${note(inHeaders.atOnce)}`
    }
  ]
}

export const network: Group = {
  name: 'network',
  about: `streamed turns, the upstream ${ONE_WAY_MS} ms away in each direction (connects, upgrades and messages alike; no TLS), the caller near`,
  run
}
