import { type Dispatcher, Pool } from 'undici'
import type { ProxySettings } from './http.ts'

const PORTS: Readonly<Record<string, number>> = { 'https:': 443, 'wss:': 443 }

/**
 * The proxy for a URL, for connections that don't go through UpstreamHttp (WebSockets). Same reading of `NO_PROXY`
 * as there: host names, their subdomains, `*`, and an optional port.
 * @returns `undefined` when the URL is reached directly: not TLS, no proxy set, or excepted
 */
export function proxyFor(url: string, { httpsProxy, noProxy = '' }: ProxySettings): string | undefined {
  const { protocol, hostname, port } = new URL(url)
  const defaultPort = PORTS[protocol]
  if (httpsProxy === undefined || defaultPort === undefined) return undefined
  const host = hostname.toLowerCase()
  const isExcepted = noProxy.split(/[,\s]+/).some((entry) => {
    if (entry === '*') return true
    const [, name = '', wantedPort] = /^(.+?)(?::(\d+))?$/.exec(entry) ?? []
    const wanted = name.toLowerCase().replace(/^\*?\./, '')
    if (wanted === '') return false
    if (wantedPort !== undefined && Number(wantedPort) !== (Number(port) || defaultPort)) return false
    return host === wanted || host.endsWith(`.${wanted}`)
  })
  return isExcepted ? undefined : httpsProxy
}

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'ETIMEDOUT'])

/** Code of an error: the proxy made no tunnel, so nobody behind it was reached. */
export const NO_TUNNEL = 'ERR_PROXY_TUNNEL'

/**
 * Connections to a proxy, for undici's ProxyAgent. Its own would connect again, at once and without end, to a proxy that
 * closes the connection instead of answering CONNECT. Whatever goes wrong up to that answer says nothing about the host
 * behind the proxy, and nothing was sent there.
 * @param options undici's, of the pool; `headersTimeout` is the time that the proxy has to answer CONNECT, in milliseconds
 * @throws (from `connect`) an error with the code `UND_ERR_CONNECT_TIMEOUT` or `NO_TUNNEL`, and no other
 */
export function tunnelClient(proxy: URL, options: object): Dispatcher {
  const pool = new Pool(proxy, options)
  const connect = pool.connect.bind(pool) as Dispatcher['connect']
  const tunnel = async (request: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> => {
    const made = await connect(request).catch((error: unknown) => {
      // Not as its cause: the code of one would be read as the host's behind the proxy.
      const { code = 'an unknown error' } = error as NodeJS.ErrnoException
      throw TIMEOUTS.has(code)
        ? Object.assign(new Error('the proxy did not answer in time'), { code: 'UND_ERR_CONNECT_TIMEOUT' })
        : noTunnel(`could not be used (${code})`)
    })
    if (made.statusCode === 200) return made
    made.socket.on('error', () => {}).destroy()
    throw noTunnel(`answered with ${made.statusCode}`)
  }
  return Object.assign(pool, { connect: tunnel })
}

function noTunnel(what: string): Error {
  return Object.assign(new Error(`the proxy ${what}`), { code: NO_TUNNEL })
}
