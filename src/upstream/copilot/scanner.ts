import { UpstreamError } from '../failures.ts'
import { MAX_EVENT_CHARS, MAX_STRUCTURE_CHARS, RECORD_SEPARATOR } from './constants.ts'

/** One JSON object of the wire, unchecked. */
export type CopilotEvent = Readonly<Record<string, unknown>>

/** Finds the events in what comes from the socket; keeps what is not complete yet. */
export interface EventScanner {
  /**
   * @param text of one WebSocket message: several events, one, or a part of one
   * @returns the events that are complete now, in their order
   * @throws {UpstreamError} row T11, for text that is no object, and for an event or a message that would take too long to
   *   read. The scanner is of no more use then
   */
  push(text: string): CopilotEvent[]
}

const MAX_PIECES = 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const NOISE: ReadonlySet<string> = new Set([' ', '\n', '\r', '\t', '\ufeff', RECORD_SEPARATOR])

/**
 * Cuts at the brace that closes an object, outside strings. Every character is looked at once, however many messages an
 * event is spread over. Whether what stands between the braces is JSON is left to JSON.parse.
 * @param maxChars longest event
 * @see docs/protocol/chat-copilot.md section 3
 */
export function createEventScanner(maxChars = MAX_EVENT_CHARS): EventScanner {
  /** The event that is not complete yet: its latest pieces as they came, those before them joined. */
  let latest: string[] = []
  let joined: string[] = []
  let kept = 0
  /** Characters outside strings, which are what costs time: of the event that is not complete yet, and of one message. */
  let ofEvent = 0
  let ofMessage = 0
  let depth = 0
  let isInString = false
  let isEscaped = false

  /** @returns the index behind the object that is open, or -1 when it goes on after this text */
  function endOf(text: string, from: number): number {
    for (let at = from; at < text.length; at++) {
      if (isInString) {
        if (isEscaped) {
          isEscaped = false
          continue
        }
        const code = text.charCodeAt(at)
        if (code === BACKSLASH) isEscaped = true
        else if (code === QUOTE) isInString = false
        continue
      }
      if (++ofEvent > MAX_STRUCTURE_CHARS) throw tooIntricate()
      const code = text.charCodeAt(at)
      if (code === QUOTE) isInString = true
      else if (code === OPEN) depth += 1
      else if (code === CLOSE && --depth === 0) return at + 1
    }
    return -1
  }

  return {
    push(text) {
      const events: CopilotEvent[] = []
      let at = 0
      ofMessage = 0
      while (at < text.length) {
        if (depth === 0) {
          if (NOISE.has(text.charAt(at))) {
            if (++ofMessage > MAX_STRUCTURE_CHARS) throw tooIntricate()
            at += 1
            continue
          }
          if (text.charCodeAt(at) !== OPEN) throw unreadable('text between events')
        }
        const end = endOf(text, at)
        const piece = end === -1 ? text.slice(at) : text.slice(at, end)
        kept += piece.length
        if (kept > maxChars) throw unreadable(`an event of more than ${maxChars} characters`)
        latest.push(piece)
        if (end === -1) {
          // An event in messages of a character each would otherwise take many times its size.
          if (latest.length === MAX_PIECES) {
            joined.push(latest.join(''))
            latest = []
          }
          break
        }
        ofMessage += ofEvent
        if (ofMessage > MAX_STRUCTURE_CHARS) throw tooIntricate()
        events.push(parsed([...joined, ...latest].join('')))
        latest = []
        joined = []
        kept = 0
        ofEvent = 0
        at = end
      }
      return events
    }
  }
}

function parsed(text: string): CopilotEvent {
  try {
    return JSON.parse(text)
  } catch {
    throw unreadable(`an event of ${text.length} characters that is not JSON`)
  }
}

const tooIntricate = () => unreadable(`more than ${MAX_STRUCTURE_CHARS} characters outside strings`)

/** The shape only: what came may be an answer. */
function unreadable(what: string): UpstreamError {
  return new UpstreamError('T11', { cause: new Error(what) })
}
