import type { Simulator } from '../../src/simulator/index.ts'
import type { Client, Reply } from './client.ts'
import type { Promised } from './creations.ts'
import type { Explanations } from './explained.ts'
import type { Findings } from './findings.ts'

export interface User {
  id: string
  /** How this one says who it is: with its name, or with an API key. */
  headers: Record<string, string>
}

/** Longest times that an answer may take, in milliseconds: the gateway's own deadlines, and what a busy machine adds. */
export interface Limits {
  turnMs: number
  imageMs: number
  videoSubmitMs: number
  /** Until a task has surely ended. */
  taskMs: number
  /** What needs nothing but the store. */
  readMs: number
}

/** Counts what was done, for the table. */
export interface Stats {
  add(what: string, by?: number): void
  get(what: string): number
  entries(): [string, number][]
}

/** What all callers share. */
export interface Soak {
  sim: Simulator
  client: Client
  findings: Findings
  explanations: Explanations
  stats: Stats
  limits: Limits
  users: readonly User[]
  webhookUrl: string
  /** Creations that a caller was told of, by prompt. */
  promised: Map<string, Promised>
  random(): number
  /** Whether callers are to go home. */
  isOver(): boolean
  /** Waits, or until callers are to go home. */
  rest(ms: number): Promise<void>
  /** Waits as long as an error asks for, within reason: a soak is short. */
  backOff(reply: Reply): Promise<void>
}

export function createStats(): Stats {
  const counts = new Map<string, number>()
  return {
    add: (what, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by),
    get: (what) => counts.get(what) ?? 0,
    entries: () => [...counts].sort(([a], [b]) => a.localeCompare(b))
  }
}
