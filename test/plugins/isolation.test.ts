/**
 * Whatever has an id belongs to who made it. To anybody else it does not exist: the same status, body and headers as
 * for an id that nobody has. The routes come from the API document, so that a new one can't be forgotten.
 */
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type Answer, type Gateway, startGateway } from '../support/gateway.ts'

type Headers = Record<string, string>

interface Caller {
  userId: string
  headers: Headers
}

/** What one caller has made. */
interface Property {
  conversation: Record<string, unknown>
  conversationId: string
  taskId: string
  running: string
  mediaId: string
}

async function make(gateway: Gateway, { userId, headers }: Caller): Promise<Property> {
  const created = await gateway.post('/create_conversation', { userId }, headers)
  const { conversationId, clientId, conversationSignature } = created.json
  const conversation = { conversationId, clientId, conversationSignature }
  await gateway.post('/chatgpt', { ...conversation, prompt: `I am ${userId}.` }, headers)
  const image = (await gateway.post('/create/image', { query: `of ${userId}` }, headers)).json.data
  const video = (await gateway.post('/create/video', { query: `of ${userId}` }, headers)).json.data
  const mediaId = /\/media\/([0-9a-f]+)/.exec(image.media[0].url)?.[1] as string
  return { conversation, conversationId, taskId: image.taskId, running: video.taskId, mediaId }
}

/** Ids of nobody, of the same form. */
const nobodys = (): Omit<Property, 'conversation'> => ({
  conversationId: randomUUID(),
  taskId: randomUUID(),
  running: randomUUID(),
  mediaId: randomUUID().replaceAll('-', '')
})

const ANSWER_HEADERS = [
  'content-type',
  'x-should-retry',
  'retry-after',
  'cache-control',
  'etag',
  'vary',
  'link'
]

/** An answer without what differs from answer to answer. */
function seen({ status, headers, text }: Answer) {
  return { status, text, headers: ANSWER_HEADERS.map((name) => [name, headers[name]]) }
}

async function call(gateway: Gateway, method: string, url: string, headers: Headers): Promise<Answer> {
  const res = await gateway.app.inject({ method: method as 'GET', url, headers })
  return { status: res.statusCode, headers: res.headers, json: undefined, text: res.body }
}

/** Each route with an id, called with a property's ids. */
function routesOf(gateway: Gateway): { method: string; path: string }[] {
  const { paths } = gateway.app.swagger() as unknown as { paths: Record<string, Record<string, object>> }
  return Object.entries(paths).flatMap(([path, operations]) =>
    path.includes('{')
      ? Object.keys(operations).flatMap((name) => {
          const method = name.toUpperCase()
          // Every GET answers HEAD too; of a stream that would be its head and no end.
          const also = method === 'GET' && !path.endsWith('/events') ? ['HEAD'] : []
          return [method, ...also].map((each) => ({ method: each, path }))
        })
      : []
  )
}

function fill(path: string, ids: Omit<Property, 'conversation'>): string {
  const known: Record<string, string> = {
    conversationId: ids.conversationId,
    taskId: path.endsWith('/events') ? ids.taskId : ids.running,
    id: ids.mediaId
  }
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const id = known[name]
    if (id === undefined) throw new Error(`no id for ${path}`)
    return id
  })
}

async function matrix(t: Test, gateway: Gateway, alice: Caller, others: Caller[]): Promise<void> {
  const hers = await make(gateway, alice)
  const routes = routesOf(gateway)
  t.strictSame(
    routes.map(({ method, path }) => `${method} ${path}`).sort(),
    [
      'DELETE /conversations/{conversationId}',
      'DELETE /media/{id}',
      'DELETE /task/{taskId}',
      'GET /conversations/{conversationId}',
      'GET /media/{id}',
      'GET /task/{taskId}',
      'GET /task/{taskId}/events',
      'HEAD /conversations/{conversationId}',
      'HEAD /media/{id}',
      'HEAD /task/{taskId}'
    ],
    'a new route with an id is part of this'
  )
  for (const other of others) {
    const who = other.userId === '' ? 'nobody' : other.userId
    for (const { method, path } of routes) {
      const name = `${method} ${path} by ${who}`
      const foreign = await call(gateway, method, fill(path, hers), other.headers)
      const unknown = await call(gateway, method, fill(path, nobodys()), other.headers)
      t.strictSame(seen(foreign), seen(unknown), `${name}: as if it were not there`)
      t.ok(
        foreign.status === 404 || (other.userId === '' && foreign.status === 401),
        `${name}: ${foreign.status}`
      )
    }
    for (const list of ['/tasks', '/conversations']) {
      const { text } = await call(gateway, 'GET', list, other.headers)
      for (const id of [hers.taskId, hers.running, hers.conversationId, hers.mediaId])
        t.notOk(text.includes(id), `GET ${list} by ${who}`)
    }
    if (other.userId !== '') {
      const turn = { prompt: 'Who am I?', ...hers.conversation }
      const foreign = await gateway.post('/chatgpt', turn, other.headers)
      const unknown = await gateway.post('/chatgpt', { ...turn, conversationId: randomUUID() }, other.headers)
      t.strictSame([seen(foreign), foreign.status], [seen(unknown), 404], `POST /chatgpt by ${who}`)
    }
  }
  // All of it is still there for her.
  for (const { method, path } of routes.filter((route) => route.method !== 'DELETE'))
    t.equal(
      (await call(gateway, method, fill(path, hers), alice.headers)).status,
      200,
      `${method} ${path} by its owner`
    )
  t.equal(
    (await gateway.get(`/task/${hers.running}`, alice.headers)).json.data.status,
    'processing',
    'nobody cancelled it'
  )
  t.equal(
    (await gateway.post('/chatgpt', { prompt: 'Who am I?', ...hers.conversation }, alice.headers)).status,
    200
  )
}

t.test("names: what is somebody else's is not there", async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('videoPoll', { neverReady: true })
  const named = (userId: string) => ({ userId, headers: { 'x-user-id': userId } })
  await matrix(t, gateway, named('alice'), [named('bob'), { userId: '', headers: {} }])
})

t.test("keys: what is somebody else's is not there", async (t) => {
  const gateway = await startGateway(t, { config: { AUTH_MODE: 'key' } })
  gateway.sim.set('videoPoll', { neverReady: true })
  const keys = createKeyStore(gateway.app.store.database)
  const keyed = async (userId: string) => {
    const { key } = await keys.create(userId, Date.now(), null)
    return { userId, headers: { 'x-api-key': key } }
  }
  await matrix(t, gateway, await keyed('alice'), [await keyed('bob'), { userId: '', headers: {} }])
})
