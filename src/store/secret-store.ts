import { randomBytes } from 'node:crypto'
import type { Store } from './database.ts'

/** A secret of 256 bits that all gateways on this store share, made when it is first asked for. */
export async function sharedSecret(store: Store, name: string): Promise<Buffer> {
  await store.db
    .insertInto('secrets')
    .values({ name, value: randomBytes(32).toString('base64url'), created_at: Date.now() })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
  const { value } = await store.db
    .selectFrom('secrets')
    .select('value')
    .where('name', '=', name)
    .executeTakeFirstOrThrow()
  return Buffer.from(value, 'base64url')
}
