/** Ends every record, in both directions; docs/protocol/chat-sydney.md section 3. */
export const SEPARATOR = '\u001e'

const HANDSHAKE_REPLY = {}

/** Records a server may write. */
export const records = {
  handshake: HANDSHAKE_REPLY,
  ping: { type: 6 },
  close: { type: 7, error: 'Connection closed with an error.', allowReconnect: true }
} as const

export interface Framing {
  split: 'none' | 'every-char' | 'random' | number
  splitSeed: number
  escapeUnicode: boolean
  recordsPerMessage: number
}

/** Whole records, one WebSocket message each. */
export const PLAIN_FRAMING: Framing = {
  split: 'none',
  splitSeed: 1,
  escapeUnicode: false,
  recordsPerMessage: 1
}

/** Writes records as WebSocket text messages, cut and joined as told. */
export interface RecordWriter {
  /** A value is serialised; a string is written as it is (for what is not JSON). */
  write(record: object | string): void
  /** Lets everything wait until the next flush, so that it goes out as one message. */
  hold(): void
  /** Sends what waits to be joined with later records. */
  flush(): void
}

/** The same JSON in ASCII. */
export function escapeBeyondAscii(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Small repeatable generator; the play needs variety, not quality. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Cuts text at code points, so that every piece is valid UTF-8. */
export function cut(text: string, split: Framing['split'], random: () => number): string[] {
  if (split === 'none') return [text]
  const points = Array.from(text)
  const pieces: string[] = []
  for (let at = 0; at < points.length; ) {
    const size =
      split === 'every-char'
        ? 1
        : split === 'random'
          ? 1 + Math.floor(random() ** 3 * 200)
          : Math.max(1, split)
    pieces.push(points.slice(at, at + size).join(''))
    at += size
  }
  return pieces
}

/** @param send takes one WebSocket text message */
export function createRecordWriter(send: (text: string) => void, framing: Framing): RecordWriter {
  const random = randomFrom(framing.splitSeed)
  let waiting: string[] = []
  let held = false

  function flush(): void {
    held = false
    if (waiting.length === 0) return
    const text = waiting.join('')
    waiting = []
    for (const piece of cut(text, framing.split, random)) send(piece)
  }

  return {
    write(record) {
      const text = typeof record === 'string' ? record : JSON.stringify(record)
      waiting.push((framing.escapeUnicode ? escapeBeyondAscii(text) : text) + SEPARATOR)
      if (!held && waiting.length >= framing.recordsPerMessage) flush()
    },
    hold() {
      held = true
    },
    flush
  }
}

/** What a client's text messages hold. */
export interface RecordReader {
  /** Complete records of one more message, without their separators. */
  push(text: string): string[]
  /** What came after the last separator. */
  rest(): string
}

/** Collects the client's records over message borders. */
export function createRecordReader(): RecordReader {
  let rest = ''
  return {
    push(text) {
      const parts = (rest + text).split(SEPARATOR)
      rest = parts.pop() ?? ''
      return parts
    },
    rest: () => rest
  }
}
