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

/** Code of an error: the proxy made no tunnel, so nobody behind it was reached. */
export const NO_TUNNEL = 'ERR_PROXY_TUNNEL'

/**
 * Connections to a proxy, for undici's ProxyAgent. Its own would connect again, at once and without end, to a proxy that
 * closes the connection instead of answering CONNECT.
 */
export function tunnelClient(proxy: URL, options: object): Dispatcher {
  const pool = new Pool(proxy, options)
  const connect = pool.connect.bind(pool) as Dispatcher['connect']
  const tunnel = async (request: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> => {
    const made = await connect(request).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'UND_ERR_SOCKET') throw error
      throw noTunnel('closed the connection')
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
