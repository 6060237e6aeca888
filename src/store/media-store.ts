import type { Store } from './database.ts'
import type { MediaRow, TaskRow } from './schema.ts'

/** A copy of a picture or video that has been stored, before its task has ended. */
export interface NewMedia {
  id: string
  /** Place within the result, from 0. */
  position: number
  storageKey: string
  contentType: string
  bytes: number
  width: number | null
  height: number | null
  sha256: string
}

/** What a list of copies says of each. */
export type ShownMedia = Pick<MediaRow, 'id' | 'task_id' | 'content_type' | 'width' | 'height'>

export function mediaRow(
  media: NewMedia,
  task: Pick<TaskRow, 'id' | 'owner' | 'completed_at' | 'created_at'>
): MediaRow {
  return {
    id: media.id,
    task_id: task.id,
    owner: task.owner,
    position: media.position,
    storage_key: media.storageKey,
    content_type: media.contentType,
    bytes: media.bytes,
    width: media.width,
    height: media.height,
    sha256: media.sha256,
    created_at: task.completed_at ?? task.created_at
  }
}

export type MediaStore = ReturnType<typeof createMediaStore>

/**
 * Which copies there are. Those of a task come into being with its end (src/store/task-store.ts); those of a chat answer
 * before it is stored, and have the id of its conversation for their task's.
 */
export function createMediaStore({ db }: Store) {
  return {
    async get(id: string): Promise<MediaRow | undefined> {
      return db.selectFrom('media').selectAll().where('id', '=', id).executeTakeFirst()
    },

    /** @returns the tasks that have copies, with what is shown of these, in the result's order */
    async ofTasks(taskIds: readonly string[]): Promise<Map<string, ShownMedia[]>> {
      if (taskIds.length === 0) return new Map()
      const rows = await db
        .selectFrom('media')
        .select(['id', 'task_id', 'content_type', 'width', 'height'])
        .where('task_id', 'in', taskIds)
        .orderBy('task_id')
        .orderBy('position')
        .execute()
      const found = new Map<string, ShownMedia[]>()
      for (const row of rows) {
        const others = found.get(row.task_id)
        if (others === undefined) found.set(row.task_id, [row])
        else others.push(row)
      }
      return found
    },

    /** Notes a copy, in place of what was noted of an earlier one with its id. */
    async put(row: MediaRow): Promise<void> {
      await db
        .insertInto('media')
        .values(row)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
        .execute()
    },

    async remove(id: string): Promise<void> {
      await db.deleteFrom('media').where('id', '=', id).execute()
    },

    async removeOfTask(taskId: string): Promise<void> {
      await db.deleteFrom('media').where('task_id', '=', taskId).execute()
    }
  }
}
