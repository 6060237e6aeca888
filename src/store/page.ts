import { type RawBuilder, sql } from 'kysely'

/** The last row of a page of rows that are sorted newest first; ids settle what was made in the same millisecond. */
export interface PageEnd {
  createdAt: number
  id: string
}

/** Holds for rows that come after the end of the last page. */
export function isAfter({ createdAt, id }: PageEnd): RawBuilder<boolean> {
  return sql<boolean>`(created_at, id) < (${createdAt}, ${id})`
}
