import { setTimeout as pause } from 'node:timers/promises'
import { createGatewayClient, type GatewayConversation } from '../gateway-client.ts'
import { type DirectConversation, openDirect } from '../hub-client.ts'
import type { Group, Line } from '../lines.ts'
import { startGatewayPeer, startSimulatorPeer, USER } from '../processes.ts'
import { percentile } from '../stats.ts'

const CONCURRENT = 16
const PROMPT = 'Say a few words'

/** Time that both sides get between two turns of a conversation, as people take it: the next socket is opened in it. */
const BETWEEN_MS = 5

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const sequential = quick ? 20 : 400
  const blocks = quick ? 2 : 8
  const turnsPerBlock = quick ? 2 : 8
  const simulator = await startSimulatorPeer({
    // The whole answer at once, without any pause: what remains is the work.
    turn: { updateDelayMs: 0, charsPerUpdate: 0, maxTurns: 1_000_000 }
  })
  const gateway = await startGatewayPeer({ upstream: simulator.url })
  const client = createGatewayClient(gateway, USER, CONCURRENT)

  progress('one after another')
  const direct: number[] = []
  const cold: number[] = []
  const through: number[] = []
  const conversations = await pairs(simulator.url, client, 1)
  const [pair] = conversations as [Pair]
  const warmUp = quick ? 5 : 80
  for (let n = 0; n < warmUp + sequential; n++) {
    const turn = [await directTurn(pair.direct), await gatewayTurn(pair.gateway)] as const
    if (n < warmUp) continue
    direct.push(turn[0])
    through.push(turn[1])
    // Now and then, what a program without a warm socket would see.
    if (n % 10 === 0) cold.push((await pair.direct.ask(PROMPT)).ms)
  }

  progress(`${CONCURRENT} at once`)
  const many = await pairs(simulator.url, client, CONCURRENT)
  const crowd = { direct: [] as number[], through: [] as number[] }
  for (let block = -1; block < blocks; block++) {
    const sides = [
      async (into: typeof crowd) =>
        into.direct.push(...(await together(many, ({ direct }) => directTurn(direct), turnsPerBlock))),
      async (into: typeof crowd) =>
        into.through.push(...(await together(many, ({ gateway }) => gatewayTurn(gateway), turnsPerBlock)))
    ]
    // The first block compiles the code.
    const into = block < 0 ? { direct: [], through: [] } : crowd
    for (const side of block % 2 === 0 ? sides : sides.toReversed()) await side(into)
  }

  await simulator.counts()
  await client.close()
  await Promise.all([gateway.stop(), simulator.stop()])
  const added = (share: number) => percentile(through, share) - percentile(direct, share)
  const ms = (values: number[]) =>
    [0.5, 0.99].map((share) => percentile(values, share).toFixed(2)).join(' / ')
  return [
    {
      what: 'non-streamed turn, added latency, p50',
      value: added(0.5),
      unit: 'ms',
      target: { atMost: 2 },
      note: `p50 / p99: gateway ${ms(through)} ms, direct on a warm socket ${ms(direct)} ms, direct with a new socket for the turn ${ms(cold)} ms`
    },
    {
      what: 'non-streamed turn, added latency, p99',
      value: added(0.99),
      unit: 'ms',
      target: { atMost: 6 }
    },
    {
      what: `non-streamed turn, ${CONCURRENT} at once, added latency, p99`,
      value: percentile(crowd.through, 0.99) - percentile(crowd.direct, 0.99),
      unit: 'ms',
      target: { atMost: 8 },
      note: `p50 / p99: gateway ${ms(crowd.through)} ms, direct on warm sockets ${ms(crowd.direct)} ms`
    }
  ]
}

interface Pair {
  direct: DirectConversation
  gateway: GatewayConversation
}

function pairs(
  upstream: string,
  client: ReturnType<typeof createGatewayClient>,
  count: number
): Promise<Pair[]> {
  return Promise.all(
    Array.from({ length: count }, async () => ({
      direct: await openDirect(upstream),
      gateway: await client.open()
    }))
  )
}

/** The socket is opened before the clock starts: the gateway keeps its sockets warm, too. */
async function directTurn(conversation: DirectConversation): Promise<number> {
  await conversation.warm()
  await pause(BETWEEN_MS)
  return (await conversation.ask(PROMPT)).ms
}

async function gatewayTurn(conversation: GatewayConversation): Promise<number> {
  await pause(BETWEEN_MS)
  return (await conversation.ask(PROMPT)).ms
}

/** Every conversation asks its questions one after another; all conversations do so at once. */
async function together(
  many: readonly Pair[],
  turn: (pair: Pair) => Promise<number>,
  turns: number
): Promise<number[]> {
  const taken = await Promise.all(
    many.map(async (pair) => {
      const own: number[] = []
      for (let n = 0; n < turns; n++) own.push(await turn(pair))
      return own
    })
  )
  return taken.flat()
}

export const latency: Group = {
  name: 'latency',
  about:
    'POST /chatgpt on an open connection (auth by key, limits, SQLite on disk with fsync, log to a file, metrics) against the same question sent to the simulator over a handshaken WebSocket',
  run
}
