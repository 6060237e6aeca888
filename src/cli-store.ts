import type { Config } from './config.ts'
import { isStoreFault, openStore, type Store } from './store/database.ts'

/**
 * Runs a command on the store that the settings name, whether or not a gateway runs on it.
 * @throws {Error} that says in one line why it can't
 */
export async function onStore(
  settings: () => Config,
  command: (store: Store, config: Config) => Promise<void>
): Promise<void> {
  const config = settings()
  try {
    const store = await openStore({ databaseUrl: config.DATABASE_URL, dataDir: config.DATA_DIR })
    try {
      await command(store, config)
    } finally {
      await store.close()
    }
  } catch (error) {
    throw new Error(problemOf(error, config), { cause: error })
  }
}

function problemOf(error: unknown, { DATABASE_URL, DATA_DIR }: Config): string {
  const { code, message = '' } = error as { code?: string; message?: string }
  if (code === undefined && !isStoreFault(error)) return message
  if (DATABASE_URL === undefined) return `the store in ${DATA_DIR} can't be used (${code}).`
  const why = [code, message.split('\n')[0]].filter((part) => part).join(': ')
  return `the store that DATABASE_URL names can't be used (${why}).`
}

/** A time of the store as it is shown. */
export function time(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

/** Columns as wide as their longest cell. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}
