import { UpstreamError } from '../failures.ts'
import type { UpstreamHttp } from '../http.ts'
import { MEDIA_ALIAS_HOST, MEDIA_FALLBACK_BASE, PAGE_HEADERS } from '../image-creator/constants.ts'
import { refuseBadStatus } from '../page-verdict.ts'
import { createMediaHosts } from './media-url.ts'

/**
 * Bytes of one file that are read at most: it is held in memory until it is stored, four pictures of a creation at once.
 * Bing's pictures have up to a few megabytes, its videos some tens.
 */
const MAX_BYTES = { image: 32 * 1024 * 1024, video: 192 * 1024 * 1024 }
/** Redirects that one file may take. */
const MAX_REDIRECTS = 3

export interface Media {
  /** Safe to serve from the gateway's own origin: a bitmap picture or a film, never HTML or SVG. */
  contentType: string
  body: Buffer
}

export interface MediaClient {
  /**
   * Fetches a picture or a video. Free to repeat.
   * @param kind what is expected, which says how large it may be; default: the larger one
   * @throws {UpstreamError} T1–T11 | I25 of docs/protocol/failures.md, or the signal's reason
   */
  fetch(url: string, signal: AbortSignal, kind?: 'image' | 'video'): Promise<Media>
}

export interface MediaClientSettings {
  http: UpstreamHttp
  /** Bases that count as Bing's besides Bing's own: the configured upstream and media URLs. */
  allowedBases: readonly string[]
  /** Takes over for an alias host that answers 403; default Bing's own media host. */
  mediaUrl?: string
}

export function createMediaClient({
  http,
  allowedBases,
  mediaUrl = MEDIA_FALLBACK_BASE
}: MediaClientSettings): MediaClient {
  const hosts = createMediaHosts([...allowedBases, mediaUrl])

  function checked(address: string): URL {
    const url = URL.canParse(address) ? new URL(address) : undefined
    if (url !== undefined && hosts.allows(url)) return url
    throw new UpstreamError('T11', { cause: new Error('media address outside the allow-list') })
  }

  async function fetchOnce(address: string, maxBytes: number, signal: AbortSignal) {
    let url = checked(address)
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await http.bytes({ url: url.href, headers: MEDIA_HEADERS, maxBytes, signal })
      const { location } = answer.headers
      if (answer.status < 300 || answer.status > 399 || location === undefined) return answer
      url = checked(URL.canParse(location, url.href) ? new URL(location, url).href : location)
    }
    throw new UpstreamError('T5', { cause: new Error(`media: more than ${MAX_REDIRECTS} redirects`) })
  }

  return {
    async fetch(address, signal, kind = 'video') {
      const maxBytes = MAX_BYTES[kind]
      const asked = checked(address)
      let answer = await fetchOnce(address, maxBytes, signal)
      if (answer.status === 403 && MEDIA_ALIAS_HOST.test(asked.hostname)) {
        const base = mediaUrl.replace(/\/+$/, '')
        answer = await fetchOnce(`${base}${asked.pathname}${asked.search}`, maxBytes, signal)
      }
      const { status, headers, body } = answer
      if (status === 404 || status === 410) throw new UpstreamError('I25')
      if (status === 429 || status >= 500)
        refuseBadStatus({ status, headers, location: undefined, text: '', url: address })
      if (status !== 200) throw new UpstreamError('T11', { cause: new Error(`media: status ${status}`) })
      const contentType =
        typeOfBytes(body) ?? SAFE_TYPE.exec(headers['content-type'] ?? '')?.[0].toLowerCase()
      if (contentType === undefined) {
        const cause = new Error(`media: neither picture nor film, ${body.length} bytes`)
        throw new UpstreamError('T10', { cause })
      }
      return { contentType, body }
    }
  }
}

const MEDIA_HEADERS = { 'user-agent': PAGE_HEADERS['user-agent'], accept: 'image/*,video/*;q=0.9,*/*;q=0.5' }

/**
 * What is stored here is later served from the gateway's own origin, where a page or an SVG could run scripts; so only
 * these types are taken over from the header, and what the first bytes say goes before it.
 */
const SAFE_TYPE = /^(image\/(jpeg|png|gif|webp|avif)|video\/(mp4|webm))(?=\s*(;|$))/i

/** The type of a picture or film by its first bytes (WHATWG MIME Sniffing section 6). */
export function typeOfBytes(body: Buffer): string | undefined {
  const ascii = (from: number, to: number) => body.toString('latin1', from, to)
  if (ascii(0, 3) === '\xff\xd8\xff') return 'image/jpeg'
  if (ascii(0, 8) === '\x89PNG\r\n\x1a\n') return 'image/png'
  if (ascii(0, 4) === 'GIF8') return 'image/gif'
  if (ascii(0, 4) === 'RIFF' && ascii(8, 12) === 'WEBP') return 'image/webp'
  if (ascii(4, 8) === 'ftyp') return ascii(8, 12) === 'avif' ? 'image/avif' : 'video/mp4'
  if (ascii(0, 4) === '\x1a\x45\xdf\xa3') return 'video/webm'
  return undefined
}
