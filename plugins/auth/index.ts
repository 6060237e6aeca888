import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Counter } from 'prom-client'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type LimitedThing, parseLimits } from '../../src/whitelist.ts'
import { isFromThisMachine } from './anonymous.ts'
import type { Access, Caller } from './caller.ts'
import { createFailedAttempts } from './failed-attempts.ts'
import { createIdentification } from './identify.ts'
import { createKeyRing } from './key-ring.ts'
import { createLimits, type LimitService } from './limits.ts'
import { watchWhitelist } from './whitelist.ts'

export { notListed } from './refusals.ts'
export type { Access, Caller }

declare module 'fastify' {
  interface FastifyInstance {
    whitelist: { has(userId: string): boolean }
    limits: LimitService
    /** onRequest hook that puts `request.caller` there or refuses. */
    identify(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void
    /**
     * Who a request is made for that names a user in its body; from then on that is `request.caller`.
     * @throws {GatewayError} permission_error | rate_limit_error
     */
    callerFor(request: FastifyRequest, userId: string): Promise<Caller>
    /** Whether this request may be served without a name. */
    allowsAnonymous(request: FastifyRequest): boolean
  }
  interface FastifyRequest {
    caller: Caller
  }
  interface FastifyContextConfig {
    access?: Access
    /** What a call of this route uses up. Its responses say how that limit stands. */
    limit?: LimitedThing
  }
}

/** Who calls, and how much they may: whitelist, API keys, limits; docs/contract.md section 3. */
export default fp(
  async (fastify) => {
    const { config, clock, log, store, metrics } = fastify
    const keysOnly = config.AUTH_MODE === 'key'
    const attempts = createFailedAttempts()
    const whitelist = watchWhitelist(config.WHITELIST_FILE, log, attempts.forget)
    fastify.addHook('onClose', async () => whitelist.stop())
    const keys = createKeyRing({
      store: createKeyStore(store.database),
      changes: store.database.changes,
      clock,
      log
    })
    fastify.addHook('onClose', () => keys.close())
    const allowsAnonymous = (request: FastifyRequest) =>
      !keysOnly && (config.ALLOW_ANONYMOUS ?? isFromThisMachine(request, config))
    const identification = createIdentification({
      keysOnly,
      isListed: whitelist.has,
      allowsAnonymous,
      keys,
      attempts,
      clock
    })
    const limits = createLimits({
      limitOf: whitelist.limitOf,
      defaults: parseLimits(config.DEFAULT_LIMITS) ?? {},
      db: store.database.db,
      clock,
      rejections: new Counter({
        name: 'bing_gateway_quota_rejections_total',
        help: 'Requests refused because their caller had used up a limit.',
        labelNames: ['kind'],
        registers: [metrics]
      })
    })

    fastify.decorate('whitelist', { has: whitelist.has })
    fastify.decorate('limits', limits)
    fastify.decorate('allowsAnonymous', allowsAnonymous)
    fastify.decorateRequest('caller', null as unknown as Caller)
    fastify.decorate('identify', (request, reply, done) => {
      const known = (caller: Caller) => {
        request.caller = caller
        done()
      }
      let caller: Caller | Promise<Caller>
      try {
        caller = identification.callerOf(request, reply)
      } catch (error) {
        done(error as Error)
        return
      }
      if (caller instanceof Promise) caller.then(known, done)
      else known(caller)
    })
    fastify.decorate('callerFor', async (request, userId) => {
      request.caller = await identification.callerFor(request, userId)
      return request.caller
    })

    fastify.addHook('onRoute', (route) => {
      const { limit, access } = route.config ?? {}
      if (limit === undefined) return
      const say = async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
        const { caller } = request
        // Whoever was refused has no limit, and neither has whoever's body has not been looked at yet.
        if (caller === null || (access === 'credential' && !caller.named)) return payload
        try {
          // With the store away, asking it once more would only keep the caller waiting.
          reply.headers(await limits.headers(caller, limit, reply.statusCode !== 503))
        } catch (error) {
          request.log.debug({ err: error }, 'limits could not be looked up')
        }
        return payload
      }
      route.onSend = [route.onSend ?? [], say].flat()
    })
  },
  { name: 'whitelist-auth', dependencies: ['config', 'store', 'metrics'] }
)
