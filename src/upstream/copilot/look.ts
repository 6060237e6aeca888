import { type FailureId, UpstreamError } from '../failures.ts'
import { isUserKnown, type SiteSettings } from './site.ts'

/** What the gateway shows of its account, and where. */
export interface Shown {
  /** Cookies of a browser, with everything. */
  hasCookies: boolean
  /** An access token, with the socket. */
  hasToken: boolean
}

/** The route is another one than it was, or not for this kind of client: nothing is said of the account. */
const UNREADABLE: ReadonlySet<FailureId> = new Set(['T10', 'T11', 'P7', 'P14'])
/** Who comes is not accepted. */
const OF_COOKIES: ReadonlySet<FailureId> = new Set(['P1', 'T6'])

/**
 * Looks at how the account stands: asks who is signed in, which a browser does at every visit. That shows whether
 * the cookies are good and whether Cloudflare lets calls through. It shows nothing of the token, nor of challenges inside the
 * chat; where it shows nothing at all, that is said too.
 * @throws {UpstreamError} P1, T6: the cookies are not accepted; P2; P-unclear; T1–T5, T8, T9, P19; or the signal's reason
 * @see docs/session-health.md
 */
export async function lookAtAccount(site: SiteSettings, { hasCookies, hasToken }: Shown): Promise<void> {
  // Whoever comes without any credential is told nothing of one.
  const isShown = hasCookies || site.bearer !== undefined
  let isKnown: boolean
  try {
    isKnown = await isUserKnown(site)
  } catch (error) {
    const row = error instanceof UpstreamError ? error.row : undefined
    const isUnclear = row !== undefined && (UNREADABLE.has(row) || (OF_COOKIES.has(row) && !isShown))
    throw isUnclear ? new UpstreamError('P-unclear', { cause: error }) : error
  }
  if (isKnown) return
  const cause = new Error('nobody is signed in')
  // With a token the socket may work all the same.
  throw new UpstreamError(hasCookies && !hasToken ? 'P1' : 'P-unclear', { cause })
}
