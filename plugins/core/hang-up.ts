import type { FastifyReply } from 'fastify'
import { CallerGone } from '../../src/errors.ts'
import { followSignals } from '../../src/follow-signals.ts'

/**
 * Aborts when the caller leaves before the answer is complete, or as soon as one of `others` does.
 * (`request.signal` aborts as soon as the body of a POST has been read, so it can't tell.)
 */
export function hangUp(reply: FastifyReply, ...others: AbortSignal[]): AbortSignal {
  const gone = new AbortController()
  const unfollow = followSignals(gone, others)
  reply.raw.once('close', () => {
    unfollow()
    if (!reply.raw.writableFinished) gone.abort(new CallerGone())
  })
  return gone.signal
}
