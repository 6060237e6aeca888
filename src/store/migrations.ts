import { type Kysely, type Migration, sql } from 'kysely'
import type { Engine } from './database.ts'

/** Applied in the order of their names, on both engines; never changed once released. */
export const migrationsFor = (engine: Engine): Record<string, Migration> => ({
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
  },
  // Several gateways share a store from here on: claims, and what keys, limits, repeats, webhooks and media copies need.
  '003-shared-store': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      const { schema } = db
      for (const [table, columns] of Object.entries({
        conversations: ['asked_by'],
        tasks: ['worker', 'waiter', 'webhook_url', 'base_url']
      })) {
        for (const column of columns) await schema.alterTable(table).addColumn(column, 'text').execute()
      }
      for (const column of ['limit_window', 'sent_at'])
        await schema.alterTable('tasks').addColumn(column, 'bigint').execute()
      await schema.alterTable('conversations').addColumn('asked_at', 'bigint').execute()
      await schema
        .createTable('workers')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('alive_until', 'bigint', (column) => column.notNull())
        .addColumn('started_at', 'bigint', (column) => column.notNull())
        .execute()
      await schema
        .createTable('media')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('task_id', 'text', (column) => column.notNull())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('position', 'integer', (column) => column.notNull())
        .addColumn('storage_key', 'text', (column) => column.notNull())
        .addColumn('content_type', 'text', (column) => column.notNull())
        .addColumn('bytes', 'bigint', (column) => column.notNull())
        .addColumn('width', 'integer')
        .addColumn('height', 'integer')
        .addColumn('sha256', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute()
      await schema.createIndex('media_of_task').on('media').columns(['task_id', 'position']).execute()
      await schema
        .createTable('deliveries')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('task_id', 'text', (column) => column.notNull())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('url', 'text', (column) => column.notNull())
        .addColumn('base_url', 'text', (column) => column.notNull())
        .addColumn('lane', 'text', (column) => column.notNull())
        .addColumn('event', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempts', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'bigint')
        .addColumn('worker', 'text')
        .addColumn('last_status', 'integer')
        .addColumn('last_error', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('ended_at', 'bigint')
        .execute()
      await schema
        .createTable('idempotency')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('body_hash', 'text', (column) => column.notNull())
        .addColumn('worker', 'text')
        .addColumn('task_id', 'text')
        .addColumn('response', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .execute()
      await schema.createIndex('idempotency_end').on('idempotency').column('expires_at').execute()
      await schema
        .createTable('limits')
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('thing', 'text', (column) => column.notNull())
        .addColumn('window_ends', 'bigint', (column) => column.notNull())
        .addColumn('used', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('limits_key', ['owner', 'thing'])
        .execute()
      await schema
        .createTable('keys')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('user_id', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull().unique())
        .addColumn('prefix', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint')
        .addColumn('last_used_at', 'bigint')
        .addColumn('revoked_at', 'bigint')
        .execute()
      await schema
        .createTable('secrets')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('value', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute()

      // Each question of the job loop has an index that holds just the rows it asks for, so that what a claim costs
      // depends neither on what is finished nor on what waits for later.
      for (const index of [
        'tasks_due',
        'tasks_of_owner',
        'tasks_in_flight_of_owner',
        'tasks_last_submit_of_owner'
      ])
        await schema.dropIndex(index).execute()
      for (const [name, on] of Object.entries({
        tasks_to_look_at: `tasks (due_at) where state in ('polling', 'paused') and worker is null`,
        tasks_to_submit: `tasks (kind, owner, created_at, id) where state = 'queued'`,
        tasks_held_back: `tasks (due_at) where state = 'queued'`,
        tasks_in_flight: `tasks (kind, owner) where state in ('submitting', 'polling', 'paused')`,
        tasks_to_expire: `tasks (deadline_at) where state in ('queued', 'polling', 'paused')`,
        tasks_claimed: `tasks (worker) where worker is not null`,
        tasks_awaited: `tasks (waiter) where waiter is not null and state = 'queued'`,
        tasks_ended: `tasks (completed_at) where completed_at is not null`,
        tasks_of_owner: 'tasks (owner, created_at, id)',
        tasks_last_submit_of_owner: 'tasks (owner, kind, submitted_at)',
        conversations_of_owner: 'conversations (owner, created_at, id)',
        conversations_asked: 'conversations (asked_by) where asked_by is not null',
        deliveries_due: `deliveries (due_at) where state = 'pending' and worker is null`,
        deliveries_waiting: `deliveries (lane, due_at) where state = 'pending' and worker is null`,
        deliveries_claimed: 'deliveries (worker) where worker is not null',
        deliveries_ended: 'deliveries (ended_at) where ended_at is not null',
        deliveries_of_task: 'deliveries (task_id)',
        idempotency_running: 'idempotency (worker) where worker is not null'
      })) {
        await sql.raw(`create index ${name} on ${on}`).execute(db)
      }

      // What the last process left behind belongs to a worker that has ended, so that its successor puts it right.
      await sql`insert into workers (id, alive_until, started_at)
        select 'before-leases', 0, 0 where exists (select 1 from tasks)`.execute(db)
      await sql`update tasks set worker = 'before-leases', sent_at = created_at where state = 'submitting'`.execute(
        db
      )
      await sql`update tasks set waiter = 'before-leases' where state = 'queued' and kind = 'image'`.execute(
        db
      )
    }
  },
  // Tells the other gateways of a change as part of the transaction that makes it, so that no code can forget it and
  // nobody hears of what was rolled back. SQLite has one gateway, which knows what it changes.
  '004-notifications': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      if (engine === 'sqlite') return
      await sql`
        create function bing_gateway_changed() returns trigger language plpgsql as $$
        begin
          perform pg_notify('bing_gateway', tg_argv[0] || ':' || coalesce(new.id, old.id));
          return null;
        end $$`.execute(db)
      await sql`create trigger task_changed after update of state on tasks for each row
        when (old.state is distinct from new.state) execute function bing_gateway_changed('task')`.execute(db)
      await sql`create trigger idempotency_changed after update or delete on idempotency for each row
        execute function bing_gateway_changed('idempotency')`.execute(db)
      await sql`create trigger key_changed after update of revoked_at on keys for each row
        execute function bing_gateway_changed('key')`.execute(db)
    }
  },
  '005-turns-in-doubt': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      await db.schema
        .alterTable('conversations')
        .addColumn('in_doubt', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
    }
  },
  '006-poll-samples': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      await db.schema.alterTable('tasks').addColumn('looked_at', 'bigint').execute()
      await db.schema
        .createTable('poll_samples')
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('variant', 'text', (column) => column.notNull())
        .addColumn('after_ms', 'bigint', (column) => column.notNull())
        .addColumn('by_ms', 'bigint', (column) => column.notNull())
        .addColumn('looks', 'integer', (column) => column.notNull())
        .addColumn('seen_at', 'bigint', (column) => column.notNull())
        .execute()
      await db.schema
        .createIndex('poll_samples_newest')
        .on('poll_samples')
        .columns(['kind', 'variant', 'seen_at'])
        .execute()
    }
  },
  // What is told of an account belongs to no task, and has its text with it.
  '007-webhooks-without-task': {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async up(db: Kysely<any>) {
      if (engine === 'postgres') {
        await db.schema
          .alterTable('deliveries')
          .alterColumn('task_id', (column) => column.dropNotNull())
          .execute()
        await db.schema.alterTable('deliveries').addColumn('payload', 'text').execute()
        return
      }
      // SQLite can't take a constraint away, so the table is made anew: https://www.sqlite.org/lang_altertable.html#otheralter
      await db.schema
        .createTable('deliveries_007')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('task_id', 'text')
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('url', 'text', (column) => column.notNull())
        .addColumn('base_url', 'text', (column) => column.notNull())
        .addColumn('lane', 'text', (column) => column.notNull())
        .addColumn('event', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempts', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'bigint')
        .addColumn('worker', 'text')
        .addColumn('last_status', 'integer')
        .addColumn('last_error', 'text')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('ended_at', 'bigint')
        .addColumn('payload', 'text')
        .execute()
      const columns =
        'id, task_id, owner, url, base_url, lane, event, state, attempts, due_at, worker, last_status, last_error, created_at, ended_at'
      await sql.raw(`insert into deliveries_007 (${columns}) select ${columns} from deliveries`).execute(db)
      // Its indexes go with it.
      await db.schema.dropTable('deliveries').execute()
      await db.schema.alterTable('deliveries_007').renameTo('deliveries').execute()
      for (const [name, on] of Object.entries({
        deliveries_due: `(due_at) where state = 'pending' and worker is null`,
        deliveries_waiting: `(lane, due_at) where state = 'pending' and worker is null`,
        deliveries_claimed: '(worker) where worker is not null',
        deliveries_ended: '(ended_at) where ended_at is not null',
        deliveries_of_task: '(task_id)'
      }))
        await sql.raw(`create index ${name} on deliveries ${on}`).execute(db)
    }
  }
})
