import { sql } from 'kysely'

/**
 * Ends a statement that a power loss may undo: claims, which are worth nothing without their process, and what is looked
 * up anew anyway. SQLite then writes without waiting for the disk, which takes longer than all the rest; a process that
 * is killed loses nothing. PostgreSQL, which is asked by others at the same time, reads a comment.
 */
export const VOLATILE = sql`/* volatile */`

export const isVolatile = (statement: string): boolean => statement.endsWith('/* volatile */')
