import type { FastifyBaseLogger } from 'fastify'
import { readTextFile, watchTextFile } from '../../src/watched-file.ts'
import { type Limit, type LimitedThing, parseWhitelist, type Whitelist } from '../../src/whitelist.ts'

export interface WatchedWhitelist {
  has(userId: string): boolean
  /** The limit that the user's line gives; `undefined` where it says nothing. */
  limitOf(userId: string, thing: LimitedThing): Limit | undefined
  stop(): void
}

/**
 * The whitelist of a file, which is read again when it changes. A file that can't be read keeps the last good list.
 * @param onChange is told of each new list
 */
export function watchWhitelist(path: string, log: FastifyBaseLogger, onChange: () => void): WatchedWhitelist {
  let list: Whitelist = new Map()

  function load(content: ReturnType<typeof readTextFile>, atStart: boolean): void {
    const consequence = atStart ? 'nobody is whitelisted' : 'the last good list stays'
    if ('error' in content) {
      const absent = content.error.code === 'ENOENT'
      log.warn(
        { file: path, err: absent ? undefined : content.error },
        `whitelist ${absent ? 'not found' : 'unreadable'}: ${consequence}`
      )
      return
    }
    try {
      list = parseWhitelist(content.text)
      log.info({ file: path, users: list.size }, 'whitelist loaded')
      onChange()
    } catch (error) {
      const { message, line } = error as { message: string; line?: number }
      log.error({ file: path, line, problem: message }, `whitelist malformed: ${consequence}`)
    }
  }

  load(readTextFile(path), true)
  return {
    has: (userId) => list.has(userId),
    limitOf: (userId, thing) => list.get(userId)?.[thing],
    stop: watchTextFile(path, (content) => load(content as ReturnType<typeof readTextFile>, false))
  }
}
