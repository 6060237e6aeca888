import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { enveloped, errors, preferHeader, Ref, withHeaders } from '../../schemas/common.ts'
import { pageHeaders } from '../../schemas/page.ts'
import {
  TaskListQuerySchema,
  TaskListResponseSchema,
  TaskListSchema,
  TaskParamsSchema,
  TaskResponseSchema,
  TaskSchema,
  type TaskView
} from '../../schemas/task.ts'
import { isTerminal, publicStatus, taskStates } from '../../src/jobs/task-states.ts'
import type { ShownTask } from '../../src/store/task-row.ts'
import type { Task } from '../../src/store/task-store.ts'
import { baseUrlOf } from '../core/base-url.ts'
import { taskUnknown } from '../core/creations.ts'
import { type ServerSentEvent, sendEvents } from '../core/event-stream.ts'
import { hangUp } from '../core/hang-up.ts'
import { endPage, pageOf } from '../core/page.ts'
import { applied, preferences } from '../core/prefer.ts'
import { timeSpentOf } from '../core/requests.ts'
import { toTaskView } from '../core/task-view.ts'

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  const { store, media, creations, taskRunner } = fastify

  /** The caller's own task. Somebody else's does not exist for them. */
  async function own(taskId: string, { caller }: FastifyRequest): Promise<Task> {
    const task = await store.tasks.get(taskId)
    if (task === undefined || task.owner !== caller.userId) throw taskUnknown()
    return task
  }

  async function viewOf(task: ShownTask, request: FastifyRequest): Promise<TaskView> {
    const copies = task.state === 'completed' ? await media.views([task.id], baseUrlOf(request)) : undefined
    return toTaskView(task, copies?.get(task.id))
  }

  fastify.get(
    '/tasks',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'listTasks',
        tags: ['task'],
        summary: 'List creations',
        description: 'Shows the creations of the caller, the newest first.',
        querystring: TaskListQuerySchema,
        response: {
          200: withHeaders(Ref(TaskListResponseSchema), pageHeaders),
          ...errors(400, 401, 403, 429, 500, 503)
        }
      }
    },
    async (request, reply) => {
      const { kind, status, ...page } = request.query
      const { limit, rows, after } = pageOf(page)
      const states =
        status === undefined ? undefined : taskStates.filter((state) => publicStatus(state) === status)
      const found = await store.tasks.list(request.caller.userId, { limit: rows, after, kind, states })
      const end = endPage(found, limit, request, reply)
      const finished = end.page.filter(({ state }) => state === 'completed').map(({ id }) => id)
      const copies = await media.views(finished, baseUrlOf(request))
      return enveloped({
        tasks: end.page.map((task) => toTaskView(task, copies.get(task.id))),
        nextCursor: end.nextCursor
      })
    }
  )

  fastify.get(
    '/task/:taskId',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'getTask',
        tags: ['task'],
        summary: 'Look at a creation',
        description:
          'Shows a creation of the caller: `processing` until it is `completed`, `failed` or `cancelled`.',
        headers: Type.Object(
          preferHeader('`wait=N`: answer when it has ended, after N seconds at the latest')
        ),
        params: TaskParamsSchema,
        response: { 200: Ref(TaskResponseSchema), ...errors(400, 401, 403, 404, 429, 500, 503) }
      }
    },
    async (request, reply) => {
      const prefer = { ...preferences(request), respondAsync: false }
      let task = await store.tasks.shown(request.params.taskId)
      if (task === undefined || task.owner !== request.caller.userId) throw taskUnknown()
      if (prefer.waitMs !== undefined) {
        reply.headers(applied(prefer))
        task = await creations.waitFor(
          task.id,
          ({ state }) => isTerminal(state),
          prefer.waitMs,
          hangUp(reply),
          timeSpentOf(request)
        )
      }
      return enveloped(await viewOf(task, request))
    }
  )

  fastify.delete(
    '/task/:taskId',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'cancelTask',
        tags: ['task'],
        summary: 'Cancel a creation',
        description:
          'Ends a creation that is still processing: nobody looks at it any more. What Bing has accepted goes on there. One that has ended stays as it is, so that it can be sent again.',
        params: TaskParamsSchema,
        response: { 200: Ref(TaskResponseSchema), ...errors(400, 401, 403, 404, 429, 500, 503) }
      }
    },
    async (request) => {
      const task = await taskRunner.cancel(await own(request.params.taskId, request))
      return enveloped(await viewOf(task, request))
    }
  )

  fastify.get(
    '/task/:taskId/events',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'followTask',
        tags: ['task'],
        summary: 'Follow a creation',
        description:
          'Server-sent events: `event: status` with the task, at once and at each change, until it has ended. A comment line is sent when nothing else was for 15 s.',
        params: TaskParamsSchema,
        response: {
          200: {
            description: 'The task, again and again.',
            content: {
              'text/event-stream': {
                schema: {
                  type: 'string',
                  examples: [
                    'event: status\ndata: {"id":"123e4567-e89b-12d3-a456-426614174000","status":"processing",…}\n\n'
                  ]
                }
              }
            }
          },
          ...errors(400, 401, 403, 404, 429, 500, 503)
        }
      }
    },
    async (request, reply) => {
      const task = await own(request.params.taskId, request)
      // A host of which no URL can be made is refused while that can still be said.
      baseUrlOf(request)
      return sendEvents(
        reply,
        fastify.clock,
        statuses(task, request, hangUp(reply, fastify.lifecycle.leaving))
      )
    }
  )

  async function* statuses(
    task: Task,
    request: FastifyRequest,
    signal: AbortSignal
  ): AsyncGenerator<ServerSentEvent> {
    for (let present = task; ; ) {
      timeSpentOf(request).follow(present)
      yield { event: 'status', data: await viewOf(present, request) }
      if (isTerminal(present.state)) return
      const last = publicStatus(present.state)
      try {
        present = await taskRunner.waitFor(task.id, ({ state }) => publicStatus(state) !== last, signal)
      } catch (error) {
        // The caller has left, or is told to ask another gateway: a stream that ends early is opened again.
        if (signal.aborted) return
        throw error
      }
    }
  }
}

/** Capability: tasks (seed B's route, and what belongs to it). */
export default fp(
  async (fastify) => {
    for (const schema of [TaskSchema, TaskResponseSchema, TaskListSchema, TaskListResponseSchema])
      fastify.addSchema(schema)
    fastify.register(routes)
  },
  { name: 'task', dependencies: ['config', 'errors', 'store', 'creations', 'media'] }
)
