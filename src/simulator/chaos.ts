import { type FieldRules, faultOfBehaviour } from './behaviour.ts'
import { copilotFaults } from './copilot/faults.ts'
import { creatorFaults } from './creator/faults.ts'
import { seededRandom } from './creator/random.ts'
import type { Behaviours, FaultLists } from './frame.ts'
import { sydneyFaults } from './sydney/faults.ts'

/** Random trouble: a share of the calls of every operation gets one of the operation's faults. */
export interface Chaos {
  /** Part of the calls, from 0 to 1. */
  share: number
  /** The same seed gives the same draws, as long as calls come in the same order. Default 1. */
  seed?: number
  /** Faults of each operation by name, in place of {@link FAULTS}. An operation that is not listed has none. */
  faults?: FaultLists
}

/** A fault that was drawn. */
export interface PlayedFault {
  op: keyof Behaviours
  fault: string
  /** Prompt of the question or creation that it struck; empty where the call has none. */
  about: string
  /** Milliseconds since the epoch. */
  at: number
}

/**
 * What can go wrong at random in each operation: everything that passes by itself. What only a person can mend (dead
 * cookies, captchas, challenges, bans) is not here; a test plays it at a time of its own.
 */
export const FAULTS: FaultLists = { ...sydneyFaults, ...creatorFaults, ...copilotFaults }

/** Faults kept for tests to look at; the oldest go first. */
const MAX_PLAYED = 50_000

type Rules = FieldRules<Behaviours>

/**
 * Says what is wrong with a chaos that came from outside.
 * @returns a sentence, or `undefined` when it may be applied
 */
export function faultOfChaos(rules: Rules, chaos: object): string | undefined {
  const { share, seed, faults, ...unknown } = chaos as Record<string, unknown>
  const [name] = Object.keys(unknown)
  if (name !== undefined) return `Unknown member '${name}'. Members: share, seed, faults.`
  if (typeof share !== 'number' || !(share >= 0 && share <= 1)) return "'share' must be a number from 0 to 1."
  if (seed !== undefined && !Number.isFinite(seed)) return "'seed' must be a number."
  if (faults === undefined) return undefined
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject(faults)) return "'faults' must be an object of operations."
  for (const [op, list] of Object.entries(faults as object)) {
    if (!isObject(list)) return `'faults.${op}' must be an object of named behaviours.`
    for (const [name, partial] of Object.entries(list as object)) {
      const fault = faultOfBehaviour(rules, op, partial)
      if (fault !== undefined) return `'faults.${op}.${name}': ${fault}`
    }
  }
  return undefined
}

/** Draws faults. Starts with none. */
export function createChaos(rules: Rules) {
  const played: PlayedFault[] = []
  let lists: FaultLists = {}
  let share = 0
  let random = seededRandom(1)
  return {
    played: played as readonly PlayedFault[],
    get share() {
      return share
    },
    /** @throws {TypeError} for a chaos that makes no sense; nothing is changed then */
    set(chaos: Chaos): void {
      const fault = faultOfChaos(rules, chaos)
      if (fault !== undefined) throw new TypeError(fault)
      share = chaos.share
      lists = chaos.faults ?? FAULTS
      random = seededRandom(chaos.seed ?? 1)
    },
    /** What strikes this call; `undefined`: nothing. */
    draw<K extends keyof Behaviours>(op: K, about: string): Partial<Behaviours[K]> | undefined {
      const list = lists[op]
      if (share === 0 || list === undefined || random() >= share) return undefined
      const names = Object.keys(list)
      const fault = names[Math.floor(random() * names.length)]
      if (fault === undefined) return undefined
      played.push({ op, fault, about, at: Date.now() })
      if (played.length > MAX_PLAYED) played.shift()
      return list[fault]
    },
    reset(): void {
      share = 0
      played.length = 0
    }
  }
}
