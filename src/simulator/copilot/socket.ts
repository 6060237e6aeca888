import { randomUUID } from 'node:crypto'
import { WebSocket } from 'ws'
import type { Frame } from '../frame.ts'
import type { CopilotUpgradeBehaviour, GiveUp } from './behaviour.ts'
import {
  type CopilotQuestion,
  checkSend,
  type Fault,
  faultOfConsents,
  faultOfOptions,
  type Json,
  parse,
  type SocketState
} from './client-events.ts'
import type { CopilotConversation, CopilotConversations } from './conversations.ts'
import { createEventWriter, createSequence, PLAIN_FRAMING } from './events.ts'
import { challengeEvent, errorEvent } from './failures.ts'
import type { Pace } from './pace.ts'
import type { Pictures } from './pictures.ts'
import type { Identity } from './session.ts'
import { afterChallenge, type Line, playTurn } from './turn.ts'

export interface ChatSocket {
  frame: Frame
  conversations: CopilotConversations
  pictures: Pictures
  pace: Pace
  client: WebSocket
  identity: Identity
  how: CopilotUpgradeBehaviour
  /** What was wrong with the query: any event is answered with an error then. */
  fault: Fault | undefined
  /** Sockets without a turn, of all. */
  idle: { sockets: number }
}

/** Serves one connection of the chat: `connected`, options, any number of turns one after another. */
export function serveSocket({
  frame,
  conversations,
  pictures,
  pace,
  client,
  identity,
  how,
  fault,
  idle: idleCount
}: ChatSocket): void {
  const sequence = createSequence()
  const plain = createEventWriter(send, sequence, { ...PLAIN_FRAMING, split: how.split })
  const state: SocketState = { options: undefined, busy: false }
  let connected = false
  let connectedAgain = how.connected !== 'again'
  let deaf = false
  let idle: { timer: NodeJS.Timeout | undefined } | undefined
  let turn:
    | { conversation: CopilotConversation; noise: NodeJS.Timeout | undefined; over: () => void }
    | undefined

  function send(message: string | Buffer): void {
    if (client.readyState === WebSocket.OPEN) client.send(message)
  }

  function invalid([rule, detail]: Fault): void {
    frame.violate('copilot', rule, detail)
    plain.write(errorEvent('invalid-event'))
  }

  function startIdle(): void {
    if (idle !== undefined || client.readyState !== WebSocket.OPEN) return
    const timer = how.idleMs > 0 ? setTimeout(() => giveUp(how.idleEnd), how.idleMs).unref() : undefined
    idle = { timer }
    idleCount.sockets++
  }

  function endIdle(): void {
    if (idle === undefined) return
    clearTimeout(idle.timer)
    idle = undefined
    idleCount.sockets--
  }

  /** What follows is not read any more, not even pings. */
  function giveUp(end: GiveUp): void {
    frame.count('copilot.given-up')
    deaf = true
    if (end === 'terminate') client.terminate()
    else if (end === 'close') client.close(1000)
  }

  function endTurn(outcome: 'completed' | 'failed' | 'aborted'): void {
    if (turn === undefined) return
    clearInterval(turn.noise)
    turn.conversation.busy = false
    turn.over()
    turn = undefined
    state.busy = false
    frame.count(`copilot.${outcome}`)
    startIdle()
  }

  const connect = (): void => plain.write({ event: 'connected', requestId: randomUUID() })

  async function open(): Promise<void> {
    startIdle()
    if (fault !== undefined) frame.violate('copilot', ...fault)
    if (how.connected === 'never') return
    await frame.delay(how.connectedDelayMs)
    connected = true
    connect()
    if (fault !== undefined) return plain.write(errorEvent('invalid-event'))
    if (how.connected === 'twice') connect()
    if (how.challenge === 'none') return
    frame.count('copilot.challenges')
    plain.write(challengeEvent(how.challenge))
    if (how.challengeThen === 'answer') return
    deaf = true
    afterChallenge(
      { out: plain, close: (code) => client.close(code), terminate: () => client.terminate() },
      how.challengeThen
    )
  }

  function onSend(event: Json): void {
    endIdle()
    frame.count('copilot.questions')
    frame.keepQuestion(event)
    pace.asked()
    const checked = checkSend(event, state, conversations)
    const served = identity === 'signed-in' || how.anonymous
    if (!Array.isArray(checked) && served) {
      start(checked)
      return
    }
    frame.count('copilot.refused')
    if (Array.isArray(checked)) invalid(checked)
    else plain.write(errorEvent('chat-service-unavailable'))
    if (turn === undefined) startIdle()
  }

  function start(question: CopilotQuestion): void {
    const told = frame.take('copilot.turn', question.prompt)
    const { conversation } = question
    frame.count(`asked:${question.prompt}`)
    conversation.busy = true
    state.busy = true
    if (!connectedAgain) connect()
    connectedAgain = true
    const noise =
      told.noiseEveryMs > 0
        ? setInterval(() => plain.write({ event: 'pong' }), told.noiseEveryMs).unref()
        : undefined
    const own = { conversation, noise, over: pace.began() }
    turn = own
    const line: Line = {
      out: createEventWriter(send, sequence, told),
      open: () => client.readyState === WebSocket.OPEN,
      close: (code) => client.close(code),
      terminate: () => client.terminate(),
      ended: (outcome) => {
        if (turn === own) endTurn(outcome)
      }
    }
    playTurn(frame, line, pictures, question, told).then(
      (outcome) => {
        // After `left` the turn stands until the socket closes: silence is an answer, too.
        if (outcome !== 'left') line.ended(outcome)
      },
      (error) => {
        frame.violate('http', 'simulator-fault', `turn: ${error instanceof Error ? error.message : error}`)
        client.terminate()
      }
    )
  }

  /** Handles one event; a broken rule is the answer to it. */
  function onEvent(event: Json): Fault | undefined {
    switch (event.event) {
      case 'setOptions': {
        const wrong = faultOfOptions(event, state)
        if (wrong === undefined) state.options = event
        return wrong
      }
      case 'reportLocalConsents':
        return faultOfConsents(event, state)
      case 'send':
        onSend(event)
        return undefined
      case 'ping':
        frame.count('copilot.pings')
        plain.write({ event: 'pong' })
        return undefined
      case 'challengeResponse':
        return ['challenge-answered', 'A challenge was answered; only a person may do that.']
      default:
        return ['unknown-event', `'${event.event}' is no event of a client.`]
    }
  }

  const opened = open()

  async function onMessage(text: string): Promise<void> {
    if (deaf) return
    const event = parse(text)
    if (event === undefined) return invalid(['not-json', 'A message of the client is not one JSON object.'])
    if (!connected) {
      frame.count('copilot.early')
      if (how.strictOrder) return invalid(['connected-first', 'Something was sent before connected.'])
      await opened
    }
    if (fault !== undefined) return plain.write(errorEvent('invalid-event'))
    if (event.event === 'send' && how.questionEnd !== 'none') return giveUp(how.questionEnd)
    const wrong = deaf ? undefined : onEvent(event)
    if (wrong !== undefined) invalid(wrong)
  }

  // Events are handled one after another, also when `connected` takes its time.
  let queue: Promise<void> = Promise.resolve()
  client.on('error', () => {})
  client.on('message', (data, isBinary) => {
    if (deaf) return
    if (isBinary) return invalid(['binary-frame', 'A client sends text frames only.'])
    queue = queue.then(() => onMessage(data.toString()))
  })
  client.on('ping', (data) => {
    frame.count('copilot.probes')
    if (!deaf && how.pongs) client.pong(data)
  })
  client.on('close', () => {
    deaf = true
    endTurn('aborted')
    endIdle()
  })
}
