import type { ErrorText, Marker, Refusals } from './behaviour.ts'
import { freshHex, type Session } from './jobs.ts'
import { errorPanel, HIDDEN_PANEL, refusalBlock } from './texts.ts'

/** Escapes text for HTML, inside and outside of attributes. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;'
  }
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign)
}

/** Icons, scripts and data pictures as every page of the site has them; none is a result. */
export const FURNITURE = `<img src="/rp/8mQ2sVt0bWl5k1ZpYc.svg" alt="">
  <img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==" alt="">
  <script src="/rs/6r/3k/jnc,nj/Hq0aWbd1.js?or=w"></script>
  <img class="avatar" src="https://storage.live.com/users/0x0/myprofile/expressionprofile/profilephoto?w=32&amp;h=32" alt="">`

const frameOf = (head: string, body: string): string => `<!DOCTYPE html>
<html lang="en" dir="ltr"><head><meta charset="utf-8"><title>Image Creator</title>
<link rel="icon" href="/favicon.ico"><style type="text/css">body{margin:0;font-family:Roboto,Arial}.hide{display:none}</style>
${head}</head><body>${body}</body></html>`

function pageScript(session: Session, withIg: boolean): string {
  const ig = withIg ? `IG:"${session.ig}",` : ''
  const salt = session.salt === undefined ? '' : `,Salt:"${session.salt}"`
  return `<script type="text/javascript">//<![CDATA[
_G={Region:"US",Lang:"en-US",ST:(typeof si_ST!=='undefined'?si_ST:new Date),Mkt:"en-US",RTL:false,Ver:"53",${ig}EventID:"${freshHex(32)}",XLS:0${salt}};
//]]></script>`
}

function balanceOf(form: LandingPage['balance'], left: number): string {
  if (form === 'label') return `<div id="token_bal" aria-label="${left} fast creations left">${left}</div>`
  if (form === 'data-tb') return `<div id="reward_c" data-tb="${left}"><span>${left}</span></div>`
  if (form === 'data-tb-used') return `<div id="reward_c" data-tb="${15 - left}"></div>`
  return ''
}

export interface LandingPage {
  session: Session
  withIg: boolean
  signedIn: boolean
  fastLeft: number
  balance: 'label' | 'data-tb' | 'data-tb-used' | 'none'
  /** Result ids of other people, shown as their creations. */
  foreignIds: string[]
  /** Further blocks inside the body. */
  extra?: string
}

/** The Creator's start page, signed in or not. */
export function landingPage(page: LandingPage): string {
  const { session, withIg, signedIn, foreignIds, fastLeft } = page
  const account = signedIn
    ? `<a id="id_a" style="display:none" href="#" role="button"></a><span id="id_n">Simulated Person</span>`
    : `<a id="id_l" href="https://login.live.com/login.srf?wa=wsignin1.0&amp;wreply=https%3A%2F%2Fwww.bing.com%2Ffd%2Fauth%2Fsignin">Sign in</a>`
  const explore = foreignIds
    .map(
      (id, i) =>
        `<a class="gi_card" data-id="${id}" href="/images/create/somebody-elses-picture-${i}/${id}?id=${freshHex(40)}&amp;view=detailv2">
  <img class="mimg" data-src="https://th.bing.com/th/id/OIG2.somebodyElses${i}?w=236&amp;h=236&amp;pid=ImgGn" alt="a picture by somebody else"></a>
<a href="/images/create?q=somebody+elses+picture+${i}&amp;rt=4&amp;FORM=GENCRE&amp;id=${id}">more</a>`
    )
    .join('\n')
  return frameOf(
    pageScript(session, withIg),
    `<header id="b_header">${account}${signedIn ? balanceOf(page.balance, fastLeft) : ''}</header>
<form id="sb_form" action="/images/create" method="post"><input id="gi_form_q" name="q" maxlength="480"><a id="create_btn_c">Create</a>
${signedIn ? `<span class="vid_speed" aria-label="${fastLeft} free creations">Fast (${fastLeft} free remaining)</span>` : ''}</form>
${page.extra ?? ''}<main id="gi_explore">${explore}</main>${FURNITURE}`
  )
}

/** The page behind an accepted submit, which loads the results by itself. */
export function resultPage(options: {
  pollUrl: string
  prompt: string
  session: Session
  hiddenPanel: boolean
}): string {
  const { pollUrl, prompt, session, hiddenPanel } = options
  return frameOf(
    pageScript(session, false),
    `<input id="gi_form_q" value="${escapeHtml(prompt)}"><div id="gir" data-c="${escapeHtml(pollUrl)}"><div class="gil_spinner">Creating…</div></div>
${hiddenPanel ? HIDDEN_PANEL : ''}${FURNITURE}`
  )
}

/** A page that shows a refusal marker or an error text. */
export function refusalPage(marker: Marker, text: ErrorText): string {
  return frameOf('', `${refusalBlock(marker)}${errorPanel(text)}${FURNITURE}`)
}

/** A fragment with a refusal, as polls answer. */
export function refusalFragment(marker: Marker, text: ErrorText): string {
  return `<style type="text/css">.girer{}</style><div id="gir_async">${refusalBlock(marker)}${errorPanel(text)}</div>`
}

/** Pages that stand in the way of automation. */
export function challengePage(kind: 'authns' | 'snrerror'): string {
  return frameOf('', `<div id="${kind}" class="${kind}"><p>Please continue in your browser.</p></div>`)
}

/** Whether a call is to be answered with a refusal. */
export const isRefusal = ({ marker, text }: Refusals): boolean => marker !== 'none' || text !== 'none'
