import { randomUUID } from 'node:crypto'
import { HttpsProxyAgent } from 'https-proxy-agent'
import type { BaseLogger } from 'pino'
import type WebSocket from 'ws'
import { type Clock, systemClock } from '../../clock.ts'
import { deadline } from '../../jobs/deadline.ts'
import type { Answer, AskOptions, ChatClient, Question, UpstreamConversation } from '../chat-client.ts'
import { cookieNamed } from '../cookie-header.ts'
import { UpstreamError } from '../failures.ts'
import type { ProxySettings, UpstreamHttp } from '../http.ts'
import { proxyFor } from '../proxy.ts'
import { withRetries } from '../retry.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { CopilotAccount } from './account.ts'
import { createAnswerReducer } from './answer.ts'
import {
  API_VERSION_QUERY,
  CHAT_PATH,
  DEFAULT_MODE,
  IDENTITY_QUERY,
  MODES,
  SESSION_QUERY,
  SOCKET_HEADERS,
  TOKEN_QUERY,
  VISIT_COOKIE,
  VISIT_EVERY_MS,
  VISIT_HEADERS,
  VISIT_PATH,
  VISIT_TIMEOUT_MS
} from './constants.ts'
import { lookAtAccount } from './look.ts'
import type { SiteSettings } from './site.ts'
import { type CopilotConversation, startConversation } from './start.ts'
import { runTurn, TURN_DEADLINES, type TurnDeadlines } from './turn.ts'

export interface CopilotClientSettings {
  /** The site, e.g. `https://copilot.microsoft.com`; its socket has the same host (`http` becomes `ws`). */
  baseUrl: string
  account: CopilotAccount
  /** With the cookies of that account. */
  http: UpstreamHttp
  /** Send the token with HTTP calls, too. Sources disagree on whether that is right (section 2.1). */
  tokenOnHttp?: boolean
  /** Kind of a federated account, e.g. `google`. */
  identityType?: string | undefined
  /** For the socket; `http` has its own. */
  proxy?: ProxySettings
  clock?: Clock
  /** Deadlines other than those of constants.ts. The deadline of a whole call comes with its signal. */
  deadlines?: Partial<TurnDeadlines>
  /** Told the name of each event that this version doesn't know. */
  onUnknown?: (name: string) => void
  /** For who looks where a call ends: nothing is repeated, so that the first trouble is what is thrown. */
  diagnosis?: { onUpgraded(): void }
  log?: Pick<BaseLogger, 'debug'>
}

export interface CopilotClient extends ChatClient {
  /** Looks at how the account stands, without a conversation. @throws {UpstreamError} as `lookAtAccount` */
  check(signal: AbortSignal): Promise<void>
}

/**
 * Chat over copilot.microsoft.com. One socket per turn; what was said before lies at Microsoft's. No challenge is
 * answered: row P9.
 * @see docs/protocol/chat-copilot.md
 */
export function createCopilotClient(settings: CopilotClientSettings): CopilotClient {
  const { account, http, proxy = {}, clock = systemClock, diagnosis } = settings
  const baseUrl = settings.baseUrl.replace(/\/+$/, '')
  const socketBase = baseUrl.replace(/^http/, 'ws')
  const deadlines: TurnDeadlines = { ...TURN_DEADLINES, ...settings.deadlines }
  const proxyUrl = proxyFor(socketBase, proxy)
  const agent = proxyUrl === undefined ? undefined : new HttpsProxyAgent(proxyUrl)
  const sockets = new Set<WebSocket>()
  let isClosed = false
  const closing = new AbortController()
  /** The last visit of the start page: with which cookies, when, and whether it is over. */
  let visit = { generation: -1, at: 0, ended: Promise.resolve() }

  /**
   * Fetches the site's start page where Cloudflare's cookie is missing, as a browser does before anything else. Once for
   * all who wait for it. The start call tells what is wrong, so a failure here is none.
   */
  async function visited(signal: AbortSignal): Promise<void> {
    const now = clock.now()
    const isRecent = visit.generation === account.generation && now - visit.at < VISIT_EVERY_MS
    if (!isRecent && cookieNamed(account.cookieHeader(baseUrl), VISIT_COOKIE) === undefined)
      visit = { generation: account.generation, at: now, ended: fetchStartPage() }
    await unlessAborted(visit.ended, signal)
  }

  async function fetchStartPage(): Promise<void> {
    const limit = deadline(clock, VISIT_TIMEOUT_MS, () => new UpstreamError('T4'), closing.signal)
    try {
      await http.request({ url: `${baseUrl}${VISIT_PATH}`, headers: VISIT_HEADERS, signal: limit.signal })
    } catch (error) {
      settings.log?.debug({ err: error }, 'start page not visited')
    } finally {
      limit.clear()
    }
  }

  async function open(signal: AbortSignal): Promise<CopilotConversation> {
    await visited(signal)
    return startConversation({ ...site(signal), now: () => clock.now() })
  }

  /** What all HTTP calls have in common. */
  function site(signal: AbortSignal): SiteSettings {
    const bearer = settings.tokenOnHttp === true ? account.token() : undefined
    return { http, baseUrl, bearer, identityType: settings.identityType, signal }
  }

  function socketUrl(): string {
    const url = new URL(`${socketBase}${CHAT_PATH}`)
    const token = account.token()
    url.searchParams.set(API_VERSION_QUERY.name, API_VERSION_QUERY.value)
    url.searchParams.set(SESSION_QUERY, randomUUID())
    if (token !== undefined) url.searchParams.set(TOKEN_QUERY, token)
    if (settings.identityType !== undefined) url.searchParams.set(IDENTITY_QUERY, settings.identityType)
    return url.href
  }

  function socketHeaders(): Record<string, string> {
    const cookie = account.cookieHeader(baseUrl)
    return {
      ...SOCKET_HEADERS,
      origin: new URL(baseUrl).origin,
      ...(cookie === undefined ? {} : { cookie })
    }
  }

  /** Asks once. */
  async function askOnce(
    { conversationId }: UpstreamConversation,
    { prompt, tone }: Question,
    { signal, onText, onFirstText, onAsked }: AskOptions,
    { onTaken, onEarly }: { onTaken: () => void; onEarly: (isEarly: boolean) => void }
  ): Promise<Omit<Answer, 'conversation'>> {
    const { generation } = account
    let hasText = false
    const reducer = createAnswerReducer({
      baseUrl: `${baseUrl}/`,
      now: () => clock.now(),
      onText(change) {
        if (!hasText) onFirstText?.()
        hasText = true
        onText?.(change)
      },
      onUnknown: settings.onUnknown
    })
    try {
      await runTurn({
        url: socketUrl(),
        hasToken: account.token() !== undefined,
        headers: socketHeaders(),
        agent,
        question: {
          event: 'send',
          conversationId,
          content: [{ type: 'text', text: prompt }],
          mode: tone === undefined ? DEFAULT_MODE : MODES[tone],
          context: {}
        },
        reducer,
        clock,
        deadlines,
        signal,
        sockets,
        onUpgraded: diagnosis?.onUpgraded,
        onAsked(isEarly) {
          onEarly(isEarly)
          onAsked?.()
        },
        onCookies(setCookie) {
          // An answer to the old cookies must not overwrite those that replaced them meanwhile.
          if (account.generation === generation) account.keep(baseUrl, setCookie)
        }
      })
    } finally {
      if (reducer.isTaken) onTaken()
    }
    return reducer.finish()
  }

  return {
    create: (signal) =>
      withRetries({ clock, signal, mayRepeat: () => !isClosed && diagnosis === undefined }, () =>
        open(signal)
      ),

    check: (signal) =>
      withRetries({ clock, signal, mayRepeat: () => !isClosed }, async () => {
        // Without the cookie of a visit Cloudflare may refuse what it lets a browser do.
        await visited(signal)
        const hasToken = account.token() !== undefined
        await lookAtAccount(site(signal), { hasCookies: account.hasCookies, hasToken })
      }),

    async ask(conversation, question, options) {
      const { signal, onRepeat, admitRepeat: admit } = options
      let current = conversation
      let needsFresh = question.inDoubt
      let isTaken = false
      let wasEarly = false
      // What Copilot has taken is not sent again; nor what it doesn't understand, unless our impatience was the reason.
      const mayRepeat = ({ row }: UpstreamError) =>
        !isTaken && !isClosed && diagnosis === undefined && (row !== 'P10' || wasEarly)
      const answer = await withRetries({ clock, signal, mayRepeat, onRepeat, admit }, async () => {
        if (needsFresh) {
          current = await open(signal)
          needsFresh = false
          await options.onConversation?.(current)
        }
        return askOnce(current, question, options, {
          onTaken() {
            isTaken = true
          },
          onEarly(isEarly) {
            wasEarly = isEarly
          }
        })
      })
      return { ...answer, conversation: current }
    },

    async close() {
      isClosed = true
      closing.abort()
      for (const socket of sockets) socket.terminate()
      agent?.destroy()
    }
  }
}
