import pg from 'pg'
import t, { type Test } from 'tap'
import { privatePostgres, startPostgres } from '../support/postgres.ts'

async function connect(t: Test, url: string) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  // More than once: the server says that it ends, then the connection ends.
  const broken = new Promise<void>((resolve) => client.on('error', () => resolve()))
  await client.connect()
  t.teardown(() => client.end())
  return { client, broken }
}

/** Every value of the answer, row by row. */
async function ask(client: pg.Client, sql: string) {
  return (await client.query({ text: sql, rowMode: 'array' })).rows.flat()
}

t.test('databases are empty, of their own and gone after the test', async (t) => {
  let first = ''
  await t.test('two of them', async (t) => {
    const server = await startPostgres(t)
    t.comment(`PostgreSQL from ${server.origin}`)
    first = await server.database()
    const second = await server.database()
    t.not(first, second)
    const a = await connect(t, first)
    const b = await connect(t, second)
    await a.client.query('CREATE TABLE note (text text)')
    t.same(await ask(b.client, "SELECT to_regclass('note')"), [null])
    t.same(await ask(a.client, 'SELECT count(*)::int FROM note'), [0])
  })

  const server = await startPostgres(t)
  const third = await server.database()
  t.equal(new URL(third).host, new URL(first).host, 'the server is the same one')
  await t.rejects(connect(t, first), /does not exist/)
})

t.test('a private server', async (t) => {
  const server = await privatePostgres(t)
  const url = await server.database()

  await t.test('takes the connections of several replicas from a user without special rights', async (t) => {
    const { client } = await connect(t, url)
    t.same(await ask(client, 'SHOW max_connections'), ['300'])
    t.same(await ask(client, 'SHOW listen_addresses'), ['127.0.0.1'])
    t.same(await ask(client, 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), [false])
    const wrong = new URL(url)
    wrong.password = 'wrong'
    await t.rejects(connect(t, wrong.href), /password authentication failed/)
  })

  for (const immediate of [false, true]) {
    await t.test(`keeps its data when it is stopped${immediate ? ' at once' : ''}`, async (t) => {
      const { client, broken } = await connect(t, url)
      await client.query('DROP TABLE IF EXISTS note')
      await client.query('CREATE TABLE note (text text)')
      await client.query("INSERT INTO note VALUES ('kept')")
      await server.stop({ immediate })
      await server.stop()
      await broken
      await t.rejects(connect(t, url), { code: 'ECONNREFUSED' })
      await server.start()
      await server.start()
      const again = await connect(t, url)
      t.same(await ask(again.client, 'SELECT text FROM note'), ['kept'])
    })
  }

  await t.test('answers nothing while it is paused, and everything afterwards', async (t) => {
    const { client } = await connect(t, url)
    await server.pause()
    let answered = false
    const answer = ask(client, 'SELECT 1').then((values) => {
      answered = true
      return values
    })
    const late = new pg.Client({ connectionString: url, connectionTimeoutMillis: 200 })
    await t.rejects(late.connect(), /timeout/)
    t.equal(answered, false)
    await server.resume()
    t.same(await answer, [1])
  })
})

t.test('a durable server flushes every commit', async (t) => {
  const server = await privatePostgres(t, { durable: true })
  const { client } = await connect(t, await server.database())
  t.same(await ask(client, 'SHOW fsync'), ['on'])
  t.same(await ask(client, 'SHOW synchronous_commit'), ['on'])
})

t.test('only a private server can be stopped or paused', async (t) => {
  const before = process.env.TEST_DATABASE_URL
  t.teardown(() => {
    if (before === undefined) delete process.env.TEST_DATABASE_URL
    else process.env.TEST_DATABASE_URL = before
  })
  process.env.TEST_DATABASE_URL = 'postgres://postgres@127.0.0.1:1/postgres'
  const server = await startPostgres(t)
  for (const change of [server.stop, server.start, server.pause, server.resume])
    await t.rejects(change(), /not ours to stop/)
  await t.rejects(server.database(), /the server of TEST_DATABASE_URL created no database: .*ECONNREFUSED/)
})
