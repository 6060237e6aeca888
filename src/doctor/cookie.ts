import type { Config } from '../config.ts'
import type { Account } from '../upstream/account.ts'
import { type ImportedCookie, parseCookies } from '../upstream/cookie-import.ts'
import { keptCookiesFile, restoreCookies } from '../upstream/kept-cookies.ts'
import { BROWSER_COOKIES } from '../upstream/sydney/constants.ts'
import { readTextFile } from '../watched-file.ts'
import { NEW_COOKIE } from './advice.ts'
import type { Finding } from './report.ts'

/** The cookies that the gateway would use, and what is to be said about them. Their values stay in here. */
export interface CookieCheck {
  finding: Finding
  /** The text to import; `undefined` when there is nothing usable. */
  text: string | undefined
  cookies: readonly ImportedCookie[]
}

/** Where the cookies of the account come from, in which form they are, and which of those that browsers have are missing. */
export function checkCookie(config: Config): CookieCheck {
  const bad = (detail: string, hint = NEW_COOKIE): CookieCheck => ({
    finding: { ok: false, detail, hint },
    text: undefined,
    cookies: []
  })
  const source = config.BING_COOKIE_FILE === undefined ? 'BING_COOKIE_U' : 'BING_COOKIE_FILE'
  let text = config.BING_COOKIE_U ?? ''
  if (config.BING_COOKIE_FILE !== undefined) {
    const content = readTextFile(config.BING_COOKIE_FILE)
    if ('error' in content) {
      return bad(
        `BING_COOKIE_FILE: ${config.BING_COOKIE_FILE} can't be read (${content.error.code ?? 'unreadable'}).`,
        'Put the cookies of a signed-in browser into this file, and let the user of the gateway read it.'
      )
    }
    text = content.text
  } else if (text === '') return bad('No cookie is set: neither BING_COOKIE_FILE nor BING_COOKIE_U is given.')

  let cookies: ImportedCookie[]
  try {
    cookies = parseCookies(text)
  } catch (error) {
    return bad(
      `${source}: ${(error as Error).message}.`,
      'It may hold the bare _U value, a whole Cookie header in one line, or the JSON export of a browser extension.'
    )
  }
  if (cookies.length === 0) return bad(`${source} holds no cookie.`)
  const names = new Set(cookies.map(({ name }) => name))
  const user = cookies.find(({ name }) => name === '_U')
  if (user === undefined)
    return bad(`${source}: ${formOf(text)} with ${count(names.size)}, but none is called _U.`)
  const missing = BROWSER_COOKIES.filter((name) => !names.has(name))
  return {
    text,
    cookies,
    finding: {
      ok: true,
      detail: `${source}: ${formOf(text)} with ${count(names.size)}; _U is there (${user.value.length} characters). ${missing.length === 0 ? 'All others that browsers send are there too.' : `Not there, though browsers send them: ${missing.join(', ')}.`}`,
      hint:
        missing.length === 0
          ? undefined
          : 'If Microsoft refuses the account all the same, give the gateway the whole Cookie header of the browser: _U alone has not always been enough since November 2023.'
    }
  }
}

/**
 * Gives the account the cookies that a gateway has kept since they were imported, as the gateway does at its start.
 * @returns which set is used, for people
 */
export function useKeptCookies(
  account: Pick<Account, 'restore'>,
  dataDir: string,
  name: 'bing' | 'copilot'
): string {
  const file = keptCookiesFile(dataDir, name)
  try {
    return restoreCookies(account, file)
      ? `Used are the cookies that the gateway has kept since in ${file}, as Microsoft renewed them.`
      : 'Used as they are: the gateway has kept no newer ones.'
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return `Used as they are: ${file} can't be read (${code ?? message}).`
  }
}

function count(cookies: number): string {
  return cookies === 1 ? '1 cookie' : `${cookies} cookies`
}

function formOf(text: string): string {
  const source = text.replace(/^\uFEFF/, '').trim()
  if (/^[[{]/.test(source)) return 'JSON export'
  return /;|^(cookie:\s*)?(_U|[A-Za-z_][\w.-]{0,40})=./i.test(source) ? 'Cookie header' : 'bare _U value'
}
