import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { GatewayError, wasStopped } from '../errors.ts'
import type { Account } from './account.ts'
import { type AccountCircuit, createAccountCircuit } from './account-circuit.ts'
import { type AccountLooks, createAccountLooks, type Probe } from './account-looks.ts'
import type { CallEnd, CircuitState } from './circuit.ts'
import { UpstreamError } from './failures.ts'
import { needsAPerson } from './row-kinds.ts'
import {
  createSeenState,
  type SeenState,
  type SessionState,
  type UpstreamCall,
  type UpstreamName,
  type UpstreamOperation
} from './session-state.ts'
import { createStateTeller, type StateChange } from './state-teller.ts'
import { createTransportCircuit, type TransportCircuit } from './transport-circuit.ts'

export type { Probe } from './account-looks.ts'
export type { StateChange } from './state-teller.ts'

/** An account, and the upstreams that are called in its name. */
export interface HealthAccount {
  name: 'bing' | 'copilot'
  account: Pick<Account, 'configured' | 'generation' | 'onReplaced'>
  upstreams: readonly UpstreamName[]
  /** Upstreams that are in order when the account's probe is. */
  provenByProbe: readonly UpstreamName[]
}

export interface CircuitView {
  /** `bing-account` and `copilot-account`, then those of the connections, named after their upstreams. */
  name: string
  state: CircuitState
}

/**
 * How the upstreams and the accounts behind them stand, as the calls show that are made anyway, and what follows from it
 * for the next call. docs/session-health.md
 */
export interface UpstreamHealth {
  /** In a fixed order: that of the accounts and their upstreams. */
  readonly states: readonly SessionState[]
  readonly circuits: readonly CircuitView[]
  /**
   * Makes a call and takes note of how it ended.
   * @param signal what stops the call: then it has not failed
   * @throws what the call throws; or {UpstreamError} without making it, where a circuit is open
   */
  observe<T>(
    name: UpstreamName,
    operation: UpstreamOperation,
    call: () => Promise<T>,
    signal?: AbortSignal
  ): Promise<T>
  /** What a call would be refused with right now, without asking anybody. */
  refusal(name: UpstreamName): UpstreamError | undefined
  /** Whether one call at a time goes through. */
  isTrying(name: UpstreamName): boolean
  /** Tells of each call that ended. */
  onCall(listener: (call: UpstreamCall) => void): void
  /** Tells of each change of an upstream's state. */
  onStateChange(listener: (change: StateChange) => void): void
  /** Tells that `refusal` or `isTrying` may have changed. */
  onCircuitChange(listener: () => void): void
  /** Names the way in which an account is looked at; through `name`. */
  probeWith(name: UpstreamName, probe: Probe): void
  /** Whether the account waits for a person. */
  isWaiting(account: HealthAccount['name']): boolean
  /** The operator says that what was wrong has been put right: all circuits of the account close. */
  reset(account: HealthAccount['name']): void
  /** Begins to look at accounts that nothing else is learnt of. */
  start(): void
  close(): void
}

export interface UpstreamHealthSettings {
  accounts: readonly HealthAccount[]
  clock: Clock
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Accounts that nothing was learnt of for so long are looked at, in milliseconds; 0: never. */
  checkEveryMs: number
}

/** An upstream, and what is known of it. */
interface Known {
  name: UpstreamName
  seen: SeenState
  transport: TransportCircuit
  owner: Owner
}

interface Owner extends HealthAccount {
  circuit: AccountCircuit
  looks: AccountLooks
}

export function createUpstreamHealth({
  accounts,
  clock,
  log,
  checkEveryMs
}: UpstreamHealthSettings): UpstreamHealth {
  const callListeners: ((call: UpstreamCall) => void)[] = []
  const circuitListeners: (() => void)[] = []
  const known = new Map<UpstreamName, Known>()

  const owners = accounts.map((from): Owner => {
    const circuit = createAccountCircuit({
      clock,
      onChange: () => circuitChanged(owner),
      probe() {
        looks.look()
        return looks.possible
      },
      provenByProbe: new Set(from.provenByProbe)
    })
    const looks = createAccountLooks({
      name: from.name,
      account: from.account,
      circuit,
      clock,
      log,
      checkEveryMs,
      onCall: (name, ...end) => ended({ name, operation: 'bootstrap' }, ...end),
      onEnd({ name, error }) {
        for (const upstream of ownUpstreams(owner))
          if (upstream.name === name || from.provenByProbe.includes(upstream.name))
            upstream.seen.note('bootstrap', error)
        circuit.probed(name, error)
        teller.tell(from.upstreams)
      }
    })
    const owner: Owner = { ...from, circuit, looks }
    for (const name of from.upstreams) {
      const transport = createTransportCircuit(clock, () => circuitChanged(owner))
      known.set(name, { name, seen: createSeenState(clock), transport, owner })
    }
    from.account.onReplaced(() => renew(owner))
    return owner
  })

  const teller = createStateTeller(
    [...known.values()].map(({ name, seen, transport, owner: { account, circuit } }) => ({
      name,
      seen,
      transport,
      account,
      circuit
    })),
    { clock, log, safely }
  )

  function find(name: UpstreamName): Known {
    const found = known.get(name)
    if (found === undefined) throw new Error(`there is no upstream ${name}`)
    return found
  }

  function ownUpstreams(owner: Owner): Known[] {
    return [...known.values()].filter((upstream) => upstream.owner === owner)
  }

  /** What follows from the end of a call is not the business of its caller, who has an answer, or a better error. */
  function safely(step: () => void): void {
    try {
      step()
    } catch (error) {
      log.error({ err: error }, 'the end of an upstream call could not be noted')
    }
  }

  function circuitChanged(owner: Owner): void {
    if (owner.circuit.state === 'closed') {
      // What opened it is over for all of them.
      for (const { seen } of ownUpstreams(owner))
        if (seen.row !== undefined && needsAPerson({ row: seen.row, code: null }) !== undefined) seen.settle()
    }
    teller.tell(owner.upstreams)
    for (const listener of circuitListeners) safely(listener)
  }

  function renew(owner: Owner): void {
    for (const { seen, transport } of ownUpstreams(owner)) {
      seen.reset()
      transport.reset()
    }
    owner.circuit.reset()
    teller.tell(owner.upstreams)
    for (const listener of circuitListeners) safely(listener)
  }

  function ended(
    call: Pick<UpstreamCall, 'name' | 'operation'>,
    startedAt: number,
    error: unknown,
    isGood: boolean,
    signal?: AbortSignal
  ): void {
    const told: UpstreamCall = { ...call, outcome: 'ok', durationMs: performance.now() - startedAt }
    if (!isGood) {
      if (error instanceof GatewayError) told.outcome = error.code ?? error.type
      else told.outcome = wasStopped(error, signal) ? 'cancelled' : 'api_error'
      if (error instanceof UpstreamError) told.row = error.row
    }
    for (const listener of callListeners) safely(() => listener(told))
  }

  function refusal(name: UpstreamName): UpstreamError | undefined {
    const { owner, transport } = find(name)
    return owner.circuit.refusal(name) ?? transport.refusal()
  }

  return {
    states: [...known.values()].map((upstream) => ({
      get accepted() {
        return upstream.seen.accepted
      },
      view: () => teller.view(upstream.name)
    })),
    get circuits() {
      return [
        ...owners.map(({ name, circuit }) => ({ name: `${name}-account`, state: circuit.state })),
        ...[...known.values()].map(({ name, transport }) => ({ name, state: transport.state }))
      ]
    },
    async observe<T>(
      name: UpstreamName,
      operation: UpstreamOperation,
      call: () => Promise<T>,
      signal?: AbortSignal
    ) {
      const upstream = find(name)
      const { owner, seen, transport } = upstream
      const { account } = owner
      let ends: CallEnd[] = []
      if (operation !== 'media') {
        const refused = refusal(name)
        if (refused !== undefined) throw refused
        ends = [owner.circuit.begin(name, operation), transport.begin()]
      }
      const { generation } = account
      const startedAt = performance.now()
      let result: T | undefined
      let error: unknown
      let isGood = false
      try {
        result = await call()
        isGood = true
      } catch (thrown) {
        error = thrown
      }
      // What an answer to the old cookies says doesn't hold for those that replaced them meanwhile.
      if (operation !== 'media' && generation === account.generation) {
        seen.note(operation, error)
        if (isGood || error instanceof UpstreamError) owner.looks.learnt()
      }
      for (const end of ends) safely(() => end(error))
      if (operation !== 'media') safely(() => teller.tell([name]))
      ended({ name, operation }, startedAt, error, isGood, signal)
      if (!isGood) throw error
      return result as T
    },
    refusal,
    isTrying(name) {
      const { owner, transport } = find(name)
      return (
        (owner.circuit.state === 'half-open' && owner.circuit.concerns(name)) ||
        transport.state === 'half-open'
      )
    },
    onCall: (listener) => void callListeners.push(listener),
    onStateChange: teller.onChange,
    onCircuitChange: (listener) => void circuitListeners.push(listener),
    probeWith(name, run) {
      find(name).owner.looks.probeWith(name, run)
    },
    isWaiting: (account) =>
      owners.some(({ name, circuit }) => name === account && circuit.state !== 'closed'),
    reset(account) {
      for (const owner of owners) if (owner.name === account) renew(owner)
    },
    start() {
      for (const { looks } of owners) looks.start()
    },
    close() {
      teller.close()
      for (const { looks, circuit } of owners) {
        looks.close()
        circuit.close()
      }
      for (const { transport } of known.values()) transport.close()
    }
  }
}
