import { isBingHost } from '../bing-hosts.ts'
import { FULL_PICTURE_QUERY, FURNITURE, MEDIA_ALIAS_HOST, MEDIA_PATH } from '../image-creator/constants.ts'
import { POSTER_PARAMETERS, VIDEO_PID } from '../video-creator/constants.ts'

/** Which addresses may be fetched or handed out as media. */
export interface MediaHosts {
  allows(url: URL): boolean
}

/**
 * bing.com with its subdomains and the `tse<N>.mm.bing.net` aliases, over https; and the given bases as they are,
 * which is what lets a simulator on loopback serve media over plain http.
 *
 * @param bases absolute URLs; one with a path allows only what lies below it
 */
export function createMediaHosts(bases: readonly string[]): MediaHosts {
  const own = bases.map((base) => new URL(base.endsWith('/') ? base : `${base}/`))
  return {
    allows(url) {
      if (url.username !== '' || url.password !== '') return false
      if (own.some((base) => url.origin === base.origin && url.pathname.startsWith(base.pathname)))
        return true
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
export function resolveMediaUrl(address: string, mediaUrl: string): URL | undefined {
  const relative = address.startsWith('/') && !address.startsWith('//')
  const absolute = relative ? `${trimSlash(mediaUrl)}${address}` : address.replace(/^\/\//, 'https://')
  return URL.canParse(absolute) ? new URL(absolute) : undefined
}

/**
 * The full-size address of a picture; docs/protocol/images.md section 6.1.
 * @param address as the page has it, entities decoded
 * @returns `undefined` for page furniture, error pictures and foreign hosts
 */
export function cleanPictureUrl(address: string, mediaUrl: string, hosts: MediaHosts): string | undefined {
  const url = resolveMediaUrl(unescapeJson(address), mediaUrl)
  if (url === undefined || !hosts.allows(url)) return undefined
  const name = url.pathname.split(MEDIA_PATH)[1]
  if (name === undefined || name === '' || FURNITURE.test(url.pathname)) return undefined
  // Under /th/id/ at the top, or below the path of a configured base.
  if (!url.pathname.startsWith(MEDIA_PATH) && !url.href.startsWith(`${trimSlash(mediaUrl)}${MEDIA_PATH}`))
    return undefined
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
  // JSON escapes first: they may hide an entity.
  const url = resolveMediaUrl(decodeEntities(unescapeJson(address)).trim(), mediaUrl)
  if (url === undefined || !hosts.allows(url)) return undefined
  const { searchParams } = url
  return {
    url: MEDIA_ALIAS_HOST.test(url.hostname)
      ? `${trimSlash(mediaUrl)}${url.pathname}${url.search}`
      : url.href,
    poster: POSTER_PARAMETERS.some((name) => searchParams.has(name)),
    marked: searchParams.get('pid') === VIDEO_PID
  }
}

const ENTITIES: Record<string, string> = { amp: '&', quot: '"', apos: "'", lt: '<', gt: '>' }

/** Decodes the entities that occur in addresses. A full decoder would take `&para=` in a query for a pilcrow. */
function decodeEntities(text: string): string {
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
