import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fp from 'fastify-plugin'

/**
 * Bodies are taken as they are: `userId: 42` is a 400, not "42". Query, path and headers are text by nature and are
 * converted. Unknown fields pass, as they did in both seeds.
 */
export default fp(
  async (fastify) => {
    const options = { useDefaults: true, removeAdditional: false, allErrors: false, strict: false } as const
    const strict = new Ajv({ ...options, coerceTypes: false })
    const converting = new Ajv({ ...options, coerceTypes: 'array' })
    for (const ajv of [strict, converting]) addFormats.default(ajv)
    const known = new Set<string>()

    fastify.setValidatorCompiler(({ schema, httpPart }) => {
      for (const [id, shared] of Object.entries(fastify.getSchemas())) {
        if (known.has(id)) continue
        known.add(id)
        strict.addSchema(shared as object)
        converting.addSchema(shared as object)
      }
      return (httpPart === 'body' ? strict : converting).compile(schema as object)
    })
  },
  { name: 'validation' }
)
