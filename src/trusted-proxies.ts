import { isIP } from 'node:net'

/** Which proxies are believed: their addresses, or whether the one at this distance is (0: whoever is connected). */
export type TrustedProxies = string[] | ((address: string, distance: number) => boolean)

/** Finishes a sentence about a malformed list. */
export const PROXIES_FORM =
  'must be addresses or CIDR ranges with commas between them, or the number of proxies from 0 to 99'

/**
 * Reads `TRUST_PROXY`: addresses and CIDR ranges with commas between them, or the number of proxies in front of the
 * gateway.
 * @returns `undefined` when it is malformed
 */
export function parseTrustedProxies(text: string): TrustedProxies | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const proxies = Number(text)
    // Fastify takes a plain number for "none": it can't know that nobody reaches the gateway past the proxies.
    return (_address, distance) => distance < proxies
  }
  const ranges = text
    .split(',')
    .map((range) => range.trim())
    .filter((range) => range !== '')
  return ranges.length > 0 && ranges.every(isRange) ? ranges : undefined
}

function isRange(text: string): boolean {
  const [, address = '', prefix] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? []
  const version = isIP(address)
  if (version === 0) return false
  // A range of all addresses would believe everybody.
  return prefix === undefined || (Number(prefix) >= 1 && Number(prefix) <= (version === 4 ? 32 : 128))
}
