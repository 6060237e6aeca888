import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../folders.ts'
import type { Group, Line } from '../lines.ts'
import { GATEWAY_COMMAND, gatewayEnv, rssOf, watch } from '../processes.ts'
import { median } from '../stats.ts'

const HELLO = fileURLToPath(new URL('../peers/hello.js', import.meta.url))
/** For what is left to do after the start, and the first garbage. */
const SETTLE_MS = 1000

interface Started {
  ms: number
  rssMb: number
}

/** From the spawn of the process to the line that says that it listens. */
async function start(
  command: readonly string[],
  env: Record<string, string>,
  settleMs: number
): Promise<Started> {
  const from = performance.now()
  const child = watch(
    spawn(process.execPath, command, {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['ignore', 'pipe', 'inherit']
    })
  )
  await listening(child)
  const ms = performance.now() - from
  await pause(settleMs)
  const rssMb = rssOf(child.pid as number) / 2 ** 20
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
  return { ms, rssMb }
}

function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk
      if (said.includes('Server listening at')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${said}`)))
  })
}

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const rounds = quick ? 1 : 7
  const dataDir = temporaryFolder()
  writeFileSync(join(dataDir, 'whitelist.txt'), 'bench\n')
  // Nobody listens there, and nobody is asked before the first request.
  const env = gatewayEnv(dataDir, 'http://127.0.0.1:9')
  const sides = [
    { command: GATEWAY_COMMAND, env, started: [] as Started[] },
    { command: [HELLO], env: { NODE_ENV: 'production' }, started: [] as Started[] }
  ] as const
  // The first start makes the store, and fills the disk cache for both.
  progress('first start')
  const first = await start(GATEWAY_COMMAND, env, 0)
  await start([HELLO], {}, 0)
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`)
    for (const side of round % 2 === 0 ? sides : sides.toReversed())
      side.started.push(await start(side.command, side.env, round === 0 ? SETTLE_MS : 0))
  }
  const [gateway, hello] = sides.map(({ started }) => median(started.map(({ ms }) => ms))) as [number, number]
  const ratios = sides[0].started.map(({ ms }, n) => ms / (sides[1].started[n]?.ms ?? Number.NaN))
  return [
    {
      what: 'start to "Server listening at", against a hello-world Fastify with swagger-ui',
      value: median(ratios),
      unit: '×',
      target: { atMost: 2 },
      note: `gateway ${gateway.toFixed(0)} ms, hello-world ${hello.toFixed(0)} ms; in an empty folder, the very first start: ${first.ms.toFixed(0)} ms`
    },
    {
      what: 'memory (RSS) at idle after the start',
      value: sides[0].started[0]?.rssMb ?? Number.NaN,
      unit: 'MB',
      note: `hello-world ${sides[1].started[0]?.rssMb.toFixed(0)} MB`
    }
  ]
}

export const startup: Group = {
  name: 'start',
  about:
    'processes, from the spawn to the line on their stdout, interleaved; the gateway on an existing SQLite store',
  run
}
