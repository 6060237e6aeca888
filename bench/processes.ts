import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { PartialBehaviours } from '../src/simulator/index.ts'
import { removeFolders, temporaryFolder } from './folders.ts'

/** The user that every bench calls as. */
export const USER = 'bench'
/** The `_U` value that the simulator accepts. */
export const COOKIE = 'simulated-cookie'

/** As `npm start` runs it. `BENCH_GATEWAY=file` measures another build, to compare with. */
const CLI =
  process.env.BENCH_GATEWAY ?? fileURLToPath(new URL('../../dist/bin/bing-gateway.js', import.meta.url))
const START_MS = 60_000
/** Idle connections of this process would keep a gateway waiting. A profile takes its time to be written. */
const STOP_MS = process.env.BENCH_CPU_PROF ? 20_000 : 1000

/** Everything that must not outlive this process, however it ends; so it is all done without waiting. */
const children = new Set<ChildProcess>()
process.once('exit', endAll)

/** Ends every process and removes every folder that a group has left. */
export function endAll(): void {
  for (const child of children) child.kill('SIGKILL')
  removeFolders()
}

/** Takes a child's end upon itself. */
export function watch(child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

export interface Peer {
  child: ChildProcess
  pid: number
  url: string
  /** File with everything that it writes. */
  output: string
  /** Resolves when it has ended. */
  stop(): Promise<void>
}

export interface PeerSettings {
  /** Compiled file. */
  file: string
  args?: string[]
  env?: Record<string, string>
  /** Options of Node itself, e.g. `--cpu-prof`. */
  node?: string[]
  /** What it says when it is ready; the first group is its URL. */
  ready: RegExp
}

/** Runs a script as a process of its own. Its output goes to a file, as a service's log does. */
export async function startPeer({
  file,
  args = [],
  env = {},
  node = [],
  ready
}: PeerSettings): Promise<Peer> {
  const output = join(temporaryFolder(), 'output')
  const fd = openSync(output, 'w')
  const child = spawn(process.execPath, [...node, file, ...args], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', fd, fd]
  })
  closeSync(fd)
  watch(child)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const late = performance.now() + START_MS
  for (;;) {
    const said = readFileSync(output, 'utf8')
    const url = ready.exec(said)?.[1]
    if (url !== undefined) {
      return {
        child,
        pid: child.pid as number,
        url,
        output,
        async stop() {
          child.kill('SIGTERM')
          const cut = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
          await ended
          clearTimeout(cut)
        }
      }
    }
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > late) {
      throw new Error(`${file} does not start: ${said.slice(-2000)}`)
    }
    await pause(10)
  }
}

/** A script of this folder's `peers/`, which says `Listening at URL` or whatever it is to say. */
export function startOwnPeer(
  name: string,
  args: string[] = [],
  env: Record<string, string> = {},
  ready = /^Listening at (\S+)$/m
): Promise<Peer> {
  const file = fileURLToPath(new URL(`./peers/${name}.js`, import.meta.url))
  return startPeer({ file, args, env, ready })
}

export interface SimulatorPeer extends Peer {
  chatUrl: string
  /** Standing behaviours, each merged over the operation's defaults. */
  set(behave: PartialBehaviours): Promise<void>
  /** What it has counted. @throws {Error} when a client broke the protocol: such numbers mean nothing */
  counts(): Promise<Record<string, number>>
}

/** The simulated upstream as a process of its own. */
export async function startSimulatorPeer(behave: PartialBehaviours = {}): Promise<SimulatorPeer> {
  const peer = await startOwnPeer('simulator', [JSON.stringify(behave)])
  return {
    ...peer,
    chatUrl: chatUrlOf(peer.url),
    async set(behave) {
      const answer = await fetch(`${peer.url}/__simulator/behave`, {
        method: 'POST',
        body: JSON.stringify({ set: behave })
      })
      if (answer.status !== 200) throw new Error(`simulator: ${await answer.text()}`)
    },
    async counts() {
      const state = (await (await fetch(`${peer.url}/__simulator`)).json()) as {
        counts: Record<string, number>
        violations: { rule: string; detail: string }[]
      }
      const [first] = state.violations
      if (first !== undefined) throw new Error(`the simulator complains: ${first.rule}: ${first.detail}`)
      return state.counts
    }
  }
}

export const chatUrlOf = (url: string) => `${url.replace(/^http/, 'ws')}/sydney/ChatHub`

export interface GatewaySettings {
  /** Base URL of the upstream. */
  upstream: string
  env?: Record<string, string>
  /** An existing data folder. */
  dataDir?: string
  node?: string[]
}

export interface GatewayPeer extends Peer {
  dataDir: string
  /** An API key of {@link USER}. */
  key: string
}

/** What `npm start` runs with in a bench: everything on, SQLite on disk, log at `info` into a file. */
export function gatewayEnv(dataDir: string, upstream: string): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: '0',
    NODE_ENV: 'production',
    BING_URL: upstream,
    BING_MEDIA_URL: upstream,
    BING_CHAT_URL: chatUrlOf(upstream),
    BING_COOKIE_U: COOKIE,
    DATA_DIR: dataDir,
    WHITELIST_FILE: join(dataDir, 'whitelist.txt'),
    // On, and out of the way.
    DEFAULT_LIMITS: 'conversations=1000000/h images=1000000/d videos=1000000/d'
  }
}

/** The gateway as a process of its own. */
export async function startGatewayPeer(settings: GatewaySettings): Promise<GatewayPeer> {
  const dataDir = settings.dataDir ?? temporaryFolder()
  writeFileSync(join(dataDir, 'whitelist.txt'), `${USER}\n`)
  const env = { ...gatewayEnv(dataDir, settings.upstream), ...settings.env }
  const key = await createKey(env)
  const peer = await startPeer({
    file: CLI,
    args: ['serve'],
    env,
    node: [...(settings.node ?? []), ...profiling()],
    ready: /"msg":"Server listening at (http:[^"]+)"/
  })
  return { ...peer, dataDir, key }
}

async function createKey(env: Record<string, string>): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'keys', 'create', USER, '--json'], {
    env: { PATH: process.env.PATH ?? '', ...env }
  })
  return (JSON.parse(stdout) as { key: string }).key
}

/** `BENCH_CPU_PROF=folder` writes a CPU profile of every gateway process there. */
function profiling(): string[] {
  const folder = process.env.BENCH_CPU_PROF
  return folder ? ['--cpu-prof', `--cpu-prof-dir=${folder}`] : []
}

/** The command that starts the gateway, for who measures just that. */
export const GATEWAY_COMMAND = [CLI, 'serve']

/** Memory of a process in bytes. NaN when it is gone. */
export function rssOf(pid: number): number {
  try {
    const kilobytes =
      process.platform === 'linux'
        ? /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
        : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })
    return Number(kilobytes ?? Number.NaN) * 1024
  } catch {
    return Number.NaN
  }
}

/** Processor time that a process has used so far, in milliseconds. Linux only: NaN elsewhere. */
export function cpuMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // After "pid (name)": state is field 3, utime and stime are 14 and 15, in ticks of 10 ms.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return Number.NaN
  }
}
