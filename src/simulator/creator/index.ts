import type { Frame } from '../frame.ts'
import { CARD_PATH, DETAIL_PATH, serveCard, serveDetail } from './detail.ts'
import { createAccount } from './jobs.ts'
import { serveLanding, serveResultPage } from './landing.ts'
import { MEDIA_PATH, serveMedia } from './media.ts'
import { POLL_PATH, servePoll } from './poll.ts'
import { serveChatSubmit, serveSubmit, serveVideoSubmit } from './submit.ts'

const CREATE = '/images/create'
const VIDEO_CREATE = '/images/create/ai-video-generator'
const reads = (method: string): boolean => method === 'GET' || method === 'HEAD'

/**
 * Plays the image and video creator: landing page, submit, result page, polls, and the pictures and films themselves.
 * @see docs/protocol/images.md section 9, docs/protocol/video.md section 4
 */
export function registerCreator(frame: Frame): void {
  const account = createAccount()
  frame.onReset(() => account.reset())

  const isPage = ({ pathname }: URL): boolean => pathname === CREATE || pathname === VIDEO_CREATE
  const isVideo = ({ pathname, searchParams }: URL): boolean =>
    pathname === VIDEO_CREATE || searchParams.get('ctype') === 'video'

  frame.handle(
    (url, method) => method === 'GET' && isPage(url),
    (x) => {
      const query = x.url.searchParams
      if (query.has('id')) return serveResultPage(frame, account, x)
      const fromChat = query.get('partner') === 'sydney' && query.has('q')
      return (fromChat ? serveChatSubmit : serveLanding)(frame, account, x)
    }
  )
  frame.handle(
    (url, method) => method === 'POST' && isPage(url),
    (x) => (isVideo(x.url) ? serveVideoSubmit : serveSubmit)(frame, account, x)
  )
  frame.handle(
    (url, method) => method === 'GET' && POLL_PATH.test(url.pathname),
    (x) => servePoll(frame, account, x)
  )
  frame.handle(
    (url, method) => method === 'GET' && DETAIL_PATH.test(url.pathname),
    (x) => serveDetail(frame, account, x)
  )
  frame.handle(
    (url, method) => method === 'GET' && CARD_PATH.test(url.pathname),
    (x) => serveCard(frame, account, x)
  )
  frame.handle(
    (url, method) => reads(method) && MEDIA_PATH.test(url.pathname),
    (x) => serveMedia(frame, account, x)
  )
}
