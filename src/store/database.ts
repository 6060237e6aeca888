import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Kysely, Migrator, type SqliteDatabase, SqliteDialect, sql } from 'kysely'
import Database from 'libsql'
import { migrations } from './migrations.ts'
import type { Schema } from './schema.ts'

/** The only file that knows which database engine is used. */
export type Store = Kysely<Schema>

/**
 * Opens (and creates or migrates) the store in a folder.
 * Each commit is on disk when it returns (WAL, synchronous=FULL): what was acknowledged survives a power loss.
 * The file is readable by its owner only, since it holds the upstream's conversation tokens.
 *
 * @throws the driver's error when the folder or file can't be used
 */
export async function openStore(dataDir: string): Promise<Store> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const path = join(dataDir, 'bing-gateway.sqlite')
  const database = new Database(path)
  try {
    chmodSync(path, 0o600)
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    database.pragma('busy_timeout = 1000')
    database.pragma('foreign_keys = ON')
  } catch (error) {
    database.close()
    throw error
  }
  const store = new Kysely<Schema>({
    dialect: new SqliteDialect({ database: database as unknown as SqliteDatabase })
  })
  const migrator = new Migrator({ db: store, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    await store.destroy()
    throw error
  }
  return store
}

/**
 * Claims a folder for this process. Whoever starts puts right what the last process left behind, which would break off
 * the running work of one that is still alive: a second start by mistake must end before it touches a task.
 * The claim is a lock of the operating system, so it ends with the process, however that ends.
 *
 * @returns the way to give it back
 * @throws {Error} when another process has it; else the driver's error
 */
export function claimFolder(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = new Database(join(dataDir, 'bing-gateway.lock'))
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if ((error as { code?: unknown }).code !== 'SQLITE_BUSY') throw error
    throw new Error(`the store in ${dataDir} is in use by another gateway.`, { cause: error })
  }
  return () => lock.close()
}

/** Whether an error is the database's own (disk full, read-only, locked) and not a defect of the code that called it. */
export function isStoreFault(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code !== 'string') return false
  // After a full disk SQLite has rolled back by itself; the second rollback's complaint takes the place of the first error.
  if (code === 'SQLITE_ERROR' && /no transaction is active/.test(String(message))) return true
  return /^SQLITE_(FULL|READONLY|IOERR|BUSY|LOCKED|CANTOPEN|CORRUPT|NOTADB|PERM)/.test(code)
}

/** Answers whether the store can be written now: one that can only be read takes no task and no answer. */
export async function pingStore(store: Store): Promise<boolean> {
  try {
    // A number in the file's header that nothing else uses.
    await sql`pragma user_version = 1`.execute(store)
    return true
  } catch {
    return false
  }
}
