import { createHash } from 'node:crypto'
import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { deadline } from '../jobs/deadline.ts'
import type { NewMedia } from '../store/media-store.ts'
import { type CreationResult, isPassing } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import type { Media, MediaClient } from '../upstream/media/client.ts'
import { pixelSize } from './pixel-size.ts'
import { type MediaStorage, MediaStorageError } from './storage.ts'

/** Time for one file to come and to be stored, a second try included: who asked for it is waiting meanwhile. */
const TIMES_MS = { image: 20_000, video: 60_000 }
const PAUSE_MS = 1000

interface ArchivedTask {
  id: string
  kind: 'image' | 'video'
}

export interface ArchiveSettings {
  media: MediaClient
  storage: MediaStorage
  clock: Clock
  log: Pick<BaseLogger, 'warn'>
}

/** Copies what was made before its task ends, because Bing's addresses end after hours or days. */
export type Archive = ReturnType<typeof createArchive>

export function createArchive({ media, storage, clock, log }: ArchiveSettings) {
  async function copy(
    { id: taskId, kind }: ArchivedTask,
    position: number,
    url: string,
    signal: AbortSignal
  ): Promise<NewMedia> {
    const file = await media.fetch(url, signal, kind)
    return storeFile(storage, file, { folder: mediaFolder(taskId), position, kind }, signal)
  }

  /** As `copy`, with a second try after trouble that may pass. */
  async function copyOrRepeat(...[task, position, url, signal]: Parameters<typeof copy>): Promise<NewMedia> {
    try {
      return await copy(task, position, url, signal)
    } catch (error) {
      if (signal.aborted || !(isPassing(error) || error instanceof MediaStorageError)) throw error
      await clock.sleep(PAUSE_MS, signal)
      return copy(task, position, url, signal)
    }
  }

  /**
   * Fetches a finished creation's files, all at once, and stores them. Doing it again after a crash gives the same ids
   * and takes the place of what was there.
   * @returns the copies in the result's order; what could not be fetched or stored is logged and missing
   * @throws the signal's reason, and nothing else
   */
  return async (
    task: ArchivedTask,
    { images, video }: CreationResult,
    signal: AbortSignal
  ): Promise<NewMedia[]> => {
    const { id: taskId, kind } = task
    const urls = kind === 'image' ? images : video === null ? [] : [video]
    const copies = await Promise.all(
      urls.map(async (url, position) => {
        const limit = deadline(clock, TIMES_MS[kind], () => new UpstreamError('T4'), signal)
        try {
          return await copyOrRepeat(task, position, url, limit.signal)
        } catch (error) {
          if (!signal.aborted) log.warn({ err: error, taskId, position }, 'media could not be copied')
          return undefined
        } finally {
          limit.clear()
        }
      })
    )
    signal.throwIfAborted()
    return copies.filter((media) => media !== undefined)
  }
}

/**
 * Stores a file that was fetched, under an id that its place gives it.
 * @throws {UpstreamError} T10, for what calls itself a picture and can't be read as one; {MediaStorageError}; the signal's reason
 */
export async function storeFile(
  storage: MediaStorage,
  { body, contentType }: Media,
  { folder, position, kind }: { folder: string; position: number; kind: 'image' | 'video' },
  signal?: AbortSignal
): Promise<NewMedia> {
  const storageKey = `${folder}/${position}`
  const size = await pixelSize(body, contentType)
  if (kind === 'image' && size === undefined)
    throw new UpstreamError('T10', { cause: new Error(`media: no picture in ${body.length} bytes`) })
  await storage.put(storageKey, body, contentType, signal)
  return {
    id: mediaId(folder, position),
    position,
    storageKey,
    contentType,
    bytes: body.length,
    width: size?.width ?? null,
    height: size?.height ?? null,
    sha256: createHash('sha256').update(body).digest('hex')
  }
}

/** The folder that holds a task's files, and nothing else. */
export function mediaFolder(taskId: string): string {
  return taskId
}

/** The same for the same file of a task or a conversation, so that a repeat after a crash makes no second one. No secret. */
export function mediaId(folder: string, position: number): string {
  return createHash('sha256').update(`${folder}/${position}`).digest('hex').slice(0, 32)
}

/** What `mediaId` gives. */
export const MEDIA_ID = /^[0-9a-f]{32}$/
