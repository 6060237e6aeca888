import fp from 'fastify-plugin'
import { type Account, createAccount } from '../../src/upstream/account.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'
import { createUpstreamHttp, type UpstreamHttp } from '../../src/upstream/http.ts'
import { readTextFile, watchTextFile } from '../../src/watched-file.ts'

/** Whether Bing took the cookie when it was last asked; `undefined` until it was asked with the present one. */
type Accepted = boolean | undefined

declare module 'fastify' {
  interface FastifyInstance {
    upstream: {
      account: Account
      http: UpstreamHttp
      readonly accepted: Accepted
      /** Passes a call through and notes what it says about the account's cookie. */
      observe<T>(call: Promise<T>): Promise<T>
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
    let accepted: Accepted

    function take(text: string, from: string): void {
      try {
        if (account.replace(text)) {
          accepted = undefined
          log.info({ from, configured: account.configured }, 'cookies loaded')
        }
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
      get accepted() {
        return accepted
      },
      async observe<T>(call: Promise<T>): Promise<T> {
        const { generation } = account
        const note = (value: boolean) => {
          if (account.generation === generation) accepted = value
        }
        try {
          const result = await call
          note(true)
          return result
        } catch (error) {
          if (error instanceof UpstreamError && error.code === 'cookie_expired') note(false)
          throw error
        }
      }
    })
    fastify.addHook('onClose', () => http.close())
  },
  { name: 'upstream', dependencies: ['config'] }
)
