import type { Test } from 'tap'
import type { Simulator } from '../../src/simulator/index.ts'
import { call, endOfTask, type Reply } from './http.ts'

/** Callers are told within this time, in milliseconds, however the store fails: two queries that hang, and a pause. */
const LONGEST_MS = 25_000

/** Creations and turns that somebody asks for all the time, and what became of them. */
export interface Load {
  userId: string
  /** Tasks that were answered with 200 or 202, and so must not get lost, by prompt. */
  readonly accepted: ReadonlyMap<string, string>
  /** Conversations with the turns that were answered. */
  readonly conversations: readonly { credentials: object; answered: { prompt: string; message: string }[] }[]
  /** All answers so far; status 0: none came. */
  readonly replies: readonly Answered[]
  /** Stops asking, and waits for the answers that are still to come. */
  stop(): Promise<void>
}

export interface Answered {
  path: string
  prompt: string
  status: number
  code: string | null
  retryAfter: string | null
  /** Milliseconds since the load began, and until the answer. */
  at: number
  ms: number
}

export interface LoadSettings {
  /** Base URLs, asked in turn. */
  urls: string[]
  userId: string
  /** Milliseconds between two requests of a kind. */
  everyMs: number
  /** Goes into every prompt, so that no other load has the same. */
  name?: string
}

/** Asks for images, videos and turns at a steady pace, without waiting for the answers. */
export async function startLoad({ urls, userId, everyMs, name = 'load' }: LoadSettings): Promise<Load> {
  const headers = { 'x-user-id': userId }
  const accepted = new Map<string, string>()
  const replies: Answered[] = []
  const under = new Set<Promise<void>>()
  const began = performance.now()
  let n = 0
  const url = () => urls[n % urls.length] as string

  async function ask(path: string, prompt: string, body: object, more: Record<string, string> = {}) {
    const at = performance.now() - began
    let reply: Reply | undefined
    try {
      reply = await call(url() + path, { body, headers: { ...headers, ...more } })
    } catch {
      // No answer.
    }
    const ms = performance.now() - began - at
    const status = reply?.status ?? 0
    const code = status >= 400 ? reply?.json.error.code : null
    replies.push({
      path,
      prompt,
      status,
      code,
      retryAfter: reply?.headers.get('retry-after') ?? null,
      at,
      ms
    })
    return reply
  }

  const conversations = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const { json } = await call(`${urls[0]}/create_conversation`, { body: { userId } })
      const { invocationId: _, ...credentials } = json
      return { credentials, busy: false, answered: [] as { prompt: string; message: string }[] }
    })
  )

  async function turn(conversation: (typeof conversations)[number]): Promise<void> {
    if (conversation.busy || conversation.answered.length >= 25) return
    conversation.busy = true
    const { credentials, answered } = conversation
    const prompt = `${name}: say ${conversations.indexOf(conversation)}/${answered.length}`
    const reply = await ask('/chatgpt', prompt, { ...credentials, prompt, invocationId: answered.length })
    if (reply?.status === 200) answered.push({ prompt, message: reply.json.message })
    conversation.busy = false
  }

  async function create(kind: 'image' | 'video', prompt: string): Promise<void> {
    const prefer: Record<string, string> = kind === 'image' ? { prefer: 'respond-async' } : {}
    const reply = await ask(`/create/${kind}`, prompt, { query: prompt }, prefer)
    if (reply?.status === 200 || reply?.status === 202) accepted.set(prompt, reply.json.data.taskId)
  }

  function follow(work: Promise<void>): void {
    under.add(work)
    work.finally(() => under.delete(work))
  }

  const timer = setInterval(() => {
    n += 1
    follow(create('image', `${name}: image ${n}`))
    follow(create('video', `${name}: video ${n}`))
    follow(turn(conversations[n % conversations.length] as (typeof conversations)[number]))
  }, everyMs)

  return {
    userId,
    accepted,
    conversations,
    replies,
    async stop() {
      clearInterval(timer)
      while (under.size > 0) await Promise.allSettled(under)
    }
  }
}

/** What must hold of a load once the store is back. */
export async function nothingLost(t: Test, url: string, sim: Simulator, load: Load): Promise<void> {
  const headers = { 'x-user-id': load.userId }
  const unusual = load.replies.filter(
    ({ status, code }) => ![200, 202].includes(status) && code !== 'store_unavailable'
  )
  t.strictSame(
    // A repeat of a turn whose answer waits to be stored.
    unusual.filter(({ code }) => code !== 'turn_in_progress'),
    [],
    'every answer is good, or says that the store is away'
  )
  for (const { status, code, retryAfter } of load.replies)
    if (code === 'store_unavailable') t.ok(status === 503 && Number(retryAfter) > 0)
  const slow = load.replies.filter(({ ms }) => ms > LONGEST_MS)
  t.strictSame(slow, [], 'nobody waits long')
  for (const [prompt, taskId] of load.accepted) {
    const task = await endOfTask(url, taskId, headers)
    t.strictSame([task.status, sim.counts[`received:${prompt}`]], ['completed', 1], prompt)
  }
  for (const { credentials, answered } of load.conversations) {
    const { conversationId } = credentials as { conversationId: string }
    const { turns } = (await call(`${url}/conversations/${conversationId}`, { headers: headers })).json
    t.strictSame(
      turns
        .slice(0, answered.length)
        .map(({ prompt, message }: { prompt: string; message: string }) => ({ prompt, message })),
      answered,
      'every answer that a caller got is kept'
    )
  }
  const doubled = Object.entries(sim.counts).filter(([name, n]) => name.startsWith('received:') && n > 1)
  t.strictSame(doubled, [], 'no prompt was sent twice')
  const { tasks } = (await call(`${url}/tasks?limit=100`, { headers: headers })).json.data
  for (const { id } of tasks) t.not((await endOfTask(url, id, headers)).status, 'processing')
  t.strictSame(sim.violations, [])
}
