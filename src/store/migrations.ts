import type { Kysely, Migration } from 'kysely'

/** Applied in the order of their names; never changed once released. */
export const migrations: Record<string, Migration> = {
  '001-conversations-and-tasks': {
    // biome-ignore lint/suspicious/noExplicitAny: a migration sees the tables as they were then, not as the types say today
    async up(db: Kysely<any>) {
      await db.schema
        .createTable('conversations')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('client_id', 'text', (column) => column.notNull())
        .addColumn('signature_hash', 'text', (column) => column.notNull())
        .addColumn('upstream_kind', 'text', (column) => column.notNull())
        .addColumn('upstream', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('next_invocation', 'integer', (column) => column.notNull())
        .addColumn('context_chars', 'integer', (column) => column.notNull())
        .addColumn('expires_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('turns')
        .addColumn('conversation_id', 'text', (column) =>
          column.notNull().references('conversations.id').onDelete('cascade')
        )
        .addColumn('invocation_id', 'integer', (column) => column.notNull())
        .addColumn('prompt', 'text', (column) => column.notNull())
        .addColumn('tone', 'text')
        .addColumn('answer', 'text', (column) => column.notNull())
        .addColumn('asked_at', 'bigint', (column) => column.notNull())
        .addColumn('answered_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('turns_key', ['conversation_id', 'invocation_id'])
        .execute()
      await db.schema
        .createTable('tasks')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('prompt', 'text', (column) => column.notNull())
        .addColumn('options', 'text', (column) => column.notNull())
        .addColumn('upstream_id', 'text')
        .addColumn('result_url', 'text')
        .addColumn('memory', 'text', (column) => column.notNull())
        .addColumn('due_at', 'bigint')
        .addColumn('deadline_at', 'bigint')
        .addColumn('looks', 'integer', (column) => column.notNull())
        .addColumn('look_failures', 'integer', (column) => column.notNull())
        .addColumn('refusals', 'integer', (column) => column.notNull())
        .addColumn('result', 'text')
        .addColumn('error', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('submitted_at', 'bigint')
        .addColumn('completed_at', 'bigint')
        .execute()
      await db.schema.createIndex('tasks_due').on('tasks').columns(['state', 'due_at']).execute()
      await db.schema.createIndex('tasks_of_owner').on('tasks').columns(['owner', 'created_at']).execute()
    }
  },
  // Choosing the next of a long queue counted all tasks of its owner for every one that waits: half a second with
  // 10,000 finished and 250 waiting ones, during which nothing else ran.
  '002-fair-turns': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      await db.schema
        .createIndex('tasks_in_flight_of_owner')
        .on('tasks')
        .columns(['owner', 'kind', 'state'])
        .execute()
      await db.schema
        .createIndex('tasks_last_submit_of_owner')
        .on('tasks')
        .columns(['owner', 'kind', 'submitted_at'])
        .execute()
    }
  }
}
