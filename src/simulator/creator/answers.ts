import type { PendingShape, PollBehaviour, VideoReadyShape } from './behaviour.ts'
import { enhancePrompt } from './drawing.ts'
import type { Job } from './jobs.ts'
import { escapeHtml, FURNITURE } from './pages.ts'
import { HIDDEN_PANEL } from './texts.ts'

/** A poll answer: JSON or HTML, already as text. */
export interface PollAnswer {
  type: 'text/html; charset=utf-8' | 'application/json; charset=utf-8'
  body: string
}

const html = (body: string): PollAnswer => ({ type: 'text/html; charset=utf-8', body })
const json = (value: unknown): PollAnswer => ({
  type: 'application/json; charset=utf-8',
  body: typeof value === 'string' ? value : JSON.stringify(value)
})

/** A JSON answer with an error message and nothing else. */
export const messageAnswer = (errorMessage: string): PollAnswer =>
  json({ errorMessage, showContent: '', enableDebug: false })

/** An answer of a job that is still working. */
export function pendingAnswer(shape: PendingShape, preview: string): PollAnswer {
  switch (shape) {
    case 'empty':
      return html('')
    case 'one-character':
      return html('\n')
    case 'json':
      return messageAnswer('Pending')
    case 'json-still':
      return messageAnswer('still pending')
    case 'status-page':
      return html(
        '<style type="text/css">.gp{}</style><div id="GenerativeImagesStatusPage" class="gp">Working</div>'
      )
    case 'no-css':
      return html('<div id="gir_async"><div class="gil_spinner"></div></div>')
    case 'streaming':
      return html(`<style type="text/css">.img{}</style><div id="gir_async">
  <div class="imgri-inner-container strm"><img class="image-row-img mimg" alt="preview" src="${escapeHtml(preview)}"></div></div>`)
  }
}

/** Escapes what JSON need not escape, as some of Bing's answers do. */
const escapeUrls = (text: string): string =>
  text.replaceAll('/', '\\/').replaceAll('&', '\\u0026').replaceAll('=', '\\u003d')

/** Where results are fetched from: addresses of a picture or film in the forms that the site uses. */
export function mediaAddress(base: string, name: string, form: PollBehaviour['urls'], index = 0): string {
  if (form === 'mixed') return mediaAddress(base, name, index % 2 ? 'relative' : 'absolute')
  const host = {
    absolute: base,
    relative: '',
    tse: `https://tse${(index % 4) + 1}.mm.bing.net`,
    th: 'https://th.bing.com'
  }
  return `${host[form]}/th/id/${name}`
}

/** The finished answer of a picture job. `names` are the pictures' names in their order. */
export function readyImages(
  job: Job,
  names: readonly string[],
  base: string,
  how: PollBehaviour
): PollAnswer {
  if (how.g3) return g3Answer(job, names, base, how)
  const enhanced = escapeHtml(how.enhancedText || enhancePrompt(job.prompt))
  const selcap = how.enhanced === 'selcap' ? ` data-selcap="${enhanced}"` : ''
  const alt = how.enhanced === 'none' ? '' : ` alt="${enhanced}"`
  const list = how.duplicates ? [...names, ...names] : names
  const bad = how.ready.endsWith('-relative') ? '' : 'https://r.bing.com'
  const picture = (name: string, index: number): string => {
    const address = mediaAddress(base, name, how.urls, index)
    const thumb = escapeHtml(`${address}?w=270&h=270&c=6&r=0&o=5&pid=ImgGn`)
    const inner = (src: string): string =>
      `<div class="imgri-inner-container"><img class="image-row-img mimg"${alt} src="${src}"></div>`
    switch (how.ready) {
      case 'page':
        return inner(thumb)
      case 'iusc': {
        const data = { CustomData: JSON.stringify({ MediaUrl: `${address}?pid=ImgGn` }) }
        return `<a class="iusc" href="#" m='${JSON.stringify(data).replaceAll("'", '&#39;')}'><span class="mimg"></span></a>`
      }
      case 'bad-unsafe':
      case 'bad-unsafe-relative':
        return inner(`${bad}/rp/in-2zU3AJUdkgFe7ZKv19yPBHVs.png`)
      case 'bad-overloaded':
      case 'bad-overloaded-relative':
        return inner(`${bad}/rp/TX9QuO3WzcCJz1uaaSwQAz39Kb0.jpg`)
      case 'one-no-scheme':
        return inner(index === 0 ? 'rms/unsafe-placeholder?w=270' : thumb)
      case 'no-scheme':
        return inner('rms/unsafe-placeholder?w=270')
      case 'no-images':
        return inner('https://storage.live.com/items/elsewhere?w=270')
    }
  }
  const between = how.furniture ? `\n  ${FURNITURE}\n  ` : '\n  '
  return html(`<style type="text/css">.img{}</style>
<div id="gir_async" class="giric"${selcap}>
  ${list.map(picture).join(between)}${how.furniture ? FURNITURE : ''}</div>${how.hiddenPanel ? HIDDEN_PANEL : ''}`)
}

/** The JSON of the newer protocol, plain or inside a page. */
export function g3Answer(job: Job, names: readonly string[], base: string, how: PollBehaviour): PollAnswer {
  const partial = how.g3Partial && job.polls <= how.pendingPolls + 1
  const shown = partial ? names.slice(0, 1) : names
  const mediaItems = shown.map((name, i) => ({
    thid: name,
    src: `${mediaAddress(base, name, how.urls === 'relative' ? 'absolute' : how.urls, i)}?pid=ImgGn&w=540&h=540`
  }))
  const records = [
    {
      model: job.model,
      aspectRatio: { square: '1:1', landscape: '3:2', portrait: '2:3' }[job.aspect],
      mediaItems
    }
  ]
  return g3Json(
    how.errorType ? { status: 3, errorType: how.errorType } : { status: partial ? 1 : 2, records },
    how
  )
}

/** Writes an object with `status` as the newer protocol does. */
export function g3Json(value: { status: number; [member: string]: unknown }, how: PollBehaviour): PollAnswer {
  const write = (object: object): string => {
    const text = JSON.stringify(object)
    return how.escapedUrls ? text.replace(/https?:[^"]+/g, escapeUrls) : text
  }
  if (!how.g3Page) return json(write(value))
  const { status, ...rest } = value
  return html(`<style type="text/css">.aigc{}</style>
<aigc-results-view data-results="${escapeHtml(write({ requestStatus: status, ...rest }))}"></aigc-results-view>`)
}

/** The finished answer of a video job; docs/protocol/video.md section 2. */
export function readyVideo(job: Job, name: string, base: string, shape: VideoReadyShape): PollAnswer {
  const url = `${base}/th/id/${name}?pid=videocreator`
  const poster = `${base}/th/id/${name}?w=270&h=480&c=6&pid=videocreator`
  const content = (showContent: string, errorMessage = ''): PollAnswer =>
    json({ errorMessage, showContent, enableDebug: false })
  const page = (inside: string): PollAnswer =>
    html(`<style type="text/css">.vid{}</style><div id="gir_async">${inside}</div>`)
  switch (shape) {
    case 'show-content-url':
      return content(url)
    case 'show-content-html':
      return content(`<div class="vidgn" ourl="${escapeHtml(url)}"><img src="${escapeHtml(poster)}"></div>`)
    case 'show-content-video-tag':
      return content(
        `<video poster="${escapeHtml(poster)}"><source src="${escapeHtml(url)}" type="video/mp4"></video>`
      )
    case 'pending-and-content':
      return content(url, 'Pending')
    case 'ourl':
      return page(`<div class="vidgn" ourl="${url}"></div>`)
    case 'ourl-slashes':
      return page(`<div class="vidgn" ourl="${`${url}&FORM=GCRIDP`.replaceAll('/', '\\/')}"></div>`)
    case 'ourl-unicode':
      return page(`<div class="vidgn" ourl="${`${url}&FORM=GCRIDP`.replaceAll('&', '\\u0026amp;')}"></div>`)
    case 'ourl-entities':
      return page(`<div class="vidgn" ourl="${escapeHtml(`${url}&FORM=GCRIDP`)}"></div>`)
    case 'ourl-after-poster':
      return page(
        `<div class="vidgn" ourl="${escapeHtml(poster)}"></div><div class="vidgn" ourl="${escapeHtml(url)}"></div>`
      )
    case 'ourl-tse':
      return page(`<div class="vidgn" ourl="https://tse2.mm.bing.net/th/id/${name}?pid=videocreator"></div>`)
    case 'card':
      return page(`<a aria-label="${escapeHtml(job.prompt)}" href="${escapeHtml(cardPath(job, name))}">
  <img src="${escapeHtml(`${base}/th/id/${name}?w=270&pid=videocreator`)}"></a>`)
    case 'json-neither':
      return json({ enableDebug: false })
  }
}

/** Path of the page behind a video card; docs/protocol/video.md section 2.3. */
export function cardPath(job: Job, name: string): string {
  const slug =
    job.prompt
      .toLowerCase()
      .match(/[a-z0-9]+/g)
      ?.join('-') ?? 'video'
  const query = new URLSearchParams({
    id: imageIdOf(job),
    view: 'detailv2',
    idpp: 'genimg',
    datatype: 'video',
    thId: name,
    FORM: 'GCRIDP'
  })
  return `/images/create/${slug.slice(0, 60)}/${job.id}?${query}`
}

/** The id that cards and details use for a job's film. */
export const imageIdOf = (job: Job): string => [...job.id.slice(2)].reverse().join('')
/** The short-lived key that a card's page hands out for the detail call. */
export const skeyOf = (job: Job): string => job.id.slice(10, 30)
