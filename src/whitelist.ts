/** At most `count` of something in each window of `seconds`. */
export interface Limit {
  count: number
  seconds: number
}

export type LimitedThing = 'conversations' | 'images' | 'videos'

/** Listed userIds with the limits given for them. */
export type Whitelist = ReadonlyMap<string, Partial<Record<LimitedThing, Limit>>>

const THINGS: readonly string[] = ['conversations', 'images', 'videos'] satisfies LimitedThing[]
const WINDOW_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
const MAX_USER_ID_LENGTH = 128

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
  const users = new Map<string, Partial<Record<LimitedThing, Limit>>>()
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
    users.set(userId, Object.fromEntries(rest.map((word) => parseLimit(word, index + 1))))
  }
  return users
}

function parseLimit(word: string, line: number): [string, Limit] {
  const match = /^([a-z]+)=(\d{1,9})\/([smhd])$/.exec(word)
  if (match === null || !THINGS.includes(match[1] as string)) {
    throw new WhitelistError(line, `a limit must look like images=50/d, for ${THINGS.join(', ')}`)
  }
  return [
    match[1] as string,
    { count: Number(match[2]), seconds: WINDOW_SECONDS[match[3] as string] as number }
  ]
}
