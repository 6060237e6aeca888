/** Another program has the SQLite file locked for longer than a write waits. */
import { join } from 'node:path'
import Database from 'libsql'
import t from 'tap'
import { isStoreFault, type Queries } from '../../src/store/database.ts'
import { freshStore } from '../support/stores.ts'

const note = (db: Queries, name: string) =>
  db.insertInto('secrets').values({ name, value: name, created_at: 1 }).returningAll().execute()

const refused: Record<string, (db: Queries) => Promise<unknown>> = {
  'a write': (db) => db.deleteFrom('secrets').execute(),
  'a write that returns rows': (db) => note(db, 'refused'),
  'a transaction': (db) => db.transaction().execute((tx) => note(tx, 'refused'))
}

for (const [name, attempt] of Object.entries(refused)) {
  t.test(`${name} that is refused harms no later one`, async (t) => {
    const { store, settings } = await freshStore(t, 'sqlite')
    const other = new Database(join(settings.dataDir, 'bing-gateway.sqlite'))
    t.teardown(() => other.close())
    const seen = () => other.prepare('select name from secrets order by name').all()

    other.exec('begin immediate')
    const error = await attempt(store.db).then(
      () => undefined,
      (reason) => reason
    )
    t.equal(isStoreFault(error), true, String(error))
    t.equal(await store.ping(), false)
    t.strictSame(await store.db.selectFrom('secrets').selectAll().execute(), [], 'it can be read meanwhile')
    other.exec('rollback')

    await note(store.db, 'one')
    t.strictSame(seen(), [{ name: 'one' }], 'what was acknowledged is in the file')
    await store.db.transaction().execute((tx) => note(tx, 'two'))
    await t.rejects(note(store.db, 'two'), { code: /^SQLITE_CONSTRAINT/ })
    await t.rejects(
      store.db.transaction().execute(async (tx) => {
        await note(tx, 'three')
        throw new Error('no')
      }),
      { message: 'no' }
    )
    t.strictSame(seen(), [{ name: 'one' }, { name: 'two' }])
    t.equal(await store.ping(), true)
    other.exec(`insert into secrets values ('theirs', '', 1)`)
    t.equal((await store.db.selectFrom('secrets').selectAll().execute()).length, 3)
  })
}
