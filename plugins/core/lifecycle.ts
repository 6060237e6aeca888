import fp from 'fastify-plugin'
import { GatewayError } from '../../src/errors.ts'

/** How long running requests may go on once the service has been told to stop. */
export const DRAIN_MS = 10_000

declare module 'fastify' {
  interface FastifyInstance {
    lifecycle: {
      readonly draining: boolean
      /** Aborts as soon as the service has been told to stop: for answers that merely wait and can be asked for again. */
      readonly leaving: AbortSignal
      /** Aborts when the time of the running requests is over. Its reason is what their callers are told. */
      readonly stopping: AbortSignal
      /** Refuses new work from now on, waits for running requests, and returns when they are done or their time is over. */
      drain(ms?: number): Promise<void>
      /** Hook for routes that start new work. */
      refuseWhileDraining(): Promise<void>
    }
  }
}

/** Graceful stop: readiness goes first, new work is refused, running work gets its time. */
export default fp(
  async (fastify) => {
    const leaving = new AbortController()
    const stopping = new AbortController()
    let running = 0
    let idle = () => {}

    // From here on the whole request is there: one that trickles in holds up no stop.
    fastify.addHook('preValidation', (_request, reply, done) => {
      running += 1
      reply.raw.once('close', () => {
        running -= 1
        if (running === 0) idle()
      })
      done()
    })

    fastify.decorate('lifecycle', {
      get draining() {
        return leaving.signal.aborted
      },
      leaving: leaving.signal,
      stopping: stopping.signal,
      async drain(ms = DRAIN_MS) {
        leaving.abort(drainingError())
        if (running > 0) {
          const done = new Promise<void>((resolve) => {
            idle = resolve
          })
          let timer: NodeJS.Timeout | undefined
          await Promise.race([
            done,
            new Promise<void>((resolve) => {
              timer = setTimeout(resolve, ms)
            })
          ])
          clearTimeout(timer)
        }
        stopping.abort(drainingError())
      },
      async refuseWhileDraining() {
        if (leaving.signal.aborted) throw drainingError()
      }
    })
    fastify.addHook('preClose', async () => {
      leaving.abort(drainingError())
      stopping.abort(drainingError())
    })
  },
  { name: 'lifecycle' }
)

function drainingError(): GatewayError {
  return new GatewayError('service_unavailable_error', 'The gateway is shutting down.', {
    code: 'draining',
    retryAfter: 5
  })
}
