import { answerTo, quote, searchQuery, suggestionsFor } from '../sydney/answers.ts'
import { inventSources, type Source } from '../sydney/messages.ts'
import type { CopilotTurnBehaviour } from './behaviour.ts'
import type { CopilotQuestion } from './client-events.ts'

/** What a turn is going to say, before anything of it is said. */
export interface Plan {
  /** May be empty. */
  text: string
  /** Text of the second part, `null` without one. */
  secondText: string | null
  sources: Source[]
  suggestions: string[]
  /** Number of pictures; 0: it draws none. */
  pictures: number
  /** Text of `chainOfThought`, `null` without one. */
  reasoning: string | null
  /** Text of `titleUpdate`, `null` without one. */
  title: string | null
}

/** Prompts that ask for a picture. */
const DRAW =
  /^\s*(?:please\s+)?(?:draw|paint|sketch|illustrate)\b|\b(?:picture|image|photo|drawing|painting|illustration) of\b/iu

/**
 * Copilot knows no tones. The modes that stand for them say so, so that both chat upstreams can be asked the same.
 */
const TONES: Record<string, string> = {
  smart: 'Balanced (smart)',
  chat: 'Creative (chat)',
  reasoning: 'Precise (reasoning)'
}

const wanted = (how: 'auto' | 'always' | 'never', fits: boolean): boolean =>
  how === 'always' || (how === 'auto' && fits)

/** Decides on text, sources, pictures and suggestions of one turn. Equal input gives an equal answer. */
export function planTurn(question: CopilotQuestion, how: CopilotTurnBehaviour): Plan {
  const { prompt, mode, conversation } = question
  const { memory } = conversation
  const draws = wanted(how.image, DRAW.test(prompt))
  const answer = answerTo({ prompt, memory, tone: TONES[mode] ?? mode, context: null })
  const searches = !draws && wanted(how.search, answer.query !== null)
  const query = answer.query ?? searchQuery(prompt)
  const spoken = draws ? (how.imageText ? `Here is a picture for ${quote(prompt)}. 🎨` : '') : answer.text
  return {
    text: how.answer ?? spoken,
    secondText: how.secondPart ? `And one thing more about ${searchQuery(prompt)}. ✨` : null,
    sources: searches ? inventSources(query, how.sources) : [],
    suggestions: suggestionsFor(prompt, how.suggestions),
    pictures: draws ? how.images : 0,
    reasoning: wanted(how.reasoning, mode === 'reasoning')
      ? `The user asks about ${searchQuery(prompt)}. I should answer briefly. 🤔`
      : null,
    title:
      how.titleUpdate === 'always' || (how.titleUpdate === 'first' && memory.length === 0)
        ? searchQuery(prompt).replace(/^./u, (first) => first.toUpperCase())
        : null
  }
}
