import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** TCP or TLS connections to the hub's host, for upgrades. */
export interface HubLines {
  /** A connection for one upgrade: one made ahead, else a new one. Give it to `ws` as `createConnection`. */
  connect(): Socket
  /**
   * Connects ahead of an upgrade that is about to come, while something else is waited for. A failure is silent.
   * @returns gives the connection up if no upgrade has taken one by then
   */
  ahead(): () => void
  /** Whether TCP, and TLS where there is one, had been up before somebody could have listened for it. */
  isUp(line: Socket): boolean
  /** Ends the connections that wait. */
  close(): void
}

/**
 * @param chatUrl the hub; `wss` connects with TLS and offers the last session again, which saves the peer's proof of
 *   identity, and with TLS 1.2 a round trip
 */
export function createHubLines(chatUrl: string): HubLines {
  const { protocol, hostname, port } = new URL(chatUrl)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isTls = protocol === 'wss:'
  const waiting = new Set<Socket>()
  const up = new WeakSet<Socket>()
  let session: Buffer | undefined

  function open(): Socket {
    if (!isTls) {
      const line = connect({ host, port: Number(port || 80), noDelay: true })
      return line.once('connect', () => up.add(line))
    }
    const line = connectTls({
      host,
      port: Number(port || 443),
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['http/1.1'],
      session
    })
    line.on('session', (latest: Buffer) => {
      session = latest
    })
    line.once('error', () => {
      session = undefined
    })
    return line.once('secureConnect', () => up.add(line))
  }

  return {
    connect() {
      const [line] = waiting
      if (line === undefined) return open()
      waiting.delete(line)
      return line
    },
    ahead() {
      const line = open().on('error', () => {})
      waiting.add(line)
      line.once('close', () => waiting.delete(line))
      return () => {
        if (waiting.delete(line)) line.destroy()
      }
    },
    isUp: (line) => up.has(line),
    close() {
      for (const line of waiting) line.destroy()
      waiting.clear()
    }
  }
}
