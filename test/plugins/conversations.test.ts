import t from 'tap'
import { encodeCursor } from '../../plugins/core/page.ts'
import { createKeyStore } from '../../src/store/key-store.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

const ALICE = { 'x-user-id': 'alice' }
const BOB = { 'x-user-id': 'bob' }

async function create(gateway: Gateway, userId = 'alice') {
  const { conversationId, clientId, conversationSignature } = (
    await gateway.post('/create_conversation', { userId })
  ).json
  return { conversationId, clientId, conversationSignature }
}

t.test('a conversation is read with its turns and without its secrets', async (t) => {
  const gateway = await startGateway(t)
  const identity = await create(gateway)
  const url = `/conversations/${identity.conversationId}`
  const fresh = await gateway.get(url, ALICE)
  t.strictSame(fresh.json, {
    conversationId: identity.conversationId,
    title: null,
    state: 'open',
    turnCount: 0,
    createdAt: fresh.json.createdAt,
    updatedAt: fresh.json.createdAt,
    turns: []
  })

  gateway.chat.turn({ search: 'always', sources: 1, suggestions: 2 })
  const first = (
    await gateway.post('/chatgpt', { ...identity, prompt: '  My name\nis Ada. ', tone: 'creative' })
  ).json
  gateway.chat.turn({ search: 'never', suggestions: 0 })
  const second = (await gateway.post('/chatgpt', { ...identity, prompt: 'x'.repeat(500) })).json

  const { status, json, text } = await gateway.get(url, ALICE)
  t.equal(status, 200)
  const [one, two] = json.turns
  t.strictSame(json, {
    ...fresh.json,
    title: 'My name is Ada.',
    turnCount: 2,
    updatedAt: two.answeredAt,
    turns: [
      {
        invocationId: 0,
        prompt: '  My name\nis Ada. ',
        tone: 'creative',
        message: first.message,
        sources: first.sources,
        suggestions: first.suggestions,
        askedAt: one.askedAt,
        answeredAt: one.answeredAt
      },
      {
        invocationId: 1,
        prompt: 'x'.repeat(500),
        message: second.message,
        askedAt: two.askedAt,
        answeredAt: two.answeredAt
      }
    ]
  })
  const times = [json.createdAt, one.askedAt, one.answeredAt, two.askedAt, two.answeredAt]
  t.strictSame(times.toSorted(), times)
  for (const secret of [identity.conversationSignature, identity.clientId]) t.notMatch(text, secret)

  const listed = await gateway.get('/conversations', ALICE)
  const { turns: _, ...summary } = json
  t.strictSame(listed.json, { conversations: [summary], nextCursor: null })
  t.notOk(listed.headers.link)
})

t.test('titles are cut between characters', async (t) => {
  const gateway = await startGateway(t)
  const identity = await create(gateway)
  await gateway.post('/chatgpt', { ...identity, prompt: '👍'.repeat(150) })
  const [{ title }] = (await gateway.get('/conversations', ALICE)).json.conversations
  t.equal(title, `${'👍'.repeat(79)}…`)
})

t.test('pages hold every conversation once, also those of one moment', async (t) => {
  const frozen = Date.now()
  const clock = {
    now: () => frozen,
    sleep: async () => {},
    timer: (ms: number, callback: () => void) => {
      const timer = setTimeout(callback, ms)
      timer.unref()
      return () => clearTimeout(timer)
    }
  }
  const gateway = await startGateway(t, { clock })
  const made = new Set()
  for (let n = 0; n < 7; n++) made.add((await create(gateway)).conversationId)
  await create(gateway, 'bob')

  const base = await gateway.listen()
  const seen: string[] = []
  const sizes: number[] = []
  let url: string | undefined = `${base}/conversations?limit=3`
  while (url !== undefined) {
    const response: Response = await fetch(url, { headers: ALICE })
    const { conversations, nextCursor } = (await response.json()) as {
      conversations: { conversationId: string }[]
      nextCursor: string | null
    }
    sizes.push(conversations.length)
    seen.push(...conversations.map(({ conversationId }) => conversationId))
    const link = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    t.equal(link === undefined ? null : new URL(link).searchParams.get('cursor'), nextCursor)
    url = link
  }
  t.strictSame(sizes, [3, 3, 1])
  t.strictSame(new Set(seen), made)
  t.equal(seen.length, 7)
  t.equal((await gateway.get('/conversations', ALICE)).json.conversations.length, 7)
})

t.test('a page that fits exactly is the last one', async (t) => {
  const gateway = await startGateway(t)
  for (let n = 0; n < 2; n++) await create(gateway)
  t.equal((await gateway.get('/conversations?limit=2', ALICE)).json.nextCursor, null)
})

t.test('a bad limit or cursor is named', async (t) => {
  const gateway = await startGateway(t)
  const id = '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c'
  const base64 = (text: string) => Buffer.from(text).toString('base64url')
  const cases: [string, string][] = [
    ...['0', '101', '-1', '1.5', 'x', ''].map((value) => ['limit', value] as [string, string]),
    ...[
      '',
      'x',
      '%00',
      base64('1,2'),
      base64(`x,${id}`),
      base64(`-1,${id}`),
      base64(`${'9'.repeat(30)},${id}`),
      base64(`1,${id}\0`),
      base64(`1,${id}' or 1=1`),
      `${encodeCursor({ createdAt: 1, id })}=`,
      'A'.repeat(10_000)
    ].map((value) => ['cursor', value] as [string, string])
  ]
  for (const [name, value] of cases) {
    const { status, json } = await gateway.get(`/conversations?${name}=${value}`, ALICE)
    t.strictSame(
      [status, json.error?.type, json.error?.param],
      [400, 'invalid_request_error', name],
      `${name}=${value.slice(0, 50)}`
    )
  }
  t.equal(
    (await gateway.get(`/conversations?cursor=${encodeCursor({ createdAt: 1, id })}`, ALICE)).status,
    200
  )
})

t.test("somebody else's conversation does not exist", async (t) => {
  const gateway = await startGateway(t)
  const identity = await create(gateway)
  await gateway.post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 0 })
  const { key } = await createKeyStore(gateway.app.store.database).create('bob', Date.now(), null)
  const questions = gateway.chat.count('questions')

  const unknown = '6f0f6fae-4f0e-4ad0-9f43-5b4d0b1a2f3c'
  const calls = {
    read: (id: string, headers: Record<string, string>) => gateway.get(`/conversations/${id}`, headers),
    delete: (id: string, headers: Record<string, string>) => gateway.delete(`/conversations/${id}`, headers),
    ask: (id: string, headers: Record<string, string>) =>
      gateway.post('/chatgpt', { ...identity, conversationId: id, prompt: 'Hi', invocationId: 1 }, headers),
    repeat: (id: string, headers: Record<string, string>) =>
      gateway.post('/chatgpt', { ...identity, conversationId: id, prompt: 'Hi', invocationId: 0 }, headers)
  }
  const callers: Record<string, string>[] = [BOB, { authorization: `Bearer ${key}` }, { 'x-api-key': key }]
  for (const [name, call] of Object.entries(calls)) {
    for (const headers of callers) {
      const foreign = await call(identity.conversationId, headers)
      const none = await call(unknown, headers)
      t.strictSame(
        [foreign.status, foreign.json.error.type, foreign.json.error.code],
        [404, 'not_found_error', 'conversation_unknown'],
        name
      )
      t.strictSame(foreign.json, none.json, `${name}: as if it were unknown`)
      t.strictSame(Object.keys(foreign.headers), Object.keys(none.headers))
    }
  }
  t.strictSame((await gateway.get('/conversations', BOB)).json.conversations, [])
  t.equal(gateway.chat.count('questions'), questions, 'nothing was asked')
  t.equal((await calls.read(identity.conversationId, ALICE)).json.turnCount, 1)
  t.equal((await calls.ask(identity.conversationId, ALICE)).status, 200)
})

t.test('whose conversations they are has to be said', async (t) => {
  const gateway = await startGateway(t)
  const { conversationId } = await create(gateway)
  for (const answer of [
    await gateway.get('/conversations'),
    await gateway.get(`/conversations/${conversationId}`),
    await gateway.delete(`/conversations/${conversationId}`)
  ]) {
    t.strictSame([answer.status, answer.json.error.code], [401, 'identity_required'])
  }
})

t.test('ids that nothing can have', async (t) => {
  const gateway = await startGateway(t)
  for (const id of ['%00', 'x%00y', '%F0%9F%91%8D', "'", 'a'.repeat(512)]) {
    t.equal((await gateway.get(`/conversations/${id}`, ALICE)).status, 404)
    t.equal((await gateway.delete(`/conversations/${id}`, ALICE)).status, 404)
  }
})

t.test('a deleted conversation is gone', async (t) => {
  const gateway = await startGateway(t)
  const identity = await create(gateway)
  const kept = await create(gateway)
  const url = `/conversations/${identity.conversationId}`
  const ask = () => gateway.post('/chatgpt', { ...identity, prompt: 'Hi', invocationId: 0 })
  t.equal((await ask()).status, 200)

  const deleted = await gateway.delete(url, ALICE)
  t.strictSame([deleted.status, deleted.text], [204, ''])
  for (const answer of [await ask(), await gateway.get(url, ALICE), await gateway.delete(url, ALICE)]) {
    t.strictSame([answer.status, answer.json.error.code], [404, 'conversation_unknown'])
  }
  const { conversations } = (await gateway.get('/conversations', ALICE)).json
  t.strictSame(
    conversations.map(({ conversationId }: { conversationId: string }) => conversationId),
    [kept.conversationId]
  )
})

t.test('a conversation is not deleted under a running turn', async (t) => {
  const gateway = await startGateway(t)
  const identity = await create(gateway)
  const url = `/conversations/${identity.conversationId}`
  gateway.chat.turn({ thinkMs: 300 })
  const asked = gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })
  while (gateway.chat.count('questions') !== 1) await new Promise((resolve) => setImmediate(resolve))
  const early = await gateway.delete(url, ALICE)
  t.strictSame([early.status, early.json.error.code], [409, 'turn_in_progress'])
  t.match(early.headers['retry-after'], /^\d+$/)
  t.equal((await asked).status, 200)
  t.equal((await gateway.delete(url, ALICE)).status, 204)
})
