import { UpstreamError } from '../failures.ts'
import { MAX_RECORD_CHARS, RECORD_SEPARATOR } from './constants.ts'

/** One parsed record of the hub. Members are unchecked: the peer may send anything. */
export type HubRecord = Readonly<Record<string, unknown>>

/** Turns the text of WebSocket messages into records, wherever the messages were cut. */
export interface RecordDecoder {
  /**
   * Takes the next piece of text. Yields while parsing, so that the good records before a bad one are delivered;
   * iterate to the end before the next call.
   * @returns the records that the piece completed, in order; none while a record is incomplete
   * @throws {UpstreamError} W12 when a record is no JSON object, or longer than the limit
   */
  push(text: string): Generator<HubRecord, void, void>
  /** Whether text is waiting for its separator. */
  readonly isMidRecord: boolean
}

/**
 * @param maxChars longest record; what a peer can make us keep
 * @see docs/protocol/chat-sydney.md section 3
 */
export function createRecordDecoder(maxChars: number = MAX_RECORD_CHARS): RecordDecoder {
  let rest = ''

  function checkLength(chars: number): void {
    if (chars > maxChars) throw badRecord(`record longer than ${maxChars} characters`)
  }

  return {
    *push(text) {
      let from = 0
      // Only the new piece is searched: a record that comes in thousands of pieces must not cost a search of all of it each time.
      for (let to = text.indexOf(RECORD_SEPARATOR); to !== -1; to = text.indexOf(RECORD_SEPARATOR, from)) {
        const record = rest + text.slice(from, to)
        rest = ''
        from = to + 1
        checkLength(record.length)
        if (record !== '') yield parseRecord(record)
      }
      rest += text.slice(from)
      checkLength(rest.length)
    },
    get isMidRecord() {
      return rest !== ''
    }
  }
}

/** A record as it goes on the wire. JSON never holds a raw separator: control characters are escaped in it. */
export function encodeRecord(record: object): string {
  return JSON.stringify(record) + RECORD_SEPARATOR
}

function parseRecord(text: string): HubRecord {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // JSON.parse quotes its input in the message, and that may be a part of somebody's answer.
    throw badRecord(`record of ${text.length} characters is not JSON`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRecord('record is not a JSON object')
  }
  return value as HubRecord
}

function badRecord(what: string): UpstreamError {
  return new UpstreamError('W12', { cause: new Error(what) })
}
