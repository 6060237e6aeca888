import type { Random } from './random.ts'

/** What inputs of one kind are made of. */
export interface Corpus {
  /** Real inputs, to begin with. */
  seeds: readonly Buffer[]
  /** Pieces with a meaning of their own, which random bytes would hardly hit. */
  words?: readonly string[]
  /** Longest input, in bytes; longer ones are cut. Default 256 KiB. */
  maxBytes?: number
}

const MAX_BYTES = 256 * 1024

/** A real input after a few changes: flips, cuts, insertions, copies, splices with another one, repeats, nests, ends. */
export function mutateBytes(random: Random, { seeds, words = [], maxBytes = MAX_BYTES }: Corpus): Buffer {
  let bytes: Buffer = Buffer.from(random.pick(seeds))
  for (let left = random.few(8); left > 0; left--) bytes = change(random, bytes, seeds, words, maxBytes)
  return bytes.subarray(0, maxBytes)
}

function change(
  random: Random,
  bytes: Buffer,
  seeds: readonly Buffer[],
  words: readonly string[],
  maxBytes: number
): Buffer {
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + random.few(Math.max(64, bytes.length)))
  const slice = bytes.subarray(at, to)
  const put = (piece: Buffer, from = at, until = at) =>
    Buffer.concat([bytes.subarray(0, from), piece, bytes.subarray(until)])
  switch (random.below(12)) {
    case 0: {
      const copy = Buffer.from(bytes)
      if (at < copy.length) copy[at] = (copy[at] as number) ^ (1 << random.below(8))
      return copy
    }
    case 1: {
      const copy = Buffer.from(bytes)
      if (at < copy.length) copy[at] = random.pick([0, 0x1e, 0x22, 0x3c, 0x5c, 0x7f, 0x80, 0xed, 0xff])
      return copy
    }
    case 2:
      return put(Buffer.alloc(0), at, to)
    case 3:
      return put(Buffer.from(Array.from({ length: random.few(64) }, () => random.below(256))))
    case 4:
    case 5:
      return put(Buffer.from(words.length === 0 ? '' : random.pick(words)))
    case 6:
      return words.length === 0 ? bytes : put(Buffer.from(random.pick(words)), at, to)
    case 7:
      return put(slice)
    case 8: {
      const other = random.pick(seeds)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))])
    }
    case 9: {
      // A short piece again and again: what makes scans that look back, or look again, take for ever.
      const piece = slice.length === 0 || random.chance(0.5) ? Buffer.from(wordOr(random, words)) : slice
      return put(repeated(random, piece.subarray(0, 64), maxBytes))
    }
    case 10: {
      const [open, close] = random.pick(NESTS)
      const depth = random.few(20_000)
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(open.repeat(depth)),
        slice,
        Buffer.from(close.repeat(random.chance(0.7) ? depth : 0)),
        bytes.subarray(to)
      ])
    }
    default:
      return bytes.subarray(0, at)
  }
}

const NESTS = [
  ['[', ']'],
  ['{"a":', '}'],
  ['<div>', '</div>'],
  ['<p hidden>', ''],
  ['(', ')'],
  ['&#38;', ''],
  ['\\', '']
] as const

const wordOr = (random: Random, words: readonly string[]) => (words.length === 0 ? 'a' : random.pick(words))

function repeated(random: Random, piece: Buffer, maxBytes: number): Buffer {
  if (piece.length === 0) return piece
  // Mostly moderate; seldom as much as is allowed.
  const bytes = random.chance(0.05) ? maxBytes : random.few(8192)
  return Buffer.alloc(Math.max(piece.length, bytes), piece)
}

/** Cuts a text anywhere, as a network does. */
export function pieces(random: Random, text: string): string[] {
  if (random.chance(0.3)) return [text]
  const most = random.chance(0.1) ? 4 : Math.max(16, text.length / 4)
  const cut: string[] = []
  for (let at = 0; at < text.length; ) {
    const size = random.few(most)
    cut.push(text.slice(at, at + size))
    at += size
  }
  return cut
}
