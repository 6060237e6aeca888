import { randomBytes } from 'node:crypto'
import { createApiKey, hashApiKey, shownPart } from '../api-key.ts'
import type { Store } from './database.ts'
import type { KeyRow } from './schema.ts'

/** An API key as it is kept. Times are milliseconds since the epoch. */
export interface ApiKey {
  id: string
  userId: string
  /** First characters of the key, by which people tell keys apart. */
  prefix: string
  createdAt: number
  /** Null: never. */
  expiresAt: number | null
  /** To the minute; null: never used. */
  lastUsedAt: number | null
  revokedAt: number | null
}

/** How exact `lastUsedAt` is: more often it is not written. */
export const LAST_USED_STEP_MS = 60_000

/** API keys. The key itself is not kept: whoever reads the store can't call the gateway with what it holds. */
export function createKeyStore(store: Store) {
  const { db, changes } = store
  return {
    /** Makes a key. @returns with the key itself, which nobody can be shown again */
    async create(userId: string, now: number, expiresAt: number | null): Promise<ApiKey & { key: string }> {
      const key = createApiKey()
      const row: KeyRow = {
        id: `key_${randomBytes(8).toString('hex')}`,
        user_id: userId,
        hash: hashApiKey(key),
        prefix: shownPart(key),
        created_at: now,
        expires_at: expiresAt,
        last_used_at: null,
        revoked_at: null
      }
      await db.insertInto('keys').values(row).execute()
      return { ...fromRow(row), key }
    },

    /** The key with this hash, whether or not it still counts. */
    async find(hash: string): Promise<ApiKey | undefined> {
      const row = await db.selectFrom('keys').selectAll().where('hash', '=', hash).executeTakeFirst()
      return row === undefined ? undefined : fromRow(row)
    },

    /** All keys, the oldest first. */
    async list(): Promise<ApiKey[]> {
      const rows = await db.selectFrom('keys').selectAll().orderBy('created_at').orderBy('id').execute()
      return rows.map(fromRow)
    },

    /**
     * Revokes a key for good. One that was revoked before stays as it is.
     * @returns the key; `undefined` when there is none with this id
     */
    async revoke(id: string, now: number): Promise<ApiKey | undefined> {
      const revoked = await db
        .updateTable('keys')
        .set({ revoked_at: now })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .returningAll()
        .executeTakeFirst()
      if (revoked !== undefined) changes.announce('key', id)
      const row = revoked ?? (await db.selectFrom('keys').selectAll().where('id', '=', id).executeTakeFirst())
      return row === undefined ? undefined : fromRow(row)
    },

    /** Notes that a key was used, unless another gateway has just done so. */
    async noteUse(id: string, at: number): Promise<void> {
      await db
        .updateTable('keys')
        .set({ last_used_at: at })
        .where('id', '=', id)
        .where((eb) =>
          eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<=', at - LAST_USED_STEP_MS)])
        )
        .execute()
    }
  }
}

export type KeyStore = ReturnType<typeof createKeyStore>

function fromRow(row: KeyRow): ApiKey {
  return {
    id: row.id,
    userId: row.user_id,
    prefix: row.prefix,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at
  }
}
