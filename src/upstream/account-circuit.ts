import type { Clock } from '../clock.ts'
import { type CallEnd, type CircuitState, refusalOf, rowOf, TRIAL_WAIT_S } from './circuit.ts'
import { UpstreamError } from './failures.ts'
import { isAdmitted, needsAPerson } from './row-kinds.ts'
import type { UpstreamName } from './session-state.ts'

/** An account that waits for a person is asked for this often at most (docs/protocol/failures.md section 9). */
export const PROBE_EVERY_MS = 30 * 60_000

/** Stops all calls in the name of an account that a person must first sign in again, or pass a check for. */
export interface AccountCircuit {
  readonly state: CircuitState
  /** When it opened, in milliseconds since the epoch. */
  readonly since: number
  /** What opened it; `undefined` when it is closed. */
  readonly failure: UpstreamError | undefined
  /**
   * Whether it stops calls to an upstream, all of them or all but one. Once a probe was good, what the probe proves is
   * free again, and the upstream that reported the trouble is tried.
   */
  concerns(name: UpstreamName): boolean
  /** What a call would be refused with right now. */
  refusal(name: UpstreamName): UpstreamError | undefined
  /** Lets a call begin. @throws {UpstreamError} its refusal */
  begin(name: UpstreamName): CallEnd
  /** Takes note of a look at the account that was no caller's, through this upstream. */
  probed(name: UpstreamName, error?: unknown): void
  /** A person has done something: new cookies, or the word of the operator. */
  reset(): void
  close(): void
}

export interface AccountCircuitSettings {
  clock: Clock
  /** Told of each change of state, and when another call may be the trial. */
  onChange: () => void
  /**
   * Has the account looked at in the cheapest way, and `probed` told.
   * @returns `false` when there is no such way: then a caller's call is the trial
   */
  probe: () => boolean
  /** Upstreams that are in order when a probe is. What opened the circuit elsewhere needs a real call to be believed over. */
  provenByProbe: ReadonlySet<UpstreamName>
}

export function createAccountCircuit(settings: AccountCircuitSettings): AccountCircuit {
  const { clock, onChange, provenByProbe } = settings
  let state: CircuitState = 'closed'
  let failure: UpstreamError | undefined
  /** The upstream that said so. */
  let from: UpstreamName | undefined
  let isChatOnly = false
  let since = 0
  let probeAt = 0
  let trial: object | undefined
  let stopTimer = () => {}
  /** Grows with each change of state: what began before one says nothing of what came after it. */
  let epoch = 0

  function enter(next: CircuitState): void {
    state = next
    trial = undefined
    epoch += 1
    stopTimer()
    onChange()
  }

  function open(error: UpstreamError, name: UpstreamName): void {
    if (state === 'closed') since = clock.now()
    failure = error
    from = name
    isChatOnly = needsAPerson(error) === 'chat'
    enter('open')
    probeLater()
  }

  function probeLater(): void {
    probeAt = clock.now() + PROBE_EVERY_MS
    stopTimer = clock.timer(PROBE_EVERY_MS, () => {
      if (!settings.probe()) enter('half-open')
    })
  }

  function shut(): void {
    if (state === 'closed') return
    failure = undefined
    from = undefined
    enter('closed')
  }

  function concerns(name: UpstreamName): boolean {
    if (state === 'closed' || (isChatOnly && name !== from)) return false
    return state === 'open' || name === from || !provenByProbe.has(name)
  }

  function refusal(name: UpstreamName): UpstreamError | undefined {
    if (failure === undefined || !concerns(name)) return undefined
    if (state === 'open') return refusalOf(failure, (probeAt - clock.now()) / 1000)
    return trial === undefined ? undefined : refusalOf(failure, TRIAL_WAIT_S)
  }

  return {
    get state() {
      return state
    },
    get since() {
      return since
    },
    get failure() {
      return failure
    },
    concerns,
    refusal,
    begin(name) {
      const refused = refusal(name)
      if (refused !== undefined) throw refused
      const begunIn = epoch
      const own = concerns(name) ? {} : undefined
      trial = own ?? trial
      return (error) => {
        // The cookies it was made with were replaced meanwhile, or others have seen as much.
        if (begunIn !== epoch) return
        if (own !== undefined && trial === own) trial = undefined
        if (error instanceof UpstreamError && needsAPerson(error) !== undefined) {
          open(error, name)
        } else if (own !== undefined && isAdmitted(error, rowOf(error))) shut()
        // Who was refused meanwhile may be the next trial.
        else if (own !== undefined) onChange()
      }
    },
    probed(name, error) {
      if (error instanceof UpstreamError && needsAPerson(error) === 'account') {
        open(error, name)
      } else if (state !== 'closed' && isAdmitted(error, rowOf(error))) {
        if (from !== undefined && provenByProbe.has(from)) shut()
        else if (state === 'open') enter('half-open')
      } else if (state === 'open') {
        stopTimer()
        probeLater()
      }
    },
    reset() {
      // What was begun with the old cookies, even if they were fine so far, says nothing of the new ones.
      epoch += 1
      shut()
    },
    close: () => stopTimer()
  }
}
