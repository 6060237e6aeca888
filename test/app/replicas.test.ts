/** Several gateways, each a process of its own, that share one PostgreSQL and one account. */
import t, { type Test } from 'tap'
import type { Simulator } from '../../src/simulator/index.ts'
import { attempt, call, endOfTask, type Reply, taskAt, until } from '../support/http.ts'
import { startReplicas } from '../support/replicas.ts'

const ALICE = { 'x-user-id': 'alice' }
/** A lease, and the time until somebody looks whether it has ended. */
const TAKE_OVER_MS = 10_000 * (1 + 2 / 3)

const received = (sim: Simulator, prompt: string) => sim.counts[`received:${prompt}`] ?? 0
const asked = (sim: Simulator, prompt: string) => sim.counts[`asked:${prompt}`] ?? 0

// Most of their time they wait, for a lease to end or for a picture.
t.jobs = 3
t.setTimeout(240_000)

t.test('one key, one limit, one event: two replicas are one gateway', { buffered: true }, async (t) => {
  const { sim, processes, env } = await startReplicas(t, 2, {
    whitelist: 'alice conversations=1000/h images=1000/h videos=1000/h\nbob\ncarol\ndave videos=3/h\n',
    env: { DEFAULT_LIMITS: 'conversations=7/h images=7/h' }
  })
  const [a = '', b = ''] = processes.map(({ url }) => url)
  const both = (n: number) => (n % 2 === 0 ? a : b)

  /** Sends the same request 50 times at once, to both in turn. */
  const fifty = (path: string, body: object, headers: Record<string, string>) =>
    Promise.all(Array.from({ length: 50 }, (_, n) => call(both(n) + path, { body, headers })))

  function sameAnswer(t: Test, replies: Reply[], status: number): void {
    t.strictSame([...new Set(replies.map((reply) => reply.status))], [status])
    t.equal(new Set(replies.map(({ text }) => text)).size, 1, 'one body')
    const replayed = replies.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')
    t.equal(replayed.length, 49, 'all but one say that it is not their own')
  }

  await t.test('one Idempotency-Key, 50 requests at once', async (t) => {
    for (const route of ['image', 'video']) {
      const query = `50 times one ${route}`
      const replies = await fifty(`/create/${route}`, { query }, { ...ALICE, 'idempotency-key': 'k' })
      sameAnswer(t, replies, 200)
      t.equal(received(sim, query), 1, `${route}: one submit`)
    }
    const before = sim.counts['sydney.create'] ?? 0
    sameAnswer(t, await fifty('/create_conversation', { userId: 'alice' }, { 'idempotency-key': 'k' }), 200)
    t.equal(sim.counts['sydney.create'], before + 1, 'one conversation upstream')
    const { json } = await call(`${b}/conversations`, { headers: ALICE })
    t.equal(json.conversations.length, 1)
  })

  await t.test('what Bing refuses is one answer, too', async (t) => {
    for (const [route, word] of [
      ['image', 'forbidden'],
      ['video', 'gore']
    ]) {
      const query = `a ${word} thing`
      const replies = await fifty(`/create/${route}`, { query }, { ...ALICE, 'idempotency-key': 'refused' })
      sameAnswer(t, replies, 422)
      t.equal(replies[0]?.json.error.type, 'prompt_rejected_error')
      t.equal(received(sim, query), 1, `${route}: one submit`)
    }
  })

  await t.test('a key that is used for another body', async (t) => {
    const headers = { ...ALICE, 'idempotency-key': 'reused' }
    t.equal((await call(`${a}/create/video`, { body: { query: 'one' }, headers })).status, 200)
    const { status, json } = await call(`${b}/create/video`, { body: { query: 'other' }, headers })
    t.strictSame([status, json.error.code], [422, 'idempotency_key_reused'])
    t.equal(received(sim, 'other'), 0)
  })

  await t.test('a limit of N is N for all together', async (t) => {
    const sixty = (path: string, body: object, userId: string) =>
      Promise.all(
        Array.from({ length: 60 }, (_, n) => call(both(n) + path, { body, headers: { 'x-user-id': userId } }))
      )
    const cases: [path: string, body: object, user: string, limit: number, counter: string][] = [
      ['/create/image', { query: 'within the limit' }, 'bob', 7, 'received:within the limit'],
      ['/create/video', { query: 'another limit' }, 'dave', 3, 'received:another limit'],
      ['/create_conversation', { userId: 'carol' }, 'carol', 7, 'sydney.create']
    ]
    for (const [path, body, user, limit, counter] of cases) {
      const before = sim.counts[counter] ?? 0
      const replies = await sixty(path, body, user)
      const good = replies.filter(({ status }) => status === 200)
      const refused = replies.filter(({ status }) => status === 429)
      t.strictSame([good.length, refused.length], [limit, 60 - limit], path)
      t.equal((sim.counts[counter] ?? 0) - before, limit, 'Bing was asked no more often')
      for (const { headers, json } of refused) {
        t.equal(json.error.type, 'rate_limit_error')
        const wait = Number(headers.get('retry-after'))
        t.ok(wait > 3500 && wait <= 3600, `Retry-After: ${wait}`)
      }
    }
  })

  await t.test('who waits at one replica hears at once of what another one does', async (t) => {
    sim.set('poll', { readyAfterMs: 2000 })
    const created = await call(`${a}/create/image`, {
      body: { query: 'awaited' },
      headers: { ...ALICE, prefer: 'respond-async' }
    })
    t.equal(created.status, 202)
    const { taskId } = created.json.data
    const events = fetch(`${b}/task/${taskId}/events`, { headers: ALICE }).then((response) => response.text())
    const waited = call(`${b}/task/${taskId}`, { headers: { ...ALICE, prefer: 'wait=30' } }).then((reply) => {
      return { ...reply.json.data, at: Date.now() }
    })
    const { status, completedAt, at } = await waited
    t.equal(status, 'completed')
    t.ok(at - Date.parse(completedAt) < 1000, `told ${at - Date.parse(completedAt)} ms after its end`)
    const seen = [...(await events).matchAll(/^data: (.*)$/gm)].map(
      ([, data]) => JSON.parse(data as string).status
    )
    t.strictSame(seen, ['processing', 'completed'])
    t.notOk(
      processes.some((replica) => /"loop":"tasks"/.test(replica.output())),
      'no loop has failed'
    )

    sim.set('poll', { neverReady: true })
    const long = await call(`${a}/create/image`, {
      body: { query: 'cancelled elsewhere' },
      headers: { ...ALICE, prefer: 'respond-async' }
    })
    const ended = call(`${a}/task/${long.json.data.taskId}`, { headers: { ...ALICE, prefer: 'wait=30' } })
    await call(`${b}/task/${long.json.data.taskId}`, { method: 'DELETE', headers: ALICE })
    t.equal((await ended).json.data.status, 'cancelled')
    const polls = sim.counts['creator.poll']
    await new Promise((resolve) => setTimeout(resolve, 500))
    t.equal(sim.counts['creator.poll'], polls, 'nobody looks at it any more')
    sim.set('poll', {})
  })

  await t.test('without a cookie nothing is asked, and the key is free afterwards', async (t) => {
    const { startProcess } = await import('../support/process.ts')
    const { BING_COOKIE_U: _, ...without } = env
    const signedOut = await startProcess(t, without)
    const headers = { ...ALICE, 'idempotency-key': 'signed out' }
    for (const path of ['/create/image', '/create/video', '/create_conversation']) {
      const body = { query: 'signed out', userId: 'alice' }
      const refused = await call(signedOut.url + path, { body, headers })
      t.strictSame([refused.status, refused.json.error.type], [401, 'auth_error'], path)
      const { status, headers: sent } = await call(a + path, { body, headers })
      t.strictSame([status, sent.get('idempotency-replayed')], [200, null], path)
    }
  })
  t.strictSame(sim.violations, [])
})

for (const count of [2, 3]) {
  t.test(`kill -9 of one of ${count} replicas`, { buffered: true }, async (t) => {
    const { sim, processes } = await startReplicas(t, count)
    const [victim, ...others] = processes
    if (victim === undefined) throw new Error('no replica')
    const [next = '', last = ''] = [others[0]?.url, others.at(-1)?.url]
    const create = (url: string, kind: string, query: string, headers: Record<string, string> = {}) =>
      call(`${url}/create/${kind}`, { body: { query }, headers: { ...ALICE, ...headers } })

    // Answered before the end.
    const { json: conversation } = await call(`${victim.url}/create_conversation`, {
      body: { userId: 'alice' }
    })
    const turn = { ...conversation, prompt: 'My name is Ada.', invocationId: 0 }
    const answered = await call(`${victim.url}/chatgpt`, { body: turn })
    t.equal(answered.status, 200)

    // Accepted by Bing, under way at the end.
    sim.set('poll', { readyAfterMs: 5000 })
    sim.set('videoPoll', { readyAfterMs: 5000 })
    const accepted: [prompt: string, taskId: string][] = []
    for (let n = 0; n < 4; n++) {
      const image = await create(victim.url, 'image', `image ${n}`, { prefer: 'respond-async' })
      const video = await create(victim.url, 'video', `video ${n}`)
      t.strictSame([image.status, video.status], [202, 200])
      accepted.push([`image ${n}`, image.json.data.taskId], [`video ${n}`, video.json.data.taskId])
    }
    const keyed = { 'idempotency-key': 'shared' }
    const lost = attempt(`${victim.url}/create/image`, {
      body: { query: 'keyed' },
      headers: { ...ALICE, ...keyed }
    })
    await until('the keyed image at Bing', () => received(sim, 'keyed') === 1)
    const joined = create(next, 'image', 'keyed', keyed)
    const joinedToo = create(last, 'image', 'keyed', keyed)
    await until('all images accepted', () => sim.counts['creator.submit'] === 5)

    // A turn, and a conversation that is being opened.
    const second = { ...conversation, prompt: 'What is my name?', invocationId: 1 }
    sim.enqueue('turn', { thinkMs: 60_000 })
    const unanswered = attempt(`${victim.url}/chatgpt`, { body: second })
    await until('the question at Bing', () => asked(sim, second.prompt) === 1)
    sim.enqueue('create', { delayMs: 60_000 })
    const opening = { body: { userId: 'alice' }, headers: { 'idempotency-key': 'opening' } }
    const unopened = attempt(`${victim.url}/create_conversation`, opening)
    await until('the conversation at Bing', () => sim.counts['sydney.create'] === 2)
    const opened = call(`${next}/create_conversation`, opening)

    // On their way to Bing at the end.
    sim.set('submit', { delayMs: 60_000 })
    sim.set('videoSubmit', { delayMs: 60_000 })
    const between = [
      attempt(`${victim.url}/create/image`, { body: { query: 'between image' }, headers: ALICE }),
      attempt(`${victim.url}/create/video`, {
        body: { query: 'between video' },
        headers: { ...ALICE, 'idempotency-key': 'between' }
      })
    ]
    await until(
      'both prompts at Bing',
      () => received(sim, 'between image') + received(sim, 'between video') === 2
    )
    const repeated = create(last, 'video', 'between video', { 'idempotency-key': 'between' })

    await victim.end('SIGKILL')
    const killedAt = performance.now()
    sim.set('submit', {})
    sim.set('videoSubmit', {})
    t.strictSame(
      (await Promise.all([lost, unanswered, unopened, ...between])).map(({ status }) => status),
      [0, 0, 0, 0, 0]
    )

    const meanwhile = await call(`${next}/chatgpt`, { body: second })
    t.strictSame([meanwhile.status, meanwhile.json.error.code], [409, 'turn_in_progress'], 'its lease stands')
    const replayed = await call(`${next}/chatgpt`, { body: turn })
    t.strictSame([replayed.text, replayed.headers.get('idempotency-replayed')], [answered.text, 'true'])
    // What only the victim looked at is looked at by others at once: the claim of a look lasts for that look alone.
    for (const [prompt, taskId] of accepted) {
      const task = await endOfTask(next, taskId, ALICE)
      t.strictSame([task.status, task.prompt === prompt || task.kind === 'image'], ['completed', true])
      t.equal(received(sim, prompt), 1)
    }
    const [first, other] = await Promise.all([joined, joinedToo])
    t.strictSame([first.status, other.text], [200, first.text], 'the others give the answer')
    t.equal(received(sim, 'keyed'), 1)

    const unknown = await repeated
    t.ok(
      performance.now() - killedAt < TAKE_OVER_MS,
      `taken over after ${Math.round(performance.now() - killedAt)} ms`
    )
    t.strictSame([unknown.status >= 500, unknown.json.error.code], [true, 'outcome_unknown'])
    const { tasks } = (await call(`${last}/tasks?limit=100`, { headers: ALICE })).json.data
    const betweens = tasks.filter(({ prompt }: { prompt: string }) => prompt.startsWith('between'))
    t.strictSame(
      betweens.map(({ status, errorDetail }: { status: string; errorDetail: { code: string } }) => [
        status,
        errorDetail.code
      ]),
      [
        ['failed', 'outcome_unknown'],
        ['failed', 'outcome_unknown']
      ]
    )
    t.equal(received(sim, 'between image') + received(sim, 'between video'), 2, 'nobody sends them again')
    t.notOk(
      tasks.some(({ status }: { status: string }) => status === 'processing'),
      'every task has ended'
    )

    t.equal((await opened).status, 200, 'a key without a task is free again')
    const again = await until(
      'the turn',
      () => call(`${last}/chatgpt`, { body: second }),
      ({ status }) => status !== 409
    )
    t.strictSame([again.status, /\bAda\b/.test(again.json.message)], [200, true])
    t.equal(again.headers.get('idempotency-replayed'), null)
    t.strictSame([asked(sim, turn.prompt), asked(sim, second.prompt)], [1, 2])
    t.equal((await taskAt(next, accepted[0]?.[1] ?? '', ALICE)).status, 'completed')
    t.strictSame(sim.violations, [])
  })
}
