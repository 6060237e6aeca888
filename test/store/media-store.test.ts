import t from 'tap'
import { createMediaStore, mediaRow } from '../../src/store/media-store.ts'
import { onBothEngines } from '../support/stores.ts'

onBothEngines(t, 'copies are found by id and by task, and removed', async (t, { store }) => {
  const media = createMediaStore(store)
  const row = (taskId: string, position: number) =>
    mediaRow(
      {
        id: `${taskId}-${position}`,
        position,
        storageKey: `${taskId}/${position}`,
        contentType: 'image/jpeg',
        bytes: 5_000_000_000,
        width: position === 0 ? null : 1024,
        height: null,
        sha256: 'ab'
      },
      { id: taskId, owner: 'alice', created_at: 1_700_000_000_000, completed_at: null }
    )
  const shown = (taskId: string, position: number) => {
    const { id, task_id, content_type, width, height } = row(taskId, position)
    return { id, task_id, content_type, width, height }
  }
  const rows = [row('b', 2), row('a', 1), row('b', 0), row('a', 0), row('c', 0)]
  await store.db.insertInto('media').values(rows).execute()

  t.strictSame(await media.get('b-2'), row('b', 2), 'numbers are numbers')
  t.equal(await media.get('b'), undefined)
  t.strictSame(
    await media.ofTasks(['b', 'none', 'a']),
    new Map([
      ['a', [shown('a', 0), shown('a', 1)]],
      ['b', [shown('b', 0), shown('b', 2)]]
    ])
  )
  t.strictSame(await media.ofTasks([]), new Map())
  await media.remove('b-0')
  await media.removeOfTask('a')
  t.strictSame([...(await media.ofTasks(['a', 'b', 'c'])).keys()], ['b', 'c'])
  t.equal((await media.ofTasks(['b'])).get('b')?.length, 1)
  t.equal(row('a', 0).created_at, 1_700_000_000_000)
})
