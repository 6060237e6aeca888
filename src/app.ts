import cors from '@fastify/cors'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import auth from '../plugins/auth/index.ts'
import chat from '../plugins/chat/index.ts'
import config from '../plugins/core/config.ts'
import creations from '../plugins/core/creations.ts'
import errors, { answerClientError, answerFrameworkError } from '../plugins/core/errors.ts'
import idempotency from '../plugins/core/idempotency.ts'
import lifecycle from '../plugins/core/lifecycle.ts'
import metrics from '../plugins/core/metrics.ts'
import openapi from '../plugins/core/openapi.ts'
import probes from '../plugins/core/probes.ts'
import requestIds, { requestId } from '../plugins/core/request-id.ts'
import requests from '../plugins/core/requests.ts'
import retention from '../plugins/core/retention.ts'
import securityHeaders from '../plugins/core/security-headers.ts'
import store from '../plugins/core/store.ts'
import tasks from '../plugins/core/tasks.ts'
import tracing from '../plugins/core/tracing.ts'
import upstream from '../plugins/core/upstream.ts'
import upstreamMetrics from '../plugins/core/upstream-metrics.ts'
import validation from '../plugins/core/validation.ts'
import image from '../plugins/image/index.ts'
import info from '../plugins/info/index.ts'
import media from '../plugins/media/index.ts'
import mediaRoutes from '../plugins/media/routes.ts'
import studio from '../plugins/studio/index.ts'
import task from '../plugins/task/index.ts'
import video from '../plugins/video/index.ts'
import webhooks from '../plugins/webhook/index.ts'
import type { Clock } from './clock.ts'
import { type Config, completeConfig } from './config.ts'
import { createLogger } from './logger.ts'
import { parseTrustedProxies } from './trusted-proxies.ts'

const BODY_LIMIT_BYTES = 1024 * 1024
/** Time for a caller to send a whole request; answers may take as long as the upstream does. */
const REQUEST_TIMEOUT_MS = 30_000

export interface AppDependencies {
  logger?: Logger
  clock?: Clock
  /** How long claims outlive their process, in milliseconds. */
  leaseMs?: number
  /** How long the caller of a video waits for Bing to accept it, in milliseconds. */
  submitWaitMs?: number
}

/** The composition: which plugins, in which order. Does not listen. */
export async function buildApp(
  settings: Partial<Config> = {},
  { logger, clock, leaseMs, submitWaitMs }: AppDependencies = {}
): Promise<FastifyInstance> {
  const complete = completeConfig(settings)
  const app = Fastify({
    loggerInstance: (logger ?? createLogger({ level: complete.LOG_LEVEL })) as FastifyBaseLogger,
    genReqId: requestId,
    logController: new LogController({ requestIdLogLabel: 'requestId', disableRequestLogging: true }),
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
    trustProxy: parseTrustedProxies(complete.TRUST_PROXY ?? '') ?? false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Node looks for late requests in steps, and waits for heads twice as long unless it is told otherwise.
    http: {
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_TIMEOUT_MS / 6,
      // A request without a host is refused in the errors plugin, with a body that says so.
      requireHostHeader: false
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 }
  })
  app.removeContentTypeParser('text/plain')
  try {
    await app.register(config, { config: complete, clock })
    await app.register(requestIds)
    await app.register(requests)
    await app.register(tracing)
    await app.register(errors)
    await app.register(validation)
    await app.register(lifecycle)
    await app.register(securityHeaders)
    await app.register(cors, {
      origin: '*',
      methods: ['GET', 'HEAD', 'POST', 'DELETE'],
      strictPreflight: false,
      exposedHeaders: [
        'x-request-id',
        'retry-after',
        'x-should-retry',
        'idempotency-replayed',
        'preference-applied',
        'location',
        'link',
        'ratelimit',
        'ratelimit-policy',
        'www-authenticate',
        'etag',
        'accept-ranges',
        'content-range'
      ]
    })
    await app.register(openapi)
    await app.register(store, { leaseMs })
    await app.register(metrics)
    await app.register(webhooks)
    await app.register(upstream)
    await app.register(upstreamMetrics)
    await app.register(auth)
    await app.register(media)
    await app.register(tasks)
    await app.register(creations)
    await app.register(idempotency)
    await app.register(retention)
    await app.register(probes)
    await app.register(info)
    await app.register(studio)
    // Closed by default: whatever is registered in here asks who is calling, unless the route says otherwise.
    await app.register(async (capabilities) => {
      capabilities.addHook('onRequest', capabilities.identify)
      await capabilities.register(chat)
      await capabilities.register(image)
      await capabilities.register(video, { submitWaitMs })
      await capabilities.register(task)
      await capabilities.register(mediaRoutes)
    })
    await app.ready()
    return app
  } catch (error) {
    await app.close()
    throw error
  }
}
