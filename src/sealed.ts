import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Encrypts texts so that only who has both secrets can read them: the store's and the caller's (AES-256-GCM, HKDF; RFC 5116, RFC 5869). */
export interface Seal {
  seal(text: string): string
  /** @throws {Error} when it was sealed with other secrets, or was changed */
  open(sealed: string): string
}

/** @param context names the place of the text, so that one can't be put in another's */
export function createSeal(storeSecret: Buffer, callerSecret: string, context: string): Seal {
  const key = Buffer.from(hkdfSync('sha256', storeSecret, callerSecret, context, 32))
  return {
    seal(text) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      return (
        decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      )
    }
  }
}
