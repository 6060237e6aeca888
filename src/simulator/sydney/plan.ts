import { answerTo, searchQuery, suggestionsFor } from './answers.ts'
import type { Filter, TurnBehaviour } from './behaviour.ts'
import type { Conversation } from './conversations.ts'
import { inventSources, type Stage } from './messages.ts'
import type { Question } from './question.ts'

/** What a turn is going to say, before anything of it is said. */
export interface Plan extends Stage {
  /** Text of the answer message; may be empty. */
  text: string
  /** Text of the second answer message, `null` without one. */
  secondText: string | null
  filter: Filter
  /** The text is a farewell: the conversation or the day is full. */
  farewell: boolean
  /** `numUserMessagesInConversation` with this turn. */
  turnNumber: number
}

/** Wordings that clients know; docs/protocol/chat-sydney.md section 7.2. */
const FAREWELLS = {
  limit: "Thanks for this conversation! I've reached my limit, will you hit “New topic,” please? 🙏",
  'move-on': 'Sorry, I think we need to move on! Click “New topic” to chat about something else.',
  daily: "Thanks for this conversation! I've reached my daily limit of chats, let's talk again tomorrow. 🌙"
} as const

/** Puts citations before the last full stop, where they can't fall into the quoted prompt. */
function cite(text: string, sources: number): string {
  if (sources === 0 || text.includes('[^1^]')) return text
  const marks = sources === 1 ? '[^1^]' : '[^1^][^2^]'
  const at = text.lastIndexOf('.')
  return at < 0 ? `${text} ${marks}` : `${text.slice(0, at)}${marks}${text.slice(at)}`
}

function farewellOf(
  behaviour: TurnBehaviour,
  conversation: Conversation
): keyof typeof FAREWELLS | undefined {
  if (behaviour.farewell !== 'none') return behaviour.farewell
  return conversation.counted >= behaviour.maxTurns ? 'limit' : undefined
}

/** Decides on text, search, sources and suggestions of one turn. */
export function planTurn(question: Question, conversation: Conversation, behaviour: TurnBehaviour): Plan {
  const farewell = farewellOf(behaviour, conversation)
  const answer = answerTo({ ...question, memory: conversation.memory })
  const searches =
    farewell === undefined &&
    behaviour.search !== 'never' &&
    !question.optionsSets.includes('nosearchall') &&
    (behaviour.search === 'always' || answer.query !== null)
  const query = searches ? (answer.query ?? searchQuery(question.prompt)) : null
  const sources = query === null ? [] : inventSources(query, behaviour.sources)
  const said = farewell === undefined ? (behaviour.answer ?? answer.text) : FAREWELLS[farewell]
  return {
    question,
    conversation,
    behaviour,
    query,
    sources,
    suggestions: farewell === undefined ? suggestionsFor(question.prompt, behaviour.suggestions) : [],
    text: said === '' ? '' : cite(said, sources.length),
    secondText: behaviour.secondMessage
      ? `And one thing more about ${searchQuery(question.prompt)}. ✨`
      : null,
    filter: conversation.disengaged ? 'disengaged' : behaviour.filter,
    farewell: farewell !== undefined,
    turnNumber: Math.min(conversation.counted + 1, Math.max(behaviour.maxTurns, 1))
  }
}
