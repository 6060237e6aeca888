import type { TaskState } from '../jobs/task-states.ts'

/**
 * Tables as they stand in the store. Times are milliseconds since the epoch; JSON stands as text, so that every
 * engine reads it alike. `owner` is a userId, or the empty string for anonymous callers.
 */
export interface Schema {
  conversations: ConversationRow
  turns: TurnRow
  tasks: TaskRow
  poll_samples: PollSampleRow
  workers: WorkerRow
  media: MediaRow
  deliveries: DeliveryRow
  idempotency: IdempotencyRow
  limits: LimitRow
  keys: KeyRow
  secrets: SecretRow
}

/** A running gateway. What it has claimed is its own until its lease ends (src/jobs/worker-lease.ts). */
export interface WorkerRow {
  id: string
  /** End of the lease, by the database's clock. */
  alive_until: number
  started_at: number
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
  /** The worker in which a turn of it is under way. */
  asked_by: string | null
  /** When that turn was begun; null when none is. Tells one claim of a worker from its next one. */
  asked_at: number | null
  /** 1 when the first turn was broken off, or its worker ended: the upstream may have counted it, and nobody knows. */
  in_doubt: 0 | 1
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
  /** When the last look began that saw nothing yet; null when none did. */
  looked_at: number | null
  /** Failed attempts to look since the last good one. */
  look_failures: number
  /** Submits that the upstream refused for want of a free place though none of ours was there. */
  refusals: number
  /** JSON, when completed. */
  result: string | null
  /** JSON, when failed. */
  error: string | null
  created_at: number
  submitted_at: number | null
  completed_at: number | null
  /** The worker that submits it or looks at it right now. */
  worker: string | null
  /** When its prompt was about to leave; null when it surely has not. */
  sent_at: number | null
  /** The worker in which its caller waits, where nobody else knows its id: without that caller it is not worth a submit. */
  waiter: string | null
  webhook_url: string | null
  /** Base of the URLs that a webhook hands out: that of the request, where PUBLIC_URL does not say. */
  base_url: string | null
  /** End of the limit's window that it was counted in; null when it was not counted. */
  limit_window: number | null
}

/** How long a creation took, for the times of looks at later ones; of whom and what, it does not say. */
export interface PollSampleRow {
  kind: TaskRow['kind']
  /** Model of an image, speed of a video. */
  variant: string
  /** Age at the last look that saw nothing, in milliseconds. */
  after_ms: number
  /** Age at the look that saw the result. */
  by_ms: number
  looks: number
  seen_at: number
}

/** The gateway's own copy of a finished picture or video. Its bytes are in the media storage under `storage_key`. */
export interface MediaRow {
  id: string
  task_id: string
  owner: string
  /** Place within the result, from 0. */
  position: number
  storage_key: string
  content_type: string
  bytes: number
  /** Pixels, as the bytes say; null when they don't. */
  width: number | null
  height: number | null
  /** SHA-256 of the bytes, hexadecimal. */
  sha256: string
  created_at: number
}

/** A webhook on its way; the outbox. */
export interface DeliveryRow {
  /** Standard Webhooks message id, the same for each attempt. */
  id: string
  /** The task it tells of; null when it tells of none. */
  task_id: string | null
  owner: string
  url: string
  base_url: string
  /** Owner and host, with a space between: places are shared out by them. */
  lane: string
  event: 'task.completed' | 'task.failed' | 'task.cancelled' | 'session.changed'
  state: 'pending' | 'delivered' | 'failed'
  attempts: number
  /** When the next attempt is due; null when none is. */
  due_at: number | null
  /** The worker that delivers it right now. */
  worker: string | null
  last_status: number | null
  last_error: string | null
  created_at: number
  ended_at: number | null
  /** The body, where there is no task that it is made of anew for each attempt. */
  payload: string | null
}

export interface IdempotencyRow {
  /** SHA-256 of owner, route and key, hexadecimal. */
  id: string
  /** SHA-256 of the request body, hexadecimal. */
  body_hash: string
  /** The worker in which the request runs, until there is a task or a response. */
  worker: string | null
  task_id: string | null
  /** The response, sealed with the caller's key: it may hold a conversation's signature. Null while it runs. */
  response: string | null
  created_at: number
  expires_at: number
}

/** How much of a limit is used up in the current window. */
export interface LimitRow {
  owner: string
  thing: 'conversations' | 'images' | 'videos'
  window_ends: number
  used: number
}

export interface KeyRow {
  id: string
  user_id: string
  /** SHA-256 of the key, hexadecimal: the key itself is shown once and not kept. */
  hash: string
  /** First characters of the key, by which people tell keys apart. */
  prefix: string
  created_at: number
  expires_at: number | null
  last_used_at: number | null
  revoked_at: number | null
}

/** Secrets that all replicas share and that nobody sets: made at the first start. */
export interface SecretRow {
  name: string
  value: string
  created_at: number
}
