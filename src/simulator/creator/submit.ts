import { type Exchange, type Frame, playFaults, sendHtml } from '../frame.ts'
import type { SubmitBehaviour } from './behaviour.ts'
import { aspectOf, type Breach, checkSubmit, checkVideoSubmit, filmAspectOf, modelOf } from './checks.ts'
import { type Account, hasWord, type Job } from './jobs.ts'
import { startPage } from './landing.ts'
import { challengePage, escapeHtml, isRefusal, refusalPage, resultPage } from './pages.ts'

/** What differs between pictures and videos. */
interface Kind {
  op: 'submit' | 'videoSubmit'
  kind: Job['kind']
  counter: 'creator.submit' | 'creator.video.submit'
  check(x: Exchange, account: Account): Breach | undefined
  tooMany: 'ongoing' | 'video-concurrent'
}

const PICTURES: Kind = {
  op: 'submit',
  kind: 'image',
  counter: 'creator.submit',
  check: checkSubmit,
  tooMany: 'ongoing'
}
const VIDEOS: Kind = {
  op: 'videoSubmit',
  kind: 'video',
  counter: 'creator.video.submit',
  check: checkVideoSubmit,
  tooMany: 'video-concurrent'
}

/** `POST /images/create` for pictures; docs/protocol/images.md section 2. */
export const serveSubmit = (frame: Frame, account: Account, x: Exchange): Promise<void> =>
  serve(frame, account, x, PICTURES)

/** `POST /images/create` with `ctype=video`, and `/images/create/ai-video-generator`; docs/protocol/video.md section 1. */
export const serveVideoSubmit = (frame: Frame, account: Account, x: Exchange): Promise<void> =>
  serve(frame, account, x, VIDEOS)

async function serve(frame: Frame, account: Account, x: Exchange, kind: Kind): Promise<void> {
  const prompt = x.url.searchParams.get('q') ?? ''
  const how = frame.take(kind.op, prompt)
  frame.count(`${kind.counter}.received`)
  frame.count(`received:${prompt}`)
  if (await playFaults(frame, x, how)) return
  const { res, cookies, req } = x
  const refuse = (html: string, status = 200): void => {
    frame.count(`${kind.counter}.refused`)
    sendHtml(res, status, html)
  }

  if (how.expireCookie && cookies._U) frame.cookies.expire(cookies._U)
  const broken = how.strict ? kind.check(x, account) : undefined
  if (broken) {
    frame.violate('creator', broken.rule, broken.detail)
    frame.count(`${kind.counter}.refused`)
    res.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' })
    res.end(`Simulator: this request breaks the protocol. ${broken.rule}: ${broken.detail}`)
    return
  }
  if (!frame.isSignedIn(cookies)) return refuse(startPage(account, false))
  if (isRefusal(how)) return refuse(refusalPage(how.marker, how.text))
  if (hasWord(prompt, how.refusedWords)) return refuse(refusalPage('clarity-tag', 'blocked'))
  if (how.maxParallel > 0 && account.unfinished(kind.kind) >= how.maxParallel) {
    return refuse(refusalPage('none', kind.tooMany))
  }
  const usedUp = kind.kind === 'image' && fastUsedUp(account, x.url, how)
  if (usedUp && how.whenFastUsedUp === 'no-coins') return refuse(refusalPage('none', 'no-coins'))
  if (usedUp && how.whenFastUsedUp === 'start-page') return refuse(startPage(account, true))
  if (kind.kind === 'video' && account.attemptConsumed) {
    account.attemptConsumed = false
    return refuse(startPage(account, true))
  }

  switch (how.answer) {
    case 'start-page':
      return refuse(startPage(account, true))
    case 'authns':
    case 'snrerror':
      return refuse(challengePage(how.answer))
    case 'no-id':
    case 'login': {
      frame.count(`${kind.counter}.refused`)
      const login = 'https://login.live.com/login.srf?wa=wsignin1.0&wreply=https%3A%2F%2Fwww.bing.com%2F'
      res.writeHead(302, { location: how.answer === 'login' ? login : '/images/create?FORM=GENERR' })
      res.end()
      return
    }
    default:
  }

  const job = accept(frame, account, x, kind, how, usedUp)
  if (how.answer === 'lost') return void req.socket.resetAndDestroy()
  if (how.answer === 'id-in-body') {
    const poll = `/images/create/async/results/${job.id}?${new URLSearchParams({ q: prompt })}`
    return sendHtml(res, 200, startPage(account, true, `<div id="gir" data-c="${escapeHtml(poll)}"></div>`))
  }
  res.writeHead(302, {
    location: `${how.absoluteLocation ? frame.base() : ''}${resultPath(x.url, job, how.nfy)}`
  })
  res.end()
}

/**
 * `GET /images/create?partner=sydney&q=…`: pictures asked for in a chat, where the page itself starts the job.
 * Obeys `submit`, as far as refusals go; docs/protocol/images.md section 8.
 */
export async function serveChatSubmit(frame: Frame, account: Account, x: Exchange): Promise<void> {
  const prompt = x.url.searchParams.get('q') ?? ''
  const how = frame.take('submit', prompt)
  frame.count(`${PICTURES.counter}.received`)
  if (await playFaults(frame, x, how)) return
  const { res, cookies, url } = x
  const refusal = !frame.isSignedIn(cookies)
    ? startPage(account, false)
    : isRefusal(how)
      ? refusalPage(how.marker, how.text)
      : hasWord(prompt, how.refusedWords)
        ? refusalPage('clarity-tag', 'blocked')
        : undefined
  if (refusal !== undefined) {
    frame.count(`${PICTURES.counter}.refused`)
    return sendHtml(res, 200, refusal)
  }
  const job = accept(frame, account, x, PICTURES, how, fastUsedUp(account, url, how))
  const query = new URLSearchParams({ q: prompt, partner: 'sydney', showselective: '1', IID: 'images.as' })
  const pollUrl = `/images/create/async/results/${job.id}?${query}`
  const session = account.openSession(true, true)
  sendHtml(res, 200, resultPage({ pollUrl, prompt, session, hiddenPanel: how.hiddenPanel }))
}

function fastUsedUp(account: Account, url: URL, how: SubmitBehaviour): boolean {
  const left = account.fastLeft(how.fastLeft)
  // Leaving rt out uses a fast creation too; docs/protocol/images.md section 7.
  if (url.searchParams.get('rt') === '3') return false
  return left === 0
}

function accept(
  frame: Frame,
  account: Account,
  x: Exchange,
  { kind, counter }: Kind,
  how: SubmitBehaviour,
  slow: boolean
): Job {
  const { url, body } = x
  const prompt = url.searchParams.get('q') ?? ''
  const job = account.addJob({
    kind,
    prompt,
    model: modelOf(url),
    aspect: kind === 'video' ? filmAspectOf(url, body) : aspectOf(url),
    slow,
    rejected: hasWord(prompt, how.rejectedLaterWords)
  })
  if (kind === 'image' && url.searchParams.get('rt') !== '3') account.useFast()
  frame.count(counter)
  frame.count(`submit:${prompt}`)
  return job
}

/** Path and query of the redirect: the submit's parameters without IG, then the id. */
function resultPath(url: URL, job: Job, nfy: boolean): string {
  const names = ['q', 'rt', 'mdl', 'ar', 'ctype', 'pt', 'sm', 'FORM']
  const pairs = names.flatMap((name) => {
    const value = url.searchParams.get(name)
    return value === null ? [] : [`${name}=${encodeURIComponent(value)}`]
  })
  return `${url.pathname}?${[...pairs, `id=${job.id}`, ...(nfy ? ['nfy=1'] : [])].join('&')}`
}
