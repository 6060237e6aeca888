import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { followSignals } from '../follow-signals.ts'
import { type MediaStore, mediaRow } from '../store/media-store.ts'
import type { Picture } from '../upstream/chat-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { type Media, type MediaClient, typeOfBytes } from '../upstream/media/client.ts'
import { withRetries } from '../upstream/retry.ts'
import { mediaFolder, storeFile } from './archive.ts'
import type { MediaStorage } from './storage.ts'

/** Milliseconds for the pictures of one answer: who asked is waiting. */
const TIME_MS = 15_000
/** Likewise when nobody waits any more: the answer is kept for whoever asks again. */
const UNATTENDED_MS = 10_000
/** Places of one turn's pictures among those of its conversation. */
const PER_TURN = 100

/** A picture of a stored answer. Has a copy, an address or both. */
export interface KeptPicture {
  /** The gateway's own copy. */
  copy?: { id: string; contentType: string; width: number | null; height: number | null }
  /** The upstream's own address. */
  url?: string
  /** What it was drawn from. */
  prompt?: string
  /** The upstream never gave the final picture, or it could not be fetched: this is its last preview. */
  preview?: true
}

export interface AnsweredPictures {
  conversationId: string
  owner: string
  invocationId: number
  pictures: readonly Picture[]
  /** Who waits for the answer. Leaving ends nothing: it only takes the hurry out of it. */
  caller: AbortSignal
  /** Milliseconds in which the caller wants an answer. When they are over, previews and addresses have to do. */
  leftMs: number
}

export interface ChatPicturesSettings {
  media: MediaClient
  storage: MediaStorage
  files: MediaStore
  clock: Clock
  /** Ends the fetching, not the answers. */
  stopping: AbortSignal
  log: Pick<BaseLogger, 'warn'>
}

/** Copies the pictures of chat answers, because the upstream's addresses end and a preview has none. */
export function createChatPictures({ media, storage, files, clock, stopping, log }: ChatPicturesSettings) {
  /**
   * Copies what can be copied: the picture, else its preview. Doing it again for the same turn takes the place of what was
   * there. A picture of which there is neither copy nor address is left out; what went wrong is in the log.
   */
  async function keep(answered: AnsweredPictures): Promise<KeptPicture[]> {
    const limit = timeFor(answered)
    try {
      const kept = await Promise.all(
        answered.pictures.map((picture, n) => keepOne(answered, picture, n, limit.signal))
      )
      return kept.filter((picture) => picture !== undefined)
    } finally {
      limit.clear()
    }
  }

  /** What the upstream has answered in full can't be asked for again, so who has left cuts no copy short. */
  function timeFor({ caller, leftMs }: AnsweredPictures): { signal: AbortSignal; clear: () => void } {
    const over = new AbortController()
    const within = (ms: number) => clock.timer(ms, () => over.abort(new UpstreamError('T4')))
    let stopTimer = within(caller.aborted ? UNATTENDED_MS : Math.min(TIME_MS, leftMs))
    const unattended = () => {
      stopTimer()
      stopTimer = within(UNATTENDED_MS)
    }
    caller.addEventListener('abort', unattended, { once: true })
    const unfollow = followSignals(over, [stopping])
    return {
      signal: over.signal,
      clear() {
        stopTimer()
        unfollow()
        caller.removeEventListener('abort', unattended)
      }
    }
  }

  async function keepOne(
    { conversationId, owner, invocationId }: AnsweredPictures,
    { url, preview, prompt }: Picture,
    n: number,
    signal: AbortSignal
  ): Promise<KeptPicture | undefined> {
    const position = invocationId * PER_TURN + n
    const copy = async (file: Media, stop?: AbortSignal) => {
      const place = { folder: mediaFolder(conversationId), position, kind: 'image' } as const
      const stored = await storeFile(storage, file, place, stop)
      const now = clock.now()
      await files.put(mediaRow(stored, { id: conversationId, owner, created_at: now, completed_at: now }))
      const { id, contentType, width, height } = stored
      return { id, contentType, width, height }
    }
    const failed = (error: unknown, what: string) =>
      log.warn({ err: error, conversationId, invocationId, position: n }, `${what} could not be copied`)

    const told = { ...(url === undefined ? {} : { url }), ...(prompt === undefined ? {} : { prompt }) }
    if (url !== undefined) {
      try {
        const file = await withRetries({ clock, signal }, () => media.fetch(url, signal, 'image'))
        return { ...told, copy: await copy(file, signal) }
      } catch (error) {
        failed(error, 'picture of an answer')
      }
    }
    if (preview !== undefined) {
      try {
        return { ...told, copy: await copy(fileOf(preview)), preview: true }
      } catch (error) {
        failed(error, 'preview of an answer')
      }
    }
    // The address may be good for the caller all the same.
    return url === undefined ? undefined : told
  }

  return { keep }
}

export type ChatPictures = ReturnType<typeof createChatPictures>

function fileOf(base64: string): Media {
  const body = Buffer.from(base64, 'base64')
  const contentType = typeOfBytes(body)
  if (contentType === undefined)
    throw new UpstreamError('T11', { cause: new Error(`preview: no picture in ${body.length} bytes`) })
  return { body, contentType }
}
