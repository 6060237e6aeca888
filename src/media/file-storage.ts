import { randomUUID } from 'node:crypto'
import { access, constants, mkdir, open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FileStorage, Visibility } from '@flystorage/file-storage'
import { LocalStorageAdapter } from '@flystorage/local-fs'
import { type MediaStorage, storageStep, wrongSize } from './storage.ts'

/** What the library calls private is 0600 for files and 0700 for folders. */
const PRIVATE = { visibility: Visibility.PRIVATE, directoryVisibility: Visibility.PRIVATE }

/**
 * Copies in a folder: a local one, or a volume that all gateways mount.
 * The library writes, moves and removes; it can't read a part of a file, nor make sure that one has reached the disk.
 */
export function createFileStorage(location: string): MediaStorage {
  const folder = resolve(location)
  const files = new FileStorage(
    new LocalStorageAdapter(folder, { rootDirectoryVisibility: Visibility.PRIVATE })
  )
  // The library makes the folder too, but never tries again when that failed once.
  const makeFolder = () => mkdir(folder, { recursive: true, mode: 0o700 })

  return {
    put: (key, bytes, mimeType, abortSignal) =>
      storageStep(
        'write',
        async () => {
          await makeFolder()
          // Under another name first: nobody reads half a file, and a crash leaves none under the name that counts.
          const unfinished = `${key}.${randomUUID()}.part`
          try {
            await files.write(unfinished, bytes, { ...PRIVATE, mimeType, abortSignal })
            await flush(join(folder, unfinished))
            await files.moveFile(unfinished, key, PRIVATE)
          } catch (error) {
            await files.deleteFile(unfinished).catch(() => {})
            throw error
          }
        },
        abortSignal
      ),
    open: (key, size, range) =>
      storageStep('read', async () => {
        const file = await open(join(folder, key))
        try {
          if ((await file.stat()).size !== size) throw wrongSize()
        } catch (error) {
          await file.close()
          throw error
        }
        // Closes the file when it ends, however it ends.
        return file.createReadStream(range)
      }),
    has: (key) => storageStep('look', () => files.fileExists(key)),
    remove: (key) => storageStep('remove', () => files.deleteFile(key)),
    removeFolder: (name) => storageStep('remove', () => files.deleteDirectory(name)),
    check: () =>
      storageStep('use the folder', async () => {
        await makeFolder()
        await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
      }),
    close() {}
  }
}

/** To the disk: the row that names the file will be there after a power cut. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
