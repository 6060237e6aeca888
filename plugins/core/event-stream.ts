import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'

/** Proxies and clients drop connections on which nothing is heard for long; in milliseconds. */
const HEARTBEAT_MS = 15_000

/** One server-sent event (WHATWG HTML, section 9.2). */
export interface ServerSentEvent {
  event: string
  /** Written as JSON, on one line. */
  data: unknown
}

/**
 * Answers with a stream of server-sent events, and with a comment whenever nothing else was said for 15 s.
 * It ends when the events end, or when `events` throws; a caller who leaves ends them through their own signal.
 */
export function sendEvents(reply: FastifyReply, events: AsyncIterable<ServerSentEvent>): FastifyReply {
  return reply
    .headers({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      // nginx would hold the events back until its buffer is full.
      'x-accel-buffering': 'no'
    })
    .send(Readable.from(lines(events), { objectMode: false, highWaterMark: 16_384 }))
}

async function* lines(events: AsyncIterable<ServerSentEvent>): AsyncGenerator<string> {
  const iterator = events[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    for (;;) {
      const first = await within(next, HEARTBEAT_MS)
      if (first === undefined) {
        yield ':\n\n'
        continue
      }
      if (first.done) return
      const { event, data } = first.value
      yield `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
      next = iterator.next()
    }
  } finally {
    await iterator.return?.()
  }
}

/** @returns `undefined` when it takes longer */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
    timer.unref()
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
