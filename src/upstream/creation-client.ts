import { type FailureId, UpstreamError } from './failures.ts'
import { isMalformed } from './http.ts'

/** How a creation upstream (images, video) looks to the job loop. One implementation per protocol. */
export interface CreationClient<Request> {
  /**
   * Sends the prompt, once. Never repeated after a lost answer.
   * @param beforeSend called each time that the prompt is about to leave, which it does only when this resolves; what it
   *   throws is thrown
   * @returns what must be stored before anything else happens
   * @throws {UpstreamError} rows T1–T9, `outcome-unknown`, I1–I17 (V1–V3) of docs/protocol/failures.md. An abort while
   *   the prompt is on its way is `outcome-unknown` with the signal's reason as its cause: Bing may have accepted it.
   *   An abort before or after that throws the signal's reason itself: Bing has accepted nothing
   */
  submit(request: Request, signal: AbortSignal, beforeSend?: () => Promise<void>): Promise<Accepted>
  /**
   * Opens the result page only, for refusals that come right after the submit, while a result can't be expected yet.
   * @throws as `look`
   */
  open(job: Job<Request>, signal: AbortSignal): Promise<LookMemory>
  /**
   * Looks once. Harmless to repeat after any failure. Works in a new process: the id belongs to the account, not to the session.
   * @throws {UpstreamError} a final failure of the creation, or (see `isPassing`) one of looking; or the signal's reason
   */
  look(job: Job<Request>, signal: AbortSignal): Promise<Look>
  /** Drops what is known of the session, so that the next call starts with a fresh bootstrap. */
  forgetSession(): void
}

export interface Accepted {
  /** Bing's own id of the creation: `\d-[0-9a-f]{16,}` so far, but any name that a redirect gives it is taken. */
  upstreamId: string
  /** Absolute URL of the result page that the submit redirected to; looked at once, for late refusals. */
  resultUrl: string | undefined
}

export interface Job<Request> extends Accepted {
  request: Request
  /** Carried from look to look by whoever stores the job; empty at first. Plain JSON. */
  memory: LookMemory
}

/** What earlier looks left behind for later ones. */
export interface LookMemory {
  /** The result page has been checked. */
  opened?: boolean
  /** Looks in a row that showed a finished creation without anything in it (rows I22, V7). */
  hollow?: number
  /** Fresh bootstraps since the last good look (row I20). */
  bootstraps?: number
  /** Every look so far was the JSON "Pending" answer; it may hide a review of the prompt (images.md section 4). */
  onlyPendingJson?: boolean
}

export type Look = { state: 'pending'; memory: LookMemory } | { state: 'ready'; result: CreationResult }

export interface CreationResult {
  /** Absolute URLs in upstream order, without repeats; at least one for images, empty for video. */
  images: string[]
  /** Absolute URL; null for images. */
  video: string | null
  /** The upstream's enhanced prompt, else the prompt as sent. */
  prompt: string
}

const PASSING: ReadonlySet<FailureId> = new Set([
  'T1',
  'T2',
  'T3',
  'T4',
  'T8',
  'T9',
  'T9-bad',
  'T10',
  'I10',
  'I15',
  'V2'
])

/**
 * Whether a failure of `look` is one of looking rather than of the creation: transport trouble, throttling, an outage.
 * "Too many creations" (I10, V2) is no verdict on one that was accepted either; what was no HTTP is none at all.
 * Whoever runs the job looks again later, with backoff, until its deadline. Says nothing about a failure of `submit`.
 */
export function isPassing(error: unknown): error is UpstreamError {
  return error instanceof UpstreamError && (PASSING.has(error.row) || isMalformed(error))
}

export type ImageModel = 'DALLE' | 'GPT4O' | 'MAI1'
export type ImageAspect = 'SQUARE' | 'LANDSCAPE' | 'PORTRAIT'
export type VideoSpeed = 'standard' | 'fast'

export interface ImageRequest {
  prompt: string
  model: ImageModel
  aspect: ImageAspect
}

export interface VideoRequest {
  prompt: string
  speed: VideoSpeed
}
