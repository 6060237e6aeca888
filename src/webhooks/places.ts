export interface PlaceLimits {
  total: number
  perOwner: number
  perHost: number
}

/**
 * Places for deliveries under way. A receiver that doesn't answer takes up few of them, and so does a user with many of
 * those; the others' webhooks go on.
 */
export interface Places {
  /** How many more deliveries of a lane (owner and host, with a space between) there is room for. */
  free(lane: string): number
  /** Takes a place. @returns the way to give it back */
  take(lane: string): () => void
}

export function createPlaces({ total, perOwner, perHost }: PlaceLimits): Places {
  let taken = 0
  const owners = new Map<string, number>()
  const hosts = new Map<string, number>()
  const split = (lane: string) => {
    // A host has no space in it, whatever an owner is called.
    const at = lane.lastIndexOf(' ')
    return { owner: lane.slice(0, at), host: lane.slice(at + 1) }
  }
  const add = (to: Map<string, number>, key: string, n: number) => {
    const sum = (to.get(key) ?? 0) + n
    if (sum === 0) to.delete(key)
    else to.set(key, sum)
  }
  return {
    free(lane) {
      const { owner, host } = split(lane)
      return Math.min(total - taken, perOwner - (owners.get(owner) ?? 0), perHost - (hosts.get(host) ?? 0))
    },
    take(lane) {
      const { owner, host } = split(lane)
      const change = (n: number) => {
        taken += n
        add(owners, owner, n)
        add(hosts, host, n)
      }
      change(1)
      return () => change(-1)
    }
  }
}
