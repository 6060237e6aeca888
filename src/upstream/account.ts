import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Cookie, CookieJar, defaultPath, type SerializedCookieJar } from 'tough-cookie'
import { isBingHost } from './bing-hosts.ts'
import { type CookieSite, parseCookies } from './cookie-import.ts'

/**
 * The operator's Microsoft account as the wire sees it: a cookie jar that can be replaced while the service runs.
 * Cookies that Bing rotates (`Set-Cookie`) are kept, beyond the life of the process too (kept-cookies.ts).
 */
export interface Account {
  /** Whether cookies are there; of Bing's, whether `_U` is. Says nothing about whether Microsoft still accepts it. */
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
   * @param options.anew whether the same cookies again count as new ones, and put an end to those that the site has set since
   * @returns whether anything changed
   * @throws {Error} when the text can't be read, or would take away the `_U` cookie, or all cookies, that there are (a file
   *   that is just being rewritten is empty for a moment); the old cookies stay
   */
  replace(text: string, options?: { anew?: boolean }): boolean
  /** Calls back after each replacement. Returns the way to stop. */
  onReplaced(listener: () => void): () => void
  /** All cookies as they are now, as JSON for `restore`; `undefined` when there are none. Secret. */
  save(): string | undefined
  /**
   * Puts back what `save` has given an earlier process, provided that it came of the same import.
   * @returns whether it did
   * @throws {Error} when the text is none of `save`'s; the message never quotes it
   */
  restore(text: string): boolean
  /** Calls back when the site has set cookies. Returns the way to stop. */
  onKept(listener: () => void): () => void
}

/** An account with another credential beside its cookies. */
export interface BoundAccount extends Account {
  /**
   * Says which credential the cookies go with from now on. Those that the site has set of its own accord were of the
   * session of the one before, and are forgotten; those of an import stay. `restore` takes nothing that goes with another.
   */
  bind(credential: string): void
}

/**
 * As browsers do (RFC 6265bis, section 5.6): a cookie whose name and value have more bytes together is dropped, an attribute
 * with more is ignored, and a site has no more cookies. Sites rotate values, not names.
 */
const MAX_COOKIE_LENGTH = 4096
const MAX_ATTRIBUTE_LENGTH = 1024
const MAX_COOKIES = 180

/** Whose cookies an account holds. */
export interface AccountSite extends CookieSite {
  /** Domain that the hosts of the site share cookies under; absent: every host has its own. */
  domain?: string
  /** Cookie without which an import is of no use. Absent: any cookie will do. */
  required?: string
}

const BING: AccountSite = { isHost: isBingHost, bareName: '_U', domain: 'bing.com', required: '_U' }

/**
 * @param baseUrls the upstream bases that get the operator's cookies. Bases on `bing.com` share one cookie domain;
 *   any other host (a simulator, a proxy) gets cookies of its own, and `Domain=.bing.com` in its answers is read as that host.
 * @param site default: Bing
 */
export function createAccount(baseUrls: readonly string[], site: AccountSite = BING): BoundAccount {
  let jar = newJar()
  // What no cookies look like, so that blank text changes nothing.
  let imported = '[]'
  let boundTo = ''
  let generation = 0
  let configured = false
  const events = new EventEmitter()

  const sharedDomain = (url: string) => (site.isHost(new URL(url).hostname) ? site.domain : undefined)

  function put(url: string, cookie: Cookie): void {
    cookie.domain = sharedDomain(url) ?? null
    jar.setCookieSync(cookie, httpUrl(url), { ignoreError: true })
  }

  /** Tells what cookies grew from, without being of use to anybody. */
  const origin = () =>
    createHash('sha256')
      .update(imported + boundTo)
      .digest('hex')

  return {
    get configured() {
      return configured
    },
    get generation() {
      return generation
    },
    cookieHeader: (url) => jar.getCookieStringSync(httpUrl(url)) || undefined,
    keep(url, setCookie) {
      const isHome = site.isHost(new URL(url).hostname)
      // Reading removes those that have expired.
      jar.getCookiesSync(httpUrl(url))
      const kept = jar.serializeSync()?.cookies ?? []
      let added = 0
      for (const line of setCookie) {
        const cookie = Cookie.parse(line, { loose: true })
        if (cookie === undefined || cookie.key === '') continue
        if (Buffer.byteLength(cookie.key + cookie.value) > MAX_COOKIE_LENGTH) continue
        if (Buffer.byteLength(cookie.path ?? '') > MAX_ATTRIBUTE_LENGTH) cookie.path = null
        // Attributes that nobody knows would be kept, whatever their length.
        cookie.extensions = null
        const path = cookie.path ?? defaultPath(new URL(url).pathname)
        const isNew = !kept.some((other) => other.key === cookie.key && other.path === path)
        if (isNew && kept.length + added >= MAX_COOKIES) continue
        if (isNew) added += 1
        // A site without a shared domain is one host, so that a cookie takes the place of the one that was imported.
        const isAlone = !isHome || site.domain === undefined
        if (isAlone && cookie.domain !== null && site.isHost(cookie.domain)) cookie.domain = null
        // A loopback simulator has no TLS; a `Secure` cookie would never be sent back to it.
        if (isAlone && url.startsWith('http:')) cookie.secure = false
        jar.setCookieSync(cookie, httpUrl(url), { ignoreError: true })
      }
      events.emit('kept')
    },
    set(baseUrl, name, value) {
      put(baseUrl, new Cookie({ key: name, value, path: '/' }))
    },
    replace(text, { anew = false } = {}) {
      const cookies = parseCookies(text, site)
      const fingerprint = JSON.stringify(cookies)
      if (fingerprint === imported && !anew) return false
      const hasUser = cookies.some(({ name }) => site.required === undefined || name === site.required)
      if (configured && !hasUser) throw new Error(`no ${site.required ?? 'usable'} cookie in it`)
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
    },
    bind(credential) {
      boundTo = credential
      if (!configured) jar = newJar()
    },
    save() {
      const { cookies } = jar.serializeSync() ?? { cookies: [] }
      return cookies.length === 0 ? undefined : JSON.stringify({ import: origin(), cookies })
    },
    restore(text) {
      let saved: CookieJar
      let savedOrigin: unknown
      try {
        const { cookies, import: from } = JSON.parse(text)
        if (!Array.isArray(cookies)) throw new Error('no cookies')
        savedOrigin = from
        saved = CookieJar.deserializeSync({ ...(newJar().serializeSync() as SerializedCookieJar), cookies })
      } catch {
        throw new Error('these are no saved cookies')
      }
      if (savedOrigin !== origin()) return false
      // A cookie that the site took back, or that has expired, was the end of the session; the import may begin another one.
      const alive = baseUrls.slice(0, 1).flatMap((url) => saved.getCookiesSync(httpUrl(url)))
      if (!alive.some(({ key }) => site.required === undefined || key === site.required)) return false
      jar = saved
      return true
    },
    onKept(listener) {
      events.on('kept', listener)
      return () => events.off('kept', listener)
    }
  }
}

function newJar(): CookieJar {
  // Names that begin with `__Host-` promise attributes that neither an import nor a simulator without TLS has.
  return new CookieJar(undefined, {
    looseMode: true,
    rejectPublicSuffixes: false,
    prefixSecurity: 'unsafe-disabled'
  })
}

/** tough-cookie knows http and https; a hub's ws and wss are the same origins. */
function httpUrl(url: string): string {
  return url.replace(/^ws/, 'http')
}
