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
  CreatedVideoSchema,
  type CreateVideoRequest,
  CreateVideoRequestSchema,
  CreateVideoResponseSchema
} from '../../schemas/video.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { fromTaskError } from '../../src/jobs/task-errors.ts'
import { isTerminal } from '../../src/jobs/task-states.ts'
import type { TimeSpent } from '../../src/jobs/time-spent.ts'
import { isStoreFault } from '../../src/store/database.ts'
import type { Task } from '../../src/store/task-store.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { type NewCreation, taskUnknown } from '../core/creations.ts'
import { hangUp } from '../core/hang-up.ts'
import { applied, preferences } from '../core/prefer.ts'
import { timeSpentOf } from '../core/requests.ts'
import { toTaskView } from '../core/task-view.ts'

/** How long a caller waits for the submit: less than the proxies before a gateway wait for an answer. */
const SUBMIT_WAIT_MS = 30_000

declare module 'fastify' {
  interface FastifyInstance {
    videos: ReturnType<typeof createVideoService>
  }
}

/** Rules of video creations: they are tasks, and a refusal at submit is an answer of its own. */
export function createVideoService(
  { clock, log, store, taskRunner, creations, lifecycle }: FastifyInstance,
  submitWaitMs: number
) {
  return {
    /**
     * Stores a video creation and starts it.
     * @throws {GatewayError} invalid_request_error | rate_limit_error | service_unavailable_error
     */
    begin(
      { query, speed = 'standard', webhookUrl }: CreateVideoRequest,
      context: Pick<NewCreation, 'caller' | 'baseUrl' | 'bind'>
    ): Promise<Task> {
      return creations.accept(
        { ...context, query, webhookUrl, deadlineAt: null, attended: false, mayRest: false },
        { kind: 'video', options: { speed } }
      )
    },

    /**
     * Waits until Bing has accepted the prompt, or until it is clear that it has to wait for a free place; but no longer
     * than a caller can be expected to.
     * From the moment that a video is stored, nothing but a failed submit is the caller's failure: told of any other,
     * they would send the prompt again, and get two videos.
     * @param begun the task as this request has stored it
     * @throws {GatewayError} what the submit failed with
     */
    async submitted(
      id: string,
      begun: Task | undefined,
      gone: AbortSignal,
      spent?: TimeSpent
    ): Promise<Task> {
      const late = new Error('the submit takes long')
      const limit = deadline(clock, submitWaitMs, () => late, gone, lifecycle.stopping)
      let seen: Task
      try {
        await taskRunner.step()
        // Whatever the step did not take has to wait for a free place; so has what Bing refused for want of one.
        seen = await present(id)
        const hasLeft = (task: Task) => {
          spent?.follow(task)
          return task.state !== 'submitting' && (task.state !== 'queued' || task.error?.forPlace === true)
        }
        // One that can't be sent is the caller's to send again.
        if (seen.state !== 'queued' || taskRunner.isHeld(seen))
          seen = await taskRunner.waitUnlessHeld(id, hasLeft, limit.signal)
      } catch (error) {
        if (gone.aborted) throw gone.reason
        if (error !== late && !lifecycle.stopping.aborted) {
          log.warn({ err: error, taskId: id }, 'submit could not be followed; the task goes on')
          taskRunner.kick()
        }
        return begun ?? present(id)
      } finally {
        limit.clear()
      }
      // A paused or failed one that Bing has accepted is a task to ask for; so is one that another gateway can't send.
      if (seen.state !== 'queued' && seen.error !== null && seen.upstreamId === null)
        throw fromTaskError(seen.error)
      return seen
    }
  }

  async function present(id: string): Promise<Task> {
    const task = await store.tasks.get(id)
    if (task === undefined) throw taskUnknown()
    return task
  }
}

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.addHook('onRequest', fastify.lifecycle.refuseWhileDraining)
  await fastify.register(formbody)

  fastify.post(
    '/create/video',
    {
      config: { access: 'anonymous', limit: 'videos' },
      schema: {
        operationId: 'createVideo',
        tags: ['video'],
        summary: 'Start a video',
        description:
          'Starts a video and answers with its task once Bing has taken the prompt, after 30 s at the latest. `GET /task/{taskId}` tells when it is finished; that survives a restart of the gateway. When all places are taken, the prompt is sent to Bing as soon as one is free.',
        consumes: ['application/json', 'application/x-www-form-urlencoded'],
        headers: Type.Object({
          ...preferHeader('`wait=N`: answer when it has ended, after N seconds at the latest'),
          ...idempotencyKeyHeader
        }),
        body: Ref(CreateVideoRequestSchema),
        response: {
          200: withHeaders(Ref(CreateVideoResponseSchema), REPLAYED),
          ...errors(400, 401, 403, 413, 415, 422, 429, 500, 502, 503, 504)
        }
      }
    },
    async (request, reply) => {
      const { caller, body } = request
      const gone = hangUp(reply)
      const prefer = { ...preferences(request), respondAsync: false }
      const baseUrl = baseUrlOf(request)
      const spent = timeSpentOf(request)
      let begun: Task | undefined
      return fastify.idempotent(request, reply, {
        owner: caller.userId,
        signal: gone,
        async begin(bind) {
          begun = await fastify.videos.begin(body, { caller, baseUrl, bind })
          return begun.id
        },
        async answer(taskId) {
          const { id, prompt } = await fastify.videos.submitted(taskId, begun, gone, spent)
          if (prefer.waitMs === undefined) return { status: 200, body: enveloped({ taskId: id, prompt }) }
          const headers = applied(prefer)
          const accepted = { taskId: id, prompt }
          try {
            const done = ({ state }: Task) => isTerminal(state)
            const task = await fastify.creations.waitFor(id, done, prefer.waitMs, gone, spent)
            const media = (await fastify.media.views([id], baseUrl)).get(id)
            return { status: 200, headers, body: enveloped({ ...accepted, task: toTaskView(task, media) }) }
          } catch (error) {
            if (!isStoreFault(error)) throw error
            // The video goes on. A failure instead of its id would bring about a second one.
            request.log.warn({ err: error, taskId: id }, 'task could not be followed')
            return { status: 200, headers, body: enveloped(accepted) }
          }
        }
      })
    }
  )
}

/** Capability: video creation (seed B's route). */
export default fp<{ submitWaitMs?: number }>(
  async (fastify, { submitWaitMs = SUBMIT_WAIT_MS }) => {
    for (const schema of [CreateVideoRequestSchema, CreatedVideoSchema, CreateVideoResponseSchema])
      fastify.addSchema(schema)
    fastify.decorate('videos', createVideoService(fastify, submitWaitMs))
    fastify.register(routes)
  },
  {
    name: 'video',
    dependencies: ['config', 'errors', 'store', 'creations', 'idempotency', 'media', 'lifecycle']
  }
)
