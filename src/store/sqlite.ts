import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Dialect, SqliteAdapter, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import Database from 'libsql'
import { isOneRow } from './one-row.ts'
import { isVolatile } from './volatile.ts'

/**
 * The store's file in a folder, which is created when it is missing.
 * Each commit is on disk when it returns (WAL, synchronous=FULL), but for statements that say they can be lost: what was
 * acknowledged survives a power loss.
 * The file is readable by its owner only, since it holds the upstream's conversation tokens.
 *
 * @throws the driver's error when the folder or file can't be used
 */
export function sqliteDialect(dataDir: string): Dialect {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const path = join(dataDir, 'bing-gateway.sqlite')
  const database = opened(path)
  try {
    chmodSync(path, 0o600)
    // First of all: who opens a new file at the same moment has it locked for the change of its journal.
    database.pragma('busy_timeout = 1000')
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    database.pragma('foreign_keys = ON')
  } catch (error) {
    database.close()
    throw error
  }
  return takingTurns(new SqliteDialect({ database: lockingFirst(database) }))
}

/** For how long queries may follow one another before everything else gets its turn, in milliseconds. */
const TURN_MS = 5

/**
 * SQLite works on the event loop, and a commit takes as long as the disk does. Those that wait for the connection would
 * follow one another without a pause, since promises come before timers and sockets: thirty looks that end together
 * stopped the whole gateway for half a second on a slow disk.
 */
function takingTurns(dialect: Dialect): Dialect {
  return {
    createAdapter: () => new MigratingAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver() {
      const driver = dialect.createDriver()
      const acquire = driver.acquireConnection.bind(driver)
      let began: number | undefined
      driver.acquireConnection = async () => {
        const connection = await acquire()
        const now = performance.now()
        if (began === undefined) {
          began = now
          setImmediate(() => {
            began = undefined
          })
        } else if (now - began > TURN_MS) await new Promise((resolve) => setImmediate(resolve))
        return connection
      }
      return driver
    }
  }
}

/**
 * Migrates in a transaction, which takes the write lock before it looks at what is there: a gateway and a command, or two
 * commands, that open a new folder at the same moment would both create its tables.
 */
class MigratingAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** Statements that never wait for the lock under which one connection at a time may write. */
const NO_WRITE = /^\s*(select|commit|rollback|savepoint|release)\b/i
/** Statements that are worth keeping: preparing one takes longer than running it. */
const KEPT = /^\s*(select|insert|update|delete|with)\b/i
const MOST_KEPT = 200

/**
 * Takes the file's write lock before each write, by `exec`. A prepared statement that waits for it in vain stays open
 * inside libsql 0.5; SQLite then holds back every later commit of the connection, which believes them done, and drops
 * them all when the statement is collected. A few seconds of another program's lock would lose what was acknowledged.
 */
function lockingFirst(database: Database.Database): SqliteDatabase {
  const kept = new Map<string, SqliteStatement>()
  let isDurable = true
  /** @param durable whether the commit waits for the disk */
  const take = (durable = true) => {
    if (durable !== isDurable) {
      database.exec(`pragma synchronous = ${durable ? 'full' : 'normal'}`)
      isDurable = durable
    }
    database.exec('begin immediate')
  }
  function prepared(sql: string): SqliteStatement {
    const known = kept.get(sql)
    if (known !== undefined) return known
    const statement = guarded(sql)
    if (KEPT.test(sql)) {
      if (kept.size >= MOST_KEPT) kept.delete((kept.keys().next() as { value: string }).value)
      kept.set(sql, statement)
    }
    return statement
  }
  /** A statement that failed may have been left in the middle, so it is not used again. */
  function run<T>(sql: string, step: () => T): T {
    try {
      return step()
    } catch (error) {
      kept.delete(sql)
      throw error
    }
  }
  function guarded(sql: string): SqliteStatement {
    const statement = database.prepare(sql) as unknown as SqliteStatement & {
      get(parameters: readonly unknown[]): unknown
    }
    const { reader } = statement
    const durable = !isVolatile(sql)
    const read = isOneRow(sql)
      ? (parameters: readonly unknown[]) => {
          const row: unknown = statement.get(parameters)
          return row === undefined ? [] : [row]
        }
      : (parameters: readonly unknown[]) => statement.all(parameters)
    const stepped = NO_WRITE.test(sql)
      ? <T>(step: () => T) => run(sql, step)
      : <T>(step: () => T) => run(sql, () => written(step, durable))
    return {
      reader,
      run: (parameters) => stepped(() => statement.run(parameters)),
      all: (parameters) => stepped(() => read(parameters)),
      iterate: (parameters) => statement.iterate(parameters)
    }
  }
  /** In a transaction it is as durable as that. */
  function written<T>(write: () => T, durable: boolean): T {
    if (database.inTransaction) return write()
    take(durable)
    try {
      const result = write()
      database.exec('commit')
      return result
    } catch (error) {
      // After a full disk SQLite has rolled back by itself.
      if (database.inTransaction) database.exec('rollback')
      throw error
    }
  }
  return {
    close: () => database.close(),
    prepare(sql) {
      if (/^\s*begin\b/i.test(sql)) {
        const run = () => {
          take()
          return { changes: 0, lastInsertRowid: 0 }
        }
        return { reader: false, run, all: () => [], iterate: () => [].values() }
      }
      return prepared(sql)
    }
  }
}

/**
 * Claims a folder for this process. SQLite knows no notifications, so a second gateway on the same file would not hear
 * what the first one does; and the first one's claims can be taken over at once by whoever gets the folder next.
 * The claim is a lock of the operating system, so it ends with the process, however that ends.
 *
 * @returns the way to give it back
 * @throws {Error} when another process has it; else the driver's error
 */
export function claimFolder(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = opened(join(dataDir, 'bing-gateway.lock'))
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (!isBusy(error)) throw error
    throw new Error(
      `the store in ${dataDir} is in use by another gateway. Set DATABASE_URL to run several on one store.`,
      { cause: error }
    )
  }
  return () => lock.close()
}

/** libsql says without any code that it can't open a file. */
function opened(path: string): Database.Database {
  try {
    return new Database(path)
  } catch (error) {
    throw Object.assign(new Error('the database file cannot be opened', { cause: error }), {
      code: 'SQLITE_CANTOPEN'
    })
  }
}

/** Whether another program had the file locked for as long as this one could wait. */
export function isBusy(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'SQLITE_BUSY'
}

/** Whether an error is SQLite's own (disk full, read-only, locked) and not a defect of the code that called it. */
export function isSqliteFault(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code !== 'string') return false
  // After a full disk SQLite has rolled back by itself; the second rollback's complaint takes the place of the first error.
  if (code === 'SQLITE_ERROR' && /no transaction is active/.test(String(message))) return true
  return /^SQLITE_(FULL|READONLY|IOERR|BUSY|LOCKED|CANTOPEN|CORRUPT|NOTADB|PERM)/.test(code)
}
