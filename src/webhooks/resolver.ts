import { lookup, Resolver } from 'node:dns/promises'
import type { Resolve } from './target.ts'

/** Of one question to one name server, in milliseconds. */
const QUESTION_MS = 2000

/**
 * Resolves names at the machine's name servers. Not with `dns.lookup`, which everything else here uses: it works in two
 * threads, so that a caller whose name servers answer slowly could keep the gateway from finding Bing.
 *
 * @param machineNames whether names that only this machine knows count too (hosts file, search domains). They lead to
 *   private addresses.
 * @param servers in place of the machine's own
 */
export function createResolver(machineNames: boolean, servers?: readonly string[]): Resolve {
  return async (hostname) => {
    // One for each name: it reads the list of name servers when it is made, and that changes with the network.
    const resolver = new Resolver({ timeout: QUESTION_MS, tries: 2 })
    if (servers !== undefined) resolver.setServers(servers)
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (addresses.length > 0) return addresses
    if (machineNames) return (await lookup(hostname, { all: true })).map(({ address }) => address)
    throw (answers[0] as PromiseRejectedResult).reason
  }
}
