import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { SESSION_STATES, UPSTREAM_NAMES } from '../../src/upstream/session-state.ts'

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

/** Continues a sentence that says what is sent where. */
const DELIVERY =
  ', at least once and in no particular order. Signed as the Standard Webhooks specification says (https://www.standardwebhooks.com): verify the signature over the raw body, and drop ids that you know. Anything but a 2xx within 15 s is tried again, up to ten attempts over three to four days; 307 and 308 are followed, `Retry-After` is obeyed.'

const PARAMETERS = [
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
]

const RESPONSES = {
  '2XX': { description: 'Received. The body is not read.' },
  '410': { description: 'Not wanted any more. It is not tried again.' }
}

/** The document's `webhooks`: requests that the gateway makes, to URLs that callers and the operator named. */
export const WEBHOOKS: Webhooks = {
  taskEnded: {
    post: {
      operationId: 'receiveTaskEnded',
      tags: ['task'],
      summary: 'A creation has ended',
      description: `Sent to the \`webhookUrl\` of a creation when it has ended${DELIVERY}`,
      parameters: PARAMETERS,
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
      responses: RESPONSES
    }
  },
  sessionChanged: {
    post: {
      operationId: 'receiveSessionChanged',
      tags: ['service'],
      summary: 'An upstream is in trouble, or all right again',
      description:
        'Sent to `SESSION_WEBHOOK_URL` when the state of an upstream changes that `GET /health` shows' +
        DELIVERY,
      parameters: PARAMETERS,
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              type: 'object',
              required: ['type', 'timestamp', 'data'],
              properties: {
                type: { type: 'string', enum: ['session.changed'] },
                timestamp: {
                  type: 'string',
                  format: 'date-time',
                  description: 'When it was told. Of two about one upstream, the later one holds.'
                },
                data: {
                  type: 'object',
                  required: ['name', 'state', 'previous', 'since'],
                  properties: {
                    name: { type: 'string', enum: [...UPSTREAM_NAMES], description: 'The upstream.' },
                    state: { type: 'string', enum: [...SESSION_STATES] },
                    previous: {
                      type: 'string',
                      enum: [...SESSION_STATES],
                      description: 'The state that was told before.'
                    },
                    since: { type: 'string', format: 'date-time', description: 'When the state began.' },
                    until: {
                      type: 'string',
                      format: 'date-time',
                      description: 'When it ends by itself, if that is known.'
                    },
                    action: { type: 'string', description: 'What a person must do; absent if nothing.' }
                  }
                }
              }
            },
            example: {
              type: 'session.changed',
              timestamp: '2026-01-01T12:00:02.000Z',
              data: {
                name: 'image-creator',
                state: 'expired',
                previous: 'ok',
                since: '2026-01-01T12:00:00.000Z',
                action: 'Sign in at bing.com and give the gateway the new _U cookie.'
              }
            }
          }
        }
      },
      responses: RESPONSES
    }
  }
}
