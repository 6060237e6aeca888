import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect, isIP, type Socket } from 'node:net'
import { connect as secure } from 'node:tls'
import type { ProxySettings } from '../upstream/http.ts'
import { proxyFor } from '../upstream/proxy.ts'
import { wordsOf } from './explain.ts'
import type { Finding } from './report.ts'

type Stage = 'name' | 'connection' | 'proxy' | 'TLS'

/** Where a way to a server ended. */
class NoWay extends Error {
  readonly stage: Stage
  readonly hint: string
  constructor(stage: Stage, what: string, hint: string) {
    super(what)
    this.stage = stage
    this.hint = hint
  }
}

/**
 * Goes the way to a server and back: name, TCP, TLS, or a proxy's tunnel. Nothing is asked of the server.
 * @param setting the setting that names the URL, for the hints
 */
export async function reach(
  url: string,
  setting: string,
  proxy: ProxySettings,
  signal: AbortSignal
): Promise<Finding> {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const isSecure = protocol === 'https:' || protocol === 'wss:'
  const at = { host, port: Number(port) || (isSecure ? 443 : 80) }
  const proxyUrl = proxyFor(url, proxy)
  const done: string[] = []
  const sockets: Socket[] = []
  const stop = () => {
    for (const socket of sockets) socket.destroy()
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    let socket: Socket
    if (proxyUrl === undefined) {
      done.push(await named(at.host, setting))
      socket = await connected(at, setting, signal, sockets)
      done.push('TCP connected')
    } else {
      socket = await tunnelled(new URL(proxyUrl), at, signal, sockets)
      done.push('tunnel of HTTPS_PROXY open')
    }
    if (isSecure) done.push(await encrypted(socket, at.host, signal, sockets))
    return { ok: true, detail: `${at.host}:${at.port}: ${done.join(', ')}.` }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof NoWay)) throw error
    const before = done.length === 0 ? '' : ` (before that: ${done.join(', ')})`
    return {
      ok: false,
      detail: `${at.host}:${at.port}: ${error.stage}: ${error.message}${before}.`,
      hint: error.hint
    }
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

async function named(host: string, setting: string): Promise<string> {
  if (isIP(host)) return 'no name to look up'
  try {
    const addresses = await lookup(host, { all: true })
    return `name found (${addresses.length} ${addresses.length === 1 ? 'address' : 'addresses'})`
  } catch (error) {
    throw new NoWay(
      'name',
      wordsOf(error),
      setting === 'BING_CHAT_URL'
        ? 'The chat hub has no address any more, or the DNS of this machine does not work. If other names are found, set CHAT_UPSTREAM=copilot: Microsoft moved the chat there.'
        : `The DNS of this machine does not find the name. Check ${setting}, /etc/resolv.conf, and HTTPS_PROXY where only a proxy reaches the outside.`
    )
  }
}

function connected(
  at: { host: string; port: number },
  setting: string,
  signal: AbortSignal,
  sockets: Socket[]
): Promise<Socket> {
  return settled(signal, (resolve, reject) => {
    const socket = connect(at)
    sockets.push(socket)
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new NoWay(
          'connection',
          codesOf(error),
          /REFUSED/.test(codesOf(error))
            ? `Nothing listens there. Check host and port of ${setting}.`
            : `A firewall is in the way, or only a proxy reaches the outside: check HTTPS_PROXY and ${setting}.`
        )
      )
    )
  })
}

/** RFC 9110 section 9.3.6: a proxy answers CONNECT with 2xx and passes bytes on from then. */
function tunnelled(
  proxy: URL,
  at: { host: string; port: number },
  signal: AbortSignal,
  sockets: Socket[]
): Promise<Socket> {
  const authority = `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  const authorization = proxy.username === '' ? {} : { 'proxy-authorization': `Basic ${btoa(user)}` }
  return settled(signal, (resolve, reject) => {
    const ask = (proxy.protocol === 'https:' ? secureRequest : request)({
      host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, ...authorization },
      agent: false
    })
    ask.once('connect', ({ statusCode = 0 }, socket) => {
      sockets.push(socket as Socket)
      if (statusCode >= 200 && statusCode < 300) return resolve(socket as Socket)
      const hint =
        statusCode === 407
          ? 'HTTPS_PROXY needs the right user name and password.'
          : 'The proxy of HTTPS_PROXY does not let this through; NO_PROXY names hosts that are reached without it.'
      reject(new NoWay('proxy', `CONNECT answered with ${statusCode}`, hint))
    })
    ask.once('socket', (socket) => sockets.push(socket))
    ask.once('error', (error) =>
      reject(new NoWay('proxy', codesOf(error), 'The proxy of HTTPS_PROXY can not be reached.'))
    )
    ask.end()
  })
}

function encrypted(socket: Socket, host: string, signal: AbortSignal, sockets: Socket[]): Promise<string> {
  return settled(signal, (resolve, reject) => {
    const tls = secure({ socket, ...(isIP(host) ? { host } : { servername: host, host }) })
    sockets.push(tls)
    tls.once('secureConnect', () => resolve(`${tls.getProtocol() ?? 'TLS'} agreed`))
    const fail = (what: string) =>
      reject(
        new NoWay(
          'TLS',
          what,
          /RESET|EPIPE|closed/.test(what)
            ? 'The connection is cut while it is encrypted, as firewalls and blocked regions do it. Try another network, or HTTPS_PROXY.'
            : /^ERR_SSL/.test(what)
              ? 'What answers there does not speak TLS: check the address and its port (http or https).'
              : 'The certificate is not trusted: something between here and Microsoft opens TLS (then NODE_EXTRA_CA_CERTS names its authority), or the clock of this machine is wrong.'
        )
      )
    tls.once('error', (error) => fail(codesOf(error)))
    tls.once('close', () => fail('closed'))
  })
}

/** Several addresses fail with one error each, inside one that has no code. */
function codesOf(error: Error): string {
  const inner = error instanceof AggregateError ? error.errors : [error]
  return [...new Set(inner.map(wordsOf))].join(', ')
}

function settled<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, reject: (error: Error) => void) => void
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    start(resolve, reject)
  })
}
