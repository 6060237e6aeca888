import type { TaskState } from '../jobs/task-states.ts'

/**
 * Tables as they stand in the store. Times are milliseconds since the epoch; JSON stands as text, so that every
 * engine reads it alike. `owner` is a userId, or the empty string for anonymous callers.
 */
export interface Schema {
  conversations: ConversationRow
  turns: TurnRow
  tasks: TaskRow
}

export interface ConversationRow {
  id: string
  owner: string
  client_id: string
  /** SHA-256 of the signature, hexadecimal: the signature itself is shown once and not kept. */
  signature_hash: string
  upstream_kind: string
  /** JSON, secret: what the chat client wants back with each turn. */
  upstream: string
  state: 'open' | 'full' | 'expired'
  next_invocation: number
  context_chars: number
  expires_at: number | null
  created_at: number
  updated_at: number
}

export interface TurnRow {
  conversation_id: string
  invocation_id: number
  prompt: string
  tone: string | null
  /** JSON: the answer as it was given. */
  answer: string
  asked_at: number
  answered_at: number
}

export interface TaskRow {
  id: string
  kind: 'image' | 'video'
  owner: string
  state: TaskState
  prompt: string
  /** JSON: model and aspect, or speed. */
  options: string
  upstream_id: string | null
  result_url: string | null
  /** JSON: what earlier looks left behind. */
  memory: string
  /** When the next step is due; null when nothing is. */
  due_at: number | null
  deadline_at: number | null
  /** Looks, or attempts to look, so far. */
  looks: number
  /** Failed attempts to look since the last good one. */
  look_failures: number
  /** Submits that the upstream refused for want of a free place. */
  refusals: number
  /** JSON, when completed. */
  result: string | null
  /** JSON, when failed. */
  error: string | null
  created_at: number
  submitted_at: number | null
  completed_at: number | null
}
