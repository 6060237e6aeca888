import type { Counter } from 'prom-client'
import type { Clock } from '../../src/clock.ts'
import { GatewayError } from '../../src/errors.ts'
import type { Queries } from '../../src/store/database.ts'
import { giveBack, peekLimit, takeLimit, type Usage } from '../../src/store/limit-store.ts'
import type { Limit, LimitedThing, Limits as LimitList } from '../../src/whitelist.ts'
import type { Caller } from './caller.ts'

export interface LimitsSettings {
  /** What the user's line of the whitelist says, if it does. */
  limitOf: (userId: string, thing: LimitedThing) => Limit | undefined
  defaults: LimitList
  db: Queries
  clock: Clock
  rejections: Counter<'kind'>
}

/** What callers may use up. Anonymous callers share one limit. */
export function createLimits({ limitOf, defaults, db, clock, rejections }: LimitsSettings) {
  /** How a caller's limit stood when this request took from it, which saves the response's headers a query. */
  const taken = new WeakMap<Caller, Usage>()
  const limitFor = ({ userId }: Caller, thing: LimitedThing) => limitOf(userId, thing) ?? defaults[thing]

  return {
    /**
     * Takes one from the caller's limit.
     * @param on the transaction that stores what is made, so that both happen or neither
     * @returns the end of the window it was taken from, by which it can be given back; null: there is no limit
     * @throws {GatewayError} rate_limit_error `quota_exceeded`
     */
    async take(on: Queries, caller: Caller, thing: LimitedThing): Promise<number | null> {
      const limit = limitFor(caller, thing)
      if (limit === undefined) return null
      const now = clock.now()
      const usage = await takeLimit(on, { owner: caller.userId, thing, limit, now })
      taken.set(caller, usage)
      if (usage.taken) return usage.windowEnds
      rejections.inc({ kind: thing })
      throw quotaExceeded(caller, thing, limit, secondsLeft(limit, usage.windowEnds, now))
    },

    /** Gives one back that was taken for nothing. @param windowEnds as `take` returned it */
    async giveBack(caller: Caller, thing: LimitedThing, windowEnds: number | null): Promise<void> {
      if (windowEnds === null) return
      await giveBack(db, caller.userId, thing, windowEnds)
      const usage = taken.get(caller)
      if (usage !== undefined) taken.set(caller, { ...usage, used: usage.used - 1 })
    },

    /**
     * The limit and how it stands, as response headers; none where there is no limit.
     * @param lookUp whether to ask the store when this request took nothing
     * @see draft-ietf-httpapi-ratelimit-headers-11
     */
    async headers(caller: Caller, thing: LimitedThing, lookUp: boolean): Promise<Record<string, string>> {
      const limit = limitFor(caller, thing)
      const known = taken.get(caller)
      if (limit === undefined || (known === undefined && !lookUp)) return {}
      const now = clock.now()
      const { used, windowEnds } = known ?? (await peekLimit(db, { owner: caller.userId, thing, limit, now }))
      const left = Math.max(0, limit.count - used)
      return {
        'ratelimit-policy': `"${thing}";q=${limit.count};w=${limit.seconds}`,
        ratelimit: `"${thing}";r=${left};t=${secondsLeft(limit, windowEnds, now)}`
      }
    }
  }
}

export type LimitService = ReturnType<typeof createLimits>

const WINDOWS: Record<number, string> = { 1: 'a second', 60: 'a minute', 3600: 'an hour', 86400: 'a day' }

/** A window may have been begun by a gateway, or in a request, whose clock is ahead; it still lasts no longer than the limit says. */
function secondsLeft({ seconds }: Limit, windowEnds: number, now: number): number {
  return Math.min(seconds, Math.max(0, Math.ceil((windowEnds - now) / 1000)))
}

/** @param left seconds until the window ends */
function quotaExceeded(
  { userId }: Caller,
  thing: LimitedThing,
  { count, seconds }: Limit,
  left: number
): GatewayError {
  const what = count === 1 ? thing.slice(0, -1) : thing
  const limit = `${count} ${what} ${WINDOWS[seconds] ?? `in ${seconds} s`}`
  const whose = userId === '' ? 'The limit of callers without a name' : 'Your limit'
  const retryAfter = Math.max(1, left)
  return new GatewayError(
    'rate_limit_error',
    count === 0
      ? `${whose} is ${limit}.`
      : `${whose}, ${limit}, is used up. The next one is possible in ${retryAfter} s.`,
    { code: 'quota_exceeded', retryAfter, shouldRetry: false }
  )
}
