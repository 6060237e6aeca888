/** Fastify with nothing but the response schemas: what the gateway's requests per second are compared with. */
import Fastify from 'fastify'
import { ErrorSchema, enveloped, Ref } from '../../schemas/common.ts'
import { ASPECTS, MODELS, OptionsResponseSchema, OptionsSchema } from '../../schemas/image.ts'
import { MediaItemSchema } from '../../schemas/media.ts'
import { TaskResponseSchema, TaskSchema } from '../../schemas/task.ts'

/** Answers of `GET /task/:id`, by id, as the gateway gave them. */
const tasks = new Map(Object.entries(JSON.parse(process.argv[2] ?? '{}') as Record<string, object>))

const app = Fastify()
for (const schema of [
  ErrorSchema,
  OptionsSchema,
  OptionsResponseSchema,
  MediaItemSchema,
  TaskSchema,
  TaskResponseSchema
])
  app.addSchema(schema)
app.get('/options', { schema: { response: { 200: Ref(OptionsResponseSchema) } } }, async () =>
  enveloped({ models: [...MODELS], aspects: [...ASPECTS] })
)
app.get<{ Params: { taskId: string } }>(
  '/task/:taskId',
  { schema: { response: { 200: Ref(TaskResponseSchema) } } },
  async ({ params }) => enveloped(tasks.get(params.taskId))
)
console.log(`Listening at ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
