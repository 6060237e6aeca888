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
