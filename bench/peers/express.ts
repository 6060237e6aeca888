/**
 * `GET /options` on Express 4 with the same work: the same headers, a request id, a log line and a metric for each
 * request. Without what Express adds by itself and the gateway does not have: an ETag, `x-powered-by`.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import express from 'express'
import helmet from 'helmet'
import { Histogram, Registry } from 'prom-client'
import { enveloped } from '../../schemas/common.ts'
import { ASPECTS, MODELS } from '../../schemas/image.ts'
import { createLogger } from '../../src/logger.ts'

const logger = createLogger({ level: 'info' })
const duration = new Histogram({
  name: 'http_server_request_duration_seconds',
  help: 'Duration of HTTP server requests.',
  labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
  registers: [new Registry()]
})

const app = express()
app.disable('etag')
app.disable('x-powered-by')
app.use((request, response, next) => {
  const id = randomUUID()
  const from = performance.now()
  response.setHeader('x-request-id', id)
  response.setHeader('access-control-allow-origin', '*')
  response.once('finish', () => {
    const ms = performance.now() - from
    const route: string = request.route?.path ?? 'unknown'
    duration.observe(
      {
        http_request_method: request.method,
        http_route: route,
        http_response_status_code: response.statusCode
      },
      ms / 1000
    )
    logger.info({ requestId: id, method: request.method, route, status: response.statusCode, ms }, 'request')
  })
  next()
})
app.use(helmet())
app.get('/options', (_request, response) => {
  response.json(enveloped({ models: [...MODELS], aspects: [...ASPECTS] }))
})
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`Listening at http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
