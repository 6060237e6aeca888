/** The least that a Fastify service with a document page is: what the gateway's start is compared with. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify from 'fastify'

const app = Fastify({ logger: true })
await app.register(swagger)
await app.register(swaggerUi)
app.get(
  '/',
  { schema: { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } } },
  async () => ({ hello: 'world' })
)
await app.listen({ host: '127.0.0.1', port: 0 })
