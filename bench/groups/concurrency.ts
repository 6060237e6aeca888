import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { createGatewayClient, type GatewayTurn } from '../gateway-client.ts'
import { type DirectTurn, openDirect } from '../hub-client.ts'
import type { Group, Line } from '../lines.ts'
import { rssOf, startGatewayPeer, startSimulatorPeer, USER } from '../processes.ts'
import { median, percentile } from '../stats.ts'

const PROMPT = 'Count to 60'
const EXPECTED = `Counting to 60: ${Array.from({ length: 60 }, (_, n) => n + 1).join(', ')}. ✅`

/** A text every half second; all turns together: the last one begins before the first one ends. */
const TOKENS = { updateDelayMs: 500, charsPerUpdate: 12, maxTurns: 1_000_000 }
const RAMP_MS = 6000
const PROBE_EVERY_MS = 20

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const turns = quick ? 30 : 1000
  const rampMs = quick ? 200 : RAMP_MS
  const directTurns = turns / 10
  const simulator = await startSimulatorPeer({ turn: { updateDelayMs: 0, charsPerUpdate: 12 } })
  const gateway = await startGatewayPeer({ upstream: simulator.url, env: { CHAT_CONCURRENCY: '0' } })
  const client = createGatewayClient(gateway, USER, turns + 8)
  const probes = createGatewayClient(gateway, USER, 1)

  progress('warm-up')
  const conversations = await inBatches(turns, 32, () => client.open())
  // Without a pause: what the code and the connections need is there before anything is measured.
  await inBatches(turns / 4, 32, (n) => conversations[n]?.stream(PROMPT))
  const direct = await inBatches(directTurns, 32, () => openDirect(simulator.url))
  await simulator.set({ turn: quick ? { ...TOKENS, updateDelayMs: 30 } : TOKENS })
  await pause(quick ? 100 : 3000)
  await inBatches(directTurns, 32, (n) => direct[n]?.warm())
  const idle = rssOf(gateway.pid)

  progress(`${turns} turns`)
  const own = monitorEventLoopDelay({ resolution: 5 })
  own.enable()
  const livez: number[] = []
  const rss: number[] = []
  let under = 0
  let isOver = false
  const probing = (async () => {
    while (!isOver) {
      livez.push(await probes.get('/livez'))
      if (under === turns || rss.length === 0) rss.push(rssOf(gateway.pid))
      await pause(PROBE_EVERY_MS)
    }
  })()
  let most = 0
  const asked = conversations.map(async (conversation, n) => {
    await pause((n * rampMs) / turns)
    most = Math.max(most, ++under)
    try {
      return await conversation.stream(PROMPT)
    } finally {
      under--
    }
  })
  // In between, a few go straight to the simulator, which is as busy for them as for the others.
  const askedDirectly = direct.map(async (conversation, n) => {
    await pause(((n + 0.5) * rampMs) / directTurns)
    return conversation.ask(PROMPT)
  })
  const ended = await Promise.allSettled(asked)
  const endedDirectly: DirectTurn[] = await Promise.all(askedDirectly)
  isOver = true
  await probing
  own.disable()

  const whole = ended
    .filter((one): one is PromiseFulfilledResult<GatewayTurn> => one.status === 'fulfilled')
    .map(({ value }) => value)
  const failure = ended.find((one): one is PromiseRejectedResult => one.status === 'rejected')
  const firsts = whole.map(({ firstMs }) => firstMs)
  const directFirsts = endedDirectly.map(({ firstMs }) => firstMs)
  await simulator.counts()
  await Promise.all([client.close(), probes.close()])
  await Promise.all([gateway.stop(), simulator.stop()])
  return [
    {
      what: `${turns} streams at once: turns that did not complete`,
      value: turns - whole.length,
      unit: '',
      target: { atMost: 0 },
      note:
        failure === undefined
          ? `${most} were under way at the same time`
          : `the first failure: ${(failure.reason as Error).message}`
    },
    {
      what: `${turns} streams at once: turns with lost, doubled or reordered tokens`,
      value: whole.filter(({ text, isWhole }) => !isWhole || text !== EXPECTED).length,
      unit: '',
      target: { atMost: 0 }
    },
    {
      what: `${turns} streams at once: memory (RSS) per turn above idle`,
      value: (Math.max(...rss) - idle) / 1024 / turns,
      unit: 'KB',
      target: { atMost: 60 },
      note: `idle after a quarter as many turns before: ${(idle / 2 ** 20).toFixed(0)} MB, most: ${(Math.max(...rss) / 2 ** 20).toFixed(0)} MB, median ${(median(rss) / 2 ** 20).toFixed(0)} MB`
    },
    {
      what: `${turns} streams at once: added time to the first token, p99`,
      value: percentile(firsts, 0.99) - percentile(directFirsts, 0.99),
      unit: 'ms',
      target: { atMost: 100 },
      note: `p50 / p99: gateway ${percentile(firsts, 0.5).toFixed(0)} / ${percentile(firsts, 0.99).toFixed(0)} ms, direct meanwhile ${percentile(directFirsts, 0.5).toFixed(0)} / ${percentile(directFirsts, 0.99).toFixed(0)} ms; the turns begin within ${(rampMs / 1000).toFixed(0)} s`
    },
    {
      what: `${turns} streams at once: GET /livez meanwhile, p99`,
      value: percentile(livez, 0.99),
      unit: 'ms',
      target: { atMost: 50 },
      note: `p50 ${percentile(livez, 0.5).toFixed(1)} ms, most ${Math.max(...livez).toFixed(0)} ms; delay of the load generator's own event loop, p99: ${(own.percentile(99) / 1e6 - 5).toFixed(0)} ms`
    }
  ]
}

/** Runs `count` of them, `parallel` at a time. Results in order. */
async function inBatches<T>(
  count: number,
  parallel: number,
  task: (n: number) => Promise<T> | undefined
): Promise<T[]> {
  const results: T[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: Math.min(parallel, count) }, async () => {
      while (next < count) {
        const n = next++
        results[n] = (await task(n)) as T
      }
    })
  )
  return results
}

export const concurrency: Group = {
  name: 'concurrency',
  about:
    'streamed turns of as many conversations, everything on as in latency, CHAT_CONCURRENCY=0, a token every 0.5 s',
  run
}
