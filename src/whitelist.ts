/** At most `count` of something in each window of `seconds`, which begins with the first use. */
export interface Limit {
  count: number
  seconds: number
}

export type LimitedThing = 'conversations' | 'images' | 'videos'

export type Limits = Partial<Record<LimitedThing, Limit>>

/** Listed userIds with the limits given for them. */
export type Whitelist = ReadonlyMap<string, Limits>

const THINGS: readonly string[] = ['conversations', 'images', 'videos'] satisfies LimitedThing[]
const WINDOW_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
const MAX_USER_ID_LENGTH = 128

/** Finishes a sentence about a malformed limit. */
export const LIMIT_FORM = `must look like images=50/d, for ${THINGS.join(', ')}`

/** A line of the whitelist that can't be read; `line` counts from 1. */
export class WhitelistError extends Error {
  readonly line: number
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`)
    this.name = 'WhitelistError'
    this.line = line
  }
}

/**
 * Reads a whitelist: a userId a line, `#` starts a comment, blank lines are skipped, limits may follow the userId
 * (`alice conversations=10/h images=50/d`). A userId that is listed twice has the limits of its last line.
 * @throws {WhitelistError} naming the first bad line
 */
export function parseWhitelist(text: string): Whitelist {
  const users = new Map<string, Limits>()
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  for (const [index, line] of lines.entries()) {
    const [userId, ...rest] = line
      .replace(/(^|\s)#.*$/, '')
      .split(/\s+/)
      .filter((word) => word !== '')
    if (userId === undefined) continue
    if (userId.length > MAX_USER_ID_LENGTH) throw new WhitelistError(index + 1, 'the userId is too long')
    if (/[\u0000-\u001f\u007f\ufffd]/.test(userId))
      throw new WhitelistError(index + 1, 'the userId holds control characters')
    const limits = limitsFrom(rest)
    if (limits === undefined) throw new WhitelistError(index + 1, `a limit ${LIMIT_FORM}`)
    users.set(userId, limits)
  }
  return users
}

/** Whether a line of a whitelist could list this userId. */
export function isUserId(text: string): boolean {
  try {
    const users = parseWhitelist(text)
    return users.size === 1 && users.has(text)
  } catch {
    return false
  }
}

/** Reads limits that are separated by blanks. @returns `undefined` when one is malformed; no limits for an empty text */
export function parseLimits(text: string): Limits | undefined {
  return limitsFrom(text.split(/\s+/).filter((word) => word !== ''))
}

function limitsFrom(words: readonly string[]): Limits | undefined {
  const limits: Limits = {}
  for (const word of words) {
    const [, thing, count, window] = /^([a-z]+)=(\d{1,9})\/([smhd])$/.exec(word) ?? []
    if (thing === undefined || !THINGS.includes(thing)) return undefined
    limits[thing as LimitedThing] = {
      count: Number(count),
      seconds: WINDOW_SECONDS[window as string] as number
    }
  }
  return limits
}
