import type { Clock } from '../clock.ts'
import { type CallEnd, type CircuitState, refusalOf, rowOf, TRIAL_WAIT_S } from './circuit.ts'
import type { UpstreamError } from './failures.ts'
import { transportVerdict } from './row-kinds.ts'

/** Calls in a row that fail on their way before the circuit opens. */
const FAILURES_IN_A_ROW = 5
/** How long it stays open, in milliseconds: doubled each time that the trial fails. */
const OPEN_MS = { first: 30_000, longest: 600_000 }

/** Stops calls to an upstream that can't be reached, or falls over (docs/protocol/failures.md section 9). */
export interface TransportCircuit {
  readonly state: CircuitState
  /** When it opened, in milliseconds since the epoch. */
  readonly since: number
  /** What opened it; `undefined` when it is closed. */
  readonly failure: UpstreamError | undefined
  /** When the next call may go through, in milliseconds since the epoch; `undefined` unless it is open. */
  readonly until: number | undefined
  /** What a call would be refused with right now. */
  refusal(): UpstreamError | undefined
  /** Lets a call begin. @throws {UpstreamError} its refusal */
  begin(): CallEnd
  /** Closes it, whatever was known. */
  reset(): void
  close(): void
}

/** @param onChange told of each change of state */
export function createTransportCircuit(clock: Clock, onChange: () => void): TransportCircuit {
  let state: CircuitState = 'closed'
  let failure: UpstreamError | undefined
  let failures = 0
  let since = 0
  let until = 0
  let waitMs = 0
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

  function open(error: UpstreamError): void {
    if (state === 'closed') since = clock.now()
    waitMs = waitMs === 0 ? OPEN_MS.first : Math.min(OPEN_MS.longest, waitMs * 2)
    until = clock.now() + waitMs
    failure = error
    enter('open')
    stopTimer = clock.timer(waitMs, halfOpen)
  }

  function halfOpen(): void {
    if (state === 'open') enter('half-open')
  }

  function shut(): void {
    failures = 0
    waitMs = 0
    failure = undefined
    if (state !== 'closed') enter('closed')
  }

  function refusal(): UpstreamError | undefined {
    if (failure === undefined) return undefined
    // The timer may be late.
    if (state === 'open' && clock.now() >= until) halfOpen()
    if (state === 'open') return refusalOf(failure, (until - clock.now()) / 1000)
    return state === 'half-open' && trial !== undefined ? refusalOf(failure, TRIAL_WAIT_S) : undefined
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
    get until() {
      return state === 'open' ? until : undefined
    },
    refusal,
    begin() {
      const refused = refusal()
      if (refused !== undefined) throw refused
      const begunIn = epoch
      const own = state === 'half-open' ? {} : undefined
      trial = own
      return (error) => {
        if (begunIn !== epoch) return
        if (own !== undefined && trial === own) trial = undefined
        const verdict = transportVerdict(error, rowOf(error))
        if (verdict === 'good') shut()
        else if (verdict === 'bad' && (own !== undefined || ++failures >= FAILURES_IN_A_ROW))
          open(error as UpstreamError)
        // Who was refused meanwhile may be the next trial.
        else if (own !== undefined) onChange()
      }
    },
    reset() {
      epoch += 1
      shut()
    },
    close: () => stopTimer()
  }
}
