import type { PixelSize } from './pixel-size.ts'

/** Real files have a few dozen on each level; more would only keep the event loop busy. */
const MAX_BOXES = 1000

interface Box {
  type: string
  payload: Buffer
}

/**
 * The boxes that a buffer consists of (ISO/IEC 14496-12 section 4.2); ends at the first one that can't be.
 * A box cut off by the end of the buffer is the last.
 */
function* boxesOf(bytes: Buffer): Generator<Box> {
  for (let at = 0, n = 0; at + 8 <= bytes.length && n < MAX_BOXES; n++) {
    const short = bytes.readUInt32BE(at)
    const header = short === 1 ? 16 : 8
    if (at + header > bytes.length) return
    // 1: the size stands behind the type, in 64 bits; 0: to the end of the file.
    const size = short === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : short === 0 ? bytes.length - at : short
    if (size < header) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), payload: bytes.subarray(at + header, at + size) }
    at += size
  }
}

const inside = (bytes: Buffer | undefined, type: string): Buffer[] =>
  bytes === undefined
    ? []
    : [...boxesOf(bytes)].filter((box) => box.type === type).map(({ payload }) => payload)

/**
 * Pixels at which an MP4's first picture track is shown: the size in its track header, turned if its matrix turns it
 * (ISO/IEC 14496-12 section 8.3.2).
 * @returns `undefined` when the bytes don't say
 */
export function mp4Size(bytes: Buffer): PixelSize | undefined {
  for (const track of inside(inside(bytes, 'moov')[0], 'trak')) {
    const [handler] = inside(inside(track, 'mdia')[0], 'hdlr')
    if (handler?.toString('latin1', 8, 12) !== 'vide') continue
    const [header] = inside(track, 'tkhd')
    const size = header && shownSize(header)
    if (size !== undefined) return size
  }
  return undefined
}

function shownSize(header: Buffer): PixelSize | undefined {
  // Version 1 has three times of 64 bits in place of 32.
  const matrix = header[0] === 1 ? 52 : 40
  if (header.length < matrix + 44) return undefined
  // 16.16 fixed point.
  const width = Math.round(header.readUInt32BE(matrix + 36) / 0x10000)
  const height = Math.round(header.readUInt32BE(matrix + 40) / 0x10000)
  if (width === 0 || height === 0) return undefined
  const turned = header.readInt32BE(matrix) === 0 && header.readInt32BE(matrix + 4) !== 0
  return turned ? { width: height, height: width } : { width, height }
}
