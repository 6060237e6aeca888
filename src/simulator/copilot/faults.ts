import type { FaultLists } from '../frame.ts'
import { HTTP_NONSENSE, HTTP_TROUBLE } from '../http-faults.ts'

const page = { ...HTTP_TROUBLE, overloaded: { refusal: 'overloaded' } } as const

const opening = {
  ...page,
  ...HTTP_NONSENSE,
  'client-refused': { refusal: 'client-refused' },
  'no-id': { id: 'none' },
  empty: { oddBody: 'empty' },
  array: { oddBody: 'array' }
} as const

/** What can go wrong at random in the Copilot half, and passes by itself; docs/protocol/chat-copilot.md section 7. */
export const copilotFaults = {
  'copilot.home': page,
  'copilot.start': {
    ...opening,
    'banned-for-a-moment': { banExpiresInMs: 1000 },
    'no-turns-left': { remainingTurns: 0 }
  },
  'copilot.conversations': opening,
  'copilot.history': page,
  'copilot.user': page,
  'copilot.config': page,
  'copilot.upgrade': {
    ...page,
    'client-refused': { refusal: 'client-refused' },
    'never-connected': { connected: 'never' },
    'connected-again': { connected: 'again' },
    'connected-late': { connectedDelayMs: 1500 },
    'idle-close': { idleMs: 300 },
    'idle-terminate': { idleMs: 300, idleEnd: 'terminate' },
    'idle-deaf': { idleMs: 300, idleEnd: 'deaf' },
    'question-close': { questionEnd: 'close' },
    'question-terminate': { questionEnd: 'terminate' },
    'question-deaf': { questionEnd: 'deaf' },
    'no-pongs': { pongs: false }
  },
  'copilot.turn': {
    'invalid-event': { failure: 'invalid-event' },
    'service-unavailable': { failure: 'chat-service-unavailable' },
    'text-too-long': { failure: 'text-too-long' },
    throttled: { failure: 'throttled', nextAvailableInMs: 500, afterFailure: 'close' },
    'unknown-error': { errorCode: 'something-new' },
    'garbage-before-text': { notJson: 'before-text' },
    'garbage-mid-text': { notJson: 'mid-text' },
    'close-at-start': { end: 'close', endAt: 'start' },
    'close-mid-text': { end: 'close', endAt: 'mid-text' },
    'close-after-text': { end: 'close', endAt: 'after-text' },
    'terminate-at-start': { end: 'terminate', endAt: 'start' },
    'terminate-before-text': { end: 'terminate' },
    'terminate-mid-text': { end: 'terminate', endAt: 'mid-text' },
    'terminate-after-text': { end: 'terminate', endAt: 'after-text' },
    'silence-at-start': { end: 'silence', endAt: 'start' },
    'silence-mid-text': { end: 'silence', endAt: 'mid-text' },
    'no-done': { end: 'no-done' },
    'done-without-text': { answer: '', suggestions: 0 },
    'text-shrinks': { rewrite: 'shrink' },
    'text-diverges': { rewrite: 'diverge' },
    'final-differs': { rewrite: 'final-differs' },
    'cut-everywhere': { split: 'every-char', escapeUnicode: true },
    'several-in-one': { eventsPerMessage: 3 },
    'unknown-events': { unknownEvents: true, unknownFields: true },
    'large-event': { largeRecordBytes: 300_000 },
    'late-followups': { followupsDelayMs: 1000 },
    'closed-after': { closeAfter: true },
    slow: { thinkMs: 1500 }
  },
  'copilot.picture': { ...HTTP_TROUBLE, ...HTTP_NONSENSE, expired: { expired: true } }
} satisfies FaultLists
