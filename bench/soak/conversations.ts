/** One of the many who chat: it knows what it has asked, and takes nothing else for an answer. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Reply } from './client.ts'
import type { Soak, User } from './soak.ts'

const TURNS = { least: 3, most: 14 }
/** Longest answer that is asked for, in words. */
const MOST_WORDS = 120
/** Beyond it a turn that fails again and again is left alone. */
const MOST_ATTEMPTS = 40

/** Codes after which only a new conversation helps. */
const OVER = new Set([
  ...['conversation_expired', 'conversation_full', 'conversation_closed', 'conversation_unknown'],
  'context_too_long'
])
/** Codes after which the same question would be refused again. */
const REFUSED = new Set(['content_filtered', 'prompt_too_long'])

const WORDS =
  'harbour 海辺 mañana lantern 👩🏽‍🔬 "quoted" <b>bold</b> \\slash ünïcödé river 🌊 copper ありがとう plain'.split(
    ' '
  )
/** Texts that the upstream may put before an answer that it rewrites. */
const OPENINGS = ['', 'Let me put it another way. ', 'In short: ', 'In short: Let me put it another way. ']

/** Marks what belongs to a turn; survives being made into search words. */
const MARK = /q\d+x\d+x\d+q/gi

interface Talk {
  credentials: { conversationId: string }
  mark: string
  /** Every prompt that was sent, for what was done to them. */
  prompts: string[]
  answered: { prompt: string; message: string }[]
  /** Told in a turn that was surely remembered. */
  name: string | undefined
}

interface Question {
  prompt: string
  /** What the answer must hold. */
  mark: string
  /** The whole answer, where it is known. */
  exact?: string
  tellsName?: boolean
}

export async function converse(soak: Soak, worker: number, user: User): Promise<void> {
  const { client, findings, explanations, limits, stats, random } = soak
  let talks = 0
  let serial = 0

  const chance = (share: number) => random() < share
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  const idle = (ms: number) => soak.rest(ms)

  async function open(): Promise<Talk | undefined> {
    const key: Record<string, string> = chance(0.3)
      ? { 'idempotency-key': `conversation ${worker}/${talks}/${serial++}` }
      : {}
    const reply = await client.call({
      path: '/create_conversation',
      body: { userId: user.id },
      headers: { ...user.headers, ...key },
      withinMs: limits.turnMs
    })
    if (reply.status === 200) {
      const { invocationId: _, ...credentials } = reply.json
      return { credentials, mark: `q${worker}x${talks++}x`, prompts: [], answered: [], name: undefined }
    }
    judge(reply, 'create_conversation', [])
    await soak.backOff(reply)
    return undefined
  }

  function judge(reply: Reply, what: string, prompts: Iterable<string>): void {
    if (reply.status === 0 || explanations.isExplained(reply.code, prompts)) return
    findings.note('unexplained', {
      what,
      status: reply.status,
      error: reply.json,
      at: new Date().toISOString()
    })
  }

  function nextQuestion(talk: Talk): Question {
    const n = talk.answered.length
    const mark = `${talk.mark}${serial++}q`
    if (n > 0 && talk.name !== undefined && chance(0.25))
      return { prompt: 'What is my name?', mark: talk.name }
    if (talk.name === undefined && chance(0.4)) return { prompt: `My name is ${mark}`, mark, tellsName: true }
    if (chance(0.2)) return { prompt: `What is the latest news about ${mark} today?`, mark }
    const words = Array.from({ length: between(1, MOST_WORDS) }, () => WORDS[between(0, WORDS.length - 1)])
    const exact = `${mark} ${words.join(' ')}`
    return { prompt: `Say: ${exact}`, mark, exact }
  }

  function check(talk: Talk, { mark, exact, prompt }: Question, json: Reply['json']): void {
    const {
      message,
      truncated,
      suggestions = []
    } = json as {
      message: string
      truncated?: boolean
      suggestions?: string[]
    }
    const own = `${talk.mark}`
    const seen = [message, ...suggestions].flatMap((text) => text.match(MARK) ?? [])
    const foreign = seen.filter((one) => !one.toLowerCase().startsWith(own))
    if (foreign.length > 0 || json.conversationId !== talk.credentials.conversationId)
      return void findings.note('mixed', { prompt, message, foreign })
    if (truncated) {
      stats.add('turns: answers cut short or withdrawn, as the upstream said')
      if (exact !== undefined && !OPENINGS.some((opening) => (opening + exact).startsWith(message)))
        findings.note('altered', { prompt, message })
      return
    }
    if (!message.includes(mark))
      return void findings.note(mark === talk.name ? 'forgotten' : 'mixed', { prompt, message, mark })
    if (exact !== undefined && !OPENINGS.some((opening) => opening + exact === message))
      findings.note('altered', { prompt, exact, message, faults: explanations.faultsOn(prompt) })
  }

  async function ask(talk: Talk, { prompt }: Question): Promise<Reply> {
    const gone = new AbortController()
    const leaves = chance(0.08) ? setTimeout(() => gone.abort(), random() * 600) : undefined
    if (leaves !== undefined) stats.add('turns: callers who hung up')
    const stream = chance(0.5)
    const reply = await (stream ? client.stream : client.call)({
      path: '/chatgpt',
      body: {
        ...talk.credentials,
        prompt,
        invocationId: talk.answered.length,
        ...(stream ? { stream } : {})
      },
      headers: user.headers,
      gone: gone.signal,
      withinMs: limits.turnMs
    })
    clearTimeout(leaves)
    return reply
  }

  /** A client that has lost an answer asks again, and gets the same one. */
  async function replay(talk: Talk): Promise<void> {
    const last = talk.answered.at(-1)
    if (last === undefined) return
    const { prompt, message } = last
    const reply = await client.call({
      path: '/chatgpt',
      body: { ...talk.credentials, prompt, invocationId: talk.answered.length - 1 },
      headers: user.headers,
      withinMs: limits.turnMs
    })
    stats.add('turns: repeats of an answered one')
    if (
      reply.status !== 200 ||
      reply.headers['idempotency-replayed'] !== 'true' ||
      reply.json.message !== message
    )
      findings.note('replays', { prompt, message, status: reply.status, got: reply.json })
  }

  /** @returns whether the conversation can go on */
  async function turn(talk: Talk): Promise<boolean> {
    const question = nextQuestion(talk)
    talk.prompts.push(question.prompt)
    for (let attempt = 1; attempt <= MOST_ATTEMPTS && !soak.isOver(); attempt++) {
      const reply = await ask(talk, question)
      if (reply.status === 200) {
        check(talk, question, reply.json)
        stats.add('turns: answered')
        if (attempt > 1) stats.add('turns: answered after a repeat of the question')
        if (question.tellsName && !reply.json.truncated) talk.name = question.mark
        talk.answered.push({ prompt: question.prompt, message: reply.json.message })
        return true
      }
      if (reply.status === 0) {
        await pause(random() * 200)
        continue
      }
      stats.add(`turns: ${reply.status}`)
      judge(reply, question.prompt, talk.prompts)
      if (OVER.has(reply.code ?? '')) return false
      if (REFUSED.has(reply.code ?? '')) return true
      await soak.backOff(reply)
    }
    return !soak.isOver()
  }

  /** What is stored is what was answered. */
  async function look({ credentials: { conversationId }, answered }: Talk): Promise<void> {
    const path = `/conversations/${conversationId}`
    const reply = await client.call({
      path,
      route: '/conversations/:id',
      headers: user.headers,
      withinMs: limits.readMs
    })
    const turns: { prompt: string; message: string }[] = reply.json?.turns ?? []
    const same = answered.every(
      ({ prompt, message }, n) => turns[n]?.prompt === prompt && turns[n]?.message === message
    )
    if (reply.status === 200 ? !same : reply.status !== 0)
      findings.note('replays', {
        path,
        status: reply.status,
        answered: answered.length,
        stored: turns.length
      })
  }

  async function end(talk: Talk): Promise<void> {
    if (chance(0.5)) await look(talk)
    if (!chance(0.4)) return
    const path = `/conversations/${talk.credentials.conversationId}`
    const call = { path, route: '/conversations/:id', headers: user.headers, withinMs: limits.readMs }
    const reply = await client.call({ ...call, method: 'DELETE' })
    // A caller who hung up may have left a turn that is still being ended.
    if (reply.status !== 204 && reply.code !== 'turn_in_progress') judge(reply, `DELETE ${path}`, [])
    else stats.add('conversations deleted')
  }

  await idle(random() * 2000)
  while (!soak.isOver()) {
    const talk = await open()
    if (talk === undefined) continue
    stats.add('conversations')
    for (let n = between(TURNS.least, TURNS.most); n > 0 && !soak.isOver(); n--) {
      if (!(await turn(talk))) break
      if (chance(0.15)) await replay(talk)
      await idle(300 + random() * 1700)
    }
    await end(talk)
  }
}
