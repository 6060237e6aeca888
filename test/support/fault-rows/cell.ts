import { EventEmitter } from 'node:events'
import type { Test } from 'tap'
import type { Answer, Gateway } from '../gateway.ts'

/** The ways in which a caller can meet a failure of the upstream: columns of the fault matrix. */
export const COLUMNS = ['chat plain', 'chat stream', 'image', 'video submit', 'video poll'] as const
export type Column = (typeof COLUMNS)[number]

/** What was seen of a cell. Told, not wanted: the player has compared it with what its row wants. */
export interface Outcome {
  /** What the caller got: `503 unreachable`, `200`, `event: error …`, `task failed: …`. */
  got: string
  /** How often the upstream was asked for what failed; absent where that is a matter of time. */
  times?: number
  /** `Retry-After`, in seconds. */
  retryAfter?: string
  /** `x-should-retry: false` was there. */
  stop?: boolean
}

/** One form of one row of docs/protocol/failures.md, in one column. */
export interface Cell {
  /** As on the page: `T9`. */
  row: string
  /** Which form of the symptom, where there are several. */
  form?: string | undefined
  column: Column
}

/** A cell, and how it is played on the gateway that its group shares. */
export interface PlayedOn<R> extends Cell {
  /** Makes the upstream fail, makes the call, checks what came and what the upstream saw, and that a good call works again. */
  play(t: Test, rig: R): Promise<Outcome>
}

/** What came of a cell. */
export interface Verdict extends Cell {
  outcome: Outcome | undefined
  /** Real time: the failing call and the good one after it. */
  ms: number
  /** What was wrong; empty when all was right. */
  faults: readonly string[]
}

export interface RunOptions {
  /** Cells that are played; all of them when it does not say. */
  isWanted?: (cell: Cell) => boolean
  onVerdict?: (verdict: Verdict) => void
}

/** Cells that are played one after the other on one gateway. */
export interface Group {
  name: string
  cells: readonly Cell[]
  run(t: Test, options?: RunOptions): Promise<void>
}

/**
 * Real milliseconds that a cell may take, good call included. The longest rows wait for some two seconds; a machine that
 * does ten other things needs several times that. What really hangs does so for minutes.
 */
export const HANG_MS = 30_000

/**
 * @param open starts the gateway; ends with the test that it is given
 * @param renew makes everything good again after a cell that went wrong, so that the next ones tell of themselves
 * @param end checked when all of them are done
 */
export function group<R extends Gateway>(
  name: string,
  open: (t: Test) => Promise<R>,
  cells: readonly PlayedOn<R>[],
  { renew, end }: { renew?: (rig: R) => void; end?: (t: Test, rig: R) => unknown } = {}
): Group {
  return {
    name,
    cells,
    async run(t, { isWanted = () => true, onVerdict } = {}) {
      const rig = await open(t)
      for (const { row, form, column, play } of cells.filter(isWanted)) {
        let outcome: Outcome | undefined
        const startedAt = performance.now()
        const result = await t.test(titleOf({ row, form, column }), { timeout: HANG_MS }, async (t) => {
          outcome = await play(t, rig)
        })
        const faults = (result?.failures ?? []).map(({ name, fullname }) => name || fullname)
        if (faults.length > 0) {
          rig.sim.reset()
          renew?.(rig)
        }
        onVerdict?.({ row, form, column, outcome, ms: performance.now() - startedAt, faults })
      }
      await end?.(t, rig)
    }
  }
}

export function titleOf({ row, form, column }: Cell): string {
  return `${row}${form === undefined ? '' : `, ${form}`}: ${column}`
}

/** Runs groups as tests of a file, a few (`t.jobs`) at a time: most of their time is spent waiting. */
export function runGroups(t: Test, groups: readonly Group[], options?: RunOptions): void {
  // Each gateway listens on every upstream socket of the process: as many as there are gateways at once.
  EventEmitter.defaultMaxListeners = 50
  for (const { name, run } of groups) t.test(name, { buffered: true }, (t) => run(t, options))
}

/** An answer, as the matrix shows it. */
export function outcomeOf(
  { status, headers, json, event }: Answer & { event?: string },
  times?: number
): Outcome {
  const { error } = json
  const got = error === undefined ? `${json.notice ?? ''}` : `${error.code ?? error.type}`
  return {
    got: [event === 'error' ? 'event' : String(status), got].filter((word) => word !== '').join(' '),
    ...(times === undefined ? {} : { times }),
    ...(headers['retry-after'] === undefined ? {} : { retryAfter: String(headers['retry-after']) }),
    ...(headers['x-should-retry'] === 'false' ? { stop: true } : {})
  }
}

/** A task that has ended, as the matrix shows it. */
export function taskOutcome(task: Record<string, unknown>, times?: number): Outcome {
  const { code } = (task.errorDetail ?? {}) as { code?: string }
  return {
    got: [String(task.status), code].filter(Boolean).join(' '),
    ...(times === undefined ? {} : { times })
  }
}
