import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { ErrorSchema } from '../../schemas/common.ts'
import { packageInfo } from '../../src/config.ts'
import { completeDocument, type OpenApiDocument } from './openapi-document.ts'
import { WEBHOOKS } from './openapi-webhooks.ts'

const DESCRIPTION = `Turns the operator's own Microsoft account into an HTTP API: chat with Bing, image creation, and video as asynchronous tasks.

Every failure has the same body (\`Error\`); \`type\` and \`code\` are stable. Every answer carries \`x-request-id\`.`

/** OpenAPI 3.1 of the routes as they are served, from their own schemas; Swagger UI under `/docs`. */
export default fp(
  async (fastify) => {
    const { version } = packageInfo()
    fastify.addSchema(ErrorSchema)
    await fastify.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'bing-gateway',
          version,
          description: DESCRIPTION,
          license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
          contact: { name: 'bing-gateway', url: 'https://github.com/bing-gateway/bing-gateway' }
        },
        servers: [{ url: fastify.config.PUBLIC_URL ?? '/', description: 'This gateway.' }],
        security: [{ apiKey: [] }, { bearer: [] }, { userId: [] }, {}],
        tags: [
          { name: 'chat', description: 'Conversations with Bing.' },
          { name: 'image', description: 'Image creation.' },
          { name: 'video', description: 'Video creation.' },
          { name: 'task', description: 'Creations and how far they are.' },
          { name: 'media', description: "The gateway's own copies of pictures and videos." },
          { name: 'service', description: 'The gateway itself.' }
        ],
        webhooks: WEBHOOKS,
        components: {
          securitySchemes: {
            apiKey: {
              type: 'apiKey',
              in: 'header',
              name: 'X-API-Key',
              description: 'An API key, `bgw_…`, made with `bing-gateway keys create`.'
            },
            bearer: {
              type: 'http',
              scheme: 'bearer',
              description:
                'An API key. With `AUTH_MODE=whitelist`, a value that does not start with `bgw_` is taken for a whitelisted userId, for clients that always send one.'
            },
            userId: {
              type: 'apiKey',
              in: 'header',
              name: 'X-User-Id',
              description: 'A whitelisted userId. With `AUTH_MODE=key` a key is needed as well.'
            }
          }
        }
      },
      // Whoever completes the document sees no routes.
      transform: ({ schema, url, route }) => ({
        schema: route.config?.limit === undefined ? schema : { ...schema, 'x-limit': route.config.limit },
        url
      }),
      refResolver: {
        buildLocalReference: (schema, _base, _fragment, index) =>
          typeof schema.$id === 'string' ? schema.$id : `Schema${index}`
      },
      transformObject: (document) =>
        completeDocument((document as { openapiObject: OpenApiDocument }).openapiObject) as object
    })
    await fastify.register(async (pages) => {
      pages.addHook('onRoute', (route) => {
        // Its policy is set by the plugin itself.
        route.config = { ...route.config, helmet: DOCS_HEADERS }
      })
      await pages.register(swaggerUi, {
        routePrefix: '/docs',
        staticCSP: docsPolicy(fastify.config.PUBLIC_URL),
        theme: { title: 'bing-gateway API' },
        // Without the bar on top, which is there for opening other documents.
        uiConfig: {
          layout: 'BaseLayout',
          tryItOutEnabled: true,
          displayRequestDuration: true,
          persistAuthorization: true
        }
      })
    })

    let yaml: string | undefined
    fastify.get('/openapi.json', { schema: { hide: true } }, async () => fastify.swagger())
    fastify.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
      yaml ??= await openApiYaml(fastify.swagger())
      return reply.type('application/yaml; charset=utf-8').send(yaml)
    })
  },
  { name: 'openapi', dependencies: ['config'] }
)

const DOCS_HEADERS = { contentSecurityPolicy: false }

/**
 * What Swagger UI may load and ask. Its bundle puts a style element into the page, and its own default policy asks for
 * `upgrade-insecure-requests`, which breaks the page wherever the gateway is reached over plain http.
 * @param publicUrl the document's server when it is set, else the page's own origin
 */
function docsPolicy(publicUrl: string | undefined): Record<string, string> {
  const asked = publicUrl === undefined ? '' : ` ${new URL(publicUrl).origin}`
  return {
    'default-src': "'none'",
    'script-src': "'self'",
    'style-src': "'self' 'unsafe-inline'",
    'img-src': "'self' data:",
    'font-src': "'self' data:",
    'connect-src': `'self'${asked}`,
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'"
  }
}

/** The document as it is committed. */
export async function openApiYaml(document: object): Promise<string> {
  // Large, and needed by few.
  const { stringify } = await import('yaml')
  return stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 })
}
