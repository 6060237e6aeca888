import { setTimeout as pause } from 'node:timers/promises'
import { createGatewayClient } from '../gateway-client.ts'
import { openDirect } from '../hub-client.ts'
import type { Group, Line } from '../lines.ts'
import { startGatewayPeer, startSimulatorPeer, USER } from '../processes.ts'
import { percentile } from '../stats.ts'

/** What the simulator answers to this is known, and every number in it is another one. */
const PROMPT = 'Count to 60'
const EXPECTED = `Counting to 60: ${Array.from({ length: 60 }, (_, n) => n + 1).join(', ')}. ✅`

/** Time that both sides get between two turns, as people take it: the next socket is opened in it. */
const BETWEEN_MS = 5

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const simulator = await startSimulatorPeer()
  const gateway = await startGatewayPeer({ upstream: simulator.url })
  const client = createGatewayClient(gateway, USER, 1)
  const direct = await openDirect(simulator.url)
  const through = await client.open()
  let broken = 0

  /** One turn of each side; the socket of the direct one is opened before its clock starts. */
  async function both() {
    await direct.warm()
    await pause(BETWEEN_MS)
    const one = await direct.ask(PROMPT)
    await pause(BETWEEN_MS)
    const other = await through.stream(PROMPT)
    if (!other.isWhole || other.text !== EXPECTED || one.text !== EXPECTED) broken++
    return { direct: one, gateway: other }
  }

  progress('first tokens')
  // Two texts without a pause: as little as possible beside the first one.
  await simulator.set({ turn: { updateDelayMs: 0, charsPerUpdate: 150, maxTurns: 1_000_000 } })
  const first = { direct: [] as number[], gateway: [] as number[] }
  const warmUp = quick ? 5 : 80
  const turns = quick ? 20 : 300
  for (let n = 0; n < warmUp + turns; n++) {
    const turn = await both()
    if (n < warmUp) continue
    first.direct.push(turn.direct.firstMs)
    first.gateway.push(turn.gateway.firstMs)
  }

  progress('tokens')
  await simulator.set({ turn: { updateDelayMs: 4, charsPerUpdate: 6, maxTurns: 1_000_000 } })
  const gaps = { direct: [] as number[], gateway: [] as number[] }
  for (let n = 0; n < (quick ? 2 : 24); n++) {
    const turn = await both()
    gaps.direct.push(...turn.direct.gaps)
    gaps.gateway.push(...turn.gateway.gaps)
  }

  await simulator.counts()
  await client.close()
  await Promise.all([gateway.stop(), simulator.stop()])
  const ms = (values: number[]) =>
    [0.5, 0.99].map((share) => percentile(values, share).toFixed(2)).join(' / ')
  return [
    {
      what: 'streamed turn, added time to the first token, p50',
      value: percentile(first.gateway, 0.5) - percentile(first.direct, 0.5),
      unit: 'ms',
      target: { atMost: 3 },
      note: `p50 / p99: gateway ${ms(first.gateway)} ms, direct on a warm socket ${ms(first.direct)} ms`
    },
    {
      what: 'streamed turn, added time between two tokens, p99',
      value: percentile(gaps.gateway, 0.99) - percentile(gaps.direct, 0.99),
      unit: 'ms',
      target: { atMost: 2 },
      note: `p50 / p99: gateway ${ms(gaps.gateway)} ms, direct ${ms(gaps.direct)} ms`
    },
    {
      what: 'streamed turns with lost, doubled or reordered tokens',
      value: broken,
      unit: '',
      target: { atMost: 0 }
    }
  ]
}

export const firstToken: Group = {
  name: 'first-token',
  about:
    'POST /chatgpt as a stream, everything on as in latency; no network delay, the simulator in turn with and without the gateway',
  run
}
