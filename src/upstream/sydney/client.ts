import { HttpsProxyAgent } from 'https-proxy-agent'
import type { WebSocket } from 'ws'
import { type Clock, systemClock } from '../../clock.ts'
import type { Account } from '../account.ts'
import type { Answer, AskOptions, ChatClient, Question, UpstreamConversation } from '../chat-client.ts'
import { type FailureId, UpstreamError } from '../failures.ts'
import type { ProxySettings, UpstreamHttp } from '../http.ts'
import { proxyFor } from '../proxy.ts'
import { withRetries } from '../retry.ts'
import { createAnswerReducer } from './answer.ts'
import { ACCESS_TOKEN_QUERY, HUB_HEADERS, LONG_CONTEXT_CHARS, THROTTLED_MAX_S } from './constants.ts'
import { createConversation } from './create.ts'
import { HUB_DEADLINES, type HubDeadlines, type HubEnd, runHubTurn } from './hub.ts'
import { buildQuestion } from './question.ts'

export interface SydneyClientSettings {
  /** Base of the create call, e.g. `https://www.bing.com`. */
  bingUrl: string
  /** The hub, e.g. `wss://sydney.bing.com/sydney/ChatHub`. */
  chatUrl: string
  account: Account
  http: UpstreamHttp
  /** For the hub's socket; `http` has its own. */
  proxy?: ProxySettings
  clock?: Clock
  /** Deadlines other than those of constants.ts. The deadline of a whole call comes with its signal. */
  deadlines?: Partial<HubDeadlines>
}

/** Rows after which a first question may go to a fresh conversation, because this one is dead and held nothing. */
const NEEDS_FRESH_CONVERSATION: readonly FailureId[] = ['W1', 'S3', 'S4']

/**
 * Chat over the hub that served Bing Chat until the end of 2024. One socket per turn; state is in the conversation.
 * @see docs/protocol/chat-sydney.md
 */
export function createSydneyClient(settings: SydneyClientSettings): ChatClient {
  const { bingUrl, chatUrl, account, http, proxy = {}, clock = systemClock } = settings
  const deadlines: HubDeadlines = { ...HUB_DEADLINES, ...settings.deadlines }
  const proxyUrl = proxyFor(chatUrl, proxy)
  const agent = proxyUrl === undefined ? undefined : new HttpsProxyAgent(proxyUrl)
  const origin = new URL(bingUrl).origin
  const sockets = new Set<WebSocket>()
  let isClosed = false
  /** Row S1: seconds to wait after the last throttled call, and when they are over (milliseconds since the epoch). */
  let throttle = { waitS: 0, until: 0 }

  async function open(signal: AbortSignal): Promise<UpstreamConversation> {
    if (!account.configured) throw new UpstreamError('C1')
    return createConversation(http, bingUrl, signal)
  }

  /** Asks once, on a socket of its own. */
  async function askOnce(
    conversation: UpstreamConversation,
    question: Question,
    { signal, onText, onAsked }: AskOptions,
    onFirstText: () => void
  ): Promise<Answer> {
    if (!account.configured) throw new UpstreamError('C1')
    const reducer = createAnswerReducer(question.invocationId, onText)
    let end: HubEnd
    try {
      end = await runHubTurn({
        url: hubUrl(conversation),
        headers: hubHeaders(),
        agent,
        question: buildQuestion(conversation, question, clock.now()),
        deadlines,
        clock,
        signal,
        sockets,
        onAsked,
        onRecord(record) {
          const isOver = reducer.take(record)
          if (reducer.hasText) onFirstText()
          return isOver
        }
      })
    } catch (error) {
      // The upstream had said what it had to say and then fell silent.
      if (error instanceof UpstreamError && error.row === 'W10' && reducer.isDecided) end = 'done'
      else throw error
    }
    if (end !== 'done' && !reducer.isDecided) throw closeFailure(end, reducer.hasText, question)
    return { ...reducer.finish(), conversation }
  }

  function hubUrl({ encryptedSignature }: UpstreamConversation): string {
    if (!encryptedSignature) return chatUrl
    return `${chatUrl}${chatUrl.includes('?') ? '&' : '?'}${ACCESS_TOKEN_QUERY}=${encodeURIComponent(encryptedSignature)}`
  }

  function hubHeaders(): Record<string, string> {
    const cookie = account.cookieHeader(chatUrl)
    return { ...HUB_HEADERS, origin, ...(cookie === undefined ? {} : { cookie }) }
  }

  /** Row S1: who is throttled again after having waited waits twice as long. Calls in between get what is left. */
  function throttled(error: unknown): unknown {
    if (!(error instanceof UpstreamError) || error.row !== 'S1') return error
    const now = clock.now()
    if (now >= throttle.until) {
      const waitS = Math.min(THROTTLED_MAX_S, throttle.waitS * 2 || (error.retryAfter ?? 0))
      throttle = { waitS, until: now + waitS * 1000 }
    }
    return new UpstreamError('S1', {
      retryAfter: Math.max(1, Math.ceil((throttle.until - now) / 1000)),
      cause: error.cause
    })
  }

  return {
    async create(signal) {
      try {
        return await withRetries({ clock, signal, mayRepeat: () => !isClosed }, () => open(signal))
      } catch (error) {
        throw throttled(error)
      }
    },

    async ask(conversation, question, options) {
      const { signal, onRepeat } = options
      let current = conversation
      let hasText = false
      let needsFresh = question.inDoubt
      let isFresh = needsFresh || question.invocationId > 0
      let attempts = 0

      /** Counts every question on the wire; a fresh conversation is part of the attempt, so that rows keep one budget each. */
      async function attempt(): Promise<Answer> {
        attempts++
        if (needsFresh) {
          current = await open(signal)
          needsFresh = false
          await options.onConversation?.(current)
        }
        try {
          return await askOnce(current, question, options, () => {
            hasText = true
          })
        } catch (error) {
          const mayRenew = !isFresh && !hasText && !isClosed && !signal.aborted
          if (
            !mayRenew ||
            !(error instanceof UpstreamError) ||
            !NEEDS_FRESH_CONVERSATION.includes(error.row)
          ) {
            throw error
          }
          isFresh = true
          needsFresh = true
          onRepeat?.(error, attempts)
          return attempt()
        }
      }

      try {
        const mayRepeat = () => !hasText && !isClosed
        const repeated = (error: Error) => onRepeat?.(error, attempts)
        const answer = await withRetries({ clock, signal, mayRepeat, onRepeat: repeated }, attempt)
        throttle = { waitS: 0, until: 0 }
        return answer
      } catch (error) {
        throw throttled(error)
      }
    },

    async close() {
      isClosed = true
      for (const socket of sockets) socket.terminate()
      agent?.destroy()
    }
  }
}

/** Rows W7 to W9: the hub left before its final record. */
function closeFailure(
  end: { closed: number | undefined },
  hasText: boolean,
  question: Question
): UpstreamError {
  const cause = new Error(end.closed === undefined ? 'type 7 record' : `closed with ${end.closed}`)
  if (hasText) return new UpstreamError('W8', { cause })
  if (end.closed !== 1000) return new UpstreamError('W7', { cause })
  const isLong = question.contextChars + question.prompt.length > LONG_CONTEXT_CHARS
  return new UpstreamError(isLong ? 'W9-long' : 'W9', { cause })
}
