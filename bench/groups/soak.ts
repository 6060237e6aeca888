import { setTimeout as pause } from 'node:timers/promises'
import { folderInMemory } from '../folders.ts'
import { createGatewayClient } from '../gateway-client.ts'
import type { Group, Line } from '../lines.ts'
import { rssOf, startGatewayPeer, startSimulatorPeer, USER } from '../processes.ts'

const TURNS = 30_000
const PER_CONVERSATION = 10
const CONCURRENT = 24
/** When this is over, it ends with the turns it has; slow disks would take minutes. */
const LONGEST_MS = 75_000
/** For the garbage that nobody needs any more. */
const SETTLE_MS = 1500

/** In MB. */
interface Memory {
  rss: number
  /** What the JavaScript heap holds, garbage included. */
  heap: number
}

const show = ({ rss, heap }: Memory) => `${rss.toFixed(0)} MB (heap ${heap.toFixed(0)} MB)`

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const turns = quick ? 200 : TURNS
  const simulator = await startSimulatorPeer({ turn: { updateDelayMs: 0, charsPerUpdate: 0 } })
  const gateway = await startGatewayPeer({
    upstream: simulator.url,
    // What counts is the memory of the process; a slow disk would only make it take longer.
    dataDir: folderInMemory(),
    env: { CHAT_CONCURRENCY: '0' }
  })
  const client = createGatewayClient(gateway, USER, CONCURRENT)
  const end = performance.now() + LONGEST_MS
  let done = 0

  /** Every other conversation streams. */
  async function goOn(goal: number): Promise<void> {
    let begun = done
    await Promise.all(
      Array.from({ length: CONCURRENT }, async (_, worker) => {
        while (begun < goal && performance.now() < end) {
          const conversation = await client.open()
          for (let n = 0; n < PER_CONVERSATION && begun < goal; n++) {
            begun++
            await (worker % 2 === 0 ? conversation.ask('Say hello') : conversation.stream('Say hello'))
            if (++done % (TURNS / 10) === 0) progress(`${done} turns`)
          }
        }
      })
    )
  }
  async function settled(): Promise<Memory> {
    await pause(quick ? 0 : SETTLE_MS)
    const rss = rssOf(gateway.pid) / 2 ** 20
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    const heap = Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(metrics)?.[1]) / 2 ** 20
    return { rss, heap }
  }

  await goOn(turns / 10)
  const early = done
  const before = await settled()
  const from = performance.now()
  await goOn(turns)
  const seconds = (performance.now() - from) / 1000
  const after = await settled()
  await simulator.counts()
  await client.close()
  await Promise.all([gateway.stop(), simulator.stop()])
  const short = done < turns ? ` (${turns} were to be, but this machine is too slow for them)` : ''
  return [
    {
      what: `memory (RSS) after ${done} turns against that after ${early}`,
      value: after.rss / before.rss,
      unit: '×',
      target: { atMost: 1.1 },
      note: `${show(before)}, then ${show(after)}; ${((done - early) / seconds).toFixed(0)} turns/s${short}`
    }
  ]
}

export const soak: Group = {
  name: 'soak',
  about: `turns, ${CONCURRENT} at once, ${PER_CONVERSATION} to a conversation, half of them streamed; everything on as in latency, but the store in memory, where there is a place for it`,
  run
}
