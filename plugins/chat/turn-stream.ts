import type { FastifyReply } from 'fastify'
import type { Clock } from '../../src/clock.ts'
import { CallerGone, errorBody, GatewayError } from '../../src/errors.ts'
import { followSignals } from '../../src/follow-signals.ts'
import type { TextChange } from '../../src/upstream/chat-client.ts'
import { reportFailure } from '../core/errors.ts'
import { createEventStream } from '../core/event-stream.ts'
import type { AskResult } from './service.ts'

/** Bytes that may wait for a reader. Some ten times the longest answers: only who has stopped reading gets there. */
const UNSENT_MAX_BYTES = 256 * 1024

export interface StreamedTurn {
  clock: Clock
  /** Aborts when the service stops. */
  stopping: AbortSignal
  /** Asks the question, or finds its stored answer. `onText` is told of text as it comes. */
  ask(listening: { signal: AbortSignal; onText: (change: TextChange) => void }): Promise<AskResult>
}

/**
 * Answers with the turn's text as it comes: `delta` and `replace`, then `done` with the plain answer, once that is stored,
 * or `error`. Until the first event a failure is thrown, and so becomes a plain HTTP error.
 *
 * A caller who leaves cancels the turn. One who stays but does not read does not: its stream ends when too much waits for
 * it, and the turn goes on, so that the question can be sent again and finds its answer.
 */
export async function streamTurn(
  reply: FastifyReply,
  { clock, stopping, ask }: StreamedTurn
): Promise<FastifyReply> {
  const { raw, request } = reply
  const events = createEventStream(reply, clock)
  const cancelled = new AbortController()
  const unfollow = followSignals(cancelled, [stopping])
  let isTooSlow = false
  let hasText = false
  raw.once('close', () => {
    if (!raw.writableFinished && !isTooSlow) cancelled.abort(new CallerGone())
  })

  // Runs where the upstream's message arrives, so that nothing stands between that and the caller's socket.
  function onText({ kind, text }: TextChange): void {
    hasText = true
    if (isTooSlow) return
    isTooSlow = events.unsentBytes > UNSENT_MAX_BYTES
    if (isTooSlow) fail(readerTooSlow())
    else events.send(kind, `{"text":${JSON.stringify(text)}}`)
  }

  function fail(thrown: unknown): void {
    const error = reportFailure(thrown, request)
    if (error !== undefined) events.send('error', JSON.stringify(errorBody(error)))
    events.end()
  }

  try {
    const { answer, replayed } = await ask({ signal: cancelled.signal, onText })
    if (replayed) reply.header('idempotency-replayed', 'true')
    // A stored answer; or one of pictures alone, whose message has their addresses.
    if (!hasText) onText({ kind: 'delta', text: answer.message })
    const serialize = reply.getSerializationFunction('200', 'application/json') ?? JSON.stringify
    events.send('done', String(serialize({ ...answer })))
    events.end()
  } catch (error) {
    if (events.isOpen) fail(error)
    else events.fail(error)
  } finally {
    unfollow()
  }
  return reply
}

function readerTooSlow(): GatewayError {
  return new GatewayError(
    'conflict_error',
    'The stream was not read fast enough and has ended. The turn goes on: send it again to get its stored answer.',
    { code: 'reader_too_slow', retryAfter: 1 }
  )
}
