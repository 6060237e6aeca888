import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { openApiYaml } from '../../plugins/core/openapi.ts'
import type { Operation } from '../../plugins/core/openapi-document.ts'
import { buildApp } from '../../src/app.ts'

interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown>; examples: Record<string, { value: { error: unknown } }> }
}

/** The app with its default settings: the document must not depend on the environment. */
async function defaultApp(t: Test) {
  const app = await buildApp({ DATA_DIR: t.testdir(), LOG_LEVEL: 'silent' })
  t.teardown(() => app.close())
  return app
}

/** Fastify prints its routes as a tree: each line adds its part to the lines above that stand further left. */
function servedRoutes(tree: string): string[] {
  const parts: string[] = []
  return tree.split('\n').flatMap((line) => {
    const [, indent = '', part = '', methods] = /^([\s│├└─]*)(.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
    parts.length = Math.max(0, indent.length / 4 - 1)
    parts.push(part)
    const path = parts.join('').replace(/:(\w+)/g, '{$1}')
    return methods === undefined ? [] : methods.split(', ').map((method) => `${method} ${path}`)
  })
}

const committed = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')
const document = parse(committed) as Document
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    path,
    method,
    operation
  }))
)

t.test('openapi.yaml is what the app serves; `npm run openapi` writes it', async (t) => {
  const app = await defaultApp(t)
  t.equal(await openApiYaml(app.swagger()), committed)
  const yaml = await app.inject('/openapi.yaml')
  t.equal(yaml.body, committed)
  t.match(yaml.headers['content-type'], /^application\/yaml/)
  const json = await app.inject('/openapi.json')
  t.strictSame(json.json(), parse(committed))
  t.match(document.openapi, /^3\.1\./)
})

t.test('the documented operations are exactly the routes served', async (t) => {
  const app = await defaultApp(t)
  const served = servedRoutes(app.printRoutes({ commonPrefix: false })).filter(
    (route) => !/^(HEAD|OPTIONS) | \/(docs|openapi\.)/.test(route)
  )
  t.strictSame(operations.map(({ name }) => name).sort(), served.sort())
})

t.test('every operation says what a reader needs', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'operation ids are unique')
  for (const { name, operation, path, method } of operations) {
    t.match(operation.operationId, /^[a-z]+([A-Z][a-z]+)*$/, `${name}: camelCase operationId`)
    t.equal(operation.tags?.length, 1, `${name}: one tag`)
    t.ok(operation.summary, `${name}: summary`)
    t.ok(operation.description, `${name}: description`)
    const bodies = Object.entries(operation.requestBody?.content ?? {})
    t.equal(bodies.length > 0, method === 'post', `${name}: a body where one is sent`)
    for (const [type, media] of bodies) t.ok(media.example ?? media.examples, `${name}: example of ${type}`)
    for (const [status, response] of Object.entries(operation.responses)) {
      t.not(response.description, 'Default Response', `${name} ${status}: description`)
      t.ok(response.headers?.['x-request-id'], `${name} ${status}: x-request-id`)
      for (const media of Object.values(response.content ?? {})) {
        const example = media.example ?? media.schema?.examples
        t.ok(example ?? Object.keys(media.examples ?? {}).length > 0, `${name} ${status}: example`)
      }
    }
    const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
    t.strictSame(
      (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name),
      parameters,
      `${name}: path parameters`
    )
  }
})

t.test('every failure is documented where it can happen', async (t) => {
  const asksBing = [400, 401, 403, 413, 415, 429, 500, 502, 503, 504]
  const wanted: Record<string, number[]> = {
    createConversation: asksBing,
    chat: [...asksBing, 404, 409, 422],
    createImage: [...asksBing, 422],
    createVideo: [...asksBing, 422],
    getTask: [400, 401, 403, 404, 500, 503]
  }
  for (const { name, operation } of operations) {
    const failures = Object.keys(operation.responses).filter((status) => Number(status) >= 400)
    const some = wanted[operation.operationId ?? ''] ?? [400, 500]
    for (const status of some) t.ok(failures.includes(String(status)), `${name}: ${status}`)
    for (const status of failures) {
      const schema = operation.responses[status]?.content?.['application/json']?.schema
      const probe = operation.operationId === 'getReadiness' && status === '503'
      t.equal(
        schema?.$ref,
        `#/components/schemas/${probe ? 'Readiness' : 'Error'}`,
        `${name} ${status}: body`
      )
      if (['429', '503'].includes(status) && !probe)
        t.ok(operation.responses[status]?.headers?.['Retry-After'], `${name} ${status}: Retry-After`)
    }
  }
})

t.test('bodies, headers and alternatives that clients rely on', async (t) => {
  const of = (id: string) => operations.find(({ operation }) => operation.operationId === id)?.operation
  for (const id of ['createImage', 'createVideo']) {
    t.strictSame(
      Object.keys(of(id)?.requestBody?.content ?? {}),
      ['application/json', 'application/x-www-form-urlencoded'],
      `${id} takes both`
    )
  }
  t.ok(of('chat')?.responses['200']?.headers?.['Idempotency-Replayed'])
  t.ok(of('getInfo')?.responses['302']?.headers?.location)
  t.notMatch(Object.keys(document.components.schemas).join(' '), /def-\d|Schema\d/, 'components have names')
  t.notMatch(committed, /nullable:/, 'null is a type')
})

t.test('error examples are what the gateway answers', async (t) => {
  const app = await defaultApp(t)
  const { examples } = document.components
  const task = await app.inject({ url: '/task/none', headers: { host: 'localhost' } })
  t.strictSame(task.json(), examples.task_unknown?.value)
  const listed = await app.inject({ url: '/task/none', headers: { 'x-user-id': 'nobody' } })
  t.strictSame(listed.json(), examples.not_whitelisted?.value)
  const anonymous = await app.inject({ url: '/task/none', headers: { host: 'gateway.example' } })
  t.strictSame(anonymous.json(), examples.identity_required?.value)
  const xml = await app.inject({
    method: 'POST',
    url: '/chatgpt',
    headers: { 'content-type': 'text/xml' },
    payload: '<a/>'
  })
  t.strictSame(xml.json(), examples.content_type_unknown?.value)
  const large = await app.inject({
    method: 'POST',
    url: '/chatgpt',
    payload: { prompt: 'x'.repeat(1 << 20) }
  })
  t.strictSame(large.json(), examples.body_too_large?.value)
  const missing = await app.inject({ method: 'POST', url: '/create/image', payload: {} })
  t.equal(missing.json().error.message, 'query is required.')
  const unknown = await app.inject({
    method: 'POST',
    url: '/chatgpt',
    payload: { prompt: 'a', conversationId: 'a', clientId: 'a', conversationSignature: 'a' }
  })
  t.strictSame(unknown.json(), examples.conversation_unknown?.value)
})
