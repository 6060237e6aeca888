import fp from 'fastify-plugin'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Config } from '../../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    clock: Clock
  }
}

/** Settings and time, read by every other plugin from here and nowhere else. */
export default fp<{ config: Config; clock?: Clock }>(
  async (fastify, { config, clock = systemClock }) => {
    fastify.decorate('config', config)
    fastify.decorate('clock', clock)
  },
  { name: 'config' }
)
