import { type Exchange, type Frame, playFaults, sendHtml } from '../frame.ts'
import {
  g3Json,
  mediaAddress,
  messageAnswer,
  type PollAnswer,
  pendingAnswer,
  readyImages,
  readyVideo
} from './answers.ts'
import type { PollBehaviour, VideoPollBehaviour } from './behaviour.ts'
import { checkPoll } from './checks.ts'
import { type Account, type Finding, type Job, pollJob } from './jobs.ts'
import { startPage } from './landing.ts'
import { refusalFragment } from './pages.ts'

/** Path of polls; the last segment is the job's id. */
export const POLL_PATH = /^\/images\/create\/(?:ai-(?:video|image)-generator\/)?async\/results\/([^/]+)$/

/** Number under which a job's preview is kept beside its results. */
const PREVIEW = 9

/** `GET …/async/results/<id>` for pictures and videos; docs/protocol/images.md section 4, docs/protocol/video.md section 2. */
export async function servePoll(frame: Frame, account: Account, x: Exchange): Promise<void> {
  const { res, url, cookies } = x
  const id = POLL_PATH.exec(url.pathname)?.[1] ?? ''
  const job = account.job(id)
  const video = job ? job.kind === 'video' : url.searchParams.get('ctype') === 'video'
  const about = job?.prompt
  const how = video ? frame.take('videoPoll', about) : frame.take('poll', about)
  frame.count(video ? 'creator.video.poll' : 'creator.poll')
  if (await playFaults(frame, x, how)) return

  const complain = (status: number, rule: string, detail: string): void => {
    frame.violate('creator', rule, detail)
    res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
    res.end(`Simulator: this request breaks the protocol. ${rule}: ${detail}`)
  }
  if (!job) {
    if (account.isForeignId(id)) return complain(400, 'foreign-id', 'A poll uses an id of somebody else.')
    return complain(404, 'result-id', 'A poll uses an id that no submit was answered with.')
  }
  const broken = checkPoll(x, account, job)
  if (broken) return complain(400, broken.rule, broken.detail)
  if (how.expireCookie && cookies._U) frame.cookies.expire(cookies._U)
  if (!frame.isSignedIn(cookies)) return sendHtml(res, 200, startPage(account, false))

  const finding = pollJob(job, how, account.session(url.searchParams.get('IG') ?? ''))
  const answer =
    'images' in how
      ? answerImages(frame, account, job, finding, how)
      : answerVideo(frame, account, job, finding, how)
  res.writeHead(200, { 'content-type': answer.type, 'cache-control': 'private, no-store' })
  res.end(answer.body)
}

function answerCommon(
  frame: Frame,
  account: Account,
  job: Job,
  finding: Exclude<Finding, { kind: 'ready' }>,
  pending: PollBehaviour['pending']
): PollAnswer {
  if (finding.kind === 'refused') {
    return { type: 'text/html; charset=utf-8', body: refusalFragment(finding.marker, finding.text) }
  }
  if (finding.kind === 'failed') return messageAnswer(finding.errorMessage)
  const shape = pending[finding.turn % pending.length] ?? 'json'
  const preview = `${mediaAddress(frame.base(), account.mediaName(job, PREVIEW), 'absolute')}?w=270&h=270&pid=ImgGn`
  return pendingAnswer(shape, preview)
}

function answerImages(
  frame: Frame,
  account: Account,
  job: Job,
  finding: Finding,
  how: PollBehaviour
): PollAnswer {
  if (finding.kind === 'pending' && how.g3) return g3Json({ status: 0 }, how)
  if (finding.kind !== 'ready') return answerCommon(frame, account, job, finding, how.pending)
  const count = Math.min(4, Math.max(1, how.images || (job.model === 'dalle' ? 4 : 1)))
  const names = Array.from({ length: count }, (_, variant) => account.mediaName(job, variant))
  return readyImages(job, names, frame.base(), how)
}

function answerVideo(
  frame: Frame,
  account: Account,
  job: Job,
  finding: Finding,
  how: VideoPollBehaviour
): PollAnswer {
  if (finding.kind !== 'ready') return answerCommon(frame, account, job, finding, how.pending)
  return readyVideo(job, account.mediaName(job, 0), frame.base(), how.ready)
}
