import type { FastifyReply } from 'fastify'
import { CallerGone } from '../../src/errors.ts'

/**
 * Aborts when the caller leaves before the answer is complete.
 * (`request.signal` aborts as soon as the body of a POST has been read, so it can't tell.)
 */
export function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new CallerGone())
  })
  return gone.signal
}
