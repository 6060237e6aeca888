/** What earlier versions left behind, opened by this one: a data folder that 0.1.0 had when it was killed, and an outbox. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Migrator, sql } from 'kysely'
import Database from 'libsql'
import t, { type Test } from 'tap'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { openStore, type Store } from '../../src/store/database.ts'
import { createDeliveryStore } from '../../src/store/delivery-store.ts'
import { migrationsFor } from '../../src/store/migrations.ts'
import { COOKIE, startGateway } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'

/** As `.schema` shows it in a file that 0.1.0 wrote. */
const SCHEMA = `
CREATE TABLE "kysely_migration" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
CREATE TABLE "kysely_migration_lock" ("id" varchar(255) not null primary key, "is_locked" integer default 0 not null);
CREATE TABLE "conversations" ("id" text primary key, "owner" text not null, "client_id" text not null, "signature_hash" text not null, "upstream_kind" text not null, "upstream" text not null, "state" text not null, "next_invocation" integer not null, "context_chars" integer not null, "expires_at" bigint, "created_at" bigint not null, "updated_at" bigint not null);
CREATE TABLE "turns" ("conversation_id" text not null references "conversations" ("id") on delete cascade, "invocation_id" integer not null, "prompt" text not null, "tone" text, "answer" text not null, "asked_at" bigint not null, "answered_at" bigint not null, constraint "turns_key" primary key ("conversation_id", "invocation_id"));
CREATE TABLE "tasks" ("id" text primary key, "kind" text not null, "owner" text not null, "state" text not null, "prompt" text not null, "options" text not null, "upstream_id" text, "result_url" text, "memory" text not null, "due_at" bigint, "deadline_at" bigint, "looks" integer not null, "look_failures" integer not null, "refusals" integer not null, "result" text, "error" text, "created_at" bigint not null, "submitted_at" bigint, "completed_at" bigint);
CREATE INDEX "tasks_due" on "tasks" ("state", "due_at");
CREATE INDEX "tasks_of_owner" on "tasks" ("owner", "created_at");
CREATE INDEX "tasks_in_flight_of_owner" on "tasks" ("owner", "kind", "state");
CREATE INDEX "tasks_last_submit_of_owner" on "tasks" ("owner", "kind", "submitted_at");
INSERT INTO "kysely_migration" VALUES ('001-conversations-and-tasks', '2026-11-22T02:47:06.684Z');
INSERT INTO "kysely_migration" VALUES ('002-fair-turns', '2026-11-22T02:47:06.688Z');
INSERT INTO "kysely_migration_lock" VALUES ('migration_lock', 0);`

type Row = Record<string, string | number | null>

const SIGNATURE = 'the-signature-that-alice-keeps'
const ALICE = { 'x-user-id': 'alice' }
const HOUR_MS = 3_600_000
const began = Date.now() - 60_000

/** A task as 0.1.0 stored it. */
const task = (id: string, kind: 'image' | 'video', state: string, fields: Row = {}): Row => ({
  id,
  kind,
  owner: 'alice',
  state,
  prompt: `${state} ${kind}`,
  options: kind === 'image' ? '{"model":"DALLE","aspect":"SQUARE"}' : '{"speed":"standard"}',
  upstream_id: null,
  result_url: null,
  memory: '{}',
  due_at: null,
  deadline_at: kind === 'image' ? began + 300_000 : null,
  looks: 0,
  look_failures: 0,
  refusals: 0,
  result: null,
  error: null,
  created_at: began,
  submitted_at: null,
  completed_at: null,
  ...fields
})

const IMAGES = ['http://127.0.0.1:9/th/id/OIG1.one?pid=ImgGn', 'http://127.0.0.1:9/th/id/OIG1.two?pid=ImgGn']
const VIDEO = 'http://127.0.0.1:9/th/id/OVID.one?pid=videocreator'
const REFUSED =
  '{"type":"prompt_rejected_error","code":"content_policy","message":"Prompt rejected for content policy.","param":null,"shouldRetry":false}'

/** What a simulated Bing remembers of a conversation with one turn and of videos that it makes. */
async function lifeBefore(t: Test, sim: Simulator, videos: string[]) {
  const gateway = await startGateway(t, { sim, config: { VIDEO_CONCURRENCY: 0 } })
  sim.set('videoPoll', { neverReady: true })
  const { db } = gateway.app.store.database
  const conversation = await gateway.conversation()
  await gateway.post('/chatgpt', { ...conversation, prompt: 'My name is Ada.' })
  for (const query of videos) await gateway.post('/create/video', { query }, ALICE)
  const { upstream, expires_at } = await db.selectFrom('conversations').selectAll().executeTakeFirstOrThrow()
  const { answer } = await db.selectFrom('turns').selectAll().executeTakeFirstOrThrow()
  const rows = await db.selectFrom('tasks').selectAll().execute()
  await gateway.app.close()
  sim.set('videoPoll', {})
  return { upstream: JSON.parse(upstream), expiresAt: expires_at, answer: JSON.parse(answer), rows }
}

function write(path: string, tables: Record<string, Row[]>): void {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec(SCHEMA)
  for (const [table, rows] of Object.entries(tables)) {
    for (const row of rows) {
      const names = Object.keys(row)
      database
        .prepare(`insert into ${table} (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`)
        .run(...Object.values(row))
    }
  }
  database.close()
}

t.test('what 0.1.0 left behind goes on', async (t) => {
  const sim = await startSimulator({ cookies: [COOKIE], behave: { media: { plain: true } } })
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-'))
  t.teardown(async () => {
    await sim.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const { upstream, expiresAt, answer, rows } = await lifeBefore(t, sim, ['polling video', 'paused video'])
  const atBing = (prompt: string): Row => {
    const row = rows.find((one) => one.prompt === prompt)
    return {
      upstream_id: row?.upstream_id ?? null,
      result_url: row?.result_url ?? null,
      memory: '{"opened":true,"onlyPendingJson":true}',
      submitted_at: began,
      deadline_at: began + 6 * HOUR_MS,
      looks: 58
    }
  }
  const { conversationId, clientId, conversationSignature, encryptedSignature } = upstream
  const { message, sources, suggestions, turns } = answer
  write(join(dir, 'bing-gateway.sqlite'), {
    conversations: [
      {
        id: '95c077f0-a47d-4b2b-a2e9-15bd243032a4',
        owner: 'alice',
        client_id: '914737307668569',
        signature_hash: createHash('sha256').update(SIGNATURE).digest('hex'),
        upstream_kind: 'sydney',
        upstream: JSON.stringify({ conversationId, clientId, conversationSignature, encryptedSignature }),
        state: 'open',
        next_invocation: 1,
        context_chars: 72,
        expires_at: expiresAt,
        created_at: began,
        updated_at: began
      }
    ],
    turns: [
      {
        conversation_id: '95c077f0-a47d-4b2b-a2e9-15bd243032a4',
        invocation_id: 0,
        prompt: 'My name is Ada.',
        tone: null,
        answer: JSON.stringify({ message, sources, suggestions, turns }),
        asked_at: began,
        answered_at: began
      }
    ],
    tasks: [
      task('completed-image', 'image', 'completed', {
        result: JSON.stringify({ images: IMAGES, video: null, prompt: 'a fox, clear daylight' }),
        completed_at: began
      }),
      task('completed-video', 'video', 'completed', {
        result: JSON.stringify({ images: [], video: VIDEO, prompt: 'a film' }),
        completed_at: began
      }),
      task('failed-image', 'image', 'failed', { error: REFUSED, completed_at: began }),
      task('polling-video', 'video', 'polling', { ...atBing('polling video'), due_at: began }),
      task('paused-video', 'video', 'paused', { ...atBing('paused video'), due_at: began + HOUR_MS }),
      task('submitting-image', 'image', 'submitting'),
      task('submitting-video', 'video', 'submitting'),
      task('queued-image', 'image', 'queued', { due_at: began }),
      task('queued-video', 'video', 'queued', { due_at: began })
    ]
  })

  const gateway = await startGateway(t, { dir, sim })
  const { db } = gateway.app.store.database
  const end = (id: string) => gateway.ended(id, ALICE)

  t.match(await end('polling-video'), { status: 'completed', prompt: 'polling video', errorDetail: null })
  t.match(await end('paused-video'), { status: 'completed', prompt: 'paused video', errorDetail: null })
  t.match(await end('queued-video'), { status: 'completed', prompt: 'queued video' })
  t.match(await end('queued-image'), { status: 'failed', errorDetail: { code: 'restarted' } })
  for (const id of ['submitting-image', 'submitting-video'])
    t.match(await end(id), { status: 'failed', errorDetail: { code: 'outcome_unknown' } }, id)
  t.match(await end('failed-image'), {
    status: 'failed',
    error: 'Prompt rejected for content policy.',
    errorDetail: { type: 'prompt_rejected_error', code: 'content_policy' },
    completedAt: new Date(began).toISOString()
  })
  const done = await end('completed-image')
  t.match(done, { status: 'completed', kind: 'image', prompt: 'completed image' })
  t.strictSame(done.images, IMAGES)
  t.match(await end('completed-video'), { status: 'completed', kind: 'video', video: VIDEO })

  const submits = Object.entries(sim.counts).filter(([name]) => name.startsWith('received:'))
  t.strictSame(
    new Map(submits),
    new Map([
      ['received:polling video', 1],
      ['received:paused video', 1],
      ['received:queued video', 1]
    ]),
    'only what was never sent is sent'
  )
  const list = (await gateway.get('/tasks', ALICE)).json.data.tasks
  t.equal(list.length, 9)
  t.strictSame(await db.selectFrom('tasks').select('id').where('worker', 'is not', null).execute(), [])

  const credentials = {
    conversationId: '95c077f0-a47d-4b2b-a2e9-15bd243032a4',
    clientId: '914737307668569',
    conversationSignature: SIGNATURE
  }
  const replayed = await gateway.post('/chatgpt', {
    ...credentials,
    prompt: 'My name is Ada.',
    invocationId: 0
  })
  t.strictSame([replayed.status, replayed.json.message], [200, message])
  t.equal(replayed.headers['idempotency-replayed'], 'true')
  const next = await gateway.post('/chatgpt', { ...credentials, prompt: 'What is my name?', invocationId: 1 })
  t.strictSame([next.status, next.json.invocationId, /\bAda\b/.test(next.json.message)], [200, 2, true])
  const shown = (await gateway.get(`/conversations/${credentials.conversationId}`, ALICE)).json
  t.equal(shown.turns.length, 2)
  t.strictSame(sim.violations, [])

  // And once more: what was put right stays as it is.
  await gateway.app.close()
  const again = await startGateway(t, { dir, sim })
  t.match((await again.get('/task/queued-image', ALICE)).json.data, { errorDetail: { code: 'restarted' } })
  t.equal(sim.counts['received:queued video'], 1)
})

/** Webhooks as the store held them before there were any without a task. */
const BEFORE_007: Row[] = [
  { id: 'msg_pending', state: 'pending', due_at: began },
  { id: 'msg_claimed', state: 'pending', due_at: began, attempts: 2, worker: 'w1', last_status: 500 },
  {
    id: 'msg_ended',
    state: 'failed',
    attempts: 10,
    last_error: 'HTTP 500',
    last_status: 500,
    ended_at: began
  }
].map((fields) => ({
  task_id: 'one',
  owner: 'alice',
  url: 'https://hook.test/x',
  base_url: 'http://gateway.test',
  lane: 'alice hook.test',
  event: 'task.completed',
  attempts: 0,
  due_at: null,
  worker: null,
  last_status: null,
  last_error: null,
  created_at: began,
  ended_at: null,
  ...fields
}))

for (const engine of ['sqlite', 'postgres'] as const)
  t.test(
    `webhooks on their way are kept by the version that has some without a task (${engine})`,
    async (t) => {
      const databaseUrl = engine === 'sqlite' ? undefined : await (await startPostgres(t)).database()
      const settings = { databaseUrl, dataDir: t.testdir() }
      const indexes = (store: Store) =>
        (engine === 'sqlite'
          ? sql`select name, sql from sqlite_master where tbl_name = 'deliveries' and sql like 'create index%'`
          : sql`select indexname as name, indexdef as sql from pg_indexes where tablename = 'deliveries'`
        )
          .execute(store.db)
          .then(({ rows }) => new Map((rows as Row[]).map(({ name, sql }) => [name, sql])))

      const old = await openStore({ ...settings, migrate: false })
      const provider = { getMigrations: async () => migrationsFor(engine) }
      await new Migrator({ db: old.db, provider }).migrateTo('006-poll-samples')
      for (const row of BEFORE_007)
        await old.db
          .insertInto('deliveries')
          .values(row as never)
          .execute()
      await t.rejects(old.db.updateTable('deliveries').set({ task_id: null }).execute(), 'as it was then')
      const before = await indexes(old)
      await old.close()

      const store = await openStore(settings)
      t.teardown(() => store.close())
      const rows = await store.db.selectFrom('deliveries').selectAll().orderBy('id').execute()
      const wanted = BEFORE_007.map((row) => ({ ...row, payload: null }))
      t.strictSame(
        rows.map((row) => ({ ...row })),
        wanted.sort((a: Row, b: Row) => ((a.id as string) < (b.id as string) ? -1 : 1))
      )
      const after = await indexes(store)
      t.ok(after.size >= 5)
      // SQLite keeps the text as it was written.
      const plain = (found: typeof after) =>
        [...found].map(([name, text]) => [name, String(text).replace(/\s+/g, ' ')]).sort()
      t.strictSame(plain(after), plain(before), 'with their indexes')

      const outbox = createDeliveryStore(store)
      const message = {
        id: 'msg_session',
        event: 'session.changed' as const,
        url: 'https://hook.test/y',
        payload: '{"type":"session.changed"}',
        createdAt: began
      }
      await outbox.add(message)
      await outbox.add(message)
      t.match(await outbox.list({ limit: 10 }), { length: 4 })
      t.match((await outbox.dueLanes(began)).sort(), ['  hook.test', 'alice hook.test'])
      t.match(await outbox.claimDue('w2', began, '  hook.test', 9), [
        { id: 'msg_session', taskId: null, owner: '', payload: message.payload, state: 'pending' }
      ])
    }
  )
