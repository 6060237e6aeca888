import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { MediaLocation } from './location.ts'

/** Bytes from `start` to `end`, both included. */
export interface ByteRange {
  start: number
  end: number
}

/**
 * Where the bytes of media copies are. Keys are `<folder>/<name>`. What was put can be read by every gateway on the same
 * location at once, whole or not at all.
 */
export interface MediaStorage {
  /**
   * Stores a file, in place of one that may be there.
   * @throws {MediaStorageError} or the signal's reason
   */
  put(key: string, bytes: Buffer, contentType: string, signal?: AbortSignal): Promise<void>
  /**
   * @param size of the whole file; one of another size has been cut off or written over, and counts as missing
   * @throws {MediaStorageError} `missing` when there is no such file
   */
  open(key: string, size: number, range?: ByteRange): Promise<Readable>
  has(key: string): Promise<boolean>
  /** Removes a file; one that isn't there is as good as removed. */
  remove(key: string): Promise<void>
  /** Removes all files of a folder, unfinished ones too. */
  removeFolder(folder: string): Promise<void>
  /** @throws {MediaStorageError} when files can't be kept here */
  check(): Promise<void>
  close(): void
}

/** Keys of AWS or of another S3-speaking store. Absent: what the machine itself is given (instance or pod role). */
export interface S3Credentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

/**
 * The storage at a location. Nothing is asked or made yet.
 * @param location absent: the folder `media` under `dataDir`
 */
export async function openMediaStorage(
  location: MediaLocation | undefined,
  { dataDir, credentials }: { dataDir: string; credentials?: S3Credentials }
): Promise<MediaStorage> {
  if (location?.kind === 's3') {
    // Only then: loading the S3 client takes longer than the rest of the start.
    const { createS3Storage } = await import('./s3-storage.ts')
    return createS3Storage(location, credentials)
  }
  const { createFileStorage } = await import('./file-storage.ts')
  return createFileStorage(location?.folder ?? join(dataDir, 'media'))
}

const WRONG_SIZE = 'wrong size'
const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'NoSuchKey', WRONG_SIZE])

/** A failure of the storage. Says what was tried and the driver's own code, never a key, an address or a header. */
export class MediaStorageError extends Error {
  /** There is no such file. */
  readonly missing: boolean
  readonly code: string

  constructor(doing: string, error: unknown) {
    const code = codeOf(error)
    super(`media storage: could not ${doing} (${code})`)
    this.name = 'MediaStorageError'
    this.code = code
    this.missing = MISSING.has(code)
  }
}

/** What `open` throws for a file that isn't the one that was put. */
export function wrongSize(): MediaStorageError {
  return new MediaStorageError('read', Object.assign(new Error(WRONG_SIZE), { code: WRONG_SIZE }))
}

/** Runs a step of a driver; its failure becomes one that can be logged, unless the caller's signal was the reason. */
export async function storageStep<T>(
  doing: string,
  step: () => Promise<T>,
  signal?: AbortSignal
): Promise<T> {
  signal?.throwIfAborted()
  try {
    return await step()
  } catch (error) {
    signal?.throwIfAborted()
    throw error instanceof MediaStorageError ? error : new MediaStorageError(doing, error)
  }
}

/** The code that the operating system or the S3 store gave; libraries wrap it into errors of their own. */
function codeOf(error: unknown): string {
  let code = 'unknown'
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code: own, name } = at as NodeJS.ErrnoException
    const named = typeof own === 'string' && !own.startsWith('flystorage.') ? own : name
    if (named !== 'Error') code = named
  }
  return code
}
