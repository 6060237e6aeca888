import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { enveloped, errors, Ref } from '../../schemas/common.ts'
import { TaskParamsSchema, TaskResponseSchema, TaskSchema } from '../../schemas/task.ts'
import { GatewayError } from '../../src/errors.ts'
import { toTaskView } from './view.ts'

const routes: FastifyPluginAsyncTypebox = async (fastify) => {
  fastify.get(
    '/task/:taskId',
    {
      config: { access: 'anonymous' },
      schema: {
        operationId: 'getTask',
        tags: ['task'],
        summary: 'Look at a creation',
        description: 'Shows a creation of the caller: `processing` until it is `completed` or `failed`.',
        params: TaskParamsSchema,
        response: { 200: Ref(TaskResponseSchema), ...errors(400, 401, 403, 404, 500, 503) }
      }
    },
    async (request) => {
      const task = await fastify.store.tasks.get(request.params.taskId)
      // Somebody else's task does not exist for this caller.
      if (task === undefined || task.owner !== request.caller.userId) {
        throw new GatewayError('invalid_request_error', 'Task not found.', { status: 404 })
      }
      return enveloped(toTaskView(task))
    }
  )
}

/** Capability: tasks (seed B's route). */
export default fp(
  async (fastify) => {
    for (const schema of [TaskSchema, TaskResponseSchema]) fastify.addSchema(schema)
    fastify.register(routes)
  },
  { name: 'task', dependencies: ['config', 'errors', 'store', 'whitelist-auth'] }
)
