import type { Frame } from '../frame.ts'
import type { TurnBehaviour } from './behaviour.ts'
import type { Conversation } from './conversations.ts'
import { finalMessages, type Said } from './final.ts'
import {
  answerMessage,
  apologyMessage,
  disengagedMessage,
  type Message,
  progressMessages,
  searchMessages,
  unknownMessage
} from './messages.ts'
import { type Plan, planTurn } from './plan.ts'
import type { Question } from './question.ts'
import { type RecordWriter, records } from './records.ts'
import { failedItem, failureOf, successItem } from './results.ts'

/** How a turn ended. `left`: the client went away, or the play is silence until it does. */
export type Outcome = 'completed' | 'failed' | 'left'

/** The socket as a turn sees it. */
export interface Line {
  out: RecordWriter
  /** Whether the client is still there. */
  open(): boolean
  /** Closes with a close frame. */
  close(code: number): void
  /** Drops the TCP connection without one. */
  terminate(): void
}

type Moment = NonNullable<TurnBehaviour['endAt']>

function endingMoment(behaviour: TurnBehaviour, failed: boolean): Moment {
  if (behaviour.endAt !== undefined) return behaviour.endAt
  const good = (behaviour.end === 'final' || behaviour.end === 'no-completion') && !failed
  return good ? 'after-text' : 'before-text'
}

/** The text as it grows, cut between code points unless told otherwise; each entry repeats the one before. */
function growth(
  text: string,
  { charsPerUpdate, halfCharacters }: TurnBehaviour,
  atLeastTwo: boolean
): string[] {
  const points = halfCharacters ? text.split('') : Array.from(text)
  const half = Math.ceil(points.length / 2)
  const wanted = charsPerUpdate > 0 ? Math.floor(charsPerUpdate) : points.length
  const step = Math.max(1, atLeastTwo ? Math.min(wanted, half) : wanted)
  const stages: string[] = []
  for (let at = step; at - step < points.length; at += step) stages.push(points.slice(0, at).join(''))
  return stages
}

const isFilteredBeforeText = (plan: Plan) =>
  plan.filter !== 'none' && plan.filter !== 'apology-after' && plan.filter !== 'disengaged-after-text'

/**
 * Plays one turn: updates, irregularities and the end, as the behaviour says.
 * The conversation remembers the turn only when it ended with an answer that the client can have seen whole.
 */
export async function playTurn(
  frame: Frame,
  line: Line,
  question: Question,
  conversation: Conversation,
  behaviour: TurnBehaviour
): Promise<Outcome> {
  const plan = planTurn(question, conversation, behaviour)
  const failure = failureOf(behaviour, conversation.id)
  const moment = endingMoment(behaviour, failure !== undefined)
  const startedAt = Date.now()
  const said: Said = { messageId: crypto.randomUUID(), text: '', second: null }
  const throttling = {
    maxNumUserMessagesInConversation: behaviour.maxTurns,
    numUserMessagesInConversation: plan.turnNumber,
    maxNumLongDocSummaryUserMessagesInConversation: 50,
    numLongDocSummaryUserMessagesInConversation: 0
  }
  const { requestId, invocationId } = question
  const odd = behaviour.unknownFields ? { experiment: { flights: ['a', 1, null] }, nonce2: 'x' } : {}

  function write(record: object | string): void {
    if (line.open()) line.out.write(typeof record === 'string' ? record : { ...record, ...odd })
  }

  function update(more: { messages?: Message[]; cursor?: object; throttling?: object }): void {
    write({ type: 1, target: 'update', arguments: [{ requestId, result: null, ...more, ...odd }] })
  }

  /** One message, after the pace's delay. Returns whether the client is still there. */
  async function say(message: Message, more: { cursor?: object } = {}): Promise<boolean> {
    await frame.delay(behaviour.updateDelayMs)
    update({ ...more, messages: [message] })
    return line.open()
  }

  async function sayAll(messages: Message[]): Promise<boolean> {
    for (const message of messages) if (!(await say(message))) return false
    return line.open()
  }

  /** Streams the answer; stops in its middle when the turn is to end there. */
  async function stream(): Promise<boolean> {
    const halved = moment === 'mid-text' || behaviour.notJson === 'mid-text' || behaviour.rewrite !== 'none'
    const stages = growth(plan.text, behaviour, halved)
    const middle = Math.ceil(stages.length / 2)
    const last = stages.length - 1
    let prefix = ''
    for (const [index, text] of stages.entries()) {
      said.text = prefix + text
      const withSuggestions = index === last && behaviour.suggestionsOnUpdate && plan.secondText === null
      if (!(await say(answerMessage(plan, { ...said, withSuggestions })))) return false
      // Text that was sent counts as a turn, whatever becomes of it.
      conversation.counted = plan.turnNumber
      if (index + 1 !== middle) continue
      if (moment === 'mid-text') return true
      if (behaviour.notJson === 'mid-text') write('{"type":1,"target":"upd')
      if (behaviour.rewrite === 'shrink') {
        const shorter = Array.from(text)
        const part = shorter.slice(0, Math.ceil(shorter.length / 2)).join('')
        if (!(await say(answerMessage(plan, { ...said, text: part })))) return false
      }
      if (behaviour.rewrite === 'diverge') prefix = 'Let me put it another way. '
    }
    if (plan.secondText !== null) {
      const second = { messageId: crypto.randomUUID(), text: '' }
      said.second = second
      const cursor = { j: `$['${second.messageId}'].adaptiveCards[0].body[0].text`, p: -1 }
      const secondStages = growth(plan.secondText, behaviour, true)
      for (const [index, text] of secondStages.entries()) {
        second.text = text
        const withSuggestions = index === secondStages.length - 1 && behaviour.suggestionsOnUpdate
        const opening = index === 0 ? { cursor } : {}
        if (!(await say(answerMessage(plan, { ...second, withSuggestions }), opening))) return false
      }
    }
    if (behaviour.rewrite === 'final-differs') said.text = `In short: ${said.text}`
    return true
  }

  /** Everything before the end. Returns whether the client is still there. */
  async function perform(): Promise<boolean> {
    if (moment === 'start') return line.open()
    if (behaviour.throttlingFirst) {
      const { maxNumUserMessagesInConversation, numUserMessagesInConversation } = throttling
      update({ throttling: { maxNumUserMessagesInConversation, numUserMessagesInConversation } })
    }
    if (behaviour.unknownRecord) {
      write({
        type: 42,
        target: 'update',
        arguments: [{ messages: [{ author: 'bot', text: 'not for you' }] }]
      })
      write({
        type: 1,
        target: 'renderHologram',
        arguments: [{ messages: [{ author: 'bot', text: 'nor this' }] }]
      })
      update({ messages: [unknownMessage(plan)] })
    }
    if (behaviour.foreignInvocation) {
      const other = String(Number(invocationId) + 1000)
      write({ type: 2, invocationId: other, item: { messages: [], result: { value: 'Throttled' } } })
      write({ type: 3, invocationId: other })
    }
    if (behaviour.notJson === 'before-text') write('<html>not a record</html>')
    await frame.delay(behaviour.thinkMs)
    if (moment === 'before-text') return line.open()

    if (plan.filter === 'apology-before') return say(apologyMessage(plan))
    if (plan.filter === 'disengaged') return say(disengagedMessage(plan))
    if (isFilteredBeforeText(plan)) return line.open()

    if (plan.query !== null && !(await sayAll(searchMessages(plan)))) return false
    if (behaviour.progress && !(await sayAll(progressMessages(plan)))) return false
    if (!(await stream())) return false
    if (moment === 'mid-text') return true
    if (plan.filter === 'apology-after') return say(apologyMessage(plan))
    if (plan.filter === 'disengaged-after-text') return say(disengagedMessage(plan))
    return true
  }

  /** Keeps what a following turn may be asked about. `certain`: no client can take it for unanswered. */
  function remember(certain: boolean): void {
    if (said.text === '' || plan.farewell) return
    const answer = said.second === null ? said.text : `${said.text}\n\n${said.second.text}`
    conversation.memory.push({ prompt: question.prompt, answer })
    conversation.answered ||= certain
  }

  function completion(): object {
    const { completionError } = behaviour
    return { type: 3, invocationId, ...(completionError === undefined ? {} : { error: completionError }) }
  }

  function finish(): Outcome {
    conversation.busy = false
    const padding = behaviour.largeRecordBytes > 0 ? { padding: 'x'.repeat(behaviour.largeRecordBytes) } : {}
    let item: object
    if (failure !== undefined) {
      item = failedItem(conversation.id, requestId, failure)
    } else {
      conversation.counted = plan.turnNumber
      conversation.expiresAt = Date.now() + conversation.ttlMs
      if (plan.filter.startsWith('disengaged')) conversation.disengaged = true
      const broken = behaviour.completionError !== undefined || behaviour.notJson !== 'none'
      remember(plan.filter === 'none' && behaviour.end === 'final' && !broken)
      item = successItem({
        messages: finalMessages(plan, said),
        conversationId: conversation.id,
        requestId,
        expiresAt: conversation.expiresAt,
        startedAt,
        throttling,
        message: said.text === '' ? null : said.text.replace(/\[\^\d+\^\]/g, '')
      })
    }
    if (behaviour.finalTogether) line.out.hold()
    else line.out.flush()
    write({ type: 2, invocationId, item: { ...item, ...padding } })
    if (!behaviour.finalTogether) line.out.flush()
    if (behaviour.end !== 'no-completion') write(completion())
    line.out.flush()
    return failure === undefined ? 'completed' : 'failed'
  }

  if (!(await perform())) return 'left'
  switch (behaviour.end) {
    case 'silence':
      line.out.flush()
      return 'left'
    case 'close':
    case 'terminate':
    case 'type-7':
      conversation.busy = false
      if (behaviour.end === 'type-7') write(records.close)
      line.out.flush()
      if (behaviour.end === 'terminate') line.terminate()
      else line.close(behaviour.closeCode)
      return 'failed'
    case 'completion-only':
      conversation.busy = false
      // A client may take the text for the answer, or the missing type 2 for a failure; both go on from here.
      if (behaviour.completionError === undefined && moment === 'after-text') remember(false)
      line.out.flush()
      write(completion())
      line.out.flush()
      return 'failed'
    default:
      return finish()
  }
}
