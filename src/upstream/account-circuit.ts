import type { Clock } from '../clock.ts'
import { type CallEnd, type CircuitState, refusalOf, rowOf, TRIAL_WAIT_S } from './circuit.ts'
import { UpstreamError } from './failures.ts'
import { isAdmitted, isSilent, isTurnedAway, needsAPerson, needsAPersonInTheEnd } from './row-kinds.ts'
import type { UpstreamName, UpstreamOperation } from './session-state.ts'

/** An account that waits for a person is asked for this often at most (docs/protocol/failures.md section 9). */
export const PROBE_EVERY_MS = 30 * 60_000
/** Between a trial that has shown nothing and the next one: whoever calls then must not become a stream of trials. */
export const TRIAL_PAUSE_MS = 30_000
/** Calls in a row that say the account is not accepted before that is believed, where a single one may be a hiccup. */
const TURNED_AWAY_IN_A_ROW = 3

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
  begin(name: UpstreamName, operation: UpstreamOperation): CallEnd
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
  /** What it was asked for when it said so. */
  let failedOn: UpstreamOperation | undefined
  let isChatOnly = false
  let since = 0
  let probeAt = 0
  let trial: object | undefined
  /** No trial before. */
  let trialAt = 0
  /** Calls in a row that said the account is not accepted, none of them begun before another one had said so. */
  let strikes = 0
  /** What was asked for when the last of them said so. */
  let struckOn: UpstreamOperation | undefined
  let stopTimer = () => {}
  /** Grows with each change of state: what began before one says nothing of what came after it. */
  let epoch = 0

  function enter(next: CircuitState): void {
    state = next
    strikes = 0
    trial = undefined
    trialAt = 0
    epoch += 1
    stopTimer()
    onChange()
  }

  function open(error: UpstreamError, name: UpstreamName, operation: UpstreamOperation): void {
    if (state === 'closed') since = clock.now()
    failure = error
    from = name
    failedOn = operation
    // A row that only opens it anew, after a trial, reaches no further than what was tried for.
    const reach = needsAPerson(error) ?? (state === 'closed' ? 'account' : undefined)
    if (reach !== undefined) isChatOnly = reach === 'chat'
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
    failedOn = undefined
    enter('closed')
  }

  function concerns(name: UpstreamName): boolean {
    if (state === 'closed' || (isChatOnly && name !== from)) return false
    return state === 'open' || name === from || !provenByProbe.has(name)
  }

  function refusal(name: UpstreamName): UpstreamError | undefined {
    if (failure === undefined || !concerns(name)) return undefined
    if (state === 'open') return refusalOf(failure, (probeAt - clock.now()) / 1000)
    if (trial !== undefined) return refusalOf(failure, TRIAL_WAIT_S)
    const pauseMs = trialAt - clock.now()
    return pauseMs > 0 ? refusalOf(failure, pauseMs / 1000) : undefined
  }

  /**
   * Counts the calls that say the account is not accepted.
   * @param before how many there were when this one began: those that were under way together are one hiccup
   * @returns whether it is to be believed now
   */
  function struck(error: unknown, operation: UpstreamOperation, before: number): boolean {
    const row = rowOf(error)
    if (row !== undefined && needsAPersonInTheEnd(row)) {
      if (strikes === before) strikes += 1
      struckOn = operation
      return strikes >= TURNED_AWAY_IN_A_ROW
    }
    // Who may start a conversation may still have a token that no turn goes with.
    if (isAdmitted(error, row) && (struckOn !== 'turn' || operation === 'turn')) strikes = 0
    return false
  }

  /** What its one trial says of an account that is not known to need a person still. */
  function tried(error: unknown, name: UpstreamName, operation: UpstreamOperation): void {
    const row = rowOf(error)
    if (row !== undefined && isTurnedAway(row)) {
      open(error as UpstreamError, name, operation)
    } else if (isAdmitted(error, row)) {
      // Captchas are met in the turn: that a conversation can be started proves nothing about them.
      if (failedOn !== 'turn' || operation === 'turn') shut()
      else onChange()
    } else {
      if (row !== undefined) {
        trialAt = clock.now() + TRIAL_PAUSE_MS
        stopTimer()
        stopTimer = clock.timer(TRIAL_PAUSE_MS, onChange)
      }
      // After a caller who left, who was refused meanwhile may be the next trial.
      onChange()
    }
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
    begin(name, operation) {
      const refused = refusal(name)
      if (refused !== undefined) throw refused
      const begunIn = epoch
      const begunAt = strikes
      const own = concerns(name) ? {} : undefined
      trial = own ?? trial
      return (error) => {
        // The cookies it was made with were replaced meanwhile, or others have seen as much.
        if (begunIn !== epoch) return
        if (own !== undefined && trial === own) trial = undefined
        if (error instanceof UpstreamError && needsAPerson(error) !== undefined) {
          open(error, name, operation)
        } else if (own !== undefined) tried(error, name, operation)
        else if (struck(error, operation, begunAt)) open(error as UpstreamError, name, operation)
      }
    },
    probed(name, error) {
      if (error instanceof UpstreamError && needsAPerson(error) === 'account') {
        // What a turn has met, it may meet still, whatever else a look finds.
        open(error, name, name === from && failedOn === 'turn' ? failedOn : 'bootstrap')
      } else if (state !== 'closed' && isAdmitted(error, rowOf(error))) {
        if (from !== undefined && provenByProbe.has(from)) shut()
        else if (state === 'open') enter('half-open')
      } else if (state === 'open') {
        // A look that shows nothing leaves it to a call.
        if (error instanceof UpstreamError && isSilent(error.row)) return enter('half-open')
        stopTimer()
        probeLater()
      }
    },
    reset() {
      // What was begun with the old cookies, even if they were fine so far, says nothing of the new ones.
      epoch += 1
      strikes = 0
      shut()
    },
    close: () => stopTimer()
  }
}
