import { seededRandom } from '../creator/random.ts'
import { cut, escapeBeyondAscii } from '../sydney/records.ts'
import type { CopilotTurnBehaviour } from './behaviour.ts'

/** An object of the server, still without its `id`. */
export type ServerEvent = { event: string; [member: string]: unknown }

export type Framing = Pick<
  CopilotTurnBehaviour,
  | 'split'
  | 'binary'
  | 'splitSeed'
  | 'escapeUnicode'
  | 'eventsPerMessage'
  | 'between'
  | 'ids'
  | 'unknownFields'
>

/** Whole objects, one WebSocket message each. */
export const PLAIN_FRAMING: Framing = {
  split: 'none',
  binary: false,
  splitSeed: 1,
  escapeUnicode: false,
  eventsPerMessage: 1,
  between: 'nothing',
  ids: 'plain',
  unknownFields: false
}

const BETWEEN: Record<Framing['between'], string> = {
  nothing: '',
  newline: '\n',
  'record-separator': '\u001e'
}

/** Writes events as WebSocket messages, cut and joined as told. */
export interface EventWriter {
  /** An event gets its `id`; a string is written as it is (for what is not JSON). */
  write(event: ServerEvent | string): void
  /** Sends what waits to be joined with later events. */
  flush(): void
}

/** Sequence numbers of one socket, shared by all its writers. */
export function createSequence(): () => number {
  let next = 0
  return () => next++
}

/** Members that no client knows, of each JSON kind. */
const ODD_MEMBERS = {
  experiment: { flights: ['a', 1, null], event: 'done' },
  nonce2: '{"event":"done"}',
  ratio: -1.5e-3
}

/**
 * @param send takes one WebSocket message: a text, or bytes
 * @param sequence the socket's
 */
export function createEventWriter(
  send: (message: string | Buffer) => void,
  sequence: () => number,
  framing: Framing
): EventWriter {
  const random = seededRandom(framing.splitSeed)
  let waiting: string[] = []

  function idOf(): { id?: string } {
    const number = sequence()
    if (framing.ids === 'absent') return {}
    return { id: framing.ids === 'plain' ? String(number) : `0.${String(number).padStart(4, '0')}` }
  }

  function flush(): void {
    if (waiting.length === 0) return
    const text = waiting.join(BETWEEN[framing.between])
    waiting = []
    // A character a byte.
    const cuttable = framing.binary ? Buffer.from(text).toString('latin1') : text
    for (const piece of cut(cuttable, framing.split, random))
      send(framing.binary ? Buffer.from(piece, 'latin1') : piece)
  }

  return {
    write(event) {
      const odd = framing.unknownFields ? ODD_MEMBERS : {}
      const text = typeof event === 'string' ? event : JSON.stringify({ ...event, ...idOf(), ...odd })
      waiting.push(framing.escapeUnicode ? escapeBeyondAscii(text) : text)
      if (waiting.length >= framing.eventsPerMessage) flush()
    },
    flush
  }
}
