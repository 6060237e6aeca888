import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { Agent, request } from 'undici'
import { systemClock } from '../clock.ts'
import { deadline } from '../jobs/deadline.ts'
import { allowedAddresses, parseTarget, TargetRefused, type TargetRules } from './target.ts'

/** Of one attempt, from the first name to the last redirect. The specification asks for 15 to 30 s. */
const ATTEMPT_MS = 15_000
const MAX_REDIRECTS = 3
/** How much of an answer is read, and for how long. Nothing in it counts; a sudden end would only trouble the receiver. */
const BODY_LIMIT_BYTES = 16 * 1024
const BODY_MS = 1000
const LONGEST_RETRY_AFTER_MS = 24 * 60 * 60 * 1000

export interface WebhookMessage {
  /** The same for every attempt. */
  id: string
  url: string
  /** JSON. */
  body: string
  /** Beside those of the specification. */
  headers?: Readonly<Record<string, string>>
}

export type SendOutcome =
  /** 2xx. */
  | { result: 'delivered'; status: number }
  /** 410: the receiver wants no more of it. */
  | { result: 'gone'; status: number }
  /** Everything else. `error` is for the operator, without anything of the URL. */
  | { result: 'retry'; status: number | null; error: string; retryAfterMs?: number }

export interface WebhookSender {
  /** Makes one attempt. @throws the signal's reason, and nothing else */
  send(message: WebhookMessage, signal: AbortSignal): Promise<SendOutcome>
}

export interface WebhookSenderSettings {
  /** `whsec_…` */
  secret: string
  rules: TargetRules
  userAgent: string
  timeoutMs?: number
  /** Certificates of authorities that are trusted in place of the usual ones, as PEM. */
  ca?: string
}

/**
 * Sends webhooks signed as in the Standard Webhooks specification. Goes to the receiver directly: `HTTPS_PROXY` is the
 * way to Bing, and a proxy would resolve names by itself, behind the back of the rules.
 * @see https://www.standardwebhooks.com/
 */
export function createWebhookSender(settings: WebhookSenderSettings): WebhookSender {
  const { rules, userAgent, timeoutMs = ATTEMPT_MS, ca } = settings
  const signer = new Webhook(settings.secret)

  async function attempt(
    { id, url, body, headers: more }: WebhookMessage,
    signal: AbortSignal
  ): Promise<SendOutcome> {
    // Real time, whatever clock the gateway runs on: the receiver compares it with its own.
    const at = new Date()
    const headers = {
      ...more,
      'content-type': 'application/json',
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': signer.sign(id, at, body)
    }
    let target = parseTarget(url, rules)
    for (let redirects = 0; ; redirects++) {
      const answer = await exchange(target, { headers, body }, signal)
      const next = redirectOf(answer, target)
      if (next === undefined) return outcome(answer)
      if (redirects === MAX_REDIRECTS) return failed(answer.status, 'too many redirects')
      const from = target
      target = parseTarget(next, rules)
      if (from.protocol === 'https:' && target.protocol === 'http:')
        return failed(answer.status, 'redirect from https to http')
    }
  }

  async function exchange(
    target: URL,
    { headers, body }: { headers: Record<string, string>; body: string },
    signal: AbortSignal
  ): Promise<Answer> {
    // One for each exchange, without connections that are kept: an address is only as good as its last check.
    const agent = new Agent({
      pipelining: 0,
      maxHeaderSize: BODY_LIMIT_BYTES,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { lookup: pinned(rules), timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) }
    })
    try {
      const response = await request(target, { method: 'POST', headers, body, dispatcher: agent, signal })
      const { statusCode: status, headers: answered } = response
      const done = AbortSignal.any([signal, AbortSignal.timeout(BODY_MS)])
      await response.body.dump({ limit: BODY_LIMIT_BYTES, signal: done }).catch(() => {})
      return { status, location: one(answered.location), retryAfter: one(answered['retry-after']) }
    } finally {
      await agent.destroy()
    }
  }

  return {
    async send(message, signal) {
      signal.throwIfAborted()
      const late = () => new AttemptTooLong(`no answer within ${timeoutMs / 1000} s`)
      const time = deadline(systemClock, timeoutMs, late, signal)
      try {
        return await attempt(message, time.signal)
      } catch (error) {
        signal.throwIfAborted()
        return failed(null, describe(time.signal.aborted ? time.signal.reason : error))
      } finally {
        time.clear()
      }
    }
  }
}

class AttemptTooLong extends Error {}

interface Answer {
  status: number
  location: string | undefined
  retryAfter: string | undefined
}

/**
 * Name resolution of one connection: between the check of the addresses and the connection to one of them nobody is
 * asked again, so that no second answer can lead elsewhere. Addresses in URLs never come here; `parseTarget` judges them.
 */
function pinned(rules: TargetRules): LookupFunction {
  return (hostname, options, callback) => {
    allowedAddresses(hostname, rules).then(
      (addresses) => {
        const all = addresses.map((address) => ({ address, family: isIP(address) }))
        if (options.all) callback(null, all)
        else callback(null, all[0]?.address as string, all[0]?.family)
      },
      (error) => callback(error, [])
    )
  }
}

function redirectOf({ status, location }: Answer, from: URL): string | undefined {
  if ((status !== 307 && status !== 308) || location === undefined) return undefined
  return URL.canParse(location, from.href) ? new URL(location, from).href : location
}

function outcome({ status, retryAfter }: Answer): SendOutcome {
  if (status >= 200 && status < 300) return { result: 'delivered', status }
  if (status === 410) return { result: 'gone', status }
  const retryAfterMs = readRetryAfter(retryAfter)
  return { ...failed(status, `HTTP ${status}`), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
}

const failed = (status: number | null, error: string) => ({ result: 'retry', status, error }) as const

/** Seconds or an HTTP date (RFC 9110, section 10.2.3). @returns milliseconds, at most a day */
function readRetryAfter(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  // Date.parse takes far more for a date than HTTP does.
  const isDate = /^[A-Z][a-z]+,? /.test(text)
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : isDate ? Date.parse(text) - Date.now() : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS)
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}

/** What went wrong, for the operator: our own words or the system's code, never a text that may quote the URL. */
function describe(error: unknown): string {
  if (error instanceof TargetRefused || error instanceof AttemptTooLong) return error.message
  const { code, name } = error as { code?: unknown; name: string }
  return `connection failed: ${typeof code === 'string' ? code : name}`
}
