/**
 * docs/protocol/failures.md section 4, rows S1 to S20, on the first and on the second turn of a conversation.
 *
 * Not played, and why:
 * - S3, "never existed", and S5 for their own reasons: the gateway would have to send an id or a question that it never
 *   sends. The records that such questions are answered with are played.
 * - S9 for its own reason (a signed-out caller with `autosave`): the simulator gives such callers no conversation.
 * - S12 and S17 as error events: docs/protocol/failures.md chose success with the text so far.
 * - S15 and S1 as limits that were really used up: the simulator counts no days.
 */
import { type ChatRig, chatRig, type FailingTurn, type KeptTurn } from '../chat-failures.ts'
import { COOKIE_EXPIRED, checkPeace, SAID } from '../failure-table.ts'
import { type Group, group } from './cell.ts'
import { keptCells, turnCells } from './chat-cells.ts'
import {
  CAPTCHA,
  EXPIRED,
  FILTERED,
  FULL,
  INTERNAL,
  NO_ANSWER,
  ONCE,
  THRICE,
  THROTTLED,
  TWICE
} from './wants.ts'

const failing: FailingTurn[] = [
  { row: 'S1', turn: { failure: 'throttled' }, want: THROTTLED, asked: ONCE },
  { row: 'S2', turn: { failure: 'captcha' }, want: CAPTCHA, asked: ONCE },
  {
    row: 'S3',
    turn: { failure: 'invalid-session' },
    want: EXPIRED,
    asked: { creates: 1, ...TWICE },
    later: ONCE,
    ended: EXPIRED
  },
  {
    row: 'S4',
    turn: { failure: 'token-expired' },
    want: EXPIRED,
    asked: { creates: 1, ...TWICE },
    later: ONCE,
    ended: EXPIRED
  },
  {
    row: 'S5',
    turn: { failure: 'signature-missing' },
    want: { status: 500, type: 'api_error', code: 'protocol_error' },
    asked: ONCE
  },
  { row: 'S6', turn: { failure: 'unauthorized' }, want: COOKIE_EXPIRED, asked: ONCE },
  { row: 'S7', turn: { failure: 'deepleo' }, want: INTERNAL, asked: THRICE, waits: [1000, 3000] },
  {
    row: 'S8',
    form: 'ChatGpt',
    turn: { failure: 'chatgpt' },
    want: INTERNAL,
    asked: TWICE,
    waits: [2000]
  },
  {
    row: 'S8',
    form: 'UserOffense',
    turn: { failure: 'user-offense' },
    want: INTERNAL,
    asked: TWICE,
    waits: [2000]
  },
  { row: 'S9', turn: { failure: 'storage' }, want: COOKIE_EXPIRED, asked: ONCE },
  {
    row: 'S10',
    turn: { failure: 'context-length' },
    want: { status: 400, type: 'invalid_request_error', code: 'context_too_long', stop: true },
    asked: ONCE
  },
  {
    row: 'S11',
    turn: { failure: 'invalid-request' },
    want: { status: 502, type: 'upstream_error', code: 'upstream_rejected', retryAfter: 60 },
    asked: ONCE
  },
  { row: 'S14', form: 'farewell', turn: { farewell: 'limit' }, want: FULL, asked: ONCE, ended: FULL },
  {
    row: 'S14',
    form: 'the other wording',
    turn: { farewell: 'move-on' },
    want: FULL,
    asked: ONCE,
    ended: FULL
  },
  {
    row: 'S14',
    form: 'the limit came down',
    turn: { maxTurns: 1 },
    turns: [1],
    want: FULL,
    asked: ONCE,
    ended: FULL
  },
  { row: 'S15', turn: { farewell: 'daily' }, want: THROTTLED, asked: ONCE },
  { row: 'S16', turn: { filter: 'apology-before' }, want: FILTERED, asked: ONCE },
  {
    row: 'S18',
    form: 'without text',
    turn: { filter: 'disengaged' },
    want: { status: 422, type: 'prompt_rejected_error', code: 'conversation_closed', stop: true },
    asked: ONCE,
    ended: FULL
  },
  { row: 'S19', form: 'echo last', turn: { filter: 'echo-last' }, want: FILTERED, asked: ONCE },
  { row: 'S19', form: 'offense', turn: { filter: 'offense' }, want: FILTERED, asked: ONCE },
  { row: 'S19', form: 'topic changer', turn: { filter: 'topic-changer' }, want: FILTERED, asked: ONCE },
  {
    row: 'S20',
    form: 'no message',
    turn: { filter: 'no-bot-message' },
    want: NO_ANSWER,
    asked: TWICE,
    waits: [1000]
  },
  {
    row: 'S20',
    form: 'empty',
    turn: { answer: '', search: 'never' },
    want: NO_ANSWER,
    asked: TWICE,
    waits: [1000]
  },
  {
    row: 'C4',
    form: 'of a turn',
    turn: { result: { value: 'Forbidden', message: SAID } },
    want: { status: 403, type: 'permission_error', code: 'account_forbidden', stop: true },
    asked: ONCE
  },
  {
    row: 'C9',
    form: 'another value of a turn',
    turn: { result: { value: 'Maintenance', message: SAID, exception: SAID } },
    want: { status: 502, type: 'upstream_error', code: 'upstream_rejected' },
    asked: ONCE
  }
]

const kept: KeptTurn[] = [
  {
    row: 'S12',
    form: 'in the middle',
    turn: { failure: 'deepleo', endAt: 'mid-text' },
    notice: 'answer_truncated',
    isPart: true
  },
  {
    row: 'S12',
    form: 'at the end',
    turn: { failure: 'throttled', endAt: 'after-text' },
    notice: 'answer_truncated'
  },
  {
    row: 'S12',
    form: 'a row that would end the conversation',
    turn: { failure: 'invalid-session', endAt: 'mid-text' },
    notice: 'answer_truncated',
    isPart: true
  },
  { row: 'S13', turn: { maxTurns: 1 }, only: 0, ended: FULL },
  { row: 'S13', turn: { maxTurns: 2 }, only: 1, ended: FULL },
  { row: 'S17', turn: { filter: 'apology-after' }, notice: 'answer_revoked' },
  {
    row: 'S17',
    form: 'then cut off',
    turn: { filter: 'apology-after', end: 'terminate', endAt: 'after-text' },
    notice: 'answer_revoked'
  },
  { row: 'S18', form: 'with text', turn: { filter: 'disengaged-after-text' }, ended: FULL }
]

const OPTIONS = { renew: (rig: ChatRig) => rig.newCookie(), end: checkPeace }

export const answerGroups: readonly Group[] = [
  group('final records that fail the turn', chatRig, turnCells(failing), OPTIONS),
  group('texts that are kept', chatRig, keptCells(kept), OPTIONS)
]
