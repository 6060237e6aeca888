import { randomInt } from 'node:crypto'

/** A repeatable source of choices: the same seed makes the same ones. */
export interface Random {
  /** From 0 to 1, without 1. */
  next(): number
  /** A whole number from 0 to `below`, without it. */
  below(below: number): number
  chance(probability: number): boolean
  /** @throws {RangeError} for an empty list */
  pick<T>(list: readonly T[]): T
  /** One of few or many: small numbers are the likelier ones. From 1 to `most`. */
  few(most: number): number
}

/** A seed for a run that nobody gave one. */
export const anySeed = (): number => randomInt(2 ** 31)

/** The seed of one case of a run, so that each case can be repeated without those before it. */
export const seedOf = (seed: number, name: string, index: number): number =>
  [...`${seed}/${name}/${index}`].reduce(
    (hash, char) => Math.imul(hash ^ char.charCodeAt(0), 0x01000193),
    -0x7ee3623b
  )

/** mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick(list) {
      if (list.length === 0) throw new RangeError('nothing to pick from')
      return list[below(list.length)] as (typeof list)[number]
    },
    few: (most) => 1 + Math.floor(next() ** 3 * most)
  }
}
