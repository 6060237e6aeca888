import { createHmac, timingSafeEqual } from 'node:crypto'

/** How long a URL is good for at most, in seconds. */
const LIFETIME_S = 24 * 3600
/** URLs change with the hour only, so that a page that asks again finds its pictures in the browser's cache. */
const STEP_S = 3600
/** Signed queries that are remembered. */
const MOST_SIGNED = 1000

/**
 * Signatures that stand for the owner's identity in the URL of a media copy: HMAC-SHA256 over its id and the time at
 * which the URL ends.
 */
export interface MediaSignatures {
  /** Query of a URL that is good for 23 to 24 hours from `now`, in milliseconds. Begins with `exp`. */
  query(id: string, now: number): string
  /** Whether `exp` and `sig` are as they were given out for this id, and not over. In constant time. */
  holds(id: string, query: { exp?: string; sig?: string }, now: number): boolean
}

/** @param secret the same in all gateways that serve these media */
export function createMediaSignatures(secret: Buffer): MediaSignatures {
  /** Queries of this hour, by id: whoever waits for a page's pictures asks for the same ones again and again. */
  const signed = new Map<string, string>()
  let signedFor = ''

  const sign = (id: string, exp: string) =>
    createHmac('sha256', secret).update(`media\n${id}\n${exp}`).digest('base64url')

  return {
    query(id, now) {
      const exp = String(Math.floor(now / 1000 / STEP_S) * STEP_S + LIFETIME_S)
      if (exp !== signedFor || signed.size >= MOST_SIGNED) {
        signed.clear()
        signedFor = exp
      }
      const known = signed.get(id)
      if (known !== undefined) return known
      const query = `exp=${exp}&sig=${sign(id, exp)}`
      signed.set(id, query)
      return query
    },
    holds(id, { exp, sig }, now) {
      if (exp === undefined || sig === undefined || !/^\d{1,12}$/.test(exp)) return false
      // As text: several texts decode to the same bytes, and just one of them was given out.
      const [given, wanted] = [Buffer.from(sig), Buffer.from(sign(id, exp))]
      return given.length === wanted.length && timingSafeEqual(given, wanted) && Number(exp) * 1000 > now
    }
  }
}
