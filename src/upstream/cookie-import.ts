import { isBingHost } from './bing-hosts.ts'

/** Characters of one value; Bing's own are a few hundred long, and no server takes a header of this size. */
const MAX_VALUE_CHARS = 16 * 1024

/** One cookie as an operator hands it over. */
export interface ImportedCookie {
  name: string
  value: string
}

/** What an import is looked through for. */
export interface CookieSite {
  /** Whether cookies of this host, as an export names it, belong to the site. */
  isHost(host: string): boolean
  /** The cookie that a value alone is. Absent: a value alone is nothing. */
  bareName?: string
}

/**
 * Reads the three forms in which people hand over their cookies: a bare value (Bing: `_U`), a whole `Cookie` header,
 * or the JSON export of a browser extension (an array of `{name, value}`).
 *
 * @returns cookies in the order given, without repeats (the last one wins); empty when the text is blank
 * @throws {Error} when the text is none of the three; the message never quotes it
 */
export function parseCookies(
  text: string,
  site: CookieSite = { isHost: isBingHost, bareName: '_U' }
): ImportedCookie[] {
  const source = text.replace(/^\uFEFF/, '').trim()
  if (source === '') return []
  if (source.startsWith('[') || source.startsWith('{')) return unique(fromJson(source, site))
  const header = source.replace(/^cookie:\s*/i, '')
  if (/[\r\n]/.test(header)) throw new Error('the cookie text has more than one line and is not JSON')
  if (!isHeader(header)) {
    const name = site.bareName
    if (name === undefined) throw new Error('the cookie text is neither a Cookie header nor JSON')
    return unique([{ name, value: checkedValue(name, header) }])
  }
  const pairs = header
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  return unique(
    pairs.map((part) => {
      const at = part.indexOf('=')
      if (at < 1) throw new Error('the cookie header has a part without a name')
      const name = part.slice(0, at).trim()
      return { name, value: checkedValue(name, part.slice(at + 1).trim()) }
    })
  )
}

/** `_U` values are long and may end in `=`; only something that starts like a cookie name and `=` is a header. */
function isHeader(text: string): boolean {
  return text.includes(';') || /^(_U|[A-Za-z_][\w.-]{0,40})=./.test(text)
}

function fromJson(source: string, site: CookieSite): ImportedCookie[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(source)
  } catch {
    throw new Error('the cookie export is not valid JSON')
  }
  const list = Array.isArray(parsed) ? parsed : (parsed as { cookies?: unknown }).cookies
  if (!Array.isArray(list)) throw new Error('the cookie export is not a list of cookies')
  return list
    .filter((entry) => isForSite(entry, site))
    .map((entry: { name?: unknown; value?: unknown }) => {
      if (typeof entry?.name !== 'string' || typeof entry.value !== 'string' || entry.name === '') {
        throw new Error('the cookie export has an entry without name and value')
      }
      return { name: entry.name, value: checkedValue(entry.name, entry.value) }
    })
}

/** An export may hold the cookies of other sites; those never leave the operator's file. */
function isForSite(entry: unknown, site: CookieSite): boolean {
  const domain = (entry as { domain?: unknown } | null)?.domain
  return typeof domain !== 'string' || site.isHost(domain)
}

function checkedValue(name: string, value: string): string {
  const bare = value.replace(/^"(.*)"$/, '$1')
  if (bare === '' && name === '_U') throw new Error('the _U cookie is empty')
  const shownName = /^[\w.-]{1,40}$/.test(name) ? name : '(unnamed)'
  if (bare.length > MAX_VALUE_CHARS) {
    throw new Error(`the cookie ${shownName} is longer than ${MAX_VALUE_CHARS} characters`)
  }
  if (/[\s;,\u0000-\u001f\u007f-\uffff]/.test(bare)) {
    throw new Error(`the cookie ${shownName} holds characters that no cookie can hold`)
  }
  return bare
}

function unique(cookies: ImportedCookie[]): ImportedCookie[] {
  return [...new Map(cookies.map((cookie) => [cookie.name, cookie])).values()]
}
