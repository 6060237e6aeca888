import ipaddr from 'ipaddr.js'
import type { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'

export interface FailedAttemptsSettings {
  /** Failures that an address may have in a window. */
  allowed: number
  windowSeconds: number
  /** Addresses that are remembered; beyond that, those that failed longest ago are forgotten. */
  maxAddresses: number
}

const SETTINGS: FailedAttemptsSettings = { allowed: 30, windowSeconds: 60, maxAddresses: 50_000 }

/**
 * Counts failed authentications for each client address, in this process: enough to make guessing names and keys
 * hopeless, and nothing that the store would have to bear under an attack.
 */
export function createFailedAttempts({ allowed, windowSeconds, maxAddresses } = SETTINGS) {
  /** Loaded with the first failure: it brings a limiter for every database there is. */
  let limiter: RateLimiterMemory | undefined
  let loading: Promise<RateLimiterMemory> | undefined
  async function load(): Promise<RateLimiterMemory> {
    const { RateLimiterMemory } = await import('rate-limiter-flexible')
    limiter = new RateLimiterMemory({ points: allowed, duration: windowSeconds })
    return limiter
  }
  /** Whoever has failed, the one who failed longest ago first. The limiter itself would remember any number. */
  const known = new Set<string>()

  return {
    /** Whether nobody has failed of late, so that there is nothing to look up. */
    get isQuiet(): boolean {
      return known.size === 0
    },

    /** Whole seconds for which nothing but a valid key is taken from this address; 0: none. */
    async waitOf(address: string | undefined): Promise<number> {
      if (known.size === 0) return 0
      const record = await limiter?.get(networkOf(address))
      return record === null || record === undefined || record.remainingPoints > 0 ? 0 : seconds(record)
    },

    /** Counts a failure. @returns the seconds to wait when the address has had too many before this one; else 0 */
    async count(address: string | undefined): Promise<number> {
      loading ??= load()
      const limiter = await loading
      const network = networkOf(address)
      known.delete(network)
      known.add(network)
      if (known.size > maxAddresses) {
        const oldest = known.values().next().value as string
        known.delete(oldest)
        await limiter.delete(oldest)
      }
      try {
        await limiter.consume(network)
        return 0
      } catch (rejection) {
        if (rejection instanceof Error) throw rejection
        return seconds(rejection as RateLimiterRes)
      }
    },

    /** Forgets all failures: somebody who was refused may be right by now. */
    forget(): void {
      for (const network of known) void limiter?.delete(network)
      known.clear()
    }
  }
}

export type FailedAttempts = ReturnType<typeof createFailedAttempts>

/** What one client has of the address space: its IPv4 address, or the /64 in which it can take any IPv6 address. */
export function networkOf(address: string | undefined): string {
  // A connection that is closed already has no address.
  if (address === undefined || !ipaddr.isValid(address)) return address ?? ''
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : (parsed as ipaddr.IPv6).parts.slice(0, 4).join(':')
}

function seconds({ msBeforeNext }: RateLimiterRes): number {
  return Math.max(0, Math.ceil(msBeforeNext / 1000))
}
