import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Account } from './account.ts'

/** Sites set cookies with most answers; the file follows them at this distance, in milliseconds. */
const WRITE_AFTER_MS = 2000

export interface KeptCookiesSettings {
  account: Pick<Account, 'save' | 'restore' | 'onKept' | 'onReplaced'>
  /** Path of the file. Whoever can read it has the account. */
  file: string
  clock: Clock
  log: Pick<BaseLogger, 'info' | 'warn'>
}

/**
 * Keeps the cookies that a site rotates in a file, so that a restart goes on with them instead of those that were
 * imported long ago. They hold as long as the import that they grew from: a new one puts an end to them. The service
 * works without the file just as well.
 */
export interface KeptCookies {
  /** Writes what is not written yet. */
  close(): Promise<void>
}

/** Where the kept cookies of an account are. @param name of the account: `bing` or `copilot` */
export function keptCookiesFile(dataDir: string, name: 'bing' | 'copilot'): string {
  return join(dataDir, `session-${name}.json`)
}

/**
 * Gives the account what was kept for it. The file stays as it is.
 * @returns whether it did: false when nothing was kept, or of another import
 * @throws {Error} when the file can't be read, or is of another kind; the message never quotes it
 */
export function restoreCookies(account: Pick<Account, 'restore'>, file: string): boolean {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return account.restore(text)
}

export function keepCookies({ account, file, clock, log }: KeptCookiesSettings): KeptCookies {
  let written: string | undefined
  let isFailing = false
  let cancelTimer: (() => void) | undefined
  let writing = Promise.resolve()

  restore()
  const stopListening = [account.onKept(later), account.onReplaced(later)]

  function restore(): void {
    try {
      if (!restoreCookies(account, file)) return
      written = account.save()
      log.info({ file }, 'kept cookies are used')
    } catch (error) {
      log.warn({ err: error, file }, 'kept cookies could not be read; those that were imported are used')
    }
  }

  function later(): void {
    cancelTimer ??= clock.timer(WRITE_AFTER_MS, () => {
      cancelTimer = undefined
      void write()
    })
  }

  function write(): Promise<void> {
    writing = writing.then(async () => {
      const text = account.save()
      if (text === written) return
      try {
        if (text === undefined) await rm(file, { force: true })
        else await replaceFile(file, text)
        written = text
        isFailing = false
      } catch (error) {
        // A folder that can't be written to stays so; once is enough.
        if (!isFailing) log.warn({ err: error, file }, 'cookies could not be kept for the next start')
        isFailing = true
      }
    })
    return writing
  }

  return {
    async close() {
      for (const stop of stopListening) stop()
      cancelTimer?.()
      if (cancelTimer !== undefined) await write()
      await writing
    }
  }
}

/** In one step, so that a crash leaves the old text or the new one; for nobody else's eyes from the first byte on. */
async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(draft, text, { mode: 0o600, flag: 'wx' })
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
}
