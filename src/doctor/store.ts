import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { sql } from 'kysely'
import type { Config } from '../config.ts'
import { openStore } from '../store/database.ts'
import { migrationsFor } from '../store/migrations.ts'
import { wordsOf } from './explain.ts'
import type { Finding } from './report.ts'

/** With less room than this on the disk of DATA_DIR the next pictures and answers may not be kept. */
export const LEAST_FREE_BYTES = 200 * 1024 * 1024

/**
 * Looks at the store, also while a gateway runs on it. Makes and changes nothing: what is not there yet is left to the
 * first start, as are tables that are behind.
 */
export async function checkStore(config: Config, leastFreeBytes: number): Promise<Finding> {
  const folder = await lookAtFolder(config.DATA_DIR, leastFreeBytes)
  if (!folder.ok) return folder
  if (config.DATABASE_URL === undefined && !(await isThere(join(config.DATA_DIR, 'bing-gateway.sqlite'))))
    return {
      ok: true,
      detail: `SQLite: no store in DATA_DIR yet; the first start makes it. ${folder.detail}`
    }
  try {
    const tables = await lookAtTables(config)
    return tables.ok ? { ...tables, detail: `${tables.detail} ${folder.detail}` } : tables
  } catch (error) {
    return broken(config, error)
  }
}

async function lookAtTables(config: Config): Promise<Finding> {
  const store = await openStore({
    databaseUrl: config.DATABASE_URL,
    dataDir: config.DATA_DIR,
    migrate: false
  })
  try {
    const where = store.engine === 'sqlite' ? 'SQLite in DATA_DIR' : 'PostgreSQL of DATABASE_URL'
    const known = Object.keys(migrationsFor(store.engine))
    const tables = await store.db.introspection.getTables({ withInternalKyselyTables: true })
    const applied = tables.some(({ name }) => name === 'kysely_migration')
      ? (await sql<{ name: string }>`select name from kysely_migration`.execute(store.db)).rows.map(
          ({ name }) => name
        )
      : []
    const newer = applied.filter((name) => !known.includes(name))
    if (newer.length > 0) {
      return {
        ok: false,
        detail: `${where}: its tables are of a newer version (${newer.length} unknown changes).`,
        hint: 'Run the version of bing-gateway that this store was used with last, or a later one.'
      }
    }
    if (!(await store.ping())) {
      return {
        ok: false,
        detail: `${where}: it can be read but not written.`,
        hint:
          store.engine === 'sqlite'
            ? 'Look at the owner and the rights of the files in DATA_DIR, at a read-only mount, and whether another program has the file locked.'
            : 'The server is read-only: a replica, or one that ran out of disk.'
      }
    }
    const pending = known.length - applied.length
    const state =
      pending === 0 ? 'tables up to date' : `${pending} changes of the tables wait for the next start`
    return { ok: true, detail: `${where}: opened, ${state}, writable.` }
  } finally {
    await store.close()
  }
}

/** The folder of the store and of the media copies, or the one in which it would be made. */
async function lookAtFolder(dataDir: string, leastFreeBytes: number): Promise<Finding> {
  let folder = resolve(dataDir)
  while (!(await isThere(folder)) && dirname(folder) !== folder) folder = dirname(folder)
  const bad = (what: string): Finding => ({
    ok: false,
    detail: `DATA_DIR: ${what}.`,
    hint: 'DATA_DIR must be a folder that the user of the gateway may write, on a disk of this machine.'
  })
  try {
    if (!(await stat(folder)).isDirectory()) return bad(`${folder} is no folder`)
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    return bad(`${folder} can't be written (${wordsOf(error)})`)
  }
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= leastFreeBytes) return { ok: true, detail: `${megabytes(free)} free on the disk.` }
  return {
    ok: false,
    detail: `DATA_DIR: only ${megabytes(free)} are free on its disk.`,
    hint: `Make room (${megabytes(leastFreeBytes)} at least), lower TASK_RETENTION_DAYS, or keep the copies elsewhere with MEDIA_STORAGE.`
  }
}

function broken({ DATABASE_URL }: Config, error: unknown): Finding {
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string }
  if (DATABASE_URL === undefined) {
    const isCorrupt = code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT'
    return {
      ok: false,
      detail: `SQLite in DATA_DIR can't be used (${code ?? wordsOf(error)}).`,
      hint: isCorrupt
        ? 'The file bing-gateway.sqlite is damaged: stop the gateway and put a backup in its place.'
        : 'Look at the owner and the rights of the files in DATA_DIR, and whether another program has them locked.'
    }
  }
  return {
    ok: false,
    // Messages of the driver name users and hosts, never the password; its code says enough.
    detail: `PostgreSQL of DATABASE_URL can't be used (${code ?? (/timeout/i.test(message) ? 'no answer in time' : wordsOf(error))}).`,
    hint:
      POSTGRES_HINTS[code ?? ''] ??
      'Look whether the server runs, and at host, port and user in DATABASE_URL.'
  }
}

const POSTGRES_HINTS: Record<string, string> = {
  '28P01': 'User or password in DATABASE_URL is wrong.',
  '28000': 'The server lets this user in from nowhere, or not from here (pg_hba.conf), or wants TLS.',
  '3D000': 'Create the database that DATABASE_URL names.',
  '53300': 'The server has no connection left.',
  '42501': 'The user in DATABASE_URL may not make tables there.'
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}

function megabytes(bytes: number): string {
  return bytes >= 10 * 1024 ** 3
    ? `${Math.floor(bytes / 1024 ** 3)} GB`
    : `${Math.floor(bytes / 1024 ** 2)} MB`
}
