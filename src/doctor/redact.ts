/** Shorter values are words; taking them out would hide nothing and make the report unreadable. */
const SHORTEST_SECRET = 5

/** Takes every known secret out of all texts of a value, keys included. */
export type Redact = <T>(value: T) => T

export interface Secrets {
  /** From now on these are taken out, as they are, percent-encoded and as JSON writes them. */
  add(...values: (string | null | undefined)[]): void
  redact: Redact
}

/** What the doctor must never show, as far as it knows it: cookies, tokens, keys, passwords of URLs. */
export function createSecrets(): Secrets {
  const known = new Set<string>()

  function clean(text: string): string {
    let safe = text
    for (const secret of [...known].sort((a, b) => b.length - a.length)) safe = safe.replaceAll(secret, '…')
    return safe
  }
  function redact(value: unknown): unknown {
    if (typeof value === 'string') return clean(value)
    if (Array.isArray(value)) return value.map(redact)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [clean(key), redact(member)]))
  }

  return {
    add(...values) {
      for (const value of values) {
        if (value === undefined || value === null || value.length < SHORTEST_SECRET) continue
        for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)])
          known.add(form)
      }
    },
    redact: redact as Redact
  }
}

/** User name and password of a URL, and the URL itself where it has any. */
export function secretsOfUrl(url: string | undefined): string[] {
  if (url === undefined || !URL.canParse(url)) return []
  const { username, password } = new URL(url)
  if (username === '' && password === '') return []
  return [url, password, decoded(password)]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
