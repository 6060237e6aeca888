/** A caller of the gateway that believes nothing: every answer is held against the contract and its deadline. */
import { createParser } from 'eventsource-parser'
import { Agent, type Dispatcher, request } from 'undici'
import { STATUS } from '../../src/errors.ts'
import type { Findings } from './findings.ts'

export interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  /** For the statistics: the path without ids. */
  route?: string
  headers?: Record<string, string>
  body?: object
  /** When the caller hangs up. */
  gone?: AbortSignal
  /** Longest time to the end of the answer, in milliseconds. */
  withinMs: number
}

export interface Reply {
  /** 0: the caller has hung up, or there was no answer (which is a finding then). */
  status: number
  headers: Record<string, string | string[] | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  json: any
  /** Of an error, in whatever place it came. */
  code: string | null
  type: string | null
  /** Seconds. */
  retryAfter: number | undefined
}

export interface Client {
  call(call: Call): Promise<Reply>
  /** A turn as a stream. `json` is what the plain answer would have been; an error event counts as its status. */
  stream(call: Call): Promise<Reply>
  /** Events of an open-ended stream until it ends or the caller leaves. */
  follow(call: Call, onEvent: (event: string, data: unknown) => void): Promise<Reply>
  /** Answers by route and status. */
  readonly statuses: ReadonlyMap<string, number>
  close(): Promise<void>
}

const NO_ANSWER: Omit<Reply, 'status'> = {
  headers: {},
  json: undefined,
  code: null,
  type: null,
  retryAfter: undefined
}
/** Types with more statuses than one; docs/contract.md section 2. */
const MORE_STATUSES: Record<string, readonly number[]> = {
  invalid_request_error: [404, 408, 413, 415, 416, 422]
}
const GOOD = new Set([200, 202, 204])

export function createClient(url: string, findings: Findings): Client {
  const agent = new Agent({ connections: 256, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 4000 })
  const statuses = new Map<string, number>()

  /** Runs a call under its deadline; what `read` throws is a broken connection, or the caller's leaving. */
  async function ask(call: Call, read: (answer: Dispatcher.ResponseData) => Promise<Reply>): Promise<Reply> {
    const {
      path,
      method = call.body === undefined ? 'GET' : 'POST',
      route = path,
      body,
      gone,
      withinMs
    } = call
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), withinMs)
    const signal = gone === undefined ? late.signal : AbortSignal.any([gone, late.signal])
    const what = `${method} ${route}`
    try {
      const answer = await request(url + path, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...call.headers },
        body: body === undefined ? null : JSON.stringify(body),
        dispatcher: agent,
        signal
      })
      const reply = await read(answer)
      const key = `${what} ${reply.status}`
      statuses.set(key, (statuses.get(key) ?? 0) + 1)
      const wrong = faultOf(reply, answer)
      if (wrong !== undefined)
        findings.note('contract', { what, wrong, status: reply.status, body: reply.json })
      return reply
    } catch (error) {
      if (gone?.aborted) return { status: 0, ...NO_ANSWER }
      const detail = { what, at: new Date().toISOString() }
      if (late.signal.aborted) findings.note('hangs', { ...detail, withinMs })
      else findings.note('broken', { ...detail, error: String(error) })
      return { status: 0, ...NO_ANSWER }
    } finally {
      clearTimeout(timer)
    }
  }

  const plain = async (answer: Dispatcher.ResponseData) => toReply(answer, await answer.body.text())

  async function events(
    answer: Dispatcher.ResponseData,
    onEvent: (event: string, data: unknown) => void
  ): Promise<Reply> {
    if (!String(answer.headers['content-type']).startsWith('text/event-stream')) return plain(answer)
    const parser = createParser({ onEvent: ({ event = '', data }) => onEvent(event, JSON.parse(data)) })
    const decoder = new TextDecoder()
    for await (const chunk of answer.body) parser.feed(decoder.decode(chunk, { stream: true }))
    return toReply(answer, '')
  }

  return {
    statuses,
    call: (call) => ask(call, plain),
    follow: (call, onEvent) => ask(call, (answer) => events(answer, onEvent)),
    stream: (call) =>
      ask(call, async (answer) => {
        let said = ''
        let end: { event: string; data: unknown } | undefined
        const reply = await events(answer, (event, data) => {
          const text = (data as { text?: string }).text ?? ''
          if (event === 'delta') said += text
          else if (event === 'replace') said = text
          else if (end !== undefined) findings.note('torn', { what: 'an event after the end', event, data })
          else end = { event, data }
        })
        if (reply.status !== 200) return reply
        if (end === undefined) {
          findings.note('torn', { what: 'a stream without an end', said })
          return { ...reply, status: 0 }
        }
        if (end.event === 'error') return withError(reply, end.data)
        const { message } = end.data as { message: string }
        if (message !== said) findings.note('torn', { said, message })
        return { ...reply, json: end.data }
      }),
    close: () => agent.destroy()
  }
}

function toReply({ statusCode: status, headers }: Dispatcher.ResponseData, text: string): Reply {
  let json: unknown
  try {
    json = text === '' ? undefined : JSON.parse(text)
  } catch {
    json = undefined
  }
  const reply: Reply = { ...NO_ANSWER, status, headers, json }
  if (headers['retry-after'] !== undefined) reply.retryAfter = Number(headers['retry-after'])
  const { error } = (json ?? {}) as { error?: { code: string | null; type: string } }
  return typeof error === 'object' && error !== null
    ? { ...reply, code: error.code, type: error.type }
    : reply
}

/** An error event has the body that the answer would have had. */
function withError(reply: Reply, body: unknown): Reply {
  const { error } = body as { error: { code: string | null; type: keyof typeof STATUS } }
  return { ...reply, status: STATUS[error.type] ?? 500, json: body, code: error.code, type: error.type }
}

/** What is wrong with an answer by docs/contract.md section 2. */
function faultOf(reply: Reply, { statusCode, headers }: Dispatcher.ResponseData): string | undefined {
  if (headers['x-request-id'] === undefined) return 'no x-request-id'
  if (GOOD.has(reply.status) || reply.status === 0) return undefined
  if (reply.status === 500 || reply.type === 'api_error') return 'a defect of the gateway'
  if (reply.type === null) return 'an error without a type'
  const status = STATUS[reply.type as keyof typeof STATUS]
  if (status === undefined) return `an unknown type: ${reply.type}`
  if (status !== reply.status && !MORE_STATUSES[reply.type]?.includes(reply.status))
    return `${reply.type} with status ${reply.status}`
  const mustSayWhen = statusCode === 429 || statusCode === 503
  return mustSayWhen && !((reply.retryAfter ?? 0) >= 1) ? `${statusCode} without Retry-After` : undefined
}
