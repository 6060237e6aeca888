import { type Clock, systemClock } from '../../clock.ts'
import { deadline } from '../../jobs/deadline.ts'
import type { Account } from '../account.ts'
import { UpstreamError } from '../failures.ts'
import type { UpstreamHttp, UpstreamResponse } from '../http.ts'
import { ownUrl } from '../media/own-url.ts'
import { refuseBadStatus } from '../page-verdict.ts'
import { withRetries } from '../retry.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { CREATE_PATH, PAGE_HEADERS, SETTINGS_COOKIE, settingsCookie } from './constants.ts'
import { readLandingPage } from './page.ts'

/** Redirects that a page may take before it counts as a loop (row T5). */
const MAX_REDIRECTS = 5

/**
 * Times of the landing page, from the connection to the last byte (row T4), in milliseconds. Whoever wants to create
 * something waits for it, so it gets less than any other page; and a second try, because perhaps only one connection, or
 * one of Bing's servers, is stuck. The first one has been given up by then; it has more time than a connection may take
 * (row T2), which is trouble of its own.
 */
const LANDING_TRIES_MS = [12_000, 8000] as const
/** `Retry-After` of a landing page that did not come, in seconds. */
const LATE_RETRY_S = 30

/** A visit to the Creator that calls of any number of jobs share. */
export interface PageSession {
  /** Page impression id for submit and poll URLs; absent when the landing page showed none. */
  readonly ig: string | undefined
  /** `Account.generation` of the cookies that opened it. */
  readonly generation: number
}

/** The signed-in session of Bing's creators, opened when it is first needed; images and video share one. */
export interface CreatorSession {
  /** Whether a session is open and still belongs to the account's cookies. */
  readonly active: boolean
  /**
   * The open session, or a new one. Callers that come while one is being opened wait for the same one.
   * @throws {UpstreamError} C1 | I1 | I15 | I17 | T1–T11 of docs/protocol/failures.md, or the signal's reason
   */
  open(signal: AbortSignal): Promise<PageSession>
  /** A session younger than `stale`, which an answer has shown to be of no use. Throws as `open`. */
  renew(stale: PageSession, signal: AbortSignal): Promise<PageSession>
  forget(): void
  /** Opens a new session whether or not there is one, to see how the account stands. Throws as `open`. */
  check(signal: AbortSignal): Promise<void>
  /**
   * Fetches a page and follows its redirects, as far as they stay with Bing.
   * @throws {UpstreamError} T1–T10, or the signal's reason
   */
  page(url: string, signal: AbortSignal): Promise<UpstreamResponse>
}

export interface CreatorSessionSettings {
  /** `https://www.bing.com`, or a stand-in. */
  bingUrl: string
  account: Account
  http: UpstreamHttp
  clock: Clock
  /** Of connections: real time, however fast `clock` runs. Default: the system's. */
  connectionClock?: Clock
}

interface Opening {
  session: Promise<PageSession>
  /** Callers that wait for it; it is given up when the last one leaves. */
  waiting: number
  abort: AbortController
  /** `Account.generation` at its start. */
  generation: number
}

export function createCreatorSession({
  bingUrl,
  account,
  http,
  clock,
  connectionClock = systemClock
}: CreatorSessionSettings): CreatorSession {
  const base = bingUrl.replace(/\/+$/, '')
  const landingUrl = `${base}${CREATE_PATH}`
  let current: PageSession | undefined
  let opening: Opening | undefined

  function usable(): PageSession | undefined {
    return current?.generation === account.generation ? current : undefined
  }

  async function page(url: string, signal: AbortSignal): Promise<UpstreamResponse> {
    let at = url
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await http.request({ url: at, headers: pageHeaders(base), signal })
      refuseBadStatus(response)
      const { status, location } = response
      if (status < 300 || status > 399 || location === undefined) return response
      const own = ownUrl(location, base)
      if (own === undefined)
        throw new UpstreamError('T10', { cause: new Error('redirect to a foreign host') })
      at = own
    }
    throw new UpstreamError('T5', { cause: new Error(`more than ${MAX_REDIRECTS} redirects`) })
  }

  /** The landing page. `undefined`: it shows nobody signed in. */
  async function visit(signal: AbortSignal): Promise<PageSession | undefined> {
    const { generation } = account
    const { status, text } = await page(landingUrl, signal)
    if (status === 401) throw new UpstreamError('T6')
    if (status === 403) throw new UpstreamError('T7')
    if (status !== 200) throw new UpstreamError('T11', { cause: new Error(`landing page: status ${status}`) })
    if (text.trim() === '') throw new UpstreamError('T10', { cause: new Error('landing page: empty') })
    const { signedIn, ig, salt, outage, challenge } = readLandingPage(text)
    if (outage) throw new UpstreamError('I15')
    if (challenge) throw new UpstreamError('I17')
    if (!signedIn) return undefined
    if (generation === account.generation) {
      account.set(base, SETTINGS_COOKIE, settingsCookie(Math.floor(clock.now() / 1000), salt, ig))
    }
    return { ig, generation }
  }

  /** One look, whose page is asked for again when it does not come. */
  async function look(signal: AbortSignal): Promise<PageSession | undefined> {
    let late: unknown
    for (const ms of LANDING_TRIES_MS) {
      const isLate = () =>
        new UpstreamError('T4', {
          message: 'Bing did not send its start page in time.',
          retryAfter: LATE_RETRY_S
        })
      const limit = deadline(connectionClock, ms, isLate, signal)
      try {
        return await visit(limit.signal)
      } catch (error) {
        if (signal.aborted || error !== limit.signal.reason) throw error
        late = error
      } finally {
        limit.clear()
      }
    }
    throw late
  }

  /** Two looks at most: the second one tells an expired cookie from a hiccup (row I1). */
  async function bootstrap(signal: AbortSignal): Promise<PageSession> {
    for (let looks = 0; looks < 2; looks++) {
      const session = await withRetries({ clock, signal }, () => look(signal))
      if (session !== undefined) return session
    }
    throw new UpstreamError('I1')
  }

  function start(): Opening {
    const abort = new AbortController()
    const { generation } = account
    const own: Opening = { session: bootstrap(abort.signal), waiting: 0, abort, generation }
    const end = () => {
      if (opening === own) opening = undefined
    }
    own.session.then((session) => {
      current = session
      end()
    }, end)
    return own
  }

  async function open(signal: AbortSignal): Promise<PageSession> {
    for (;;) {
      signal.throwIfAborted()
      if (!account.configured) throw new UpstreamError('C1')
      const ready = usable()
      if (ready !== undefined) return ready
      opening ??= start()
      const joined = opening
      joined.waiting += 1
      try {
        await unlessAborted(joined.session, signal)
      } catch (error) {
        // What the old cookies met says nothing about those that came meanwhile.
        if (signal.aborted || joined.generation === account.generation) throw error
      } finally {
        joined.waiting -= 1
        if (joined.waiting === 0) {
          joined.abort.abort()
          if (opening === joined) opening = undefined
        }
      }
    }
  }

  return {
    get active() {
      return usable() !== undefined
    },
    open,
    renew(stale, signal) {
      if (current === stale) current = undefined
      return open(signal)
    },
    forget() {
      current = undefined
    },
    async check(signal) {
      current = undefined
      await open(signal)
    },
    page
  }
}

/**
 * Headers of a call to Bing's creators.
 * @param referer path with query of the page that the call pretends to come from
 */
export function pageHeaders(bingUrl: string, referer: string = CREATE_PATH): Record<string, string> {
  const base = bingUrl.replace(/\/+$/, '')
  return { ...PAGE_HEADERS, origin: new URL(base).origin, referer: `${base}${referer}` }
}
