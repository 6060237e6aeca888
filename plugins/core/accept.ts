/** What JSON is asked for by, beside its own name. */
const JSON_RANGES = ['application/json', 'application/*', '*/*']

/**
 * Whether an `Accept` header asks for server-sent events rather than for JSON (RFC 9110, section 12.5.1). Only their own
 * name asks for them; where JSON or a wildcard is wanted as much, as in `application/json, text/event-stream`, it is JSON.
 */
export function prefersEvents(accept: string | undefined): boolean {
  if (accept === undefined || !/text\/event-stream/i.test(accept)) return false
  let events = 0
  let json = 0
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    const q = weight === undefined ? 1 : Number(weight.slice(2))
    // A weight that is no number counts for nothing.
    if (!(q >= 0 && q <= 1)) continue
    if (range === 'text/event-stream') events = Math.max(events, q)
    else if (JSON_RANGES.includes(range)) json = Math.max(json, q)
  }
  return events > json
}
