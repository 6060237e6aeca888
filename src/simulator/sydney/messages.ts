import type { TurnBehaviour } from './behaviour.ts'
import type { Conversation } from './conversations.ts'
import type { Question } from './question.ts'

/** A message of an update or of the final record. */
export type Message = Record<string, unknown>

export interface Source {
  title: string
  url: string
  host: string
  snippet: string
}

/** What a turn's messages share. */
export interface Stage {
  question: Question
  conversation: Conversation
  behaviour: TurnBehaviour
  /** Search words; `null` when nothing is searched. */
  query: string | null
  sources: readonly Source[]
  suggestions: readonly string[]
}

const FEEDBACK = { tag: null, updatedOn: null, type: 'None' }

/** Invented pages about a query; their hosts do not exist. */
export function inventSources(query: string, count: number): Source[] {
  return Array.from({ length: count }, (_, i) => {
    const host = ['harbour.example', 'almanac.example', 'museum.example'][i % 3] as string
    const slug = encodeURIComponent(query.replaceAll(' ', '-'))
    return {
      title: `${query} – ${['overview', 'figures', 'history'][i % 3]} ${i + 1}`,
      url: `https://${host}/${slug}?n=${i + 1}`,
      host,
      snippet: `About ${query}: the figure most often given is 42.`
    }
  })
}

function bot(stage: Stage, more: Message): Message {
  const now = new Date().toISOString()
  return {
    author: 'bot',
    createdAt: now,
    timestamp: now,
    messageId: crypto.randomUUID(),
    requestId: stage.question.requestId,
    offense: 'Unknown',
    contentOrigin: 'DeepLeo',
    feedback: FEEDBACK,
    privacy: null,
    ...more
  }
}

const textBlock = (text: string) => ({ type: 'TextBlock', text, wrap: true })
const card = (body: object[]) => [{ type: 'AdaptiveCard', version: '1.0', body }]

/** Loader and search cards carry their words in `inlines`, not in `text`. */
const progressCard = (text: string) =>
  card([{ type: 'RichTextBlock', inlines: [{ type: 'TextRun', isSubtle: true, italic: true, text }] }])

/** The card beside an answer's text; docs/protocol/chat-sydney.md section 6.1. */
function answerCard(text: string, stage: Stage, complete: boolean) {
  const { behaviour, sources } = stage
  const cited = text.replace(/\[\^(\d+)\^\]/g, '[^$1^][$1]')
  const links = sources.map(({ title, url }, i) => `[${i + 1}]: ${url} "${title}"`).join('\n')
  let shown = links === '' ? cited : `${links}\n\n${cited}`
  if (behaviour.card === 'differs') shown = `${shown.replace(/[.\s]+$/u, '')}\n`
  else if (links !== '') shown += '\n'

  const body: object[] = [textBlock(shown)]
  if (behaviour.card === 'image-first') {
    body.unshift({ type: 'Image', altText: 'A picture', url: 'https://harbour.example/picture.jpg' })
  }
  if (complete && sources.length > 0) {
    const links = sources.map(({ host, url }, i) => `[${i + 1}. ${host}](${url})`).join(' ')
    body.push({
      type: 'TextBlock',
      id: 'AttributionsTextBlockID',
      size: 'small',
      text: `Learn more: ${links}`,
      wrap: true
    })
  }
  return card(body)
}

function suggested(stage: Stage): Message[] {
  const now = new Date().toISOString()
  return stage.suggestions.map((text) => ({
    text,
    author: 'user',
    createdAt: now,
    timestamp: now,
    messageId: crypto.randomUUID(),
    messageType: 'Suggestion',
    offense: 'Unknown',
    feedback: FEEDBACK,
    contentOrigin: 'SuggestionChipsFalconService',
    privacy: null
  }))
}

export interface AnswerParts {
  messageId: string
  text: string
  /** Sources, attribution line and, when asked for, suggestions. */
  complete?: boolean
  withSuggestions?: boolean
}

/** An answer message with `text` as it stands now. */
export function answerMessage(
  stage: Stage,
  { messageId, text, complete, withSuggestions }: AnswerParts
): Message {
  const attributions = stage.sources.map(({ title, url }) => ({
    providerDisplayName: title,
    seeMoreUrl: url,
    urlSignature: null,
    searchQuery: stage.query,
    provider: 'search_web'
  }))
  return bot(stage, {
    text,
    messageId,
    ...(complete ? { offense: 'None' } : {}),
    ...(stage.behaviour.card === 'absent'
      ? {}
      : { adaptiveCards: answerCard(text, stage, complete === true) }),
    sourceAttributions: complete ? attributions : [],
    ...(withSuggestions && stage.suggestions.length > 0 ? { suggestedResponses: suggested(stage) } : {})
  })
}

/** The user's own message as the final record repeats it. */
export function echoMessage(stage: Stage, more: Message = {}): Message {
  const { question, conversation } = stage
  const now = new Date().toISOString()
  return {
    text: question.prompt,
    author: 'user',
    from: { id: conversation.clientId, name: null },
    createdAt: now,
    timestamp: now,
    locale: 'en-us',
    market: 'en-us',
    region: 'us',
    messageId: question.requestId,
    requestId: question.requestId,
    nlu: { scoredClassification: { classification: 'CHAT_GPT', score: null }, classificationRanking: [] },
    offense: 'None',
    feedback: FEEDBACK,
    contentOrigin: 'cib',
    privacy: null,
    inputMethod: 'Keyboard',
    ...more
  }
}

/** `Generating answers for you...` */
export function loaderMessage(stage: Stage): Message {
  const text = 'Generating answers for you...'
  return bot(stage, {
    messageType: 'InternalLoaderMessage',
    text,
    hiddenText: text,
    adaptiveCards: progressCard(text)
  })
}

/** Query, result and loader of a search turn, in order. */
export function searchMessages(stage: Stage): Message[] {
  const query = stage.query ?? ''
  const text = `Searching the web for: \`${query}\``
  const results = {
    web_search_results: stage.sources.map(({ title, url, snippet }, i) => ({
      index: String(i + 1),
      title,
      snippets: [snippet],
      data: null,
      context: null,
      url,
      lastUpdatedDate: null
    }))
  }
  return [
    bot(stage, {
      messageType: 'InternalSearchQuery',
      text,
      hiddenText: query,
      invocation: `search_web(query="${query}")`,
      adaptiveCards: progressCard(text)
    }),
    bot(stage, {
      messageType: 'InternalSearchResult',
      text: JSON.stringify(results),
      hiddenText: stage.sources.map(({ title, snippet }, i) => `[${i + 1}] ${title}: ${snippet}`).join('\n'),
      groundingInfo: results
    }),
    loaderMessage(stage)
  ]
}

/** `RenderCardRequest`, which follows the answer in the final record. */
export function renderCardMessage(stage: Stage): Message {
  return bot(stage, {
    messageType: 'RenderCardRequest',
    text: stage.query ?? stage.question.prompt,
    hiddenText: '{}'
  })
}

/** Progress of the code interpreter and the code it wrote. */
export function progressMessages(stage: Stage): Message[] {
  return [
    bot(stage, {
      messageType: 'Progress',
      contentOrigin: 'CodeInterpreter',
      text: 'Analyzing',
      invocation: 'python("print(6 * 7)")'
    }),
    bot(stage, { messageType: 'GeneratedCode', contentOrigin: 'CodeInterpreter', text: 'print(6 * 7)' })
  ]
}

/** The bot asks for a picture. */
export function imageMessage(stage: Stage): Message {
  const prompt = stage.question.prompt
  return bot(stage, {
    messageType: 'GenerateContentQuery',
    contentType: 'IMAGE',
    text: prompt,
    invocation: `graphic_art(prompt=${JSON.stringify(prompt)})`
  })
}

/** The safety layer's replacement. */
export function apologyMessage(stage: Stage): Message {
  const text = 'My mistake, I can’t give a response to that right now. Let’s try a different topic. 🙏'
  return bot(stage, {
    contentOrigin: 'Apology',
    text,
    spokenText: text,
    adaptiveCards: card([textBlock(text)])
  })
}

/** The bot ends the conversation. */
export function disengagedMessage(stage: Stage): Message {
  return bot(stage, {
    messageType: 'Disengaged',
    hiddenText: '> Conversation disengaged',
    invocation: 'withdraw()'
  })
}

/** A message of a type that no client knows. */
export function unknownMessage(stage: Stage): Message {
  return bot(stage, { messageType: 'HolographicRequest', text: 'This is no answer text.' })
}
