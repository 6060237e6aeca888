import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { openStore, type Store, type StoreSettings } from '../../src/store/database.ts'
import { startPostgres } from './postgres.ts'

/** A fresh store, and the way to open it once more, as another gateway or a command would. */
export interface TestStore {
  store: Store
  settings: StoreSettings
  reopen(): Promise<Store>
}

/** Runs a test on a fresh store of each engine. */
export function onBothEngines(t: Test, name: string, run: (t: Test, test: TestStore) => Promise<void>): void {
  for (const engine of ['sqlite', 'postgres'] as const) {
    t.test(`${name} (${engine})`, async (t) => run(t, await freshStore(t, engine)))
  }
}

export async function freshStore(t: Test, engine: Store['engine']): Promise<TestStore> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  const databaseUrl = engine === 'postgres' ? await (await startPostgres(t)).database() : undefined
  const settings = { dataDir, databaseUrl }
  const opened: Store[] = []
  t.teardown(async () => {
    for (const store of opened) await store.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const reopen = async () => {
    const store = await openStore(settings)
    opened.push(store)
    return store
  }
  return { store: await reopen(), settings, reopen }
}
