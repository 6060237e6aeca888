import fp from 'fastify-plugin'
import { type MediaItem, MediaItemSchema } from '../../schemas/media.ts'
import { ConfigError } from '../../src/config.ts'
import { type Archive, createArchive, mediaFolder } from '../../src/media/archive.ts'
import { type ChatPictures, createChatPictures } from '../../src/media/chat-pictures.ts'
import { LOCATION_FORM, parseMediaLocation } from '../../src/media/location.ts'
import { createMediaSignatures, type MediaSignatures } from '../../src/media/signature.ts'
import { type MediaStorage, openMediaStorage } from '../../src/media/storage.ts'
import { createMediaStore, type MediaStore } from '../../src/store/media-store.ts'
import { sharedSecret } from '../../src/store/secret-store.ts'
import { createMediaClient } from '../../src/upstream/media/client.ts'

declare module 'fastify' {
  interface FastifyInstance {
    media: {
      /** Copies what was made before its task ends. */
      archive: Archive
      /** Copies the pictures of a chat answer before it is stored. */
      chatPictures: ChatPictures
      /** The signed URL of a copy. @param baseUrl without a slash at its end */
      urlOf(id: string, baseUrl: string): string
      /**
       * The copies as callers see them, with signed URLs.
       * @param baseUrl without a slash at its end
       * @returns the tasks that have copies
       */
      views(taskIds: readonly string[], baseUrl: string): Promise<Map<string, MediaItem[]>>
      /** Removes a task's copies, the bytes first: what fails in between can be done again. */
      removeOfTask(taskId: string): Promise<void>
      readonly files: MediaStore
      readonly storage: MediaStorage
      readonly signatures: MediaSignatures
    }
  }
}

/** The gateway's own copies of pictures and videos: where they are kept, and how they are found again. */
export default fp(
  async (fastify) => {
    const { config, clock, lifecycle, log, store, upstream } = fastify
    fastify.addSchema(MediaItemSchema)
    const location = config.MEDIA_STORAGE === undefined ? undefined : parseMediaLocation(config.MEDIA_STORAGE)
    if (config.MEDIA_STORAGE !== undefined && location === undefined)
      throw new ConfigError([`MEDIA_STORAGE ${LOCATION_FORM}`])
    const storage = await openMediaStorage(location, {
      dataDir: config.DATA_DIR,
      credentials: credentialsOf(config)
    })
    fastify.addHook('onClose', async () => storage.close())
    if (config.DATABASE_URL !== undefined && location === undefined)
      log.warn(
        'media copies are kept in DATA_DIR: gateways that share a database must share that folder, or a MEDIA_STORAGE'
      )
    // Creations work without copies too, so this stops nothing.
    fastify.addHook('onReady', async () => {
      storage.check().catch((error) => log.error({ err: error }, 'media copies cannot be kept'))
    })

    const files = createMediaStore(store.database)
    const signatures = createMediaSignatures(await sharedSecret(store.database, 'media-urls'))
    const urlOf = (id: string, baseUrl: string) =>
      `${baseUrl}/media/${id}?${signatures.query(id, clock.now())}`
    const client = (allowedBases: readonly string[]) =>
      createMediaClient({ http: upstream.http, allowedBases, mediaUrl: config.BING_MEDIA_URL })
    const bing = [config.BING_URL, config.BING_MEDIA_URL]
    fastify.decorate('media', {
      archive: createArchive({ media: client(bing), storage, clock, log }),
      chatPictures: createChatPictures({
        media: client(upstream.copilot === undefined ? bing : [...bing, config.COPILOT_URL]),
        storage,
        files,
        clock,
        stopping: lifecycle.stopping,
        log
      }),
      urlOf,
      async views(taskIds, baseUrl) {
        const found = await files.ofTasks(taskIds)
        return new Map(
          [...found].map(([taskId, rows]) => [
            taskId,
            rows.map(({ id, width, height, content_type: contentType }) => ({
              url: urlOf(id, baseUrl),
              width,
              height,
              contentType
            }))
          ])
        )
      },
      async removeOfTask(taskId) {
        // The whole folder: a task that ended otherwise meanwhile may have left files without a row.
        await storage.removeFolder(mediaFolder(taskId))
        await files.removeOfTask(taskId)
      },
      files,
      storage,
      signatures
    })
  },
  { name: 'media', dependencies: ['config', 'store', 'upstream', 'lifecycle'] }
)

function credentialsOf(config: {
  AWS_ACCESS_KEY_ID?: string
  AWS_SECRET_ACCESS_KEY?: string
  AWS_SESSION_TOKEN?: string
}) {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined
  return { accessKeyId, secretAccessKey, sessionToken: config.AWS_SESSION_TOKEN }
}
