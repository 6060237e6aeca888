import { createHash, randomBytes } from 'node:crypto'

/** Keys start like this, so that people, logs and secret scanners know one when they see it. */
export const KEY_PREFIX = 'bgw_'

/** Characters of a key that are kept in the clear: too few to guess the rest, enough to tell keys apart. */
const SHOWN_CHARS = KEY_PREFIX.length + 6
const FORM = new RegExp(`^${KEY_PREFIX}[\\w-]{43}$`)

/** A new key: the prefix and 256 random bits in base64url. */
export function createApiKey(): string {
  return KEY_PREFIX + randomBytes(32).toString('base64url')
}

/** Whether a text has the form of a key. What has not is not worth a look into the store. */
export function isApiKey(text: string): boolean {
  return FORM.test(text)
}

/**
 * SHA-256, hexadecimal: what is stored of a key. It needs no salt and no slow hash, as nobody can try 2^256 keys, and
 * looking a hash up tells by its time nothing about the key.
 */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

export function shownPart(key: string): string {
  return key.slice(0, SHOWN_CHARS)
}
