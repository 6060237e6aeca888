import { Cookie } from 'tough-cookie'
import { type Account, createAccount } from '../account.ts'
import { cookieNamed } from '../cookie-header.ts'
import { ANONYMOUS_COOKIE, KEPT_COOKIE } from './constants.ts'
import { isObject } from './json.ts'

/** Characters of a token at most; the site's own have about 1,700. */
const MAX_TOKEN_CHARS = 16 * 1024
const TOKEN_HOSTS = ['copilot.microsoft.com', 'microsoft.com']

/**
 * The operator's account at copilot.microsoft.com: cookies, and the access token where there is one. `configured` is true
 * as well for an anonymous visitor whom Copilot has let in.
 */
export interface CopilotAccount extends Account {
  /** Whether cookies were imported. */
  readonly hasCookies: boolean
  /** What goes with the socket; absent: cookies only. */
  token(): string | undefined
  /**
   * Replaces the token. It counts as a replacement of the account (`generation`, `onReplaced`): without an import, the
   * cookies of the token before are forgotten.
   * @param text see `parseToken`; blank text changes nothing, since a file that is just being rewritten is empty for a moment
   * @param options.anew whether the same token again counts as a new one
   * @returns whether anything changed
   * @throws {Error} when the text can't be read; the old token stays
   */
  replaceToken(text: string, options?: { anew?: boolean }): boolean
}

/**
 * Without cookies and token it is an anonymous visitor, who gets cookies of their own from the first answer.
 * @param baseUrl the site, or what stands in for it; the only one that gets the cookies
 * @see docs/protocol/chat-copilot.md section 2.1
 */
export function createCopilotAccount(baseUrl: string): CopilotAccount {
  const own = new URL(baseUrl).hostname
  const cookies = createAccount([baseUrl], {
    isHost: (host) => [own, ...TOKEN_HOSTS].includes(host.toLowerCase().replace(/^\./, ''))
  })
  const listeners = new Set<() => void>()
  let token: string | undefined
  let tokens = 0

  /** Copilot has given an anonymous visitor a session. */
  const isVisitor = () => cookieNamed(cookies.cookieHeader(baseUrl), ANONYMOUS_COOKIE) !== undefined

  return {
    get configured() {
      return cookies.configured || token !== undefined || isVisitor()
    },
    get hasCookies() {
      return cookies.configured
    },
    get generation() {
      return cookies.generation + tokens
    },
    cookieHeader: (url) => cookies.cookieHeader(url),
    keep(url, setCookie) {
      const isKept = (line: string) => {
        const cookie = Cookie.parse(line, { loose: true })
        return cookie?.key !== KEPT_COOKIE || cookie.value !== ''
      }
      cookies.keep(url, setCookie.filter(isKept))
    },
    set: (...args) => cookies.set(...args),
    replace: (...args) => cookies.replace(...args),
    save: () => cookies.save(),
    restore: (text) => cookies.restore(text),
    onKept: (listener) => cookies.onKept(listener),
    onReplaced(listener) {
      listeners.add(listener)
      const stop = cookies.onReplaced(listener)
      return () => {
        listeners.delete(listener)
        stop()
      }
    },
    token: () => token,
    replaceToken(text, { anew = false } = {}) {
      if (text.trim() === '') return false
      const next = parseToken(text)
      if (next === token && !anew) return false
      token = next
      cookies.bind(next)
      tokens += 1
      for (const listener of listeners) listener()
      return true
    }
  }
}

/**
 * Reads an access token as people hand it over: bare, behind `Bearer`, or as the item of the site's local storage that
 * holds it (JSON with the member `secret`).
 * @throws {Error} when it is none of these; the message never quotes it
 */
export function parseToken(text: string): string {
  const source = text.replace(/^\uFEFF/, '').trim()
  const token = source.startsWith('{') ? secretOf(source) : source.replace(/^Bearer\s+/i, '')
  if (token.length > MAX_TOKEN_CHARS)
    throw new Error(`the access token is longer than ${MAX_TOKEN_CHARS} characters`)
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error('the access token is not one word of ASCII characters')
  return token
}

function secretOf(json: string): string {
  let item: unknown
  try {
    item = JSON.parse(json)
  } catch {
    throw new Error('the access token begins like JSON and is none')
  }
  if (!isObject(item) || typeof item.secret !== 'string') throw new Error('the JSON has no member "secret"')
  return item.secret
}
