import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Bytes under way in one direction before the sender has to wait; more than any exchange of a test or bench. */
const WINDOW_BYTES = 4 * 1024 * 1024

/** A TCP port on loopback that is far away from its target. */
export interface SlowLink {
  port: number
  /** Connections accepted so far. */
  readonly connections: number
  /** Connections that are open now, as the near side sees them. */
  readonly open: number
  /** One-way delay in milliseconds from now on; bytes under way keep theirs, and none overtakes another. */
  setDelay(oneWayMs: number): void
  /** Cuts every connection, so that both ends see a reset. */
  cut(): void
  close(): Promise<void>
}

/**
 * Puts distance between a client and a server: bytes arrive `oneWayMs` after they were sent, in order, in both
 * directions, and so do the end of a stream and a reset. Loopback connects at once, so what a client sends on a new
 * connection waits until a handshake of one round trip would be over: a client that connects in advance gains by it
 * exactly what it would gain on a real network. TLS goes through as bytes and pays for its own round trips.
 *
 * @param target where the far end is
 * @throws {Error} when no port can be listened on
 */
export async function startSlowLink(settings: {
  target: { host: string; port: number }
  oneWayMs: number
}): Promise<SlowLink> {
  const { target } = settings
  let { oneWayMs } = settings
  let connections = 0
  const sockets = new Set<Socket>()

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    connections++
    const acceptedAt = performance.now()
    const oneWay = () => oneWayMs
    const connectedAt = acceptedAt + 2 * oneWayMs
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    }
    carry(near, far, oneWay, connectedAt)
    carry(far, near, oneWay, connectedAt)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  function cut(): void {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    get open() {
      return sockets.size / 2
    },
    setDelay(ms) {
      oneWayMs = ms
    },
    cut,
    async close() {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    }
  }
}

/** Passes on what `from` sends, each piece in its time. @param notBefore when the first byte may leave `from` */
function carry(from: Socket, to: Socket, oneWay: () => number, notBefore: number): void {
  const pieces: { due: number; bytes: number; deliver: () => void }[] = []
  let lastDue = 0
  let underWay = 0
  let isWaiting = false

  function send(bytes: number, deliver: () => void): void {
    const due = Math.max(lastDue, Math.max(performance.now(), notBefore) + oneWay())
    lastDue = due
    underWay += bytes
    if (underWay > WINDOW_BYTES) from.pause()
    pieces.push({ due, bytes, deliver })
    if (!isWaiting) wait(due)
  }
  function wait(due: number): void {
    isWaiting = true
    setTimeout(arrive, due - performance.now())
  }
  function arrive(): void {
    isWaiting = false
    // Timers fire in whole milliseconds; without the half, a piece that is nearly due would wait for another one.
    for (let piece = pieces[0]; piece && piece.due <= performance.now() + 0.5; piece = pieces[0]) {
      pieces.shift()
      underWay -= piece.bytes
      piece.deliver()
    }
    if (underWay <= WINDOW_BYTES) from.resume()
    const [next] = pieces
    if (next !== undefined) wait(next.due)
  }

  from.on('data', (chunk: Buffer) => send(chunk.length, () => to.write(chunk)))
  from.on('end', () => send(0, () => to.end()))
  from.on('close', (hadError) => {
    if (hadError || !from.readableEnded) send(0, () => to.resetAndDestroy())
  })
}
