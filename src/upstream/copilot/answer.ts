import type { Answer, Picture, Source, TextChange } from '../chat-client.ts'
import { UpstreamError } from '../failures.ts'
import { createTextStream, withoutHalfCharacter } from '../text-stream.ts'
import {
  MAX_ANSWER_CHARS,
  MAX_PARTS,
  MAX_PICTURES,
  MAX_PREVIEW_CHARS,
  MAX_PREVIEWS_CHARS,
  MAX_REREAD_CHARS,
  MAX_SOURCE_CHARS,
  MAX_SOURCES
} from './constants.ts'
import { textOf, textsOf } from './json.ts'
import { challengeFailure, errorFailure } from './refusals.ts'
import type { CopilotEvent } from './scanner.ts'

/** Makes the answer of one turn out of the socket's events. */
export interface AnswerReducer {
  /**
   * Takes an event; unknown ones change nothing.
   * @throws {UpstreamError} P9–P14: Copilot refuses to answer, or to go on; T11: more than an answer can be
   */
  take(event: CopilotEvent): void
  /** Copilot has taken the question, so it may not be sent again. */
  readonly isTaken: boolean
  /** `done` has come; suggestions may follow. */
  readonly isDone: boolean
  /** Nothing that matters follows: `done` and the suggestions are there. */
  readonly isComplete: boolean
  /** There is text that would be lost with the turn. */
  readonly hasText: boolean
  /**
   * What there is would do as the answer if nothing more came: `done` has come, or a picture, or the preview of one, was
   * the last thing (row P17). Text that came last is cut off (row P16), whatever was drawn before it.
   */
  readonly isEnough: boolean
  /**
   * The answer as it stands.
   * @throws {UpstreamError} P-empty, when there is none
   */
  finish(): Omit<Answer, 'conversation'>
}

export interface AnswerSettings {
  /** Base of addresses without a host. */
  baseUrl: string
  /** Milliseconds since the epoch; for dates that the upstream names. */
  now: () => number
  onText?: ((change: TextChange) => void) | undefined
  /** Told the name of each event that this version doesn't know. */
  onUnknown?: ((name: string) => void) | undefined
}

/** A part of the answer: its text so far, or a picture. */
type Part = { text: string } | Picture

/** What stands between two texts. */
const PARAGRAPH = '\n\n'
/** Looking at a part again costs as much as looking at so many characters, however short the part is. */
const PART_WEIGHT = 16
/** Characters of an id that tell one part from another; theirs have about 20. */
const ID_CHARS = 200

/**
 * Text comes in parts, each with its own id, pictures among them. The answer's text is that of the text parts in order
 * of their beginning.
 * @see docs/protocol/chat-copilot.md section 5
 */
export function createAnswerReducer({ baseUrl, now, onText, onUnknown }: AnswerSettings): AnswerReducer {
  const stream = createTextStream(onText)
  const parts = new Map<string, Part>()
  const sources = new Map<string, Source>()
  /** Part that the answer's text ends with. */
  let lastText: string | undefined
  /** Characters of the answer's text. */
  let length = 0
  /** Characters that were looked at again, for events that change what stands before the end. */
  let reread = 0
  let suggestions: string[] | undefined
  /** What came last was a picture, or the preview of one. */
  let endsInPicture = false
  let isTaken = false
  let isDone = false

  function takeText(event: CopilotEvent, isNew: boolean): void {
    const key = `text ${keyOf(event)}`
    const part = parts.get(key)
    const before = part !== undefined && 'text' in part ? part.text : ''
    const given = textOf(event.text)
    if (given.trim() !== '') endsInPicture = false
    if (part === undefined) lastText = key
    parts.set(key, { text: isNew ? given : before + given })
    // Most events go on where the last one stopped. They must not cost more the longer the answer is.
    const isContinued = !isNew && key === lastText && before !== ''
    const whole = isContinued ? undefined : wholeText()
    length = whole?.length ?? length + given.length
    // The others look at all of the parts again: a flood of them would keep the process busy without being large.
    if (whole !== undefined) reread += whole.length + PART_WEIGHT * parts.size
    if (parts.size > MAX_PARTS || length > MAX_ANSWER_CHARS || reread > MAX_REREAD_CHARS) {
      const cause = new Error(
        `an answer of ${parts.size} parts, ${length} characters, ${reread} looked at again`
      )
      throw new UpstreamError('T11', { cause })
    }
    if (whole === undefined) stream.append(given)
    else stream.show(whole)
  }

  /** A picture and its previews have one part. @returns nothing when there are more pictures than any answer has */
  function picture(event: CopilotEvent): Picture | undefined {
    const key = `picture ${keyOf(event)}`
    const known = parts.get(key)
    if (known !== undefined && 'preview' in known) return known
    if (pictures().length >= MAX_PICTURES) return undefined
    const begun: Picture = { url: undefined, preview: undefined, prompt: undefined }
    parts.set(key, begun)
    return begun
  }

  function takePicture(event: CopilotEvent): void {
    const drawn = picture(event)
    if (drawn === undefined) return
    drawn.prompt = textOf(event.prompt) || drawn.prompt
    if (event.event === 'partialImageGenerated') takePreview(drawn, textOf(event.content))
    if (event.event === 'imageGenerated') drawn.url = address(event.url, baseUrl) ?? drawn.url
    if (drawn.url !== undefined || drawn.preview !== undefined) endsInPicture = true
  }

  /** The last preview counts. One that is too large is left out, and an earlier one stays. */
  function takePreview(drawn: Picture, content: string): void {
    const preview = content.replace(/^data:[^,]*,/, '')
    const kept = pictures().reduce((sum, { preview }) => sum + (preview?.length ?? 0), 0)
    const chars = kept - (drawn.preview?.length ?? 0) + preview.length
    if (preview === '' || preview.length > MAX_PREVIEW_CHARS || chars > MAX_PREVIEWS_CHARS) return
    drawn.preview = preview
  }

  function takeCitation(event: CopilotEvent): void {
    const url = address(event.url)
    const title = textOf(event.title).trim()
    if (url === undefined || sources.has(url) || sources.size === MAX_SOURCES) return
    if (url.length + title.length > MAX_SOURCE_CHARS) return
    sources.set(url, { url, title: title || new URL(url).hostname })
  }

  const pictures = () => [...parts.values()].filter((part) => 'preview' in part)

  /** Parts are paragraphs; what they bring along to part them is enough. */
  function wholeText(): string {
    let text = ''
    let isApart = true
    for (const part of parts.values()) {
      if ('preview' in part || part.text === '') continue
      text += isApart || /^\s/.test(part.text) ? part.text : PARAGRAPH + part.text
      // Of the part, not of the text: to look into a text that is being put together copies all of it.
      isApart = /\s/.test(part.text.at(-1) ?? '')
    }
    return text
  }
  const shownText = () => withoutHalfCharacter(wholeText())

  return {
    take(event) {
      switch (event.event) {
        case 'connected':
        case 'pong':
        case 'modeSelected':
        case 'partCompleted':
        case 'titleUpdate':
          return
        case 'received':
        case 'startMessage':
        case 'chainOfThought':
          isTaken = true
          return
        case 'appendText':
        case 'replaceText':
          isTaken = true
          return takeText(event, event.event === 'replaceText')
        case 'citation':
          isTaken = true
          return takeCitation(event)
        case 'generatingImage':
        case 'partialImageGenerated':
        case 'imageGenerated':
          isTaken = true
          return takePicture(event)
        case 'suggestedFollowups':
          suggestions = textsOf(event.suggestions)
          return
        case 'done':
          isTaken = true
          isDone = true
          return
        // Nobody answers it, so the turn is over whatever comes behind it; behind a whole answer it changes nothing.
        case 'challenge':
          if (!isDone) throw challengeFailure(event)
          return
        case 'error':
        case 'chatMessageError':
          if (!isDone) throw errorFailure(event, now())
          return
        default:
          onUnknown?.(textOf(event.event))
      }
    },
    get isTaken() {
      return isTaken
    },
    get isDone() {
      return isDone
    },
    get isComplete() {
      return isDone && suggestions !== undefined
    },
    get hasText() {
      return shownText().trim() !== ''
    },
    get isEnough() {
      return isDone || endsInPicture
    },
    finish() {
      const text = shownText()
      const message = text.trim() === '' ? '' : text
      const drawn = pictures().filter(({ url, preview }) => url !== undefined || preview !== undefined)
      if (message === '' && drawn.length === 0) throw new UpstreamError('P-empty')
      return {
        message,
        pictures: drawn,
        sources: [...sources.values()],
        suggestions: [...new Set(suggestions)],
        turns: undefined,
        notice: isDone ? undefined : 'answer_truncated',
        ended: false,
        expiresAt: undefined
      }
    }
  }
}

function keyOf({ messageId, partId }: CopilotEvent): string {
  return JSON.stringify([messageId, partId].map((id) => textOf(id).slice(0, ID_CHARS)))
}

/** An address that a reader could open; nothing when it is none. */
function address(value: unknown, base?: string): string | undefined {
  const text = textOf(value).trim()
  if (text === '' || !URL.canParse(text, base)) return undefined
  const url = new URL(text, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  return URL.canParse(text) ? text : url.href
}
