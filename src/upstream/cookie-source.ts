import type { BaseLogger } from 'pino'
import { readTextFile, watchTextFile } from '../watched-file.ts'
import type { Account } from './account.ts'

export interface CookieSourceSettings {
  account: Pick<Account, 'configured' | 'replace'>
  /** Names of the settings, for the log, and what they say. The file wins. */
  file: readonly [setting: string, path: string | undefined]
  text?: readonly [setting: string, text: string | undefined]
  /** What it is, for the log; default cookies. */
  what?: string
  log: Pick<BaseLogger, 'info' | 'error'>
  /** Whether Microsoft waits for a person to do something about this account. */
  isWaiting(): boolean
}

/** Where an operator puts the cookies of an account. */
export interface CookieSource {
  /** Reads them again, and takes them anew even if they are the same ones, where a person was waited for. */
  reload(): void
  stop(): void
}

/**
 * Gives an account its cookies, and new ones within 2 s of a change of their file. A person who has passed a check in
 * the browser often gets the same cookies again; so that saving the file once more is enough to say so, the account then
 * starts anew with them.
 */
export function followCookies({
  account,
  file,
  text = ['', undefined],
  what = 'cookies',
  log,
  isWaiting
}: CookieSourceSettings): CookieSource {
  function take(from: string, given: string): void {
    try {
      if (account.replace(given, { anew: isWaiting() }))
        log.info({ from, configured: account.configured }, `${what} loaded`)
    } catch (error) {
      log.error({ from, reason: (error as Error).message }, `${what} could not be read; what was there stays`)
    }
  }

  function takeFile(content: ReturnType<typeof readTextFile>): void {
    const [from] = file
    if ('text' in content) take(from, content.text)
    else log.error({ from, reason: content.error.message }, `${what} could not be read; what was there stays`)
  }

  const [, path] = file
  function read(): void {
    if (path !== undefined) takeFile(readTextFile(path))
    else if (text[1] !== undefined) take(text[0], text[1])
  }

  read()
  const stop = path === undefined ? () => {} : watchTextFile(path, takeFile)
  return { reload: read, stop }
}
