import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'

type Document = NonNullable<FastifyDynamicSwaggerOptions['openapi']>
type Webhooks = NonNullable<Extract<Document, { webhooks?: unknown }>['webhooks']>

const header = (name: string, description: string, example: string) => ({
  name,
  in: 'header',
  required: true,
  description,
  schema: { type: 'string' as const },
  example
})

/** The document's `webhooks`: requests that the gateway makes, to URLs that callers named. */
export const WEBHOOKS: Webhooks = {
  taskEnded: {
    post: {
      operationId: 'receiveTaskEnded',
      tags: ['task'],
      summary: 'A creation has ended',
      description:
        'Sent to the `webhookUrl` of a creation when it has ended, at least once and in no particular order. Signed as the Standard Webhooks specification says (https://www.standardwebhooks.com): verify the signature over the raw body, and drop ids that you know. Anything but a 2xx within 15 s is tried again, up to ten attempts over three to four days; 307 and 308 are followed, `Retry-After` is obeyed.',
      parameters: [
        header(
          'webhook-id',
          'Names the webhook; the same for each attempt.',
          'msg_0f4b1c6f2a6d4d5c9f0e3a7b8c1d2e3f'
        ),
        header('webhook-timestamp', 'When this attempt was made, in seconds since the epoch.', '1767268790'),
        header(
          'webhook-signature',
          'Signatures of id, timestamp and body, separated by spaces.',
          'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4='
        )
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              type: 'object',
              required: ['type', 'timestamp', 'data'],
              properties: {
                type: {
                  type: 'string',
                  enum: ['task.completed', 'task.failed', 'task.cancelled'],
                  description: 'How it ended.'
                },
                timestamp: { type: 'string', format: 'date-time', description: 'When it ended.' },
                data: { $ref: '#/components/schemas/Task' }
              }
            },
            example: {
              type: 'task.completed',
              timestamp: '2026-01-01T11:59:50.000Z',
              data: {
                id: '123e4567-e89b-12d3-a456-426614174000',
                kind: 'video',
                status: 'completed',
                prompt: 'ocean waves at sunset',
                video: 'https://th.bing.com/th/id/OVID.k3Jd9a?pid=videocreator',
                error: null,
                createdAt: '2026-01-01T11:58:20.000Z',
                completedAt: '2026-01-01T11:59:50.000Z'
              }
            }
          }
        }
      },
      responses: {
        '2XX': { description: 'Received. The body is not read.' },
        '410': { description: 'Not wanted any more. It is not tried again.' }
      }
    }
  }
}
