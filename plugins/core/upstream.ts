import fp from 'fastify-plugin'
import { type Account, createAccount } from '../../src/upstream/account.ts'
import { followCookies } from '../../src/upstream/cookie-source.ts'
import { type CopilotSession, openCopilotSession } from '../../src/upstream/copilot/session.ts'
import { createUpstreamHealth, type HealthAccount, type UpstreamHealth } from '../../src/upstream/health.ts'
import { createUpstreamHttp, type UpstreamHttp } from '../../src/upstream/http.ts'
import { keepCookies, keptCookiesFile } from '../../src/upstream/kept-cookies.ts'

declare module 'fastify' {
  interface FastifyInstance {
    upstream: Omit<UpstreamHealth, 'start' | 'close' | 'reset' | 'isWaiting'> & {
      account: Account
      http: UpstreamHttp
      /** The account at Copilot; only with CHAT_UPSTREAM=copilot. */
      copilot: Pick<CopilotSession, 'account' | 'http' | 'token'> | undefined
      /**
       * Reads the cookies again and closes all circuits: the operator says that what was wrong has been put right.
       * Changes of a cookie file are noticed without it.
       */
      reload(): void
    }
  }
}

/** The operator's account: its cookies (re-read when their file changes), the connections made with them, and how they are doing. */
export default fp(
  async (fastify) => {
    const { config, clock, log } = fastify
    const account = createAccount([config.BING_URL, config.BING_CHAT_URL])
    const connections = {
      proxy: { httpsProxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY },
      onExchange: (exchange: object) => log.debug(exchange, 'upstream exchange')
    }
    const http = createUpstreamHttp({ account, ...connections })
    // What is there from the start, nobody was waited for to bring.
    let isWaiting: UpstreamHealth['isWaiting'] = () => false
    const cookies = followCookies({
      account,
      file: ['BING_COOKIE_FILE', config.BING_COOKIE_FILE],
      text: ['BING_COOKIE_U', config.BING_COOKIE_U],
      log,
      isWaiting: () => isWaiting('bing')
    })
    if (!account.configured) {
      const { BING_COOKIE_FILE: file } = config
      log.warn({ file }, 'no _U cookie is set: every call to Bing will be refused with 401')
    }
    const copilot =
      config.CHAT_UPSTREAM === 'copilot'
        ? openCopilotSession({
            baseUrl: config.COPILOT_URL,
            cookieFile: config.COPILOT_COOKIE_FILE,
            token: config.COPILOT_ACCESS_TOKEN,
            tokenFile: config.COPILOT_ACCESS_TOKEN_FILE,
            log,
            isWaiting: () => isWaiting('copilot'),
            ...connections
          })
        : undefined

    // Of what Microsoft has set since they were imported.
    const kept = [
      { name: 'bing' as const, account },
      ...(copilot === undefined ? [] : [{ name: 'copilot' as const, account: copilot.account }])
    ].map(({ name, account }) =>
      keepCookies({ account, file: keptCookiesFile(config.DATA_DIR, name), clock, log })
    )

    const creators = ['image-creator', 'video-creator'] as const
    const accounts: HealthAccount[] =
      copilot === undefined
        ? [{ name: 'bing', account, upstreams: ['sydney', ...creators], provenByProbe: creators }]
        : [
            { name: 'copilot', account: copilot.account, upstreams: ['copilot'], provenByProbe: [] },
            { name: 'bing', account, upstreams: creators, provenByProbe: creators }
          ]
    const health = createUpstreamHealth({
      accounts,
      clock,
      log,
      checkEveryMs: config.SESSION_CHECK_MINUTES * 60_000
    })
    isWaiting = health.isWaiting
    fastify.decorate('upstream', {
      account,
      http,
      copilot,
      states: health.states,
      get circuits() {
        return health.circuits
      },
      observe: health.observe,
      refusal: health.refusal,
      isTrying: health.isTrying,
      onCall: health.onCall,
      onStateChange: health.onStateChange,
      onCircuitChange: health.onCircuitChange,
      probeWith: health.probeWith,
      reload() {
        cookies.reload()
        copilot?.reload()
        for (const { name } of accounts) health.reset(name)
      }
    })
    fastify.addHook('onReady', async () => health.start())
    fastify.addHook('preClose', async () => health.close())
    fastify.addHook('onClose', async () => {
      cookies.stop()
      await Promise.all([http.close(), copilot?.close()])
      for (const file of kept) await file.close()
    })
  },
  { name: 'upstream', dependencies: ['config'] }
)
