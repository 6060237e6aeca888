import fp from 'fastify-plugin'
import { type Account, createAccount } from '../../src/upstream/account.ts'
import { createUpstreamHttp, type UpstreamHttp } from '../../src/upstream/http.ts'
import {
  createSessionState,
  type SessionState,
  UPSTREAM_NAMES,
  type UpstreamName
} from '../../src/upstream/session-state.ts'
import { readTextFile, watchTextFile } from '../../src/watched-file.ts'

declare module 'fastify' {
  interface FastifyInstance {
    upstream: {
      account: Account
      http: UpstreamHttp
      /** How each upstream stands, in a fixed order. */
      states: readonly SessionState[]
      /** Passes a call through and takes note of how it ended. */
      observe<T>(name: UpstreamName, call: Promise<T>): Promise<T>
    }
  }
}

/** The operator's account: its cookies (re-read when their file changes) and the connections made with them. */
export default fp(
  async (fastify) => {
    const { config, log } = fastify
    const account = createAccount([config.BING_URL, config.BING_CHAT_URL])
    const http = createUpstreamHttp({
      account,
      proxy: { httpsProxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY },
      onExchange: (exchange) => log.debug(exchange, 'upstream exchange')
    })
    const states = Object.fromEntries(
      UPSTREAM_NAMES.map((name) => [name, createSessionState(name, fastify.clock, () => account.configured)])
    ) as Record<UpstreamName, SessionState>
    account.onReplaced(() => {
      for (const state of Object.values(states)) state.reset()
    })

    function take(text: string, from: string): void {
      try {
        if (account.replace(text)) log.info({ from, configured: account.configured }, 'cookies loaded')
      } catch (error) {
        log.error({ err: error, from }, 'cookies could not be read; the old ones stay')
      }
    }

    const file = config.BING_COOKIE_FILE
    if (file === undefined) {
      if (config.BING_COOKIE_U !== undefined) take(config.BING_COOKIE_U, 'BING_COOKIE_U')
    } else {
      const onContent = (content: ReturnType<typeof readTextFile>) => {
        if ('text' in content) take(content.text, 'BING_COOKIE_FILE')
        else
          log.error(
            { err: content.error, from: 'BING_COOKIE_FILE' },
            'cookies could not be read; the old ones stay'
          )
      }
      onContent(readTextFile(file))
      const stop = watchTextFile(file, onContent)
      fastify.addHook('onClose', async () => stop())
    }
    if (!account.configured) log.warn('no _U cookie is set: every call to Bing will be refused with 401')

    fastify.decorate('upstream', {
      account,
      http,
      states: Object.values(states),
      async observe<T>(name: UpstreamName, call: Promise<T>): Promise<T> {
        const { generation } = account
        // What an answer to the old cookies says doesn't hold for those that replaced them meanwhile.
        const note = (error?: unknown) => {
          if (account.generation === generation) states[name].note(error)
        }
        try {
          const result = await call
          note()
          return result
        } catch (error) {
          note(error)
          throw error
        }
      }
    })
    fastify.addHook('onClose', () => http.close())
  },
  { name: 'upstream', dependencies: ['config'] }
)
