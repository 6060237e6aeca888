import { randomUUID } from 'node:crypto'
import fp from 'fastify-plugin'
import { GatewayError } from '../../src/errors.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import type { TimeSpent } from '../../src/jobs/time-spent.ts'
import type { Queries } from '../../src/store/database.ts'
import type { ImageTask, Task, VideoTask } from '../../src/store/task-store.ts'
import type { Caller } from '../auth/index.ts'
import { checkedQuery } from './query.ts'

/** What image and video creations have in common. */
export interface NewCreation {
  caller: Caller
  query: string
  webhookUrl?: string | undefined
  /** Base of the URLs in a webhook. */
  baseUrl: string
  deadlineAt: number | null
  /** The caller waits for this very request: once they have left nobody would be told, so a prompt that was not sent yet stays unsent. */
  attended: boolean
  /** Nobody waits for its answer: while Microsoft asks for a pause it is not even tried. */
  mayRest: boolean
  /** Stores which request the task was made for. */
  bind?: ((tx: Queries, taskId: string) => Promise<void>) | undefined
}

export type CreationKind = Pick<ImageTask, 'kind' | 'options'> | Pick<VideoTask, 'kind' | 'options'>

declare module 'fastify' {
  interface FastifyInstance {
    creations: {
      /**
       * Stores a creation as a task, counted against its owner's limit, in one transaction; and starts it.
       * @throws {GatewayError} invalid_request_error | rate_limit_error | service_unavailable_error | what a circuit refuses it with
       */
      accept(creation: NewCreation, kind: CreationKind): Promise<Task>
      /**
       * Waits for a change of a task for a limited time.
       * @returns the task as it is when `done` holds, when the time is over, or when the gateway is told to stop
       */
      waitFor(
        taskId: string,
        done: (task: Task) => boolean,
        ms: number,
        gone: AbortSignal,
        spent?: TimeSpent
      ): Promise<Task>
    }
  }
}

const THINGS = { image: 'images', video: 'videos' } as const

/** Rules that hold for creations of every kind, whichever route or facade they come through. */
export default fp(
  async (fastify) => {
    const { clock, limits, store, taskRunner, upstream, webhooks, worker, lifecycle } = fastify

    fastify.decorate('creations', {
      async accept(creation, kind) {
        const { caller, attended, bind, webhookUrl, baseUrl, deadlineAt } = creation
        const prompt = checkedQuery(creation.query)
        if (webhookUrl !== undefined) await webhooks.check(webhookUrl)
        const refusal = upstream.refusal(`${kind.kind}-creator`)
        if (refusal !== undefined) throw refusal
        const id = randomUUID()
        const createdAt = clock.now()
        const restsUntil = creation.mayRest ? taskRunner.restsUntil(kind.kind) : 0
        // One whose time would be over by then may as well try its luck.
        const isResting = restsUntil > createdAt && (deadlineAt === null || deadlineAt > restsUntil)
        const task = await store.tasks.insert(
          {
            id,
            ...kind,
            owner: caller.userId,
            prompt,
            createdAt,
            ...(isResting ? { dueAt: restsUntil } : {}),
            deadlineAt,
            waiter: attended ? worker.id : null,
            // As it was judged; the text may hold what a URL parser drops and the store does not take.
            webhookUrl: webhookUrl === undefined ? null : new URL(webhookUrl).href,
            baseUrl: webhookUrl === undefined ? null : baseUrl
          },
          async (tx) => {
            await bind?.(tx, id)
            return { limitWindow: await limits.take(tx, caller, THINGS[kind.kind]) }
          }
        )
        fastify.tracing?.taskMade(id)
        taskRunner.kick()
        return task
      },

      async waitFor(taskId, done, ms, gone, spent) {
        const limit = deadline(clock, ms, () => new Error('the wait is over'), gone, lifecycle.leaving)
        try {
          return await taskRunner.waitFor(
            taskId,
            (task) => {
              spent?.follow(task)
              return done(task)
            },
            limit.signal
          )
        } catch (error) {
          // A caller may leave just when the wait is over: that is not an answer that anybody would get.
          gone.throwIfAborted()
          if (!limit.signal.aborted) throw error
          const task = await store.tasks.get(taskId)
          if (task === undefined) throw taskUnknown()
          return task
        } finally {
          limit.clear()
        }
      }
    })
  },
  {
    name: 'creations',
    dependencies: ['config', 'store', 'tasks', 'lifecycle', 'whitelist-auth', 'webhooks']
  }
)

/** An unknown task, and somebody else's. */
export function taskUnknown(): GatewayError {
  return new GatewayError('invalid_request_error', 'Task not found.', { status: 404 })
}
