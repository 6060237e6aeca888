import { randomBytes, randomUUID } from 'node:crypto'
import type { Question, UpstreamConversation } from '../chat-client.ts'
import {
  ALLOWED_MESSAGE_TYPES,
  DEFAULT_TONE,
  LOCALE,
  OPTION_SETS,
  RECORD_TYPE,
  REGION,
  SCENARIO,
  SOURCE,
  TONES
} from './constants.ts'

/**
 * The record that asks one question.
 * @param now milliseconds since the epoch
 * @see docs/protocol/chat-sydney.md section 4
 */
export function buildQuestion(conversation: UpstreamConversation, question: Question, now: number): object {
  const tone = TONES[question.tone ?? DEFAULT_TONE]
  const requestId = randomUUID()
  return {
    type: RECORD_TYPE.streamInvocation,
    target: 'chat',
    invocationId: String(question.invocationId),
    arguments: [
      {
        source: SOURCE,
        optionsSets: [...OPTION_SETS, ...tone.optionSets],
        allowedMessageTypes: ALLOWED_MESSAGE_TYPES,
        sliceIds: [],
        verbosity: 'verbose',
        scenario: SCENARIO,
        plugins: [],
        traceId: randomBytes(16).toString('hex'),
        requestId,
        // Also on a repeat of the first question: as long as nothing was answered, the session has not started.
        isStartOfSession: question.invocationId === 0,
        message: {
          author: 'user',
          inputMethod: 'Keyboard',
          messageType: 'Chat',
          text: question.prompt,
          timestamp: localTimestamp(now),
          messageId: requestId,
          requestId,
          locale: LOCALE,
          market: LOCALE,
          region: REGION
        },
        tone: tone.name,
        conversationSignature: conversation.conversationSignature,
        participant: { id: conversation.clientId },
        conversationId: conversation.conversationId,
        spokenTextMode: 'None'
      }
    ]
  }
}

/** Local time with its offset, e.g. `2024-02-05T09:15:00+01:00`. */
export function localTimestamp(now: number, offsetMinutes = -new Date(now).getTimezoneOffset()): string {
  const local = new Date(now + offsetMinutes * 60_000).toISOString().slice(0, 19)
  const minutes = Math.abs(offsetMinutes)
  const pad = (n: number) => String(n).padStart(2, '0')
  return `${local}${offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}
