import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib'
import { UpstreamError } from './failures.ts'

type Decoder = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const asGzip: Decoder = promisify(gunzip)
const asZlib: Decoder = promisify(inflate)
const asDeflate: Decoder = promisify(inflateRaw)
const asBrotli: Decoder = promisify(brotliDecompress)

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', asGzip],
  ['x-gzip', asGzip],
  ['br', asBrotli],
  // The name means zlib's format, but some servers send the bare one.
  ['deflate', (body, options) => (isZlib(body) ? asZlib(body, options) : asDeflate(body, options))]
])
/** What servers put there for a body as it is. */
const PLAIN: ReadonlySet<string> = new Set(['', 'identity', 'none'])
/** More than one is rare already; each may cost a whole body of memory. */
const MAX_CODINGS = 3

/**
 * Undoes `Content-Encoding`. An empty body is none, whatever the header says.
 * @param maxBytes of the decoded body, and of each stage before it
 * @throws {UpstreamError} T11 when it is encoded in an unknown way, broken, or too large
 */
export async function decodeBody(body: Buffer, contentEncoding: string, maxBytes: number): Promise<Buffer> {
  const codings = contentEncoding
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => !PLAIN.has(name))
  if (body.length === 0) return body
  if (codings.length > MAX_CODINGS) throw undecodable(`${codings.length} content codings`)
  let decoded = body
  for (const name of codings.reverse()) {
    const decode = DECODERS.get(name)
    if (decode === undefined) throw undecodable('unknown content coding')
    try {
      decoded = await decode(decoded, { maxOutputLength: maxBytes })
    } catch (error) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      throw undecodable(isTooLarge ? `decoded answer larger than ${maxBytes} bytes` : `broken ${name} body`)
    }
  }
  return decoded
}

/** The first two bytes of zlib's format: method 8, and a check sum. */
function isZlib(body: Buffer): boolean {
  return body.length >= 2 && ((body[0] ?? 0) & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0
}

function undecodable(what: string): UpstreamError {
  return new UpstreamError('T11', { cause: new Error(what) })
}
