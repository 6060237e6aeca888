/** What is said of a value that can't be read. */
export const OTLP_HEADERS_FORM = 'must be a list of name=value, separated by commas'

const NAME = /^[!#$%&'*+.^_`|~\w-]+$/

/**
 * Reads `name=value,…`, values percent-encoded, as OpenTelemetry has it.
 * @returns `undefined` when it is no such list
 * @see https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
 */
export function parseOtlpHeaders(text: string): Record<string, string> | undefined {
  const headers: Record<string, string> = {}
  for (const part of text.split(',')) {
    if (part.trim() === '') continue
    const at = part.indexOf('=')
    const name = part.slice(0, at).trim().toLowerCase()
    if (at === -1 || !NAME.test(name)) return undefined
    try {
      headers[name] = decodeURIComponent(part.slice(at + 1).trim())
    } catch {
      return undefined
    }
  }
  return headers
}
