import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Account } from './account.ts'
import type { AccountCircuit } from './account-circuit.ts'
import type { FailureId } from './failures.ts'
import { type SessionStateName, STATE_OF } from './row-kinds.ts'
import type { SeenState, UpstreamName, UpstreamState } from './session-state.ts'
import { actionFor } from './state-actions.ts'
import type { TransportCircuit } from './transport-circuit.ts'

export interface StateChange extends UpstreamState {
  previous: SessionStateName
}

/** All that decides on the state of one upstream. */
export interface StateParts {
  name: UpstreamName
  account: Pick<Account, 'configured'>
  circuit: AccountCircuit
  transport: TransportCircuit
  seen: SeenState
}

/** How upstreams stand: what their calls have shown, what their circuits know, and whether there is an account at all. */
export interface StateTeller {
  view(name: UpstreamName): UpstreamState
  /** Logs, and tells the listeners, of those upstreams whose state is another one than was told last. */
  tell(names: Iterable<UpstreamName>): void
  onChange(listener: (change: StateChange) => void): void
  close(): void
}

interface Told {
  state: SessionStateName
  since: number
  cancelTimer: () => void
}

/** @param safely runs what must not fail for its caller */
export function createStateTeller(
  upstreams: readonly StateParts[],
  {
    clock,
    log,
    safely
  }: { clock: Clock; log: Pick<BaseLogger, 'info' | 'warn'>; safely: (step: () => void) => void }
): StateTeller {
  const listeners: ((change: StateChange) => void)[] = []
  const parts = new Map(upstreams.map((upstream) => [upstream.name, upstream]))
  const told = new Map(
    upstreams.map(({ name, account }): [UpstreamName, Told] => [
      name,
      { state: account.configured ? 'ok' : 'unconfigured', since: clock.now(), cancelTimer: () => {} }
    ])
  )
  let closed = false

  function partsOf(name: UpstreamName): StateParts {
    const found = parts.get(name)
    if (found === undefined) throw new Error(`there is no upstream ${name}`)
    return found
  }

  function present(name: UpstreamName): UpstreamState {
    const { account, circuit, transport, seen } = partsOf(name)
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

  function view(name: UpstreamName): UpstreamState {
    const now = present(name)
    const last = told.get(name)
    // What lay behind a circuit all the time is older than the trouble, but it is the state only since that is over.
    return last?.state === now.state ? { ...now, since: last.since } : now
  }

  function tell(names: Iterable<UpstreamName>): void {
    const changes: StateChange[] = []
    for (const name of names) {
      const now = present(name)
      const last = told.get(name)
      last?.cancelTimer()
      let cancelTimer = () => {}
      if (now.until !== undefined && !closed)
        cancelTimer = clock.timer(Math.max(0, now.until - clock.now()) + 1, () => tell([name]))
      if (last === undefined || now.state === last.state) {
        told.set(name, { ...(last ?? now), cancelTimer })
        continue
      }
      const since = now.since > last.since ? now.since : clock.now()
      told.set(name, { state: now.state, since, cancelTimer })
      changes.push({ ...now, since, previous: last.state })
    }
    // What happened to an account is one event, however many upstreams it has.
    for (const { state, action, until } of new Map(
      changes.map((change) => [change.state, change])
    ).values()) {
      const upstreams = changes.filter((change) => change.state === state).map(({ name }) => name)
      const details = { upstreams, state, ...(until && { until: new Date(until).toISOString() }) }
      if (state === 'ok') log.info(details, 'upstream is all right')
      else if (action === undefined) log.warn(details, 'upstream is in trouble')
      else log.warn({ ...details, action }, 'upstream needs a person')
    }
    for (const change of changes) for (const listener of listeners) safely(() => listener(change))
  }

  return {
    view,
    tell,
    onChange: (listener) => void listeners.push(listener),
    close() {
      closed = true
      for (const { cancelTimer } of told.values()) cancelTimer()
    }
  }
}
