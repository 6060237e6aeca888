import { EventEmitter } from 'node:events'
import { Cookie, CookieJar } from 'tough-cookie'
import { isBingHost } from './bing-hosts.ts'
import { parseCookies } from './cookie-import.ts'

/**
 * The operator's Microsoft account as the wire sees it: a cookie jar that can be replaced while the service runs.
 * Cookies that Bing rotates (`Set-Cookie`) are kept for the life of the process.
 */
export interface Account {
  /** Whether a `_U` cookie is there. Says nothing about whether Microsoft still accepts it. */
  readonly configured: boolean
  /** Grows by one at each replacement, so that sessions made with older cookies can be recognised. */
  readonly generation: number
  /** `Cookie` header for a URL, or `undefined` when no cookie fits. */
  cookieHeader(url: string): string | undefined
  /** Keeps the `Set-Cookie` headers of an answer; unusable ones are dropped. */
  keep(url: string, setCookie: readonly string[]): void
  /** Sets one cookie for a base URL (Bing: for all of `.bing.com`). */
  set(baseUrl: string, name: string, value: string): void
  /**
   * Replaces all cookies by those in `text` (see `parseCookies`).
   * @returns whether anything changed
   * @throws {Error} when the text can't be read, or would take away the `_U` cookie that there is (a file that is just
   *   being rewritten is empty for a moment); the old cookies stay
   */
  replace(text: string): boolean
  /** Calls back after each replacement. Returns the way to stop. */
  onReplaced(listener: () => void): () => void
}

/**
 * @param baseUrls the upstream bases that get the operator's cookies. Bases on `bing.com` share one cookie domain;
 *   any other host (a simulator, a proxy) gets cookies of its own, and `Domain=.bing.com` in its answers is read as that host.
 */
export function createAccount(baseUrls: readonly string[]): Account {
  let jar = newJar()
  // What no cookies look like, so that blank text changes nothing.
  let imported = '[]'
  let generation = 0
  let configured = false
  const events = new EventEmitter()

  function put(url: string, cookie: Cookie): void {
    const host = new URL(url).hostname
    if (isBingHost(host)) cookie.domain = 'bing.com'
    else cookie.domain = null
    jar.setCookieSync(cookie, httpUrl(url), { ignoreError: true })
  }

  return {
    get configured() {
      return configured
    },
    get generation() {
      return generation
    },
    cookieHeader: (url) => jar.getCookieStringSync(httpUrl(url)) || undefined,
    keep(url, setCookie) {
      const bing = isBingHost(new URL(url).hostname)
      for (const line of setCookie) {
        const cookie = Cookie.parse(line, { loose: true })
        if (cookie === undefined || cookie.key === '') continue
        if (!bing && cookie.domain !== null && isBingHost(cookie.domain)) cookie.domain = null
        // A loopback simulator has no TLS; a `Secure` cookie would never be sent back to it.
        if (!bing && url.startsWith('http:')) cookie.secure = false
        jar.setCookieSync(cookie, httpUrl(url), { ignoreError: true })
      }
    },
    set(baseUrl, name, value) {
      put(baseUrl, new Cookie({ key: name, value, path: '/' }))
    },
    replace(text) {
      const cookies = parseCookies(text)
      const fingerprint = JSON.stringify(cookies)
      if (fingerprint === imported) return false
      const hasUser = cookies.some((cookie) => cookie.name === '_U')
      if (configured && !hasUser) throw new Error('no _U cookie in it')
      jar = newJar()
      imported = fingerprint
      configured = hasUser
      for (const { name, value } of cookies) {
        for (const base of baseUrls) put(base, new Cookie({ key: name, value, path: '/' }))
      }
      generation += 1
      events.emit('replaced')
      return true
    },
    onReplaced(listener) {
      events.on('replaced', listener)
      return () => events.off('replaced', listener)
    }
  }
}

function newJar(): CookieJar {
  return new CookieJar(undefined, { looseMode: true, rejectPublicSuffixes: false })
}

/** tough-cookie knows http and https; a hub's ws and wss are the same origins. */
function httpUrl(url: string): string {
  return url.replace(/^ws/, 'http')
}
