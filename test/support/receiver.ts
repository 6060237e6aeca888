import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import type { Test } from 'tap'

export const SECRET = `whsec_${Buffer.from('a test secret of 32 bytes length').toString('base64')}`

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  /** The body, once its signature has been verified as a receiver would. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every kind
  event: any
}

export interface Receiver {
  url: string
  port: number
  received: Received[]
  /** Resolves as soon as there are `n` webhooks in all. */
  count(n: number): Promise<void>
}

/**
 * Somebody's receiver: a real server that verifies each webhook and answers as told.
 * @param answer default: 204
 */
export async function startReceiver(
  t: Test,
  answer: (res: ServerResponse, received: Received, n: number) => void = (res) => {
    res.writeHead(204).end()
  },
  host = '127.0.0.1'
): Promise<Receiver> {
  const received: Received[] = []
  const news = new EventEmitter()
  const verifier = new Webhook(SECRET)
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('error', () => {})
    req.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      let event: unknown
      try {
        event = verifier.verify(body, req.headers as Record<string, string>)
      } catch (error) {
        event = error
      }
      const one = { method: req.method ?? '', path: req.url ?? '', headers: req.headers, body, event }
      received.push(one)
      answer(res, one, received.length)
      news.emit('one')
    })
  }).listen(0, host)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}`,
    port,
    received,
    async count(n) {
      while (received.length < n) await once(news, 'one')
    }
  }
}
