import { sql } from 'kysely'

/**
 * Ends a query that finds one row at most. libsql fetches rows by the hundred, which takes longer than to find the one.
 * PostgreSQL reads a comment.
 */
export const ONE_ROW = sql`/* one row */`

export const isOneRow = (statement: string): boolean => statement.endsWith('/* one row */')
