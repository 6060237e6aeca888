import fp from 'fastify-plugin'

/** Placeholder until the page is merged. */
export default fp(async () => {}, { name: 'studio' })
