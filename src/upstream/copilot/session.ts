import type { BaseLogger } from 'pino'
import { followCookies } from '../cookie-source.ts'
import { createUpstreamHttp, type UpstreamHttp, type UpstreamHttpSettings } from '../http.ts'
import { type CopilotAccount, createCopilotAccount } from './account.ts'

export interface CopilotSessionSettings extends Pick<UpstreamHttpSettings, 'proxy' | 'onExchange'> {
  /** COPILOT_URL */
  baseUrl: string
  cookieFile: string | undefined
  token: string | undefined
  /** Wins over `token`. */
  tokenFile: string | undefined
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Whether Microsoft waits for a person to do something about this account. */
  isWaiting(): boolean
}

/** The operator's account at Copilot as it is configured, and the connections made with it. */
export interface CopilotSession {
  readonly account: CopilotAccount
  readonly http: UpstreamHttp
  /** The access token, where there is one. */
  token(): string | undefined
  /** Reads the files again, as an operator may ask for. */
  reload(): void
  close(): Promise<void>
}

/** Cookies and token are read now, and again within 2 s of a change of their files. */
export function openCopilotSession({
  baseUrl,
  cookieFile,
  token,
  tokenFile,
  log,
  isWaiting,
  ...connections
}: CopilotSessionSettings): CopilotSession {
  const account = createCopilotAccount(baseUrl)
  const http = createUpstreamHttp({ account, ...connections })
  const sources = [
    followCookies({ account, file: ['COPILOT_COOKIE_FILE', cookieFile], log, isWaiting }),
    followCookies({
      account: {
        get configured() {
          return account.configured
        },
        replace: account.replaceToken
      },
      file: ['COPILOT_ACCESS_TOKEN_FILE', tokenFile],
      text: ['COPILOT_ACCESS_TOKEN', token],
      what: 'access token',
      log,
      isWaiting
    })
  ]
  if (!account.configured)
    log.warn(
      'neither cookies of copilot.microsoft.com nor an access token are set: Copilot is asked as an anonymous visitor, whom it mostly refuses'
    )
  return {
    account,
    http,
    token: account.token,
    reload() {
      for (const source of sources) source.reload()
    },
    async close() {
      for (const source of sources) source.stop()
      await http.close()
    }
  }
}
