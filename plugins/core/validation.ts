import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
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

    const compilerOf =
      (scope: FastifyInstance): FastifySchemaCompiler<unknown> =>
      ({ schema, httpPart }) => {
        for (const [id, shared] of Object.entries(scope.getSchemas())) {
          if (known.has(id)) continue
          known.add(id)
          strict.addSchema(shared as object)
          converting.addSchema(shared as object)
        }
        return (httpPart === 'body' ? strict : converting).compile(schema as object)
      }

    fastify.setValidatorCompiler(compilerOf(fastify))
    // A scope that adds schemas of its own falls back to Fastify's converting compiler, so every route names this one.
    fastify.addHook('onRoute', function (this: FastifyInstance, route) {
      route.validatorCompiler ??= compilerOf(this)
    })
  },
  { name: 'validation' }
)
