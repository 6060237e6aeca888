import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import {
  enveloped,
  errors,
  idempotencyKeyHeader,
  preferHeader,
  REPLAYED,
  Ref,
  withHeaders
} from '../../schemas/common.ts'
import {
  AcceptedImageResponseSchema,
  AcceptedImageSchema,
  ASPECTS,
  CreatedImagesSchema,
  type CreateImageRequest,
  CreateImageRequestSchema,
  CreateImageResponseSchema,
  MODELS
} from '../../schemas/image.ts'
import { GatewayError, storeUnavailable } from '../../src/errors.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { cancelled, fromTaskError } from '../../src/jobs/task-errors.ts'
import { isTerminal } from '../../src/jobs/task-states.ts'
import type { TimeSpent } from '../../src/jobs/time-spent.ts'
import { isStoreFault } from '../../src/store/database.ts'
import type { ImageTask, Task } from '../../src/store/task-store.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { type NewCreation, taskUnknown } from '../core/creations.ts'
import { hangUp } from '../core/hang-up.ts'
import { applied, preferences } from '../core/prefer.ts'
import { timeSpentOf } from '../core/requests.ts'

/** Past the deadline of a creation, in milliseconds: time for the loop to end it. */
const OVERTIME_MS = 2000

declare module 'fastify' {
  interface FastifyInstance {
    images: ReturnType<typeof createImageService>
  }
}

/** The creation goes on, so that a repeat would be a second one. */
const NO_REPEAT = { shouldRetry: false }

/** Rules of image creations: what may be asked for, and what becomes of a creation whose caller leaves. */
export function createImageService({
  config,
  clock,
  store,
  taskRunner,
  creations,
  lifecycle
}: FastifyInstance) {
  return {
    /**
     * Stores an image creation and starts it.
     * @returns the task's id
     * @throws {GatewayError} invalid_request_error | rate_limit_error | service_unavailable_error
     */
    async begin(
      { query, model = 'DALLE', aspect = 'SQUARE', webhookUrl }: CreateImageRequest,
      context: Pick<NewCreation, 'caller' | 'baseUrl' | 'attended' | 'mayRest' | 'bind'>
    ): Promise<string> {
      const options = { model: named(MODELS, model, 'model'), aspect: named(ASPECTS, aspect, 'aspect') }
      const deadlineAt = clock.now() + config.IMAGE_TIMEOUT_MS
      const { id } = await creations.accept(
        { ...context, query, webhookUrl, deadlineAt },
        { kind: 'image', options }
      )
      return id
    },

    /**
     * Waits for the images of a task. Where a person must act first, the caller is told at once: a prompt that was not
     * sent stays unsent, and what Bing has accepted goes on when that is done.
     * @throws {GatewayError} what the creation failed with, or can't go on for
     */
    async finished(id: string, gone: AbortSignal, spent?: TimeSpent): Promise<ImageTask> {
      // The loop ends the task at its deadline. With the store away it can't, and with a last look that stalls or copies
      // that take long it does so later; the caller is told all the same.
      const overtime = new Error('the time of the creation is over')
      const limit = deadline(
        clock,
        config.IMAGE_TIMEOUT_MS + OVERTIME_MS,
        () => overtime,
        gone,
        lifecycle.stopping
      )
      let task: Task
      try {
        const done = (seen: Task) => {
          spent?.follow(seen)
          return isTerminal(seen.state) || seen.state === 'paused'
        }
        task = await taskRunner.waitUnlessHeld(id, done, limit.signal)
      } catch (error) {
        if (lifecycle.stopping.aborted && !gone.aborted) throw goesOn(id)
        if (isStoreFault(error)) throw storeUnavailable({ ...NO_REPEAT, cause: error })
        if (error !== overtime) throw error
        task = await present(id).catch((cause: unknown) => {
          throw isStoreFault(cause) ? storeUnavailable({ ...NO_REPEAT, cause }) : cause
        })
      } finally {
        limit.clear()
      }
      if (task.state === 'paused' && task.error !== null) throw paused(task.id, fromTaskError(task.error))
      if (!isTerminal(task.state)) throw overdue(task.id)
      return ended(task)
    },

    /**
     * Waits for the images of a task for a limited time.
     * @returns `undefined` when they take longer
     * @throws {GatewayError} what the creation failed with
     */
    async within(
      id: string,
      ms: number,
      gone: AbortSignal,
      spent?: TimeSpent
    ): Promise<ImageTask | undefined> {
      const task = await creations.waitFor(id, (seen) => isTerminal(seen.state), ms, gone, spent)
      return isTerminal(task.state) ? ended(task) : undefined
    },

    /** What becomes of a creation when the caller who waits for it leaves: a prompt that was not sent yet stays unsent. */
    left: (id: string) => taskRunner.abandon(id),

    /** The task of an image creation. */
    task: present
  }

  async function present(id: string): Promise<Task> {
    const task = await store.tasks.get(id)
    if (task === undefined) throw taskUnknown()
    return task
  }
}

function ended(task: Task): ImageTask {
  if (task.error !== null) throw fromTaskError(task.error)
  if (task.state === 'cancelled') throw cancelled()
  return task as ImageTask
}

/** Finds a model or aspect by its name in any case or by its number; form bodies carry numbers as text. */
function named<T extends { id: string; value: number }>(
  list: readonly T[],
  wanted: string | number,
  param: string
): T['id'] {
  const text = String(wanted).trim().toUpperCase()
  const found = list.find((entry) => entry.id === text || String(entry.value) === text)
  if (found !== undefined) return found.id
  const known = list.map((entry) => `${entry.id} (${entry.value})`).join(', ')
  throw new GatewayError('invalid_request_error', `${param} must be one of ${known}.`, { param })
}

/** The reason is the account's, not the creation's; so it is neither the end of the task nor the outcome that a key stands for. */
function paused(id: string, { type, message, code, retryAfter }: GatewayError): GatewayError {
  return new GatewayError(
    type,
    `${message} Bing has accepted the prompt before that: look at /task/${id} when it is done.`,
    { code, ...(retryAfter === undefined ? {} : { retryAfter }), ...NO_REPEAT }
  )
}

/** Likewise: it may still be finished, so this is not what becomes of it. */
function overdue(id: string): GatewayError {
  return new GatewayError(
    'upstream_timeout_error',
    `Bing did not finish in time. The gateway still looks after it: see /task/${id}.`,
    { code: 'timeout', ...NO_REPEAT }
  )
}

function goesOn(id: string): GatewayError {
  return new GatewayError(
    'service_unavailable_error',
    `The gateway is shutting down. Look at /task/${id} when it is back.`,
    {
      code: 'draining',
      retryAfter: 5,
      shouldRetry: false
    }
  )
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  const { images, media } = fastify
  fastify.addHook('onRequest', fastify.lifecycle.refuseWhileDraining)
  await fastify.register(formbody)

  fastify.post(
    '/create/image',
    {
      config: { access: 'anonymous', limit: 'images' },
      schema: {
        operationId: 'createImage',
        tags: ['image'],
        summary: 'Create images',
        description:
          'Creates 1 to 4 images and waits for them, which takes seconds to minutes. The creation is a task: a caller that leaves after the prompt was sent finds it under `GET /task/{taskId}`. With `Prefer: respond-async` the answer is the task, at once.',
        consumes: ['application/json', 'application/x-www-form-urlencoded'],
        headers: Type.Object({
          ...preferHeader('`respond-async` (with `wait=N`: after N seconds at the latest)'),
          ...idempotencyKeyHeader
        }),
        body: Ref(CreateImageRequestSchema),
        response: {
          200: withHeaders(Ref(CreateImageResponseSchema), REPLAYED),
          202: withHeaders(Ref(AcceptedImageResponseSchema), {
            ...REPLAYED,
            Location: Type.String({
              description: 'The task.',
              examples: ['/task/123e4567-e89b-12d3-a456-426614174000']
            }),
            'Preference-Applied': Type.String({ examples: ['respond-async'] })
          }),
          ...errors(400, 401, 403, 409, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const { caller, body } = request
      const gone = hangUp(reply)
      const prefer = preferences(request)
      const baseUrl = baseUrlOf(request)
      const spent = timeSpentOf(request)
      let attended = false
      return fastify.idempotent(request, reply, {
        owner: caller.userId,
        signal: gone,
        begin(bind) {
          // A caller who was given the task, is told of it, or can ask again with the same key, loses nothing by leaving.
          attended = bind === undefined && !prefer.respondAsync && body.webhookUrl === undefined
          return images.begin(body, { caller, baseUrl, bind, attended, mayRest: prefer.respondAsync })
        },
        async answer(taskId) {
          if (!prefer.respondAsync) {
            try {
              return { status: 200, body: await created(await images.finished(taskId, gone, spent)) }
            } catch (error) {
              if (gone.aborted && attended) await images.left(taskId)
              throw error
            }
          }
          const headers = applied(prefer)
          const task = await images.within(taskId, prefer.waitMs ?? 0, gone, spent)
          if (task !== undefined) return { status: 200, headers, body: await created(task) }
          const { prompt } = await images.task(taskId)
          return {
            status: 202,
            headers: { ...headers, location: `/task/${taskId}` },
            body: enveloped({ taskId, prompt })
          }
        }
      })

      /** Without them the answer is still one; with a failure instead, the caller would ask for the pictures again. */
      async function copiesOf(taskId: string) {
        try {
          return (await media.views([taskId], baseUrl)).get(taskId) ?? []
        } catch (error) {
          request.log.warn({ err: error, taskId }, 'copies could not be looked up')
          return []
        }
      }

      async function created(task: ImageTask) {
        return enveloped({
          images: task.result?.images ?? [],
          prompt: task.result?.prompt ?? task.prompt,
          ...task.options,
          taskId: task.id,
          media: await copiesOf(task.id)
        })
      }
    }
  )
}

/** Capability: image creation (seed B's routes). */
export default fp(
  async (fastify) => {
    for (const schema of [
      CreateImageRequestSchema,
      CreatedImagesSchema,
      CreateImageResponseSchema,
      AcceptedImageSchema,
      AcceptedImageResponseSchema
    ])
      fastify.addSchema(schema)
    fastify.decorate('images', createImageService(fastify))
    fastify.register(routes)
  },
  {
    name: 'image',
    dependencies: ['config', 'errors', 'store', 'creations', 'idempotency', 'media', 'lifecycle']
  }
)
