import { isBingHost } from '../bing-hosts.ts'
import { FULL_PICTURE_QUERY, FURNITURE, MEDIA_ALIAS_HOST, MEDIA_PATH } from '../image-creator/constants.ts'
import { POSTER_PARAMETERS, VIDEO_PID } from '../video-creator/constants.ts'
import { isLoopbackHost, onBase } from './own-url.ts'

/** Which addresses may be fetched or handed out as media. */
export interface MediaHosts {
  allows(url: URL): boolean
  /** The configured ones, with a slash at the end. */
  readonly bases: readonly URL[]
}

/**
 * bing.com with its subdomains and the `tse<N>.mm.bing.net` aliases, over https; and the given bases as they are,
 * which is what lets a simulator on loopback serve media over plain http.
 *
 * @param bases absolute URLs; one with a path allows only what lies below it. One on loopback stands for every name of
 *   this machine
 * @param options.anyLoopbackPort whether a base on loopback stands for all ports, too: a test upstream may serve its
 *   media from a server of its own. For addresses that are handed out, not for those that are fetched
 */
export function createMediaHosts(
  bases: readonly string[],
  { anyLoopbackPort = false }: { anyLoopbackPort?: boolean } = {}
): MediaHosts {
  const own = bases.map((base) => new URL(base.endsWith('/') ? base : `${base}/`))
  const local = anyLoopbackPort ? own.filter((base) => isLoopbackHost(base.hostname)) : []
  return {
    bases: own,
    allows(url) {
      if (url.username !== '' || url.password !== '') return false
      if (own.some((base) => onBase(url, base) !== undefined && url.pathname.startsWith(base.pathname)))
        return true
      if (isLoopbackHost(url.hostname)) return local.some((base) => base.protocol === url.protocol)
      return (
        url.protocol === 'https:' &&
        url.port === '' &&
        (isBingHost(url.hostname) || MEDIA_ALIAS_HOST.test(url.hostname))
      )
    }
  }
}

/**
 * Makes an address from a page absolute.
 * @param mediaUrl base of relative addresses
 */
function resolveMediaUrl(address: string, mediaUrl: string, hosts: MediaHosts): URL | undefined {
  if (address.startsWith('//')) {
    const plain = parsed(`http:${address}`)
    // Only a configured base is ever asked without TLS.
    return plain !== undefined && hosts.allows(plain) ? plain : parsed(`https:${address}`)
  }
  if (!address.startsWith('/')) return parsed(address)
  // An address may or may not repeat the path that a base has.
  const repeated = address.startsWith(MEDIA_PATH)
    ? undefined
    : hosts.bases.find(({ pathname }) => pathname !== '/' && address.startsWith(pathname))
  return parsed(`${repeated?.origin ?? trimSlash(mediaUrl)}${address}`)
}

function parsed(address: string): URL | undefined {
  return URL.canParse(address) ? new URL(address) : undefined
}

/**
 * The full-size address of a picture; docs/protocol/images.md section 6.1.
 * @param address as the page has it, entities decoded
 * @returns `undefined` for page furniture, error pictures and foreign hosts
 */
export function cleanPictureUrl(address: string, mediaUrl: string, hosts: MediaHosts): string | undefined {
  const url = resolveMediaUrl(unescapeJson(address).trim(), mediaUrl, hosts)
  if (url === undefined || !hosts.allows(url) || FURNITURE.test(url.pathname)) return undefined
  // Under /th/id/ at the top, or below the path of a configured base.
  const folder = ['', ...hosts.bases.map(({ pathname }) => trimSlash(pathname))]
    .map((prefix) => `${prefix}${MEDIA_PATH}`)
    .find((path) => url.pathname.startsWith(path))
  if (folder === undefined || url.pathname === folder) return undefined
  return `${url.origin}${url.pathname}?${FULL_PICTURE_QUERY}`
}

/** An address that a page gives for a video. */
export interface VideoUrl {
  url: string
  /** It is the address of the poster picture. */
  poster: boolean
  /** It says of itself that it is a video. */
  marked: boolean
}

/**
 * The address of a video; docs/protocol/video.md section 2.2.
 * @param address as the page has it, escapes and entities included
 * @returns `undefined` for foreign hosts
 */
export function cleanVideoUrl(address: string, mediaUrl: string, hosts: MediaHosts): VideoUrl | undefined {
  const plain = unescaped(address)
  const url = resolveMediaUrl(plain.startsWith(MEDIA_PATH.slice(1)) ? `/${plain}` : plain, mediaUrl, hosts)
  if (url === undefined || !(hosts.allows(url) || hosts.allows(withTls(url)))) return undefined
  const { searchParams } = url
  return {
    url: withoutAlias(url, mediaUrl),
    poster: POSTER_PARAMETERS.some((name) => searchParams.has(name)),
    marked: searchParams.get('pid') === VIDEO_PID
  }
}

/**
 * An address that Bing itself states to be the video's, whatever its host: it is handed out and never fetched.
 * docs/protocol/video.md section 2.2.
 */
export function statedVideoUrl(address: string, mediaUrl: string): string | undefined {
  const url = parsed(unescaped(address))
  return url && withoutAlias(url, mediaUrl)
}

function withoutAlias(url: URL, mediaUrl: string): string {
  return MEDIA_ALIAS_HOST.test(url.hostname) ? `${trimSlash(mediaUrl)}${url.pathname}${url.search}` : url.href
}

/** Bing's own hosts serve the same over https, so that their plain addresses are as good. */
function withTls(url: URL): URL {
  return url.protocol === 'http:' ? new URL(`https${url.href.slice('http'.length)}`) : url
}

function unescaped(address: string): string {
  // JSON escapes first: they may hide an entity.
  return decodeEntities(unescapeJson(address)).trim()
}

const ENTITIES: Record<string, string> = { amp: '&', quot: '"', apos: "'", lt: '<', gt: '>' }

/** Decodes the entities that occur in addresses. A full decoder would take `&para=` in a query for a pilcrow. */
export function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(amp|quot|apos|lt|gt));/gi,
    (entity, hex, decimal, name) => {
      if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? entity
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
      return code <= 0x10ffff ? String.fromCodePoint(code) : entity
    }
  )
}

/** Takes back the escapes that JSON, and pages that quote JSON, put into addresses. */
export function unescapeJson(text: string): string {
  return text
    .replaceAll('\\/', '/')
    .replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function trimSlash(base: string): string {
  return base.replace(/\/+$/, '')
}
