import { setTimeout as pause } from 'node:timers/promises'
import type { Simulator } from '../../src/simulator/index.ts'
import { attempt, call, type Reply, until } from './http.ts'

/** Numbers from 0 to 1. */
export type Random = () => number

export interface CallersSettings {
  sim: Simulator
  random: Random
  userId: string
  webhookUrl: string
}

interface Creation {
  path: string
  prompt: string
  body: object
  headers: Record<string, string>
  keyed: boolean
  answer?: string
}

interface Talk {
  credentials: { conversationId: string }
  answered: { prompt: string; message: string }[]
  /** Asked, and no answer came. */
  open?: { prompt: string; attempts: number }
}

const CONVERSATIONS = 3
const MOST_TURNS = 25

/** What a caller may get from a gateway that is well, other than success: a turn or a key that is still somebody's. */
const PASSING = new Set(['turn_in_progress', 'restarted', 'outcome_unknown', 'store_unavailable'])

/**
 * Callers as they should be: they remember what they were answered, repeat what they can repeat safely when no answer
 * came (a turn with its number, a creation with its key), and nothing else.
 */
export function createCallers({ sim, random, userId, webhookUrl }: CallersSettings) {
  const headers = { 'x-user-id': userId }
  const acknowledged = new Map<string, string>()
  const toRepeat = new Set<Creation>()
  const answered: Creation[] = []
  const withWebhook = new Set<string>()
  const unexpected: unknown[] = []
  const talks: Talk[] = []
  const turns = { answered: 0, replayed: 0, repeated: 0, lost: 0, twice: 0 }
  let unanswered = 0
  let differing = 0
  let ended = false

  const asked = (prompt: string) => sim.counts[`asked:${prompt}`] ?? 0

  function expect(reply: Reply, what: string): void {
    if (reply.status === 0 || reply.status === 200 || reply.status === 202) return
    if (!PASSING.has(reply.json.error.code)) unexpected.push([what, reply.status, reply.text])
  }

  async function send(url: string, creation: Creation): Promise<void> {
    const { path, prompt, body, headers: more, keyed } = creation
    const reply = await attempt(url + path, { body, headers: { ...headers, ...more } })
    expect(reply, prompt)
    if (reply.status === 0) {
      unanswered += 1
      if (keyed) toRepeat.add(creation)
      return
    }
    toRepeat.delete(creation)
    if (reply.status === 200 || reply.status === 202) {
      const { taskId } = reply.json.data
      if ((acknowledged.get(prompt) ?? taskId) !== taskId) differing += 1
      acknowledged.set(prompt, taskId)
    }
    // What says that nothing was sent frees the key.
    if (!keyed || reply.status === 503) return
    if (creation.answer !== undefined && creation.answer !== reply.text) differing += 1
    creation.answer ??= reply.text
    answered.push(creation)
  }

  function creation(prompt: string): Creation {
    const kind = random() < 0.5 ? 'image' : 'video'
    const keyed = random() < 0.5
    const waits = kind === 'image' && random() < 0.5
    const webhook = !waits && random() < 0.7
    if (webhook) withWebhook.add(prompt)
    return {
      path: `/create/${kind}`,
      prompt,
      body: { query: prompt, ...(webhook ? { webhookUrl } : {}) },
      headers: {
        ...(keyed ? { 'idempotency-key': prompt } : {}),
        ...(kind === 'image' && !waits ? { prefer: 'respond-async' } : {})
      },
      keyed
    }
  }

  /** Asks the open question again, or a new one. @returns what came of it; status 0: no answer */
  async function turn(url: string, talk: Talk): Promise<Pick<Reply, 'status' | 'text'>> {
    const invocationId = talk.answered.length
    const again = talk.open !== undefined
    talk.open ??= { prompt: `Say ${talks.indexOf(talk)}/${invocationId}.`, attempts: 0 }
    const { prompt } = talk.open
    const before = asked(prompt)
    const stored = again ? await isStored(url, talk, invocationId) : false
    if (stored === undefined) return { status: 0, text: '' }
    talk.open.attempts += 1
    const reply = await attempt(`${url}/chatgpt`, { body: { ...talk.credentials, prompt, invocationId } })
    expect(reply, prompt)
    if (reply.status !== 200) return reply
    turns.answered += 1
    if (reply.headers.get('idempotency-replayed') === 'true') turns.replayed += 1
    else if (again && before > 0) turns.repeated += 1
    // The store had the answer, so nobody may have been asked.
    if (stored && asked(prompt) !== before) turns.twice += 1
    if (asked(prompt) > talk.open.attempts) turns.twice += 1
    talk.answered.push({ prompt, message: reply.json.message })
    delete talk.open
    return reply
  }

  async function isStored(url: string, talk: Talk, invocationId: number): Promise<boolean | undefined> {
    const reply = await attempt(`${url}/conversations/${talk.credentials.conversationId}`, { headers })
    return reply.status === 200 ? reply.json.turns.length > invocationId : undefined
  }

  async function converse(url: string, talk: Talk): Promise<void> {
    while (!ended && talk.answered.length < MOST_TURNS) {
      if ((await turn(url, talk)).status === 0) return
      if (talk.open !== undefined) await pause(100)
    }
  }

  async function meet(url: string): Promise<void> {
    const reply = await attempt(`${url}/create_conversation`, { body: { userId } })
    expect(reply, 'create_conversation')
    if (reply.status !== 200) return
    const { invocationId: _, ...credentials } = reply.json
    talks.push({ credentials, answered: [] })
  }

  return {
    /** Tasks that a caller was told of, by prompt. */
    acknowledged: acknowledged as ReadonlyMap<string, string>,
    turns,
    unexpected,
    get unanswered() {
      return unanswered
    },
    get differing() {
      return differing
    },
    wantsWebhook: (prompt: string) => withWebhook.has(prompt),

    /** Goes on until the gateway is killed. */
    async round(url: string, round: number): Promise<void> {
      const work: Promise<void>[] = [...toRepeat].map((creation) => send(url, creation))
      for (const talk of talks) if (talk.answered.length < MOST_TURNS) work.push(converse(url, talk))
      // With PostgreSQL an open turn waits for the end of a lease, which lasts for several rounds.
      if (
        talks.filter(({ answered, open }) => open === undefined && answered.length < MOST_TURNS).length === 0
      )
        for (let n = 0; n < CONVERSATIONS; n++) work.push(meet(url))
      for (let n = 0; n < 8; n++) {
        const one = creation(`round ${round}, creation ${n}`)
        work.push(pause(random() * 800).then(() => send(url, one)))
      }
      await Promise.all(work)
    },

    /** Repeats what is still open, and everything that was answered once more: nothing new may come of that. */
    async finish(url: string): Promise<void> {
      ended = true
      await until(
        'an answer to every key',
        async () => {
          await Promise.all([...toRepeat].map((creation) => send(url, creation)))
          return toRepeat.size
        },
        (left) => left === 0
      )
      await Promise.all(
        talks
          .filter(({ open }) => open !== undefined)
          .map((talk) =>
            until(
              'an answer to every turn',
              () => turn(url, talk),
              () => talk.open === undefined,
              60_000
            )
          )
      )
      for (const creation of answered.splice(0)) await send(url, creation)
      for (const { credentials, answered: given } of talks) {
        const { turns: kept } = (
          await call(`${url}/conversations/${credentials.conversationId}`, { headers })
        ).json
        for (const [n, { prompt, message }] of given.entries())
          if (kept[n]?.prompt !== prompt || kept[n]?.message !== message) turns.lost += 1
        const last = given.at(-1)
        if (last === undefined) continue
        const before = asked(last.prompt)
        const body = { ...credentials, prompt: last.prompt, invocationId: given.length - 1 }
        const reply = await call(`${url}/chatgpt`, { body })
        if (reply.json.message !== last.message) turns.lost += 1
        if (asked(last.prompt) !== before) turns.twice += 1
      }
    }
  }
}
