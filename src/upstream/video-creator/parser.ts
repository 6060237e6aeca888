import type { HTMLElement } from 'node-html-parser'
import type { FailureId } from '../failures.ts'
import { G3_STATUS, G3_UNSAFE } from '../image-creator/constants.ts'
import type { PollVerdict } from '../image-creator/look.ts'
import {
  errorTextRow,
  hasRejectionMarker,
  isChallengeBeside,
  isFullPage,
  isSignedOut,
  parsePage,
  wordsBesidePrompt
} from '../image-creator/page.ts'
import { parseJsonObject, readMessage } from '../image-creator/poll-answer.ts'
import { cleanVideoUrl, type MediaHosts, statedVideoUrl } from '../media/media-url.ts'
import { VIDEO_ATTRIBUTE, VIDEO_ELEMENT, VIDEO_ERROR_TEXTS } from './constants.ts'

export interface VideoPollContext {
  prompt: string
  /** Base of relative addresses, and of those on alias hosts. */
  mediaUrl: string
  hosts: MediaHosts
}

/**
 * Reads the body of a video poll, in the order of docs/protocol/video.md section 2.1.
 * A video card (section 2.3), whose address would take another call, counts as pending.
 */
export function readVideoPoll(body: string, context: VideoPollContext): PollVerdict {
  if (hasRejectionMarker(body)) return { kind: 'failed', row: 'V5' }
  if (body.trim().length <= 1) return { kind: 'pending', json: false }
  const json = parseJsonObject(body)
  return json === undefined ? readPage(body, context) : readJson(json, body, context)
}

function readJson(json: Record<string, unknown>, body: string, context: VideoPollContext): PollVerdict {
  const message = readMessage(json)
  // A waiting answer stays one even when it has content.
  if (message?.kind === 'pending') return message
  const { showContent } = json
  const video =
    typeof showContent === 'string' && showContent.trim() !== ''
      ? videoInContent(showContent.trim(), context)
      : videoIn(body, [VIDEO_ATTRIBUTE], context)
  if (video !== undefined) return ready(video, context)
  if (message !== undefined) return failedVideo(message)
  // The newer protocol's JSON has been seen for pictures only; its waiting and failing states are plain enough.
  if (json.status === G3_STATUS.pending || json.status === G3_STATUS.partial)
    return { kind: 'pending', json: false }
  if (json.status === G3_STATUS.failed)
    return { kind: 'failed', row: json.errorType === G3_UNSAFE ? 'I7' : 'V6' }
  return { kind: 'hollow' }
}

function readPage(body: string, context: VideoPollContext): PollVerdict {
  const video = videoIn(body, [VIDEO_ATTRIBUTE], context)
  if (video !== undefined) return ready(video, context)
  if (isSignedOut(body)) return { kind: 'signed-out' }
  if (isChallengeBeside(body, context.prompt)) return { kind: 'signed-out', row: 'I17' }
  const page = parsePage(body)
  const row = errorTextRow(page, { prompt: context.prompt }) ?? videoTextRow(page, context.prompt)
  return row === undefined
    ? { kind: 'pending', json: false }
    : { kind: 'failed', row: row === 'I10' ? 'V2' : row }
}

/**
 * What video makes of a refused or unclear answer to its submit.
 * @param row what the answer means for pictures; `undefined` when it is the start page
 */
export function videoRefusal(
  row: FailureId | undefined,
  html: string,
  prompt: string
): FailureId | undefined {
  if (row === 'I10') return 'V2'
  // On a whole start page these loose words may belong to anybody.
  return row ?? (isFullPage(html) ? undefined : videoTextRow(parsePage(html), prompt))
}

function videoTextRow(page: HTMLElement, prompt: string): FailureId | undefined {
  const words = wordsBesidePrompt(page, prompt)
  return VIDEO_ERROR_TEXTS.find(({ text }) => text.test(words))?.row
}

function failedVideo(verdict: PollVerdict): PollVerdict {
  return verdict.kind === 'failed' && verdict.row === 'I19' ? { ...verdict, row: 'V6' } : verdict
}

function ready(video: string, { prompt }: VideoPollContext): PollVerdict {
  return { kind: 'ready', result: { images: [], video, prompt } }
}

/** `showContent` is the address itself, or HTML with the address in it; docs/protocol/video.md section 2.2. */
function videoInContent(content: string, context: VideoPollContext): string | undefined {
  if (/^https?:\/\//i.test(content)) return statedVideoUrl(content, context.mediaUrl)
  if (/^\/[^\s<>]*$/.test(content)) return cleanVideoUrl(content, context.mediaUrl, context.hosts)?.url
  return videoIn(content, [VIDEO_ATTRIBUTE, VIDEO_ELEMENT], context)
}

/** The first address that is surely a video, else the first that may be one; never a poster. */
function videoIn(
  text: string,
  patterns: readonly RegExp[],
  { mediaUrl, hosts }: VideoPollContext
): string | undefined {
  const found = patterns
    .flatMap((pattern) => [...text.matchAll(pattern)])
    .map(([, ...quotings]) => cleanVideoUrl(quotings.find(Boolean) ?? '', mediaUrl, hosts))
    .filter((video) => video !== undefined && !video.poster)
  return (found.find((video) => video?.marked) ?? found[0])?.url
}
