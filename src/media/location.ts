import { fileURLToPath } from 'node:url'

/** Where copies are kept. */
export type MediaLocation =
  | { kind: 'file'; folder: string }
  | {
      kind: 's3'
      bucket: string
      /** Before every key, without slashes at its ends; empty: none. */
      prefix: string
      region: string
      /** Of another S3-speaking store; absent: AWS. */
      endpoint?: string
      /** Whether the bucket is part of the path rather than of the host name. */
      forcePathStyle: boolean
    }

/** What `parseMediaLocation` reads, as a sentence after the setting's name. */
export const LOCATION_FORM =
  'must be file:///folder, or s3://bucket/prefix with at most region, endpoint (an http or https URL) and forcePathStyle (true or false) behind a question mark'

const S3_OPTIONS = ['region', 'endpoint', 'forcePathStyle']
/** What requests are signed for where nobody names a region. S3-speaking stores other than AWS mostly ignore it. */
const DEFAULT_REGION = 'us-east-1'

/**
 * Reads `MEDIA_STORAGE`: `file:///folder` or `s3://bucket/prefix?region=…&endpoint=…&forcePathStyle=…`.
 * @returns `undefined` for anything else
 */
export function parseMediaLocation(setting: string): MediaLocation | undefined {
  if (!URL.canParse(setting)) return undefined
  const url = new URL(setting)
  if (url.hash !== '' || url.username !== '' || url.password !== '') return undefined
  try {
    if (url.protocol === 'file:') return fileLocation(url)
    return url.protocol === 's3:' ? s3Location(url) : undefined
  } catch {
    // Percent signs that encode nothing, or a slash.
    return undefined
  }
}

function fileLocation(url: URL): MediaLocation | undefined {
  const isFolder = url.hostname === '' && url.search === '' && url.pathname.replace(/\/+/g, '') !== ''
  return isFolder ? { kind: 'file', folder: fileURLToPath(url) } : undefined
}

function s3Location({ host, pathname, searchParams }: URL): MediaLocation | undefined {
  if (!/^[\w.-]{3,63}$/.test(host)) return undefined
  if ([...searchParams.keys()].some((name) => !S3_OPTIONS.includes(name))) return undefined
  const endpoint = searchParams.get('endpoint') ?? undefined
  const style = searchParams.get('forcePathStyle') ?? undefined
  if (endpoint !== undefined && !isEndpoint(endpoint)) return undefined
  if (style !== undefined && style !== 'true' && style !== 'false') return undefined
  return {
    kind: 's3',
    bucket: host,
    prefix: decodeURI(pathname).replace(/^\/+|\/+$/g, ''),
    region: searchParams.get('region') || DEFAULT_REGION,
    endpoint,
    // Few stores other than AWS have a host name for each bucket.
    forcePathStyle: style === undefined ? endpoint !== undefined : style === 'true'
  }
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === ''
}
