import type { UpstreamHttp } from '../upstream/http.ts'
import { looksLikeHtml } from '../upstream/page-verdict.ts'

/** What an answer of the upstream looked like: enough to compare it with docs/protocol, and nothing of its content. */
export interface WireAnswer {
  status: number
  /** Names only, in lower case. */
  headers: string[]
  /** Kind and length; of JSON the keys with the kinds and lengths of their values. */
  body: string
  /** Where a redirect leads: host and path. */
  location?: string
}

/** The gateway's own HTTP client, watched. */
export interface Wire {
  http: UpstreamHttp
  /** The last answer since `forget`. */
  readonly last: WireAnswer | undefined
  /** Its text, for the protocols' own parsers; it goes nowhere else. */
  readonly text: string
  /** The upstream's clock as its last `Date` header told it, beside ours: milliseconds since the epoch. */
  readonly date: { theirs: number; ours: number; waitedMs: number } | undefined
  forget(): void
}

/** @param now our clock */
export function watchWire(http: UpstreamHttp, now: () => number): Wire {
  let last: WireAnswer | undefined
  let text = ''
  let date: Wire['date']

  function see(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string,
    location: string | undefined,
    startedAt: number
  ): void {
    last = {
      status,
      headers: Object.keys(headers).slice(0, MOST_NAMES).map(nameOf),
      body,
      ...(location === undefined ? {} : { location: placeOf(location) })
    }
    const theirs = Date.parse(headers.date ?? '')
    if (!Number.isNaN(theirs)) date = { theirs, ours: now(), waitedMs: performance.now() - startedAt }
  }

  return {
    http: {
      async request(request) {
        const startedAt = performance.now()
        const answer = await http.request(request)
        text = answer.text
        see(answer.status, answer.headers, shapeOf(text), answer.location, startedAt)
        return answer
      },
      async bytes(request) {
        const startedAt = performance.now()
        const answer = await http.bytes(request)
        text = ''
        see(answer.status, answer.headers, `${answer.body.length} bytes`, answer.headers.location, startedAt)
        return answer
      },
      close: () => http.close()
    },
    get last() {
      return last
    },
    get text() {
      return text
    },
    get date() {
      return date
    },
    forget() {
      last = undefined
      text = ''
      date = undefined
    }
  }
}

/** Names that are listed at most. */
const MOST_NAMES = 30

/** A body by its kind and length. */
export function shapeOf(text: string): string {
  if (text.trim() === '') return 'empty body'
  if (looksLikeHtml(text)) return `HTML of ${text.length} characters`
  const json = parsed(text)
  if (json !== undefined) return `JSON ${kindOf(json, true)}`
  if (/^\s*[{[]/.test(text)) return `broken JSON of ${text.length} characters`
  return `text of ${text.length} characters`
}

/** An answer in one line. @param isLong with the names of its headers */
export function describeAnswer({ status, headers, body, location }: WireAnswer, isLong = true): string {
  const parts = [`HTTP ${status}`, ...(location === undefined ? [] : [`redirect to ${location}`]), body]
  if (isLong) parts.push(`headers ${headers.join(' ') || 'none'}`)
  return parts.join(', ')
}

/** Host and path of a URL, without query, and without parts that could be an id or a token. */
export function placeOf(url: string): string {
  if (!URL.canParse(url)) return '(no URL)'
  const { host, pathname } = new URL(url)
  const path = pathname
    .split('/')
    .map((part) => (/^[\w.-]{0,32}$/.test(part) ? part : '…'))
    .join('/')
  return `${host}${path.slice(0, 80)}`
}

function kindOf(value: unknown, isTop = false): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `array[${value.length}]`
  if (typeof value === 'string') return `string(${value.length})`
  if (typeof value !== 'object') return typeof value
  const members = Object.entries(value)
  if (!isTop) return `object{${members.length}}`
  const shown = members.slice(0, MOST_NAMES).map(([name, member]) => `${nameOf(name)}: ${kindOf(member)}`)
  return `{ ${shown.join(', ')}${members.length > MOST_NAMES ? ', …' : ''} }`
}

/** Names are the protocol's; whatever does not look like one may be data. */
function nameOf(name: string): string {
  return /^[\w.$-]{1,48}$/.test(name) ? name : '(other)'
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
