import { setTimeout as pause } from 'node:timers/promises'
import { type Dialect, Kysely, Migrator, type RawBuilder, sql } from 'kysely'
import { type Changes, createChanges } from './changes.ts'
import { migrationsFor } from './migrations.ts'
import { connectPostgres, isPostgresFault, type PostgresConnection } from './postgres.ts'
import type { Schema } from './schema.ts'
import { claimFolder, isBusy, isSqliteFault, sqliteDialect } from './sqlite.ts'

/** How long another process may take to make the tables, in milliseconds. */
const MIGRATION_WAIT_MS = 15_000

export type Engine = 'sqlite' | 'postgres'
/** What queries are made with: the store itself, or a transaction of it. */
export type Queries = Kysely<Schema>

/** The database, whichever engine it is. Only this folder knows which. */
export interface Store {
  readonly engine: Engine
  readonly db: Queries
  readonly changes: Changes
  /** The database's clock, in milliseconds since the epoch, as an SQL expression: leases are compared by it, as the clocks of replicas differ. */
  now(): RawBuilder<number>
  /** Answers whether the store can be written now: one that can only be read takes no task and no answer. */
  ping(): Promise<boolean>
  close(): Promise<void>
}

export interface StoreSettings {
  /** `postgres://…`; absent: SQLite under `dataDir`. */
  databaseUrl?: string | undefined
  dataDir: string
  /**
   * Whether a gateway runs on it (then it hears what other gateways change, and an SQLite folder is claimed for it), or
   * a command of the operator works beside one.
   */
  exclusive?: boolean
  /** `false`: the tables are left as they are, for who only looks. */
  migrate?: boolean
  onError?: (error: Error) => void
}

/**
 * Opens (and creates or migrates) the store.
 * @throws {Error} when another gateway has the folder; else the driver's error
 */
export async function openStore({
  databaseUrl,
  dataDir,
  exclusive = false,
  migrate = true,
  onError = () => {}
}: StoreSettings): Promise<Store> {
  const changes = createChanges()
  let postgres: PostgresConnection | undefined
  let release = () => {}
  let dialect: Dialect
  if (databaseUrl === undefined) {
    if (exclusive) release = claimFolder(dataDir)
    try {
      dialect = sqliteDialect(dataDir)
    } catch (error) {
      release()
      throw error
    }
  } else {
    postgres = connectPostgres(databaseUrl, onError)
    dialect = postgres.dialect
  }
  const engine: Engine = postgres === undefined ? 'sqlite' : 'postgres'
  const db = new Kysely<Schema>({ dialect })
  const store: Store = {
    engine,
    db,
    changes,
    now: () =>
      engine === 'postgres'
        ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
        : sql<number>`${Date.now()}`,
    async ping() {
      try {
        // SQLite: a number in the file's header that nothing else uses.
        if (engine === 'sqlite') await sql`pragma user_version = 1`.execute(db)
        else {
          const { rows } = await sql<{ transaction_read_only: string }>`show transaction_read_only`.execute(
            db
          )
          return rows[0]?.transaction_read_only === 'off'
        }
        return true
      } catch {
        return false
      }
    },
    async close() {
      await postgres?.close()
      await db.destroy()
      release()
    }
  }
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrationsFor(engine) } })
    // On SQLite, somebody else may be doing it just now.
    for (const late = performance.now() + MIGRATION_WAIT_MS; migrate; await pause(50)) {
      const { error } = await migrator.migrateToLatest()
      if (error === undefined) break
      if (!isBusy(error) || performance.now() > late) throw error
    }
    if (exclusive) await postgres?.listen(changes)
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
  return store
}

/** Whether an error is the database's own (away, disk full, read-only, locked) and not a defect of the code that called it. */
export function isStoreFault(error: unknown): boolean {
  return isSqliteFault(error) || isPostgresFault(error)
}
