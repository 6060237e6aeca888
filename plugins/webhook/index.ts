import fp from 'fastify-plugin'
import { Counter, Gauge } from 'prom-client'
import { packageInfo } from '../../src/config.ts'
import { GatewayError } from '../../src/errors.ts'
import { createDeliveryRunner, DELIVERY_RESULTS } from '../../src/jobs/delivery-runner.ts'
import { createDeliveryStore } from '../../src/store/delivery-store.ts'
import { createResolver } from '../../src/webhooks/resolver.ts'
import { createWebhookSender } from '../../src/webhooks/sender.ts'
import { createSessionNews } from '../../src/webhooks/session-news.ts'
import {
  checkTarget,
  isPublicAddress,
  isPublicOrPrivateAddress,
  type Resolve,
  TargetRefused,
  type TargetRules
} from '../../src/webhooks/target.ts'
import { toTaskView } from '../core/task-view.ts'

declare module 'fastify' {
  interface FastifyInstance {
    webhooks: {
      /**
       * Judges the URL of a webhook before anything is accepted that would end with it.
       * @throws {GatewayError} invalid_request_error, code `webhooks_not_configured` or `webhook_url_refused`
       */
      check(url: string): Promise<void>
    }
  }
}

const PARAM = 'webhookUrl'
const REFUSALS: Record<TargetRefused['reason'], string> = {
  url: `${PARAM} must be an http or https URL without a user name and a password.`,
  address: `${PARAM} must lead to a public address.`
}

/** Webhooks: which targets may be named, the loop that sends what is in the outbox, and what is told of the account. */
export default fp<{ resolve?: Resolve }>(
  async (fastify, { resolve }) => {
    const { config, clock, log, metrics, store, worker } = fastify
    const outbox = createDeliveryStore(store.database)
    const rules: TargetRules = {
      allows: config.WEBHOOK_ALLOW_PRIVATE ? isPublicOrPrivateAddress : isPublicAddress,
      resolve: resolve ?? createResolver(config.WEBHOOK_ALLOW_PRIVATE)
    }
    // Whether this gateway sends any or not, it may be the one that notices that another one has ended.
    worker.onEnded((ended) => outbox.release(ended))

    new Gauge({
      name: 'bing_gateway_webhooks',
      help: 'Stored webhook deliveries by state.',
      labelNames: ['state'],
      registers: [metrics],
      async collect() {
        try {
          for (const [state, n] of Object.entries(await outbox.countByState())) this.set({ state }, n)
        } catch (error) {
          log.warn({ err: error }, 'webhooks could not be counted')
        }
      }
    })
    const deliveries = new Counter({
      name: 'bing_gateway_webhook_deliveries_total',
      help: 'Attempts to deliver a webhook by what became of them.',
      labelNames: ['result'],
      registers: [metrics]
    })
    for (const result of DELIVERY_RESULTS) deliveries.inc({ result }, 0)

    if (config.WEBHOOK_SECRET === undefined) {
      fastify.decorate('webhooks', {
        async check() {
          throw refusal(
            'webhooks_not_configured',
            'This gateway sends no webhooks: it has no WEBHOOK_SECRET.'
          )
        }
      })
      return
    }

    const { name, version } = packageInfo()
    const runner = createDeliveryRunner({
      store: outbox,
      tasks: store.tasks,
      sender: createWebhookSender({
        secret: config.WEBHOOK_SECRET,
        rules,
        userAgent: `${name}/${version}`
      }),
      // Made for each attempt: the signatures of media URLs end.
      view: async (task, baseUrl) =>
        toTaskView(task, (await fastify.media.views([task.id], baseUrl)).get(task.id)),
      worker: worker.id,
      clock,
      log,
      onResult: (result) => deliveries.inc({ result }),
      around: fastify.tracing?.delivery
    })
    fastify.decorate('webhooks', {
      async check(url: string) {
        try {
          await checkTarget(url, rules)
        } catch (error) {
          if (!(error instanceof TargetRefused)) throw error
          throw refusal('webhook_url_refused', REFUSALS[error.reason])
        }
      }
    })
    const news =
      config.SESSION_WEBHOOK_URL === undefined
        ? undefined
        : createSessionNews({
            url: new URL(config.SESSION_WEBHOOK_URL).href,
            add: outbox.add,
            onAdded: runner.kick,
            clock,
            log
          })
    // Each end of a task is such a change, whichever gateway saw it.
    let stopListening = () => {}
    // Not before the app is whole: with several gateways on the store, the outbox may have something from the first moment on.
    fastify.addHook('onReady', async () => {
      stopListening = store.database.changes.listenAll('task', runner.kick)
      if (news !== undefined) fastify.upstream.onStateChange(news.note)
      runner.start()
    })
    fastify.addHook('preClose', async () => {
      stopListening()
      await news?.close()
      await runner.close()
    })
  },
  { name: 'webhooks', dependencies: ['config', 'store', 'metrics'] }
)

function refusal(code: string, message: string): GatewayError {
  return new GatewayError('invalid_request_error', message, { code, param: PARAM })
}
