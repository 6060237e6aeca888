import { type Exchange, type Frame, playFaults, sendHtml } from '../frame.ts'
import { type Account, freshHex, type Session } from './jobs.ts'
import { isRefusal, landingPage, refusalPage, resultPage } from './pages.ts'
import { HIDDEN_PANEL } from './texts.ts'

/** `FORM` of the page that the 301 leads to. */
const MOVED_FORM = 'GENILP'

/** Two result ids of somebody else, remembered so that their use is noticed. */
export function foreignIds(account: Account): string[] {
  const ids = [`1-${freshHex(32)}`, `4-${freshHex(32)}`]
  for (const id of ids) account.addForeignId(id)
  return ids
}

/** The start page as an answer to something else: signed-out pages, and submits that are not accepted. */
export function startPage(account: Account, signedIn: boolean, extra = ''): string {
  return landingPage({
    session: account.openSession(true, true),
    withIg: true,
    signedIn,
    fastLeft: account.fastLeft(-1),
    balance: 'data-tb',
    foreignIds: foreignIds(account),
    extra
  })
}

/** `GET /images/create` without an id; docs/protocol/images.md section 1. */
export async function serveLanding(frame: Frame, account: Account, x: Exchange): Promise<void> {
  const how = frame.take('bootstrap')
  frame.count('creator.bootstrap')
  if (await playFaults(frame, x, how)) return
  const { res, url, cookies } = x
  if (how.moved && url.searchParams.get('FORM') !== MOVED_FORM) {
    const to = new URL(url)
    to.searchParams.set('FORM', MOVED_FORM)
    res.writeHead(301, { location: `${to.pathname}${to.search}` })
    res.end()
    return
  }
  // A clean landing page is harmless; one with everything that creates a video counts as an attempt.
  if (['q', 'ctype', 'pt', 'sm'].every((name) => url.searchParams.has(name))) account.attemptConsumed = true
  if (how.expireCookie && cookies._U) frame.cookies.expire(cookies._U)
  if (isRefusal(how)) return sendHtml(res, 200, refusalPage(how.marker, how.text))
  const signedIn = how.page === 'by-cookie' ? frame.isSignedIn(cookies) : how.page === 'signed-in'
  const session: Session = account.openSession(!how.withoutIg, !how.withoutSalt)
  const page = landingPage({
    session,
    withIg: !how.withoutIg,
    signedIn,
    fastLeft: account.fastLeft(how.fastLeft),
    balance: how.balance,
    foreignIds: foreignIds(account),
    extra: how.hiddenPanel ? HIDDEN_PANEL : ''
  })
  sendHtml(res, 200, page, rotation(frame, x, how.rotate, how.expireRotated))
}

function rotation(
  frame: Frame,
  { cookies }: Exchange,
  which: 'none' | '_EDGE_S' | '_U',
  expireOld: boolean
): Record<string, string> {
  if (which === 'none') return {}
  if (which === '_EDGE_S')
    return { 'set-cookie': `_EDGE_S=F=1&SID=${freshHex(32).toUpperCase()}; path=/; HttpOnly` }
  if (!frame.isSignedIn(cookies)) return {}
  const value = `1${freshHex(64)}`
  frame.cookies.accept(value)
  if (expireOld && cookies._U) frame.cookies.expire(cookies._U)
  return { 'set-cookie': `_U=${value}; path=/; secure; SameSite=None` }
}

/** The page behind the redirect of an accepted submit. */
export async function serveResultPage(frame: Frame, account: Account, x: Exchange): Promise<void> {
  const how = frame.take('resultPage')
  frame.count('creator.result-page')
  if (await playFaults(frame, x, how)) return
  const { res, url, cookies } = x
  if (how.expireCookie && cookies._U) frame.cookies.expire(cookies._U)
  const job = account.job(url.searchParams.get('id') ?? '')
  if (!job) {
    frame.violate(
      'creator',
      'result-id',
      'A result page was asked for with an id that this account does not have.'
    )
    return sendHtml(res, 404, startPage(account, frame.isSignedIn(cookies)))
  }
  if (!frame.isSignedIn(cookies)) return sendHtml(res, 200, startPage(account, false))
  if (isRefusal(how)) {
    job.done = true
    return sendHtml(res, 200, refusalPage(how.marker, how.text))
  }
  const session = account.openSession(true, true)
  const pollUrl = `/images/create/async/results/${job.id}?${new URLSearchParams({ q: job.prompt, IG: session.ig, IID: 'images.as' })}`
  sendHtml(res, 200, resultPage({ pollUrl, prompt: job.prompt, session, hiddenPanel: how.hiddenPanel }))
}
