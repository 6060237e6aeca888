import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { registerControl } from './control.ts'
import { createCore } from './core.ts'
import { registerCreator } from './creator/index.ts'
import type { Behaviours, PartialBehaviours, ReceivedRequest, Violation } from './frame.ts'
import { registerSydney } from './sydney/index.ts'

export type { Behaviours, PartialBehaviours, ReceivedRequest, Violation } from './frame.ts'

export interface SimulatorOptions {
  /** Address to listen on; default 127.0.0.1. */
  host?: string
  /** Default 0: any free port. */
  port?: number
  /** `_U` values that count as signed in; default `simulated-cookie`. */
  cookies?: string[]
  /** Standing behaviours from the start. A reset drops them too. */
  behave?: PartialBehaviours
}

/** A running stand-in for the upstream, on one port. */
export interface Simulator {
  /** Serves as BING_URL and BING_MEDIA_URL. */
  url: string
  /** Serves as BING_CHAT_URL. */
  chatUrl: string
  port: number
  /** Standing behaviour of an operation, merged over its defaults; replaces the one set before. */
  set<K extends keyof Behaviours>(op: K, partial: Partial<Behaviours[K]>): void
  /** Behaviours of the next calls, one each, before the standing one; merged over the defaults alone. */
  enqueue<K extends keyof Behaviours>(op: K, ...partials: Partial<Behaviours[K]>[]): void
  /** Behaviours back to defaults, queues empty, counters at 0, violations cleared. Conversations and cookies stay. */
  reset(): void
  /** What clients did wrong, oldest first. Live. */
  violations: readonly Violation[]
  /** The latest HTTP and upgrade requests, oldest first, without those to the control routes. Live. */
  requests: readonly ReceivedRequest[]
  /** The latest type 4 records of chat clients as they came, oldest first. Live. */
  questions: readonly Record<string, unknown>[]
  /** A fresh copy of all counters at each access. */
  readonly counts: Readonly<Record<string, number>>
  cookies: { accept(value: string): void; expire(value: string): void }
  /** Cuts every connection and frees the port. */
  close(): Promise<void>
}

/**
 * Starts the simulator.
 * @throws when the port is taken or a behaviour in `behave` is unknown
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const core = createCore(options.cookies ?? ['simulated-cookie'])
  for (const [op, partial] of Object.entries(options.behave ?? {})) {
    core.set(op as keyof Behaviours, partial)
  }
  registerControl(core)
  registerSydney(core)
  registerCreator(core)

  core.server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(core.server, 'listening')
  const url = core.base()
  return {
    url,
    chatUrl: `${url.replace(/^http/, 'ws')}/sydney/ChatHub`,
    port: (core.server.address() as AddressInfo).port,
    set: core.set,
    enqueue: core.enqueue,
    reset: core.reset,
    violations: core.violations,
    requests: core.requests,
    questions: core.questions as Record<string, unknown>[],
    get counts() {
      return core.counts()
    },
    cookies: { accept: core.cookies.accept, expire: core.cookies.expire },
    close: core.close
  }
}
