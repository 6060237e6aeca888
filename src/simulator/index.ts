import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Chaos, PlayedFault } from './chaos.ts'
import { registerControl } from './control.ts'
import { registerCopilot } from './copilot/index.ts'
import { createCore } from './core.ts'
import { registerCreator } from './creator/index.ts'
import type { Behaviours, PartialBehaviours, ReceivedRequest, Violation } from './frame.ts'
import { registerSydney } from './sydney/index.ts'

export type { Chaos, PlayedFault } from './chaos.ts'
export type { Behaviours, PartialBehaviours, ReceivedRequest, Violation } from './frame.ts'

export interface SimulatorOptions {
  /** Address to listen on; default 127.0.0.1. */
  host?: string
  /** Default 0: any free port. */
  port?: number
  /** `_U` values that count as signed in; default `simulated-cookie`. */
  cookies?: string[]
  /** Cookie values that count as signed in on Copilot, in a cookie of any name but `_U`; default `simulated-copilot-cookie`. */
  copilotCookies?: string[]
  /** Access tokens that count as signed in on Copilot; default `simulated-token`. */
  copilotTokens?: string[]
  /** Standing behaviours from the start. A reset drops them too. */
  behave?: PartialBehaviours
  /** Random trouble from the start. A reset ends it. */
  chaos?: Chaos
}

/** Changes what counts as signed in. */
export interface Jar {
  accept(value: string): void
  expire(value: string): void
}

const jarOf = ({ accept, expire }: Jar): Jar => ({ accept, expire })

/** A running stand-in for the upstream, on one port. */
export interface Simulator {
  /** Serves as BING_URL and BING_MEDIA_URL. */
  url: string
  /** Serves as BING_CHAT_URL. */
  chatUrl: string
  /** Serves as COPILOT_URL. */
  copilotUrl: string
  port: number
  /** Standing behaviour of an operation, merged over its defaults; replaces the one set before. */
  set<K extends keyof Behaviours>(op: K, partial: Partial<Behaviours[K]>): void
  /** Behaviours of the next calls, one each, before the standing one; merged over the defaults alone. */
  enqueue<K extends keyof Behaviours>(op: K, ...partials: Partial<Behaviours[K]>[]): void
  /**
   * From now on a share of the calls of every operation goes wrong at random, one fault each, over the standing behaviour;
   * `{ share: 0 }` ends it. Queued behaviours are played as they are.
   * @throws {TypeError} for one that makes no sense
   */
  chaos(chaos: Chaos): void
  /** Faults that chaos has played, oldest first. Live. */
  faults: readonly PlayedFault[]
  /** Cuts every connection, as a network that fails for a moment. New ones are welcome at once. */
  cut(): void
  /** Behaviours back to defaults, queues empty, chaos over, counters at 0, violations cleared. Conversations and cookies stay. */
  reset(): void
  /** What clients did wrong, oldest first. Live. */
  violations: readonly Violation[]
  /** The latest HTTP and upgrade requests, oldest first, without those to the control routes. Live. */
  requests: readonly ReceivedRequest[]
  /** The latest questions of chat clients as they came (type 4 records, `send` events), oldest first. Live. */
  questions: readonly Record<string, unknown>[]
  /** A fresh copy of all counters at each access. */
  readonly counts: Readonly<Record<string, number>>
  cookies: Jar
  copilot: { cookies: Jar; tokens: Jar }
  /** Cuts every connection and frees the port. */
  close(): Promise<void>
}

/**
 * Starts the simulator.
 * @throws when the port is taken or a behaviour in `behave` is unknown
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const core = createCore({
    cookies: options.cookies ?? ['simulated-cookie'],
    copilotCookies: options.copilotCookies ?? ['simulated-copilot-cookie'],
    copilotTokens: options.copilotTokens ?? ['simulated-token']
  })
  for (const [op, partial] of Object.entries(options.behave ?? {})) {
    core.set(op as keyof Behaviours, partial)
  }
  if (options.chaos !== undefined) core.setChaos(options.chaos)
  registerControl(core)
  registerSydney(core)
  // Before the creator, whose pictures have a wider path.
  registerCopilot(core)
  registerCreator(core)

  core.server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(core.server, 'listening')
  const url = core.base()
  return {
    url,
    chatUrl: `${url.replace(/^http/, 'ws')}/sydney/ChatHub`,
    copilotUrl: url,
    port: (core.server.address() as AddressInfo).port,
    set: core.set,
    enqueue: core.enqueue,
    chaos: core.setChaos,
    faults: core.faults,
    cut: core.cut,
    reset: core.reset,
    violations: core.violations,
    requests: core.requests,
    questions: core.questions as Record<string, unknown>[],
    get counts() {
      return core.counts()
    },
    cookies: jarOf(core.cookies),
    copilot: { cookies: jarOf(core.copilot.cookies), tokens: jarOf(core.copilot.tokens) },
    close: core.close
  }
}
