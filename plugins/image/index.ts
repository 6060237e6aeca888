import { randomUUID } from 'node:crypto'
import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { enveloped, errors, Ref } from '../../schemas/common.ts'
import {
  ASPECTS,
  CreatedImagesSchema,
  type CreateImageRequest,
  CreateImageRequestSchema,
  CreateImageResponseSchema,
  MODELS
} from '../../schemas/image.ts'
import { GatewayError } from '../../src/errors.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { fromTaskError } from '../../src/jobs/task-runner.ts'
import { isTerminal } from '../../src/jobs/task-states.ts'
import type { ImageTask, Task } from '../../src/store/task-store.ts'
import type { Caller } from '../auth/index.ts'
import { hangUp } from '../core/hang-up.ts'
import { checkedQuery } from '../core/query.ts'

/** Past the deadline of a creation, in milliseconds: time for the loop to end it. */
const OVERTIME_MS = 2000

declare module 'fastify' {
  interface FastifyInstance {
    images: ReturnType<typeof createImageService>
  }
}

/** Rules of image creations: what may be asked for, and what becomes of a creation whose caller leaves. */
export function createImageService({ config, clock, store, taskRunner, lifecycle }: FastifyInstance) {
  return {
    /**
     * Creates images and waits for them.
     * A caller who leaves before the prompt was sent stops it; afterwards the creation goes on and stays a task.
     * @throws {GatewayError} what the creation failed with
     */
    async create(request: CreateImageRequest, caller: Caller, gone: AbortSignal): Promise<ImageTask> {
      const now = clock.now()
      const { id } = await store.tasks.insert({
        id: randomUUID(),
        kind: 'image',
        owner: caller.userId,
        prompt: checkedQuery(request.query),
        options: {
          model: named(MODELS, request.model ?? 'DALLE', 'model'),
          aspect: named(ASPECTS, request.aspect ?? 'SQUARE', 'aspect')
        },
        createdAt: now,
        deadlineAt: now + config.IMAGE_TIMEOUT_MS
      })
      taskRunner.kick()
      // The loop ends the task at its deadline. With the store away it can't, and the caller is told all the same.
      const limit = deadline(
        clock,
        config.IMAGE_TIMEOUT_MS + OVERTIME_MS,
        storeAway,
        gone,
        lifecycle.stopping
      )
      let task: Task
      try {
        task = await taskRunner.waitFor(id, (seen) => isTerminal(seen.state), limit.signal)
      } catch (error) {
        if (gone.aborted) {
          await taskRunner.abandon(id)
          throw gone.reason
        }
        if (lifecycle.stopping.aborted) throw goesOn(id)
        throw error
      } finally {
        limit.clear()
      }
      if (task.error !== null) throw fromTaskError(task.error)
      return task as ImageTask
    }
  }
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

function storeAway(): GatewayError {
  return new GatewayError('service_unavailable_error', "The gateway's store can't be used right now.", {
    code: 'store_unavailable',
    retryAfter: 5,
    shouldRetry: false
  })
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
  fastify.addHook('onRequest', fastify.lifecycle.refuseWhileDraining)
  await fastify.register(formbody)

  fastify.post(
    '/create/image',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'createImage',
        tags: ['image'],
        summary: 'Create images',
        description:
          'Creates images and answers when they are finished. The creation is a stored task: a caller that leaves after the prompt was sent finds it under `GET /task/{taskId}`.',
        consumes: ['application/json', 'application/x-www-form-urlencoded'],
        body: Ref(CreateImageRequestSchema),
        response: {
          200: Ref(CreateImageResponseSchema),
          ...errors(400, 401, 403, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const task = await fastify.images.create(request.body, request.caller, hangUp(reply))
      return enveloped({
        images: task.result?.images ?? [],
        prompt: task.result?.prompt ?? task.prompt,
        ...task.options,
        taskId: task.id
      })
    }
  )
}

/** Capability: image creation (seed B's routes). */
export default fp(
  async (fastify) => {
    for (const schema of [CreateImageRequestSchema, CreatedImagesSchema, CreateImageResponseSchema])
      fastify.addSchema(schema)
    fastify.decorate('images', createImageService(fastify))
    fastify.register(routes)
  },
  { name: 'image', dependencies: ['config', 'errors', 'store', 'tasks', 'lifecycle', 'whitelist-auth'] }
)
