import ipaddr from 'ipaddr.js'

/** Gives the addresses of a host name. @throws when the name has none, or nobody answers */
export type Resolve = (hostname: string) => Promise<readonly string[]>

/** Where webhooks may go. */
export interface TargetRules {
  /** Judges one IP address. */
  allows(address: string): boolean
  resolve: Resolve
}

/** A URL that no webhook is sent to. `reason` is safe to show, and never quotes the URL: it may hold a secret. */
export class TargetRefused extends Error {
  readonly reason: 'url' | 'address'
  constructor(reason: TargetRefused['reason']) {
    super(
      reason === 'url'
        ? 'not an http or https URL, or one with a user name or password'
        : 'the address is not allowed'
    )
    this.name = 'TargetRefused'
    this.reason = reason
  }
}

/** A name that takes longer than this is accepted at creation: each delivery checks again. Milliseconds. */
const RESOLVE_MS = 2000
const MAX_URL_CHARS = 2048
/** What is handed out to networks (RFC 4291); the rest of IPv6 has special meanings or none. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')
/** RFC 6052: an IPv4 address behind a translator. Resolvers of IPv6-only networks answer with these. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')
const PRIVATE: ReadonlySet<string> = new Set(['loopback', 'private', 'carrierGradeNat', 'uniqueLocal'])
/** RFC 6761: never anything else, whatever a resolver says. */
const LOOPBACKS = ['127.0.0.1', '::1']

/** Whether an address belongs to one machine on the public internet. */
export const isPublicAddress = (address: string): boolean => judge(address, false)

/**
 * Whether an address is public, private or a loopback one. What is none of these stays refused where private targets
 * are allowed: link-local ones, behind which clouds keep the machine's credentials, multicast, reserved ones.
 */
export const isPublicOrPrivateAddress = (address: string): boolean => judge(address, true)

function judge(text: string, allowPrivate: boolean): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv6 && address.match(NAT64))
    return judge(address.toByteArray().slice(-4).join('.'), allowPrivate)
  const range = address.range()
  if (allowPrivate && PRIVATE.has(range)) return true
  return range === 'unicast' && (address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST))
}

/**
 * Reads a target without asking anybody. Decimal, octal, hexadecimal and short forms of IPv4 addresses are the
 * dotted ones afterwards (WHATWG URL), so that they are judged as what they are.
 * @throws {TargetRefused}
 */
export function parseTarget(text: string, { allows }: Pick<TargetRules, 'allows'>): URL {
  if (text.length > MAX_URL_CHARS || !URL.canParse(text)) throw new TargetRefused('url')
  const url = new URL(text)
  if (!['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    throw new TargetRefused('url')
  const known = knownAddresses(url.hostname)
  if (known !== undefined && !known.every(allows)) throw new TargetRefused('address')
  return url
}

/**
 * Judges a target when it is given: its form, and the addresses that its name has now. A name that nobody knows, or
 * knows in time, is accepted.
 * @throws {TargetRefused}
 */
export async function checkTarget(text: string, rules: TargetRules, timeoutMs = RESOLVE_MS): Promise<void> {
  const { hostname } = parseTarget(text, rules)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined)
  })
  const addresses = await Promise.race([addressesOf(hostname, rules.resolve).catch(() => undefined), late])
  clearTimeout(timer)
  if (addresses !== undefined && !addresses.every(rules.allows)) throw new TargetRefused('address')
}

/**
 * The addresses to connect to, resolved once. One that is not allowed spoils all of them: who answers with a public and
 * a private one hopes for a second try.
 * @throws {TargetRefused}, or the resolver's error
 */
export async function allowedAddresses(
  hostname: string,
  { allows, resolve }: TargetRules
): Promise<readonly string[]> {
  const addresses = await addressesOf(hostname, resolve)
  if (addresses.length === 0 || !addresses.every(allows)) throw new TargetRefused('address')
  return addresses
}

async function addressesOf(hostname: string, resolve: Resolve): Promise<readonly string[]> {
  return knownAddresses(hostname) ?? (await resolve(hostname))
}

/** Addresses of a host that need no resolver. */
function knownAddresses(hostname: string): readonly string[] | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1')
  if (ipaddr.isValid(bare)) return [bare]
  return /(^|\.)localhost\.*$/i.test(hostname) ? LOOPBACKS : undefined
}
