import type { CopilotConversation, CopilotConversations } from './conversations.ts'

export type Json = Record<string, unknown>

/** A broken rule: short name and a sentence for a person. */
export type Fault = [rule: string, detail: string]

/** A `send` that keeps the rules. */
export interface CopilotQuestion {
  conversation: CopilotConversation
  /** All text parts, joined. */
  prompt: string
  mode: string
  /** Whether the socket asked for previews of pictures. */
  wantsPreviews: boolean
}

/** What a socket has been told so far. */
export interface SocketState {
  /** The `setOptions` event, once it came. */
  options: Json | undefined
  /** A turn of this socket is running. */
  busy: boolean
}

const MODES = [
  'smart',
  'chat',
  'reasoning',
  'study',
  'search',
  'deep-research',
  'deep-research-nano',
  'copilot-beta',
  'default',
  'research',
  'computer_use',
  'coco'
]

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)

/** One JSON object, or `undefined`. */
export function parse(text: string): Json | undefined {
  try {
    const value = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const broken = (rules: [kept: boolean, rule: string, detail: string][]): Fault | undefined => {
  const found = rules.find(([kept]) => !kept)
  return found && [found[1], found[2]]
}

/** First broken rule of a `setOptions`; docs/protocol/chat-copilot.md section 4. Fields of later years may be left out. */
export function faultOfOptions(event: Json, { options }: SocketState): Fault | undefined {
  const {
    supportedFeatures,
    supportedCards = [],
    supportedUIComponents = {},
    ads,
    supportedActions = []
  } = event
  return broken([
    [options === undefined, 'options-twice', 'setOptions came a second time over the same socket.'],
    [isNames(supportedFeatures), 'options', 'supportedFeatures must be an array of names.'],
    [isNames(supportedCards), 'options', 'supportedCards must be an array of names.'],
    [isObject(supportedUIComponents), 'options', 'supportedUIComponents must be an object.'],
    [
      ads === undefined || (isObject(ads) && isNames(ads.supportedTypes)),
      'options',
      'ads.supportedTypes must be an array of names.'
    ],
    [isNames(supportedActions), 'options', 'supportedActions must be an array of names.']
  ])
}

/** First broken rule of a `reportLocalConsents`. */
export function faultOfConsents({ grantedConsents }: Json, { options }: SocketState): Fault | undefined {
  return broken([
    [options !== undefined, 'options-first', 'reportLocalConsents came before setOptions.'],
    [isNames(grantedConsents), 'consents', 'grantedConsents must be an array of names.']
  ])
}

function isPart(part: Json): boolean {
  if (part.type === 'text') return isText(part.text)
  if (part.type === 'image') return isText(part.url)
  return part.type === 'document' && isText(part.attachmentId)
}

/**
 * Checks a `send` against everything the upstream would insist on.
 * @returns the question, or the first broken rule
 */
export function checkSend(
  event: Json,
  socket: SocketState,
  conversations: CopilotConversations
): CopilotQuestion | Fault {
  const { content, mode, context = {} } = event
  const parts = Array.isArray(content) ? content.filter(isObject) : []
  const conversation = conversations.get(event.conversationId)
  const fault = broken([
    [socket.options !== undefined, 'options-first', 'send came before setOptions.'],
    [
      Array.isArray(content) && content.length > 0 && parts.length === content.length && parts.every(isPart),
      'content',
      'content must be an array of text, image and document parts.'
    ],
    [parts.at(-1)?.type === 'text', 'content-order', 'Attachments come first, the text last.'],
    [isText(mode) && MODES.includes(mode), 'mode', 'mode is not one of the known modes.'],
    [isObject(context), 'context', 'context must be an object.'],
    [isText(event.conversationId), 'conversation-id', 'conversationId is missing.'],
    [conversation !== undefined, 'conversation-unknown', 'No such conversation was given out.'],
    [
      !socket.busy && conversation?.busy !== true,
      'one-turn-at-a-time',
      'A turn of this conversation or socket is still running.'
    ]
  ])
  if (fault !== undefined) return fault
  const features = socket.options?.supportedFeatures as string[]
  return {
    conversation: conversation as CopilotConversation,
    prompt: parts
      .filter(({ type }) => type === 'text')
      .map(({ text }) => text)
      .join('\n'),
    mode: mode as string,
    wantsPreviews: features.includes('partial-generated-images')
  }
}
