import type { ByteRange } from '../../src/media/storage.ts'

/** Whether a cached copy with this entity tag is still good; RFC 9110 section 13.1.2. */
export function isFresh(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((given) => {
    const tag = given.trim()
    return tag === '*' || tag.replace(/^W\//, '') === etag
  })
}

/**
 * The part of a file that a request asks for; RFC 9110 section 14. (The package range-parser refuses a suffix that is
 * longer than the file, which stands for all of it.)
 * @param size of the whole file in bytes
 * @returns `undefined` for the whole: without a `Range`, with one that can't be read or that asks for several parts, or
 *   with an `If-Range` that names another file; `'none'` when nothing of the file lies in the range
 */
export function rangeOf(
  { range, 'if-range': ifRange }: { range?: string; 'if-range'?: string },
  etag: string,
  size: number
): ByteRange | 'none' | undefined {
  if (ifRange !== undefined && ifRange.trim() !== etag) return undefined
  const [, first, last] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(range ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'none' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'none' : { start, end }
}
