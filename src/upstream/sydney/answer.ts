import type { Answer, TextChange } from '../chat-client.ts'
import { UpstreamError } from '../failures.ts'
import { type Channel, createTextStream, withoutHalfCharacter } from '../text-stream.ts'
import type { HubRecord } from './codec.ts'
import {
  DAILY_LIMIT,
  FAREWELL_MAX_CHARS,
  FAREWELL_OPENINGS,
  MAX_ANSWER_CHARS,
  MAX_MESSAGES,
  RECORD_TYPE,
  SUCCESS,
  TURN_RESULTS
} from './constants.ts'
import { type HubMessage, isObject, objects, readMessages, textOf, uniqueSources } from './message.ts'
import { failureOf, type Result, readResult } from './result.ts'

/** Joins the messages of one turn, in the deltas as in the whole. */
const BETWEEN_MESSAGES = '\n\n'

/** Unknown kinds that one turn tells of. */
const UNKNOWN_MAX = 20

/** Makes the answer of one turn out of the hub's records. */
export interface AnswerReducer {
  /**
   * Takes a record; unknown ones and those of other invocations change nothing.
   * @returns whether it ended the turn
   * @throws {UpstreamError} W12, for more than an answer can be
   */
  take(record: HubRecord): boolean
  /** Whether any text of an answer has arrived, shown or not. After that the question may not be sent again. */
  readonly hasText: boolean
  /**
   * Whether the turn has a meaning even without a final record: the upstream withdrew or refused the answer,
   * or said farewell, and then just left.
   */
  readonly isDecided: boolean
  /**
   * The answer, once a record ended the turn or it is decided. Shows what was not shown yet.
   * @throws {UpstreamError} S1–S20, W11 or W12
   */
  finish(): Omit<Answer, 'conversation'>
}

/**
 * Of the two channels that carry the same text, `text` is read for the stream and for the final message: it has no
 * block of link definitions to cut off and stands at one fixed place (a card's text moves behind an image). The card
 * is read only as long as the turn has no plain text, so diffs stay inside one channel and don't see the characters in
 * which the two differ (docs/protocol/chat-sydney.md section 6.1). Citations stay as the upstream writes them there,
 * `[^1^]` or `[^1^][1]`.
 *
 * @param invocationId of the question; records that carry another one are ignored
 * @param onUnknown told once of each kind of record, target and message that this version does not know
 */
export function createAnswerReducer(
  invocationId: number,
  onText: ((change: TextChange) => void) | undefined,
  onUnknown?: (kind: string) => void
): AnswerReducer {
  const stream = createTextStream(onText)
  /** Answer messages of the updates, in order of their beginning; all of one channel. */
  let parts: HubMessage[] = []
  let channel: Channel = 'card'
  const searches: HubMessage[] = []
  let throttling: Answer['turns']
  let final: { messages: HubMessage[]; result: Result | undefined; expiresAt: number | undefined } | undefined
  let completion: { error: boolean } | undefined
  let apologised = false
  let disengaged = false
  let filtered = false
  /** Text was shown when the safety layer withdrew it; nothing that comes later may change it. */
  let frozen = false

  /** Updates repeat what they show, so a kind is told of once a turn. There is no end to what a peer may invent. */
  const unknown = new Set<string>()

  const streamed = () => joined(parts)

  function strange(kind: string): void {
    if (unknown.size >= UNKNOWN_MAX || unknown.has(kind)) return
    unknown.add(kind)
    onUnknown?.(kind)
  }

  function take(record: HubRecord): boolean {
    const of = record.invocationId
    if (of !== undefined && of !== invocationId && of !== String(invocationId)) return false
    switch (record.type) {
      case RECORD_TYPE.invocation:
        if (record.target === 'update') for (const update of objects(record.arguments)) takeUpdate(update)
        else strange(`target ${short(record.target)}`)
        return false
      case RECORD_TYPE.streamItem:
        takeFinal(isObject(record.item) ? record.item : {})
        return true
      case RECORD_TYPE.completion:
        completion = { error: record.error !== undefined && record.error !== null }
        return true
      default:
        strange(`record ${short(record.type)}`)
        return false
    }
  }

  function takeUpdate(update: Readonly<Record<string, unknown>>): void {
    throttling = readThrottling(update.throttling) ?? throttling
    // A cursor belongs to the update, so only its first answer message can be the new one.
    let begins = update.cursor !== undefined && update.cursor !== null
    for (const message of readMessages(update.messages)) {
      note(message)
      if (message.kind === 'search-result' && searches.length < MAX_MESSAGES) searches.push(message)
      if (message.kind !== 'answer' || frozen) continue
      if (message.text.trim() !== '' && channel === 'card') {
        parts = []
        channel = 'text'
      }
      const spoken = inChannel(message, channel)
      if (spoken.text === '') continue
      place(spoken, begins)
      begins = false
      const text = streamed()
      if (!mayBeFarewell(text)) stream.show(text, channel)
    }
  }

  function note({ kind, isFiltered, unknownType }: HubMessage): void {
    filtered ||= isFiltered
    if (unknownType !== undefined) strange(`message ${short(unknownType)}`)
    if (kind === 'disengaged') disengaged = true
    if (kind === 'apology') {
      apologised = true
      frozen ||= streamed() !== ''
    }
  }

  /** Puts a message in place of its earlier state, or behind the others when it begins (section 6.2 rule 2). */
  function place(message: HubMessage, begins: boolean): void {
    const last = parts.length - 1
    const known = message.id === undefined ? -1 : parts.findLastIndex(({ id }) => id === message.id)
    // A cursor repeated with a message that simply goes on does not begin another one.
    const goesOn = known !== -1 && (!begins || message.text.startsWith(parts[known]?.text ?? ''))
    const at = goesOn ? known : begins || last === -1 ? parts.length : last
    const before = parts[at]
    parts[at] = {
      ...message,
      suggestions: message.suggestions.length > 0 ? message.suggestions : (before?.suggestions ?? []),
      attributions: message.attributions.length > 0 ? message.attributions : (before?.attributions ?? [])
    }
    // Each update looks at all of them again, so that a flood would cost more than the memory.
    const chars = parts.reduce((sum, { text }) => sum + text.length, 0)
    if (parts.length > MAX_MESSAGES || chars > MAX_ANSWER_CHARS) {
      const cause = new Error(`an answer of ${parts.length} messages and ${chars} characters`)
      throw new UpstreamError('W12', { cause })
    }
  }

  function takeFinal(item: Readonly<Record<string, unknown>>): void {
    throttling = readThrottling(item.throttling) ?? throttling
    const messages = readMessages(item.messages)
    for (const message of messages) note(message)
    const expiresAt = Date.parse(textOf(item.conversationExpiryTime))
    final = {
      messages,
      result: readResult(item.result),
      expiresAt: Number.isNaN(expiresAt) ? undefined : expiresAt
    }
  }

  function finish(): Omit<Answer, 'conversation'> {
    const answers = (final?.messages ?? []).filter(({ kind }) => kind === 'answer')
    const plain = joined(answers)
    const finalChannel: Channel = plain === '' ? 'card' : 'text'
    const finalParts = answers.map((message) => inChannel(message, finalChannel))
    const finalText = frozen ? '' : joined(finalParts)
    // A withdrawn answer stays as it was shown; otherwise the final record decides (section 6.2 rule 6).
    const text = finalText || streamed()
    if (text === '') throw withoutText()
    if (isFarewell(text)) throw new UpstreamError(DAILY_LIMIT.test(text) ? 'S15' : 'S14')
    stream.show(text, finalText === '' ? channel : finalChannel)

    const isFailed =
      completion?.error === true || (final?.result !== undefined && final.result.value !== SUCCESS)
    return {
      message: text,
      pictures: [],
      sources: sources(finalParts),
      suggestions: suggestions(finalParts),
      turns: throttling,
      notice: apologised ? 'answer_revoked' : isFailed ? 'answer_truncated' : undefined,
      ended: disengaged || (throttling !== undefined && throttling.used >= throttling.max),
      expiresAt: final?.expiresAt
    }
  }

  /** Why there is no answer. What the upstream refuses comes first: such a question must not be repeated. */
  function withoutText(): UpstreamError {
    if (disengaged) return new UpstreamError('S18')
    if (apologised) return new UpstreamError('S16')
    if (filtered) return new UpstreamError('S19')
    if (final === undefined) return new UpstreamError('W11')
    const { result, messages } = final
    if (result === undefined)
      return new UpstreamError('W12', { cause: new Error('final record without a result') })
    if (result.value !== SUCCESS) return failureOf(result, TURN_RESULTS)
    return new UpstreamError(messages.at(-1)?.author === 'user' ? 'S19' : 'S20')
  }

  /** Attributions, else the card's link definitions, else what was searched; each from the final record first. */
  function sources(finalParts: HubMessage[]): Answer['sources'] {
    const finalSearches = (final?.messages ?? []).filter(({ kind }) => kind === 'search-result')
    const readings = [
      () => finalParts.flatMap(({ attributions }) => attributions),
      () => parts.flatMap(({ attributions }) => attributions),
      () => finalParts.flatMap(({ links }) => links()),
      () => parts.flatMap(({ links }) => links()),
      () => finalSearches.flatMap(({ links }) => links()),
      () => searches.flatMap(({ links }) => links())
    ]
    for (const read of readings) {
      const found = uniqueSources(read())
      if (found.length > 0) return found
    }
    return []
  }

  function suggestions(finalParts: HubMessage[]): string[] {
    const found = finalParts.flatMap((message) => message.suggestions)
    return [...new Set(found.length > 0 ? found : parts.flatMap((message) => message.suggestions))]
  }

  return {
    take,
    get hasText() {
      return streamed() !== ''
    },
    get isDecided() {
      return apologised || disengaged || isFarewell(streamed())
    },
    finish
  }
}

/** The message as one channel has it. */
function inChannel(message: HubMessage, channel: Channel): HubMessage {
  return channel === 'text' ? message : { ...message, text: message.card }
}

/** The messages as one text; empty when they hold nothing but white space. */
function joined(messages: readonly HubMessage[]): string {
  return messages
    .map((message) => withoutHalfCharacter(message.text))
    .filter((text) => text.trim() !== '')
    .join(BETWEEN_MESSAGES)
}

function readThrottling(value: unknown): Answer['turns'] {
  if (!isObject(value)) return undefined
  const { numUserMessagesInConversation: used, maxNumUserMessagesInConversation: max } = value
  if (typeof used !== 'number' || typeof max !== 'number' || !(used >= 0) || !(max > 0)) return undefined
  return { used, max }
}

/** Rows S14 and S15: a text that stands in for an answer, so nobody should be shown it as one. */
function isFarewell(text: string): boolean {
  const words = plainQuotes(text)
  return words.length <= FAREWELL_MAX_CHARS && FAREWELL_OPENINGS.some((opening) => words.startsWith(opening))
}

/** Also true for the first characters of a farewell. Such a text is held back until it goes on differently or ends. */
function mayBeFarewell(text: string): boolean {
  const words = plainQuotes(text)
  return isFarewell(text) || FAREWELL_OPENINGS.some((opening) => opening.startsWith(words))
}

function plainQuotes(text: string): string {
  return text.trimStart().replaceAll('’', "'")
}

/** A name that the upstream chose, fit for a log line. */
function short(name: unknown): string {
  return String(typeof name === 'object' ? typeof name : name).slice(0, 40)
}
