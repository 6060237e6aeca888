import { randomUUID } from 'node:crypto'
import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { enveloped, errors, Ref } from '../../schemas/common.ts'
import {
  CreatedVideoSchema,
  type CreateVideoRequest,
  CreateVideoRequestSchema,
  CreateVideoResponseSchema
} from '../../schemas/video.ts'
import { fromTaskError } from '../../src/jobs/task-runner.ts'
import type { Task } from '../../src/store/task-store.ts'
import type { Caller } from '../auth/index.ts'
import { hangUp } from '../core/hang-up.ts'
import { checkedQuery } from '../core/query.ts'

declare module 'fastify' {
  interface FastifyInstance {
    videos: ReturnType<typeof createVideoService>
  }
}

/** Rules of video creations: they are tasks, and a refusal at submit is an answer of its own. */
export function createVideoService({ clock, log, store, taskRunner, lifecycle }: FastifyInstance) {
  /** Waits until Bing has accepted or refused the prompt, or until it is clear that it has to wait for a free place. */
  async function submitted(task: Task, signal: AbortSignal): Promise<Task> {
    await taskRunner.step()
    // Whatever the step did not take has to wait for a free place; so has what Bing refused for want of one.
    if ((await store.tasks.get(task.id))?.state === 'queued') return task
    return taskRunner.waitFor(
      task.id,
      ({ state, refusals }) => state !== 'submitting' && (state !== 'queued' || refusals > 0),
      signal
    )
  }

  return {
    /**
     * Accepts a video. Answers once Bing has accepted the prompt, or at once when it has to wait for a free place.
     * From the moment that it is stored, nothing but a failed submit is the caller's failure: told of any other, they
     * would send the prompt again, and get two videos.
     * @throws {GatewayError} what the submit failed with
     */
    async create(request: CreateVideoRequest, caller: Caller, gone: AbortSignal): Promise<Task> {
      const task = await store.tasks.insert({
        id: randomUUID(),
        kind: 'video',
        owner: caller.userId,
        prompt: checkedQuery(request.query),
        options: { speed: request.speed ?? 'standard' },
        createdAt: clock.now(),
        deadlineAt: null
      })
      let seen: Task
      try {
        seen = await submitted(task, AbortSignal.any([gone, lifecycle.stopping]))
      } catch (error) {
        if (gone.aborted) throw gone.reason
        if (!lifecycle.stopping.aborted) {
          log.warn({ err: error, taskId: task.id }, 'submit could not be followed; the task goes on')
          taskRunner.kick()
        }
        return task
      }
      // A paused or failed one that Bing has accepted is a task to ask for.
      if (seen.error !== null && seen.upstreamId === null) throw fromTaskError(seen.error)
      return seen
    }
  }
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.addHook('onRequest', fastify.lifecycle.refuseWhileDraining)
  await fastify.register(formbody)

  fastify.post(
    '/create/video',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'createVideo',
        tags: ['video'],
        summary: 'Start a video',
        description:
          'Starts a video and answers with its task. `GET /task/{taskId}` tells when it is finished; that survives a restart of the gateway. When all places are taken, the prompt is sent to Bing as soon as one is free.',
        consumes: ['application/json', 'application/x-www-form-urlencoded'],
        body: Ref(CreateVideoRequestSchema),
        response: {
          200: Ref(CreateVideoResponseSchema),
          ...errors(400, 401, 403, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const { id, prompt } = await fastify.videos.create(request.body, request.caller, hangUp(reply))
      return enveloped({ taskId: id, prompt })
    }
  )
}

/** Capability: video creation (seed B's route). */
export default fp(
  async (fastify) => {
    for (const schema of [CreateVideoRequestSchema, CreatedVideoSchema, CreateVideoResponseSchema])
      fastify.addSchema(schema)
    fastify.decorate('videos', createVideoService(fastify))
    fastify.register(routes)
  },
  { name: 'video', dependencies: ['config', 'errors', 'store', 'tasks', 'lifecycle', 'whitelist-auth'] }
)
