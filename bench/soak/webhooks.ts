/** Somebody's receiver, which turns some webhooks away at first. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import type { Findings } from './findings.ts'

export const WEBHOOK_SECRET = `whsec_${Buffer.from('the secret of a soak, 32 bytes..').toString('base64')}`

/** Every so many-th webhook is answered 503 the first time. */
const TURNED_AWAY = 7

export interface WebhookReceiver {
  url: string
  /** Type of the event that was told of each task. */
  told: ReadonlyMap<string, string>
  readonly received: number
  close(): void
}

export async function receiveWebhooks(findings: Findings): Promise<WebhookReceiver> {
  const told = new Map<string, string>()
  const seen = new Set<string>()
  const verifier = new Webhook(WEBHOOK_SECRET)
  let received = 0
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('error', () => {})
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      received++
      const id = String(req.headers['webhook-id'])
      const isFirst = !seen.has(id)
      seen.add(id)
      if (isFirst && seen.size % TURNED_AWAY === 0) return res.writeHead(503).end()
      try {
        const body = Buffer.concat(chunks).toString()
        const { type, data } = verifier.verify(body, req.headers as Record<string, string>) as {
          type: string
          data: { id: string }
        }
        const before = told.get(data.id)
        if (before !== undefined && before !== type) findings.note('webhooks', { id: data.id, before, type })
        told.set(data.id, type)
      } catch (error) {
        findings.note('webhooks', { id, error: String(error) })
      }
      return res.writeHead(204).end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    told,
    get received() {
      return received
    },
    close() {
      server.closeAllConnections()
      server.close()
    }
  }
}
