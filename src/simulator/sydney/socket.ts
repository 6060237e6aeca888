import { WebSocket } from 'ws'
import type { Frame } from '../frame.ts'
import type { UpgradeBehaviour } from './behaviour.ts'
import type { Conversation, Conversations } from './conversations.ts'
import { checkQuestion, type Echo, type Question, type Refusal } from './question.ts'
import {
  createRecordReader,
  createRecordWriter,
  PLAIN_FRAMING,
  type RecordWriter,
  records
} from './records.ts'
import { failedItem } from './results.ts'
import { type Line, playTurn } from './turn.ts'

/** Numbers that all sockets of the hub share. */
export interface HubCounts {
  /** Turns that run now. */
  turns: number
  /** Sockets that wait for their question after the handshake. */
  idle: number
}

export interface HubSocket {
  frame: Frame
  conversations: Conversations
  client: WebSocket
  /** `sec_access_token` of the upgrade, `null` when it came without. */
  token: string | null
  behaviour: UpgradeBehaviour
  counts: HubCounts
}

type Json = Record<string, unknown>

/** More pings than this within the window: the client answers faster than once a second. */
const PINGS_ALLOWED = 3
const PING_WINDOW_MS = 900

/** The upstream answers pings from the second on; seldom, so that two eager sides do not play tennis. */
const PING_ANSWER_EVERY_MS = 5000

function parse(record: string): Json | undefined {
  try {
    const value = JSON.parse(record)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Serves one connection of the hub: handshake, pings, one question. */
export function serveSocket({ frame, conversations, client, token, behaviour, counts }: HubSocket): void {
  const reader = createRecordReader()
  const plain = createRecordWriter(send, PLAIN_FRAMING)
  let handshaken = false
  let deaf = false
  let asked = false
  let idle: { timer: NodeJS.Timeout | undefined } | undefined
  let turn: { conversation: Conversation; pings: NodeJS.Timeout | undefined } | undefined
  let pings: number[] = []
  let pingCount = 0
  let pingAnsweredAt = 0
  // Records are handled one after another, also when the handshake takes its time.
  let queue: Promise<void> = Promise.resolve()

  function send(text: string): void {
    if (client.readyState === WebSocket.OPEN) client.send(text)
  }

  /** A broken rule of the framing: nothing sensible can follow. */
  function hangUp(rule: string, detail: string): void {
    frame.violate('chat', rule, detail)
    deaf = true
    plain.write(handshaken ? records.close : { error: detail })
    client.close(1002)
  }

  function endTurn(outcome: 'completed' | 'failed' | 'aborted'): void {
    if (turn === undefined) return
    clearInterval(turn.pings)
    turn.conversation.busy = false
    turn = undefined
    counts.turns--
    frame.count(`sydney.${outcome}`)
  }

  function startIdle(): void {
    if (client.readyState !== WebSocket.OPEN) return
    const { idleMs, idleEnd } = behaviour
    const timer = idleMs > 0 ? setTimeout(() => giveUp(idleEnd), idleMs).unref() : undefined
    idle = { timer }
    counts.idle++
  }

  function endIdle(): void {
    if (idle === undefined) return
    clearTimeout(idle.timer)
    idle = undefined
    counts.idle--
  }

  /** What follows is not read any more, not even pings. */
  function giveUp(how: UpgradeBehaviour['idleEnd']): void {
    frame.count('sydney.given-up')
    deaf = true
    if (how === 'type-7') plain.write(records.close)
    if (how === 'terminate') client.terminate()
    else if (how !== 'deaf') client.close(1000)
  }

  async function onHandshake(record: Json): Promise<void> {
    if (record.protocol !== 'json' || record.version !== 1) {
      return hangUp('handshake', 'The first record must be the handshake {"protocol":"json","version":1}.')
    }
    await frame.delay(behaviour.handshakeDelayMs)
    handshaken = true
    if (behaviour.handshake === 'answer') {
      startIdle()
      return plain.write(records.handshake)
    }
    deaf = true
    if (behaviour.handshake === 'error') plain.write({ error: 'Handshake was canceled.' })
    if (behaviour.handshake === 'terminate') client.terminate()
    else if (behaviour.handshake !== 'silent') client.close(1000)
  }

  function onPing(): void {
    frame.count('sydney.pings')
    const now = performance.now()
    pings = [...pings.filter((at) => now - at < PING_WINDOW_MS), now]
    if (pings.length > PINGS_ALLOWED) {
      frame.violate('chat', 'ping-flood', `${pings.length} pings within ${PING_WINDOW_MS} ms.`)
      pings = []
    }
    pingCount++
    if (pingCount > 1 && now - pingAnsweredAt >= PING_ANSWER_EVERY_MS) {
      pingAnsweredAt = now
      plain.write(records.ping)
    }
  }

  function refuse(echo: Echo, { rule, detail, result }: Refusal): void {
    frame.count('sydney.refused')
    if (rule !== undefined) frame.violate('chat', rule, detail)
    const { invocationId, conversationId, requestId } = echo
    const together = createRecordWriter(send, { ...PLAIN_FRAMING, recordsPerMessage: 2 })
    together.write({ type: 2, invocationId, item: failedItem(conversationId, requestId, result) })
    together.write({ type: 3, invocationId })
  }

  function onQuestion(record: Json): void {
    endIdle()
    frame.count('sydney.questions')
    frame.keepQuestion(record)
    const checked = checkQuestion(record, conversations, token)
    if (asked) {
      const detail = 'A second question came over the same socket.'
      const result = { value: 'InvalidRequest', message: "Sorry, I wasn't able to respond to that." }
      refuse(checked.echo, { rule: 'one-question-per-socket', detail, result })
      return
    }
    asked = true
    if (checked.refusal !== undefined) refuse(checked.echo, checked.refusal)
    else start(checked.question, checked.conversation)
  }

  function start(question: Question, conversation: Conversation): void {
    const told = frame.take('turn', question.prompt)
    frame.count(`asked:${question.prompt}`)
    conversation.busy = true
    conversation.attempts++
    counts.turns++
    const every = told.pingEveryMs
    const pings = every > 0 ? setInterval(() => plain.write(records.ping), every).unref() : undefined
    const own = { conversation, pings }
    turn = own
    const out: RecordWriter = createRecordWriter(send, told)
    const line: Line = {
      out,
      open: () => turn === own && client.readyState === WebSocket.OPEN,
      close: (code) => client.close(code),
      terminate: () => client.terminate()
    }
    playTurn(frame, line, question, conversation, told).then(
      (outcome) => {
        // After `left` the turn stands until the socket closes: silence is an answer, too.
        if (turn === own && outcome !== 'left') endTurn(outcome)
      },
      (error) => {
        frame.violate('http', 'simulator-fault', `turn: ${error instanceof Error ? error.message : error}`)
        client.terminate()
      }
    )
  }

  async function onRecord(text: string): Promise<void> {
    if (deaf) return
    const record = parse(text)
    if (record === undefined) return hangUp('not-json', 'A record of the client is not a JSON object.')
    if (!handshaken) return onHandshake(record)
    switch (record.type) {
      case 4:
        return onQuestion(record)
      case 6:
        return onPing()
      case 5:
        return endTurn('aborted')
      case 7:
        return client.close(1000)
      default:
        return hangUp('record-type', 'A client sends records of type 4 and 6 only.')
    }
  }

  client.on('error', () => {})
  client.on('message', (data, isBinary) => {
    if (deaf) return
    if (isBinary) return hangUp('binary-frame', 'A client sends text frames only.')
    for (const text of reader.push(data.toString())) {
      // At once, before a ping that came together with the question could be answered.
      if (behaviour.questionEnd !== 'none' && parse(text)?.type === 4) return giveUp(behaviour.questionEnd)
      queue = queue.then(() => onRecord(text))
    }
    // Half a record may follow later; a whole one without its separator never becomes one.
    if (reader.rest() !== '' && parse(reader.rest()) !== undefined) {
      queue = queue.then(() => hangUp('record-terminator', 'A record of the client does not end in 0x1E.'))
    }
  })
  client.on('ping', (data) => {
    frame.count('sydney.probes')
    if (!deaf && behaviour.pongs) client.pong(data)
  })
  client.on('close', () => {
    endIdle()
    if (!deaf && reader.rest() !== '') {
      frame.violate('chat', 'record-terminator', 'The last record of the client does not end in 0x1E.')
    }
    deaf = true
    endTurn('aborted')
  })
}
