/** Callers who have pictures and films made, in every way that the contract offers; and what became of it all. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Reply } from './client.ts'
import type { Soak, User } from './soak.ts'

const WORDS = [
  'a red boat',
  'a fox in snow',
  'two balloons',
  'a castle',
  '夜の海',
  'a robot & a cat',
  'lanterns'
]
const MODELS = ['DALLE', 'GPT4O', 'MAI1'] as const
const ASPECTS = ['SQUARE', 'LANDSCAPE', 'PORTRAIT'] as const

/** A creation that somebody was promised. */
export interface Promised {
  taskId: string
  prompt: string
  user: User
  webhook: boolean
  cancelled: boolean
}

interface Creation {
  path: '/create/image' | '/create/video'
  prompt: string
  body: object
  headers: Record<string, string>
  webhook: boolean
  key: string | undefined
  hangsUp: boolean
}

let created = 0

export async function create(soak: Soak, kind: 'image' | 'video', user: User): Promise<void> {
  const { client, findings, explanations, limits, promised, stats, random } = soak
  const chance = (share: number) => random() < share
  const one = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T

  function next(): Creation {
    const prompt = `${one(WORDS)}, number ${++created}`
    const waits = kind === 'image' ? chance(0.4) : chance(0.3)
    const prefer = kind === 'image' ? one(['respond-async', 'respond-async, wait=3']) : 'wait=4'
    const webhook = (kind === 'video' || !waits) && chance(0.6)
    const key = chance(0.4) ? `creation ${created}` : undefined
    return {
      path: `/create/${kind}`,
      prompt,
      body: {
        query: prompt,
        ...(kind === 'image'
          ? { model: one(MODELS), aspect: one(ASPECTS) }
          : { speed: one(['standard', 'fast']) }),
        ...(webhook ? { webhookUrl: soak.webhookUrl } : {})
      },
      headers: {
        ...user.headers,
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...(kind === 'image' ? (waits ? {} : { prefer }) : waits ? { prefer } : {})
      },
      webhook,
      key,
      hangsUp: chance(0.1)
    }
  }

  async function send(creation: Creation): Promise<Reply> {
    const { path, body, headers, hangsUp } = creation
    const gone = new AbortController()
    const leaves = hangsUp ? setTimeout(() => gone.abort(), random() * 1500) : undefined
    const withinMs = kind === 'image' ? limits.imageMs : limits.videoSubmitMs
    const reply = await client.call({ path, body, headers, gone: gone.signal, withinMs })
    clearTimeout(leaves)
    return reply
  }

  function promise({ prompt, webhook }: Creation, taskId: string): Promised {
    const before = promised.get(prompt)
    if (before !== undefined) {
      if (before.taskId !== taskId) findings.note('keys', { prompt, first: before.taskId, second: taskId })
      return before
    }
    const one: Promised = { taskId, prompt, user, webhook, cancelled: false }
    promised.set(prompt, one)
    stats.add(`${kind}s: promised`)
    return one
  }

  /** Sends a creation, again with its key when its answer was lost. @returns the task, when there is one to look at */
  async function begin(creation: Creation): Promise<Promised | undefined> {
    const reply = await send(creation)
    if (reply.status === 0 && creation.key === undefined) return undefined
    if (reply.status === 0) {
      stats.add(`${kind}s: sent again with their key`)
      await pause(random() * 500)
      return begin({ ...creation, hangsUp: false })
    }
    if (reply.status !== 200 && reply.status !== 202) {
      stats.add(`${kind}s: refused with ${reply.status}`)
      if (!explanations.isExplained(reply.code, [creation.prompt]))
        findings.note('unexplained', {
          what: creation.prompt,
          status: reply.status,
          error: reply.json,
          faults: explanations.faultsOn(creation.prompt),
          at: new Date().toISOString()
        })
      await soak.backOff(reply)
      return undefined
    }
    const { taskId, images } = reply.json.data
    if (images !== undefined) stats.add(`${kind}s: waited for`)
    const task = promise(creation, taskId)
    if (creation.key !== undefined && chance(0.3)) {
      const again = await send({ ...creation, hangsUp: false })
      const same = again.status === reply.status && again.json.data?.taskId === taskId
      if (!same || again.headers['idempotency-replayed'] !== 'true')
        findings.note('keys', { prompt: creation.prompt, status: again.status, got: again.json })
    }
    return task
  }

  /** Looks after a task in one of the ways there are, for a while. */
  async function attend({ taskId, prompt, user: { headers } }: Promised): Promise<void> {
    const call = { path: `/task/${taskId}`, route: '/task/:id', headers, withinMs: limits.readMs }
    const way = random()
    if (way < 0.25) {
      const leave = new AbortController()
      const timer = setTimeout(() => leave.abort(), limits.taskMs)
      const path = `/task/${taskId}/events`
      const follow = {
        path,
        route: '/task/:id/events',
        headers,
        gone: leave.signal,
        withinMs: limits.taskMs + limits.readMs
      }
      await client.follow(follow, (_event, data) => {
        if ((data as { prompt?: string }).prompt !== prompt) findings.note('mixed', { prompt, taskId, data })
      })
      clearTimeout(timer)
    } else if (way < 0.4) {
      await client.call({
        ...call,
        headers: { ...headers, prefer: 'wait=5' },
        withinMs: limits.readMs + 5000
      })
    } else if (way < 0.5) {
      const reply = await client.call({ ...call, method: 'DELETE' })
      if (reply.status === 200 && reply.json.data.status === 'cancelled') {
        stats.add(`${kind}s: cancelled`)
        const known = promised.get(prompt)
        if (known !== undefined) known.cancelled = true
      }
    } else {
      for (let n = 0; n < 20 && !soak.isOver(); n++) {
        const { status, json } = await client.call(call)
        if (status === 200 && json.data.prompt !== prompt)
          findings.note('mixed', { prompt, taskId, got: json.data })
        if (status !== 200 || json.data.status !== 'processing') break
        await soak.rest(700)
      }
    }
  }

  await soak.rest(random() * 2000)
  while (!soak.isOver()) {
    const task = await begin(next())
    if (task !== undefined) await attend(task)
    await soak.rest(random() * 1200)
  }
}
