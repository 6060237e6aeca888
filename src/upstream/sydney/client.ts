import { HttpsProxyAgent } from 'https-proxy-agent'
import type { BaseLogger } from 'pino'
import { type Clock, systemClock } from '../../clock.ts'
import type { Account } from '../account.ts'
import type { Answer, AskOptions, ChatClient, Question, UpstreamConversation } from '../chat-client.ts'
import { type FailureId, UpstreamError } from '../failures.ts'
import type { ProxySettings, UpstreamHttp } from '../http.ts'
import { proxyFor } from '../proxy.ts'
import { withRetries } from '../retry.ts'
import { createAnswerReducer } from './answer.ts'
import {
  ACCESS_TOKEN_QUERY,
  HUB_HEADERS,
  LONG_CONTEXT_CHARS,
  THROTTLED_MAX_S,
  WARM_AFTER_MS
} from './constants.ts'
import { createConversation } from './create.ts'
import { HUB_DEADLINES, type HubDeadlines } from './hub-deadlines.ts'
import { createHubLines } from './hub-lines.ts'
import { type HubListener, type HubSocket, openHubSocket } from './hub-socket.ts'
import { type HubEnd, type HubTurn, runHubTurn, StaleSocket } from './hub-turn.ts'
import { buildQuestion } from './question.ts'
import { createWarmSockets, WARM_LIMITS, type WarmLimits } from './warm-sockets.ts'

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
  /** Limits of the sockets that are opened ahead of their turn, other than those of constants.ts. */
  warm?: Partial<WarmLimits>
  /** For who looks where a call ends: nothing is repeated, so that the first trouble is what is thrown. */
  diagnosis?: HubDiagnosis
  /** Told of each kind of message that this version does not know, once a turn. */
  onUnknown?: (kind: string) => void
  /** For what happens in the background. */
  log?: Pick<BaseLogger, 'debug'>
}

/** Told how far a turn has come. */
export interface HubDiagnosis {
  onUpgraded(): void
  /** Told of each record of a turn. */
  onRecord(): void
}

/** Listens until a turn does, which is at once. */
const NOBODY: HubListener = { onReady() {}, onRecord() {}, onOver() {} }

/** Rows after which a first question may go to a fresh conversation, because this one is dead and held nothing. */
const NEEDS_FRESH_CONVERSATION: readonly FailureId[] = ['W1', 'S3', 'S4']

/**
 * Chat over the hub that served Bing Chat until the end of 2024. One socket per turn, mostly opened before it; state
 * is in the conversation.
 * @see docs/protocol/chat-sydney.md
 */
export function createSydneyClient(settings: SydneyClientSettings): ChatClient {
  const { bingUrl, chatUrl, account, http, proxy = {}, clock = systemClock, diagnosis } = settings
  const deadlines: HubDeadlines = { ...HUB_DEADLINES, ...settings.deadlines }
  const proxyUrl = proxyFor(chatUrl, proxy)
  const agent = proxyUrl === undefined ? undefined : new HttpsProxyAgent(proxyUrl)
  const origin = new URL(bingUrl).origin
  const lines = createHubLines(chatUrl)
  const sockets = new Set<HubSocket>()
  const limits: WarmLimits = { ...WARM_LIMITS, ...settings.warm }
  const warm = createWarmSockets({ open: openSocket, sharedUrl: chatUrl, limits, clock, log: settings.log })
  const stopWatching = account.onReplaced(warm.empty)
  let isClosed = false
  /** Whether conversations have lately come with a token, so that each needs a socket of its own. */
  let isBound = false
  /** Row S1: seconds to wait after the last throttled call, and when they are over (milliseconds since the epoch). */
  let throttle = { waitS: 0, until: 0 }

  async function open(signal: AbortSignal): Promise<UpstreamConversation> {
    if (!account.configured) throw new UpstreamError('C1')
    return createConversation(http, bingUrl, signal)
  }

  /** Asks once. @param mayUseWarm a repeat goes over a new socket, so that what is wrong shows itself */
  async function askOnce(
    conversation: UpstreamConversation,
    question: Question,
    { signal, onText, onAsked }: AskOptions,
    onFirstText: () => void,
    mayUseWarm: boolean
  ): Promise<Answer> {
    if (!account.configured) throw new UpstreamError('C1')
    const reducer = createAnswerReducer(question.invocationId, onText, settings.onUnknown)
    const url = hubUrl(conversation)
    let cancelOpening: (() => void) | undefined
    const turn: HubTurn = {
      question: buildQuestion(conversation, question, clock.now()),
      deadlines,
      clock,
      signal,
      onAsked,
      onRecord(record) {
        diagnosis?.onRecord()
        const isOver = reducer.take(record)
        if (reducer.hasText) onFirstText()
        cancelOpening ??= clock.timer(WARM_AFTER_MS, () => warm.goesOn(url))
        return isOver
      }
    }
    let how: Parameters<typeof warm.end>[1] = 'failed'
    const kept = warm.begin(url, mayUseWarm)
    try {
      let end: HubEnd
      try {
        end = await runTurn(url, turn, kept)
      } catch (error) {
        // The upstream had said what it had to say and then fell silent.
        if (error instanceof UpstreamError && error.row === 'W10' && reducer.isDecided) end = 'done'
        else throw error
      }
      if (end !== 'done' && !reducer.isDecided) throw closeFailure(end, reducer.hasText, question)
      const answer = reducer.finish()
      how = answer.ended ? 'over' : 'well'
      return { ...answer, conversation }
    } finally {
      cancelOpening?.()
      warm.end(url, how)
    }
  }

  /** @param kept socket that was opened ahead; when it is dead before the question left, a new one takes its place */
  async function runTurn(url: string, turn: HubTurn, kept: HubSocket | undefined): Promise<HubEnd> {
    if (kept !== undefined) {
      try {
        return await runHubTurn(kept, turn)
      } catch (error) {
        if (!(error instanceof StaleSocket) || error.wasAsked || isClosed) throw error
      }
    }
    turn.signal.throwIfAborted()
    return runHubTurn(openSocket(url, NOBODY), turn)
  }

  function openSocket(url: string, listener: HubListener): HubSocket {
    const onUpgraded = diagnosis?.onUpgraded
    return openHubSocket(
      { url, headers: hubHeaders(), agent, lines, clock, deadlines, sockets, onUpgraded },
      listener
    )
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
      // Where the next step will be an upgrade, its connection is made while Bing thinks about the conversation.
      const release = isBound && agent === undefined && limits.sockets > 0 ? lines.ahead() : undefined
      try {
        const conversation = await withRetries(
          { clock, signal, mayRepeat: () => !isClosed && diagnosis === undefined },
          () => open(signal)
        )
        const url = hubUrl(conversation)
        isBound = url !== chatUrl
        warm.started(url)
        return conversation
      } catch (error) {
        throw throttled(error)
      } finally {
        release?.()
      }
    },

    async ask(conversation, question, options) {
      const { signal, onRepeat } = options
      let current = conversation
      let hasText = false
      let needsFresh = question.inDoubt
      let isFresh = needsFresh || question.invocationId > 0
      let attempts = 0
      let isStaleRepeated = false

      /** Counts every question on the wire; a fresh conversation is part of the attempt, so that rows keep one budget each. */
      async function attempt(): Promise<Answer> {
        attempts++
        if (needsFresh) {
          current = await open(signal)
          needsFresh = false
          await options.onConversation?.(current)
        }
        try {
          const onFirstText = () => {
            if (!hasText) options.onFirstText?.()
            hasText = true
          }
          return await askOnce(current, question, options, onFirstText, attempts === 1)
        } catch (error) {
          // Nothing of an answer has come, so the question may go once more. There is nothing to wait for: not the hub
          // was in trouble, but a connection to it.
          if (error instanceof StaleSocket && !isClosed && !signal.aborted) {
            isStaleRepeated = true
            onRepeat?.(error, attempts)
            return attempt()
          }
          const mayRenew = !isFresh && !hasText && !isClosed && !signal.aborted && diagnosis === undefined
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
        // It was row W7's only repeat.
        const mayRepeat = ({ row }: UpstreamError) =>
          !hasText && !isClosed && !(isStaleRepeated && row === 'W7') && diagnosis === undefined
        const repeated = (error: Error) => onRepeat?.(error, attempts)
        const answer = await withRetries({ clock, signal, mayRepeat, onRepeat: repeated }, attempt)
        throttle = { waitS: 0, until: 0 }
        return answer
      } catch (error) {
        throw throttled(error)
      }
    },

    get idleSockets() {
      return warm.size
    },

    async close() {
      isClosed = true
      stopWatching()
      warm.close()
      for (const socket of sockets) socket.cut()
      lines.close()
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
