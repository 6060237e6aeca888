import { isBingHost } from '../bing-hosts.ts'

/** Whether a URL's host is this machine, under any of its names. */
export function isLoopbackHost(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(hostname)
}

/**
 * A URL as one below a configured base: on the base's origin, or, for a base on loopback, on another name of this
 * machine with the base's port. Such a name is replaced by the base's own, to which the cookies belong.
 * @returns `undefined` for a URL elsewhere
 */
export function onBase(url: URL, base: URL): URL | undefined {
  if (url.origin === base.origin) return url
  const alias =
    url.protocol === base.protocol &&
    url.port === base.port &&
    isLoopbackHost(url.hostname) &&
    isLoopbackHost(base.hostname)
  if (!alias) return undefined
  const own = new URL(url)
  own.hostname = base.hostname
  return own
}

/** An absolute URL that stays with the configured base, or with Bing over https; `undefined` for any other. */
export function ownUrl(address: string, base: string): string | undefined {
  const url = new URL(address)
  const own = onBase(url, new URL(base))
  if (own !== undefined) return own.href
  return url.protocol === 'https:' && isBingHost(url.hostname) ? url.href : undefined
}
