import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { GatewayError, wasStopped } from '../errors.ts'
import { deadline } from '../jobs/deadline.ts'
import type { Account } from './account.ts'
import { type AccountCircuit, createAccountCircuit } from './account-circuit.ts'
import type { CallEnd, CircuitState } from './circuit.ts'
import { type FailureId, UpstreamError } from './failures.ts'
import { needsAPerson, type SessionStateName, STATE_OF } from './row-kinds.ts'
import {
  createSeenState,
  type SeenState,
  type SessionState,
  type UpstreamCall,
  type UpstreamName,
  type UpstreamOperation,
  type UpstreamState
} from './session-state.ts'
import { actionFor } from './state-actions.ts'
import { createTransportCircuit, type TransportCircuit } from './transport-circuit.ts'

/** One probe, its repeats included, may take this long. */
const PROBE_TIMEOUT_MS = 60_000

/** An account, and the upstreams that are called in its name. */
export interface HealthAccount {
  name: 'bing' | 'copilot'
  account: Pick<Account, 'configured' | 'generation' | 'onReplaced'>
  upstreams: readonly UpstreamName[]
  /** Upstreams that are in order when the account's probe is. */
  provenByProbe: readonly UpstreamName[]
}

/** The cheapest harmless look at an account. Resolves when it is signed in. @throws {UpstreamError} */
export type Probe = (signal: AbortSignal) => Promise<void>

export interface StateChange extends UpstreamState {
  previous: SessionStateName
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

interface Known {
  name: UpstreamName
  seen: SeenState
  transport: TransportCircuit
  owner: Owner
  /** The state that was told last. */
  told: SessionStateName
  cancelTimer: () => void
}

interface Owner extends HealthAccount {
  circuit: AccountCircuit
  probe?: { name: UpstreamName; run: Probe }
  probing: boolean
  /** When something was learnt of the account last. */
  learntAt: number
  cancelCheck: () => void
}

export function createUpstreamHealth({
  accounts,
  clock,
  log,
  checkEveryMs
}: UpstreamHealthSettings): UpstreamHealth {
  const callListeners: ((call: UpstreamCall) => void)[] = []
  const stateListeners: ((change: StateChange) => void)[] = []
  const circuitListeners: (() => void)[] = []
  const closing = new AbortController()
  const known = new Map<UpstreamName, Known>()

  const owners = accounts.map((account): Owner => {
    const owner: Owner = {
      ...account,
      probing: false,
      learntAt: clock.now(),
      cancelCheck: () => {},
      circuit: createAccountCircuit({
        clock,
        onChange: () => circuitChanged(owner),
        probe() {
          void look(owner)
          return owner.probe !== undefined
        },
        provenByProbe: new Set(account.provenByProbe)
      })
    }
    for (const name of account.upstreams) {
      const transport = createTransportCircuit(clock, () => circuitChanged(owner))
      known.set(name, {
        name,
        seen: createSeenState(clock),
        transport,
        owner,
        told: account.account.configured ? 'ok' : 'unconfigured',
        cancelTimer: () => {}
      })
    }
    account.account.onReplaced(() => renew(owner))
    return owner
  })

  function find(name: UpstreamName): Known {
    const found = known.get(name)
    if (found === undefined) throw new Error(`there is no upstream ${name}`)
    return found
  }

  const ownUpstreams = (owner: Owner) => [...known.values()].filter((upstream) => upstream.owner === owner)

  function view({ name, seen, transport, owner }: Known): UpstreamState {
    const { account, circuit } = owner
    if (!account.configured) return complete({ state: 'unconfigured', since: seen.since, until: undefined })
    if (circuit.failure !== undefined && circuit.concerns(name)) {
      const { row } = circuit.failure
      return complete({ state: STATE_OF[row] ?? 'forbidden', since: circuit.since, until: undefined }, row)
    }
    if (transport.failure !== undefined) {
      const { row } = transport.failure
      const state = STATE_OF[row] ?? 'unreachable'
      return complete({ state, since: transport.since, until: transport.until }, row)
    }
    return complete(seen, seen.row)

    function complete(
      { state, since, until }: Pick<UpstreamState, 'state' | 'since' | 'until'>,
      row?: FailureId
    ): UpstreamState {
      return { name, state, since, until, action: actionFor(name, state, row) }
    }
  }

  /** Tells of those upstreams whose state is another one than was told last. */
  function tell(upstreams: Iterable<Known>): void {
    const changes: StateChange[] = []
    for (const upstream of upstreams) {
      const now = view(upstream)
      upstream.cancelTimer()
      if (now.until !== undefined && !closing.signal.aborted)
        upstream.cancelTimer = clock.timer(Math.max(0, now.until - clock.now()) + 1, () => tell([upstream]))
      if (now.state === upstream.told) continue
      changes.push({ ...now, previous: upstream.told })
      upstream.told = now.state
    }
    // What happened to an account is one event, however many upstreams it has.
    for (const { state, action, until } of new Map(
      changes.map((change) => [change.state, change])
    ).values()) {
      const names = changes.filter((change) => change.state === state).map(({ name }) => name)
      const details = { upstreams: names, state, ...(until && { until: new Date(until).toISOString() }) }
      if (state === 'ok') log.info(details, 'upstream is all right')
      else if (action === undefined) log.warn(details, 'upstream is in trouble')
      else log.warn({ ...details, action }, 'upstream needs a person')
    }
    for (const change of changes) for (const listener of stateListeners) safely(() => listener(change))
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
    const upstreams = ownUpstreams(owner)
    if (owner.circuit.state === 'closed') {
      // What opened it is over for all of them.
      for (const { seen } of upstreams)
        if (seen.row !== undefined && needsAPerson({ row: seen.row, code: null }) !== undefined) seen.settle()
    }
    tell(upstreams)
    for (const listener of circuitListeners) safely(listener)
  }

  function renew(owner: Owner): void {
    const upstreams = ownUpstreams(owner)
    for (const { seen, transport } of upstreams) {
      seen.reset()
      transport.reset()
    }
    owner.circuit.reset()
    tell(upstreams)
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

  /** Looks at an account in the name of nobody. */
  async function look(owner: Owner): Promise<void> {
    const { probe, account, circuit } = owner
    if (probe === undefined || owner.probing || closing.signal.aborted) return
    owner.probing = true
    const { generation } = account
    const startedAt = performance.now()
    const limit = deadline(clock, PROBE_TIMEOUT_MS, () => new UpstreamError('T4'), closing.signal)
    let error: unknown
    let isGood = false
    try {
      await probe.run(limit.signal)
      isGood = true
    } catch (thrown) {
      error = thrown
    } finally {
      limit.clear()
      owner.probing = false
    }
    if (closing.signal.aborted) return
    if (!isGood && !(error instanceof UpstreamError))
      log.error({ err: error, account: owner.name }, 'account could not be looked at')
    ended({ name: probe.name, operation: 'bootstrap' }, startedAt, error, isGood)
    // What the old cookies met says nothing about those that came meanwhile.
    if (generation !== account.generation) return
    owner.learntAt = clock.now()
    for (const upstream of ownUpstreams(owner))
      if (upstream.name === probe.name || owner.provenByProbe.includes(upstream.name))
        upstream.seen.note('bootstrap', error)
    circuit.probed(probe.name, error)
    tell(ownUpstreams(owner))
  }

  function checkLater(owner: Owner): void {
    const quietMs = clock.now() - owner.learntAt
    // One that waits for a person is looked at by its circuit.
    const isDue = quietMs >= checkEveryMs && owner.circuit.state === 'closed' && owner.account.configured
    const waitMs = quietMs >= checkEveryMs ? checkEveryMs : checkEveryMs - quietMs
    if (isDue) void look(owner)
    owner.cancelCheck = clock.timer(waitMs, () => checkLater(owner))
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
      view: () => view(upstream)
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
        if (isGood || error instanceof UpstreamError) owner.learntAt = clock.now()
      }
      for (const end of ends) safely(() => end(error))
      if (operation !== 'media') safely(() => tell([upstream]))
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
    onStateChange: (listener) => void stateListeners.push(listener),
    onCircuitChange: (listener) => void circuitListeners.push(listener),
    probeWith(name, run) {
      find(name).owner.probe = { name, run }
    },
    isWaiting: (account) =>
      owners.some(({ name, circuit }) => name === account && circuit.state !== 'closed'),
    reset(account) {
      for (const owner of owners) if (owner.name === account) renew(owner)
    },
    start() {
      if (checkEveryMs === 0) return
      for (const owner of owners) {
        owner.learntAt = clock.now()
        checkLater(owner)
      }
    },
    close() {
      closing.abort(new Error('the gateway is stopping'))
      for (const owner of owners) {
        owner.cancelCheck()
        owner.circuit.close()
      }
      for (const { transport, cancelTimer } of known.values()) {
        transport.close()
        cancelTimer()
      }
    }
  }
}
