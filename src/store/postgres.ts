import { type Dialect, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Changes, Topic } from './changes.ts'

/** Connections of one gateway. Queries are short; more connections would only queue inside the server. */
const POOL_SIZE = 10
/** A server that does not take a connection or answer a query within this time counts as away, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3000
const QUERY_TIMEOUT_MS = 5000
/** Waits between attempts to listen again, in milliseconds. */
const RELISTEN_MS = { first: 100, longest: 2000 }
/** A connection that only listens would not notice for hours that its other end has vanished; so it is asked this often. */
const LISTEN_CHECK_MS = 10_000
/** The channel that the triggers of migration 004 notify. */
const CHANNEL = 'bing_gateway'

/** bigint columns hold milliseconds and counts, all of them within what a number can hold. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8
      ? Number
      : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser
}

/** Errors that came from the database's side of the code, so that no other refused connection is taken for one. */
const seen = new WeakSet<object>()

export interface PostgresConnection {
  dialect: Dialect
  /** Listens to what other gateways change, and starts again by itself after a lost connection. */
  listen(changes: Changes): Promise<void>
  close(): Promise<void>
}

/**
 * A pool of connections to PostgreSQL 14 or later.
 * @param onError what goes wrong between queries: an idle connection that the server closed
 */
export function connectPostgres(url: string, onError: (error: Error) => void): PostgresConnection {
  const settings = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    statement_timeout: QUERY_TIMEOUT_MS,
    // A crashed gateway's open transaction would hold its locks for as long as TCP takes to notice.
    idle_in_transaction_session_timeout: QUERY_TIMEOUT_MS,
    application_name: 'bing-gateway',
    keepAlive: true,
    types
  }
  const pool = new pg.Pool({ ...settings, max: POOL_SIZE })
  pool.on('error', onError)
  // A connection that dies while it is in use tells both its query and this event; the query's error is enough.
  pool.on('connect', (client) => client.on('error', () => {}))

  let listener: pg.Client | undefined
  let closed = false
  let retry: NodeJS.Timeout | undefined

  async function attach(changes: Changes): Promise<void> {
    const client = new pg.Client(settings)
    let ended = false
    let check: NodeJS.Timeout | undefined
    const again = (error?: Error) => {
      if (ended) return
      ended = true
      clearInterval(check)
      if (error !== undefined) onError(error)
      client.end().catch(() => {})
      if (!closed) reattach(changes, RELISTEN_MS.first)
    }
    client.on('error', again)
    client.on('end', () => again())
    client.on('notification', ({ payload }) => {
      const [, topic, id] = /^([a-z]+):(.+)$/.exec(payload ?? '') ?? []
      if (topic !== undefined && id !== undefined) changes.announce(topic as Topic, id)
    })
    try {
      await client.connect()
      await client.query(`listen ${CHANNEL}`)
      check = setInterval(() => client.query('select 1').catch(again), LISTEN_CHECK_MS)
      check.unref()
    } catch (error) {
      ended = true
      client.end().catch(() => {})
      throw error
    }
    listener = client
    // Closed while it connected.
    if (closed) await client.end().catch(() => {})
  }

  function reattach(changes: Changes, wait: number): void {
    retry = setTimeout(() => {
      attach(changes).then(
        () => changes.announceMissed(),
        () => {
          if (!closed) reattach(changes, Math.min(wait * 2, RELISTEN_MS.longest))
        }
      )
    }, wait)
    retry.unref()
  }

  return {
    dialect: new PostgresDialect({
      pool: {
        async connect() {
          const client = await marked(() => pool.connect())
          // After a timeout the server's late answer would be taken for the next query's; a lost connection has none.
          let broken = false
          return {
            query: (async (...args: unknown[]) => {
              try {
                return await (client.query as (...args: unknown[]) => Promise<unknown>)(...args)
              } catch (error) {
                broken ||= sqlState(error) === undefined
                throw mark(error)
              }
            }) as never,
            release: () => client.release(broken)
          }
        },
        end: () => pool.end()
      }
    }),
    async listen(changes) {
      await marked(() => attach(changes))
    },
    async close() {
      closed = true
      clearTimeout(retry)
      await listener?.end().catch(() => {})
    }
  }

  async function marked<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw mark(error)
    }
  }
}

function mark(error: unknown): unknown {
  if (typeof error === 'object' && error !== null) seen.add(error)
  return error
}

/** The server's own code for an error; `undefined` for the driver's: a timeout, a lost or refused connection. */
function sqlState(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Classes of SQLSTATE that mean that the server is away or can't work: PostgreSQL, appendix A. */
const FAULTS = /^(08|53|55|57|58|25006|40|XX)/

/** Whether an error means that PostgreSQL could not be reached or could not work, and not a defect of the code. */
export function isPostgresFault(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !seen.has(error)) return false
  const state = sqlState(error)
  return state === undefined ? !(error instanceof TypeError) : FAULTS.test(state)
}
