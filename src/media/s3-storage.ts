import type { Readable } from 'node:stream'
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { AwsS3StorageAdapter } from '@flystorage/aws-s3'
import { FileStorage } from '@flystorage/file-storage'
import type { MediaLocation } from './location.ts'
import { type MediaStorage, type S3Credentials, storageStep, wrongSize } from './storage.ts'

const CONNECT_TIMEOUT_MS = 5000
/** Silence after which a connection counts as dead. A player that pauses for longer asks for the rest again. */
const IDLE_TIMEOUT_MS = 60_000

/**
 * Copies in a bucket of AWS or of another S3-speaking store. Large ones go up in parts.
 * The library can't read a part of a file, so reading goes to its client.
 */
export function createS3Storage(
  location: Extract<MediaLocation, { kind: 's3' }>,
  credentials?: S3Credentials
): MediaStorage {
  const { bucket, prefix, region, endpoint, forcePathStyle } = location
  const client = new S3Client({
    region,
    endpoint,
    forcePathStyle,
    credentials,
    // Newer checksums are AWS's own: other stores refuse them, or take them for a part of the file.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: IDLE_TIMEOUT_MS }
  })
  const files = new FileStorage(new AwsS3StorageAdapter(client, { bucket, prefix }))
  const pathOf = (key: string) => (prefix === '' ? key : `${prefix}/${key}`)

  return {
    put: (key, bytes, mimeType, abortSignal) =>
      storageStep(
        'write',
        () => files.write(key, bytes, { mimeType, size: bytes.length, abortSignal }),
        abortSignal
      ),
    open: (key, size, range) =>
      storageStep('read', async () => {
        const Range = range && `bytes=${range.start}-${range.end}`
        const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: pathOf(key), Range }))
        const body = answer.Body as Readable
        if (Number(answer.ContentRange?.split('/')[1] ?? answer.ContentLength) === size) return body
        body.destroy()
        throw wrongSize()
      }),
    has: (key) => storageStep('look', () => files.fileExists(key)),
    remove: (key) => storageStep('remove', () => files.deleteFile(key)),
    removeFolder: (folder) =>
      storageStep('remove', async () => {
        // One by one: a task has few files, and not every S3-speaking store can remove many with one request.
        for await (const { path } of files.list(folder, { deep: true })) await files.deleteFile(path)
      }),
    async check() {
      await storageStep('use the bucket', () =>
        client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: pathOf(''), MaxKeys: 1 }))
      )
    },
    close: () => client.destroy()
  }
}
