import { type Exchange, type Frame, sendHtml, sendJson } from '../frame.ts'
import { imageIdOf, mediaAddress, skeyOf } from './answers.ts'
import type { Account } from './jobs.ts'
import { escapeHtml } from './pages.ts'

/** Page behind a video card: `/images/create/<words>/<job id>`. */
export const CARD_PATH = /^\/images\/create\/[^/]+\/(4-[0-9a-f]{32})$/
/** The call of that page for the film's address. */
export const DETAIL_PATH = /^\/images\/create\/detail\/async\/(4-[0-9a-f]{32})$/

/** The page that hands out the short-lived key; docs/protocol/video.md section 2.3. */
export function serveCard(_frame: Frame, account: Account, { res, url }: Exchange): void {
  const job = account.job(CARD_PATH.exec(url.pathname)?.[1] ?? '')
  if (!job) {
    sendHtml(res, 404, '<p>No such creation.</p>')
    return
  }
  const link = `/images/create/detail/async/${job.id}?imageId=${imageIdOf(job)}&ctype=video&skey=${skeyOf(job)}&datatype=video`
  sendHtml(res, 200, `<div id="detail" data-url="${escapeHtml(link)}"></div>`)
}

/** The detail call itself. */
export function serveDetail(frame: Frame, account: Account, { res, url }: Exchange): void {
  const job = account.job(DETAIL_PATH.exec(url.pathname)?.[1] ?? '')
  const query = url.searchParams
  if (!job || query.get('imageId') !== imageIdOf(job) || query.get('skey') !== skeyOf(job)) {
    sendJson(res, 404, { value: [] })
    return
  }
  const address = mediaAddress(frame.base(), account.mediaName(job, 0), 'absolute')
  sendJson(res, 200, {
    value: [
      {
        imageId: imageIdOf(job),
        contentUrl: `${address}?pid=videocreator`,
        thumbnailUrl: `${address}?w=270&pid=ImgGn`,
        name: job.prompt,
        encodingFormat: 'mp4'
      }
    ]
  })
}
