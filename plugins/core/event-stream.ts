import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Clock } from '../../src/clock.ts'

/** Proxies and clients drop connections on which nothing is heard for long; in milliseconds. */
export const HEARTBEAT_MS = 15_000
/**
 * How long a reader gets for what is left of a stream that has ended, in milliseconds, and for each byte of it. What has
 * been taken is seen only write by write, so that silence alone would not tell a slow reader from one who is gone.
 */
const STALLED_MS = 15_000
const SLOWEST_BYTES_PER_MS = 8

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // nginx would hold the events back until its buffer is full.
  'x-accel-buffering': 'no'
}

/**
 * An answer of server-sent events (WHATWG HTML, section 9.2). Nothing leaves before the first event, so that a failure
 * can still be an HTTP error; a comment goes out whenever nothing else was said for 15 s.
 */
export interface EventStream {
  /** Whether the head of the answer has left: from here on a failure can only be an event. */
  readonly isOpen: boolean
  /** Bytes that the reader has not taken yet, without those that the operating system holds for it. */
  readonly unsentBytes: number
  /**
   * Sends an event, in the same turn of the event loop. Does nothing once the stream has ended or its reader has left.
   * @param json the data, on one line
   */
  send(event: string, json: string): void
  /** Ends the answer. A reader who does not take what is left of it is cut off. */
  end(): void
  /** Gives the stream up: with an HTTP error as the answer when it is not open, else by cutting it off. */
  fail(error: unknown): void
}

/** A stream for the answer of one request. It has to be ended, or failed. */
export function createEventStream(reply: FastifyReply, clock: Clock): EventStream {
  const { raw } = reply
  // Written to, not asked: what is pushed while the reader keeps up goes straight to the socket.
  const body = new Readable({ read() {} })
  let isOpen = false
  let hasEnded = false
  let lastWriteAt = clock.now()
  let stopTimer = clock.timer(HEARTBEAT_MS, beat)
  raw.once('close', () => stopTimer())

  const unsentBytes = () => body.readableLength + raw.writableLength

  function open(): void {
    isOpen = true
    reply.headers(HEADERS).send(body)
  }

  function write(text: string): void {
    if (hasEnded || raw.destroyed) return
    body.push(text)
    lastWriteAt = clock.now()
    // With something to send already in it, so that head and first event share a packet.
    if (!isOpen) open()
  }

  /** One timer for the whole stream: it looks when something was last said, so that no event has to touch it. */
  function beat(): void {
    const silentMs = Math.abs(clock.now() - lastWriteAt)
    const isSilent = silentMs >= HEARTBEAT_MS
    // Who has not taken what was sent needs no sign of life.
    if (isSilent && unsentBytes() === 0) write(':\n\n')
    stopTimer = clock.timer(isSilent ? HEARTBEAT_MS : HEARTBEAT_MS - silentMs, beat)
  }

  function cutOffWhenStalled(leftBefore: number): void {
    stopTimer = clock.timer(STALLED_MS + leftBefore / SLOWEST_BYTES_PER_MS, () => {
      const left = unsentBytes()
      if (left < leftBefore) cutOffWhenStalled(left)
      else raw.destroy()
    })
  }

  return {
    get isOpen() {
      return isOpen
    },
    get unsentBytes() {
      return unsentBytes()
    },
    send(event, json) {
      write(`event: ${event}\ndata: ${json}\n\n`)
    },
    end() {
      if (hasEnded) return
      hasEnded = true
      stopTimer()
      body.push(null)
      if (raw.destroyed) return
      if (!isOpen) open()
      cutOffWhenStalled(unsentBytes())
    },
    fail(error) {
      if (hasEnded) return
      hasEnded = true
      stopTimer()
      if (isOpen) body.destroy(error instanceof Error ? error : new Error(String(error)))
      else reply.send(error)
    }
  }
}

/** One event of a stream that is told by an iterator. */
export interface ServerSentEvent {
  event: string
  /** Written as JSON. */
  data: unknown
}

/**
 * Answers with the events of an iterator, and ends with it. A failure before the first event is an HTTP error, a later
 * one cuts the answer off. A caller who leaves ends the iterator through their own signal.
 */
export function sendEvents(
  reply: FastifyReply,
  clock: Clock,
  events: AsyncIterable<ServerSentEvent>
): FastifyReply {
  const stream = createEventStream(reply, clock)
  const run = async () => {
    for await (const { event, data } of events) stream.send(event, JSON.stringify(data))
  }
  run().then(stream.end, stream.fail)
  return reply
}
