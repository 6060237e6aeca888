import type { Want } from '../failure-table.ts'

// Answers of chats that rows of several sections share.
export const THROTTLED: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'throttled',
  retryAfter: 3600,
  stop: true
}
export const CAPTCHA: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'captcha_required',
  retryAfter: 3600,
  stop: true
}
export const EXPIRED: Want = {
  status: 404,
  type: 'not_found_error',
  code: 'conversation_expired',
  stop: true
}
export const FULL: Want = { status: 409, type: 'conflict_error', code: 'conversation_full', stop: true }
export const INTERNAL: Want = { status: 502, type: 'upstream_error', code: 'upstream_internal' }
export const NO_ANSWER: Want = { status: 502, type: 'upstream_error', code: 'no_answer' }
export const FILTERED: Want = {
  status: 422,
  type: 'prompt_rejected_error',
  code: 'content_filtered',
  stop: true
}
export const HUB_REFUSED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'hub_refused',
  retryAfter: 60
}

/** How often the hub is reached, and asked. */
export const ONCE = { upgrades: 1, questions: 1 }
export const TWICE = { upgrades: 2, questions: 2 }
export const THRICE = { upgrades: 3, questions: 3 }
export const KNOCKED_ONCE = { upgrades: 1 }
export const KNOCKED_TWICE = { upgrades: 2 }
