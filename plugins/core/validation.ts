import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fastJson, { type Schema } from 'fast-json-stringify'
import type { FastifyInstance, FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify'
import fp from 'fastify-plugin'

/**
 * Bodies are taken as they are: `userId: 42` is a 400, not "42". Query, path and headers are text by nature and are
 * converted. Unknown fields pass, as they did in both seeds.
 *
 * What checks a request and what writes an answer is made when a route first needs it: all of them together took a
 * third of the time that the service needs to start, and most are for errors, which have a writer of their own.
 */
export default fp(
  async (fastify) => {
    const options = { useDefaults: true, removeAdditional: false, allErrors: false, strict: false } as const
    const ajvs = once(() => {
      const strict = new Ajv({ ...options, coerceTypes: false })
      const converting = new Ajv({ ...options, coerceTypes: 'array' })
      for (const ajv of [strict, converting]) addFormats.default(ajv)
      return { strict, converting }
    })
    const known = new Set<string>()

    const validatorOf =
      (scope: FastifyInstance): FastifySchemaCompiler<unknown> =>
      ({ schema, httpPart }) => {
        const compile = () => {
          const { strict, converting } = ajvs()
          for (const [id, shared] of Object.entries(scope.getSchemas())) {
            if (known.has(id)) continue
            known.add(id)
            strict.addSchema(shared as object)
            converting.addSchema(shared as object)
          }
          return (httpPart === 'body' ? strict : converting).compile(schema as object)
        }
        let compiled: ReturnType<typeof compile> | undefined
        // Fastify reads the errors where Ajv leaves them, on the function.
        const validate: { (data: unknown): boolean; errors?: unknown } = (data) => {
          compiled ??= compile()
          const isValid = compiled(data) as boolean
          validate.errors = compiled.errors
          return isValid
        }
        return validate as ReturnType<FastifySchemaCompiler<unknown>>
      }

    const serializerOf =
      (scope: FastifyInstance): FastifySerializerCompiler<unknown> =>
      ({ schema }) => {
        let serialize: ((data: unknown) => string) | undefined
        return (data) => {
          serialize ??= fastJson(schema as Schema, { schema: scope.getSchemas() as Record<string, Schema> })
          return serialize(data)
        }
      }

    fastify.setValidatorCompiler(validatorOf(fastify))
    fastify.setSerializerCompiler(serializerOf(fastify))
    // A scope that adds schemas of its own falls back to Fastify's own compilers, so every route names these.
    fastify.addHook('onRoute', function (this: FastifyInstance, route) {
      route.validatorCompiler ??= validatorOf(this)
      route.serializerCompiler ??= serializerOf(this)
    })
  },
  { name: 'validation' }
)

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}
