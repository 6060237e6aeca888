import type { RememberedTurn } from './conversations.ts'

/** What the bot says to one prompt. */
export interface Answer {
  /** Markdown, without citations. */
  text: string
  /** What it would search the web for; `null` when the answer comes from the conversation alone. */
  query: string | null
}

/** Everything an answer may depend on. Equal input gives an equal answer. */
export interface Asked {
  prompt: string
  memory: readonly RememberedTurn[]
  tone: string | null
  context: string | null
}

/** Longest prompt that is quoted whole. */
const QUOTE_POINTS = 400

/** Ends outside the Basic Multilingual Plane, so that careless cuts show. */
const CLOSINGS = ['🙂', '🌊 海辺より', '👩🏽‍🔬', '✅', '🚀', 'ありがとう 🎏']

/** The prompt, or its beginning, end and length, never cut inside a character. */
export function quote(prompt: string): string {
  const points = Array.from(prompt.trim())
  if (points.length <= QUOTE_POINTS) return `“${points.join('')}”`
  return `“${points.slice(0, 240).join('')} … ${points.slice(-120).join('')}” (${points.length} characters)`
}

function hash(text: string): number {
  let value = 2_166_136_261
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16_777_619)
  return value >>> 0
}

const closing = (prompt: string) => CLOSINGS[hash(prompt) % CLOSINGS.length] as string

/** A statement such as `My favourite colour is blue`. */
const FACT = /\bmy ([\p{L}\p{N} ]{1,40}?) (?:is|are) (.+?)(?:[.,;!?\n]|\s+and\s+(?:i|my)\b|$)/iu

/** The question for such a statement. */
const FACT_ASKED =
  /\b(?:what(?:'s|’s| is| was| are)|tell me|(?:do you|can you) (?:know|remember|recall)|remind me of) my ([\p{L}\p{N} ]{1,40}?)\s*[?.!]*$/iu
const FACT_ASKED_LAST = /\bwhat my ([\p{L}\p{N} ]{1,40}?) (?:is|are)\s*[?.!]*$/iu

const REMEMBER = /^\s*(?:please\s+)?remember(?:\s+that)?[:\s]+(.+?)[.!]?\s*$/isu

/** What the user last said that the subject is. */
function recall(memory: readonly RememberedTurn[], subject: string): string | undefined {
  for (const { prompt } of memory.toReversed()) {
    const [, said, value] = FACT.exec(prompt) ?? []
    if (said?.toLowerCase() === subject.toLowerCase()) return value?.trim()
  }
  return undefined
}

function tellFact(subject: string, memory: readonly RememberedTurn[]): string {
  const value = recall(memory, subject)
  return value === undefined
    ? `You have not told me your ${subject} in this conversation. 🤔`
    : `Your ${subject} is **${value}**. 🙂`
}

const ARITHMETIC =
  /(?:^|\b(?:what(?:'s|’s| is)|how much is|calculate|compute)\s)\s*(-?\d+(?:\.\d+)?)\s*([-+*x×/÷])\s*(-?\d+(?:\.\d+)?)/iu

function calculate(left: number, sign: string, right: number): number {
  if (sign === '+') return left + right
  if (sign === '-') return left - right
  if (sign === '/' || sign === '÷') return left / right
  return left * right
}

/** Longest counting; beyond it the stream only gets boring. */
const COUNT_MAX = 2000

function paragraphs(prompt: string, count: number): string {
  const lines = [
    'It began at the harbour, where the boats come in before sunrise.',
    'Nobody had asked for it, and so everybody had an opinion about it.',
    'By noon the wind had turned, and with it the plan.',
    'In the end the simplest thing worked, as it often does.'
  ]
  const body = Array.from(
    { length: count },
    (_, i) => `${i + 1}. ${lines[i % lines.length]} (part ${i + 1} of ${count})`
  )
  return `**A story about** ${quote(prompt)}\n\n${body.join('\n\n')}\n\n${closing(prompt)}`
}

type Rule = [pattern: RegExp, say: (found: RegExpExecArray, asked: Asked) => string | null]

/** What the conversation itself answers. The first rule that fits and has something to say is taken. */
const RULES: Rule[] = [
  [FACT_ASKED, ([, subject], { memory }) => tellFact(subject ?? '', memory)],
  [FACT_ASKED_LAST, ([, subject], { memory }) => tellFact(subject ?? '', memory)],
  [/\bwho am i\b/iu, (_, { memory }) => tellFact('name', memory)],
  [
    /\b(?:what|which)\b.*\bremember\b/iu,
    (_, { memory }) => {
      const noted = memory.map(({ prompt }) => REMEMBER.exec(prompt)?.[1]?.trim()).filter(Boolean)
      if (noted.length === 0) return 'You have not asked me to remember anything yet. 🤔'
      return `You asked me to remember:\n\n${noted.map((one) => `- ${one}`).join('\n')}\n\n🧠`
    }
  ],
  [REMEMBER, ([, thing]) => `Noted, I will remember: ${quote(thing ?? '')} 🧠`],
  [
    FACT,
    ([, subject, value], { prompt }) =>
      subject?.toLowerCase() === 'name'
        ? `Nice to meet you, **${value?.trim()}**! You said ${quote(prompt)}. 👋`
        : `Noted: your ${subject} is **${value?.trim()}**. You said ${quote(prompt)}. 👍`
  ],
  [
    /\bwhat (?:did|have) i (?:say|said|ask|asked|write|tell you)\b.*\bfirst\b|\bmy first (?:message|question)\b/iu,
    (_, { memory }) =>
      memory[0]
        ? `The first thing you said was: ${quote(memory[0].prompt)}`
        : 'This is the first thing you said.'
  ],
  [
    /\bwhat (?:did|have) i (?:just )?(?:say|said|ask|asked|write|tell you)\b|\b(?:repeat|what was) my (?:last|previous) (?:message|question|prompt)\b/iu,
    (_, { memory }) => {
      const last = memory.at(-1)
      return last ? `Before this you said: ${quote(last.prompt)}` : 'You have not said anything before this.'
    }
  ],
  [
    /\bwhat (?:did|have) you (?:just )?(?:say|said|answer|answered)\b|\brepeat your (?:last )?answer\b/iu,
    (_, { memory }) => {
      const last = memory.at(-1)
      return last ? `My last answer was: ${quote(last.answer)}` : 'I have not answered anything before this.'
    }
  ],
  [
    /\bhow many (?:questions|messages|things|turns)\b/iu,
    (_, { memory }) =>
      `Before this one, ${memory.length} of your messages were answered in this conversation.`
  ],
  [
    /\b(?:what|which) (?:is (?:your|the) )?(?:tone|style)\b/iu,
    (_, { tone }) => `My tone is **${tone ?? 'not set'}**.`
  ],
  [
    /\b(?:page|context|document|attached|above text)\b/iu,
    (_, { context, prompt }) =>
      context ? `You asked ${quote(prompt)}. The page says: ${quote(context)} 📄` : null
  ],
  [
    ARITHMETIC,
    ([, left, sign, right], { prompt }) =>
      `You asked ${quote(prompt)}: ${left} ${sign} ${right} = **${calculate(Number(left), sign ?? '*', Number(right))}** 🧮`
  ],
  [
    /^\s*(?:say|echo|reply with|repeat)[:\s]+(.+)$/isu,
    ([, words]) => words?.trim().replace(/^["“](.*)["”]$/su, '$1') ?? ''
  ],
  [
    /\bcount (?:from \d+ )?to (\d+)\b/iu,
    ([, end]) => {
      const last = Math.min(Number(end), COUNT_MAX)
      return `Counting to ${last}: ${Array.from({ length: last }, (_, i) => i + 1).join(', ')}. ✅`
    }
  ],
  [/\b(?:long|essay)\b/iu, (_, { prompt }) => paragraphs(prompt, 40)],
  [/\b(?:story|poem|tale)\b/iu, (_, { prompt }) => paragraphs(prompt, 6)],
  [
    /\b(?:code|function|script|program)\b/iu,
    (_, { prompt }) =>
      `Here is some code for ${quote(prompt)}:\n\n\`\`\`js\nfunction add(a, b) {\n  // "a" & <b>\n  return a + b\n}\n\`\`\`\n\nCall it with \`add(1, 2)\`. ${closing(prompt)}`
  ],
  [
    /\b(?:table|compare|versus|vs)\b/iu,
    (_, { prompt }) =>
      `A table for ${quote(prompt)}:\n\n| Option | Cost | Note |\n|---|---:|---|\n| First | 10 | simple |\n| Second | 25 | **faster** |\n| 第三 | 40 | 両方 |\n\n${closing(prompt)}`
  ],
  [
    /\b(?:list|steps|ideas|tips)\b/iu,
    (_, { prompt }) =>
      `Some points on ${quote(prompt)}:\n\n1. **Begin** with the smallest part.\n2. *Look* at what it does.\n3. Repeat:\n   - once for yourself,\n   - once for the others.\n\n${closing(prompt)}`
  ],
  [
    /^\s*(?:hi|hello|hey|good (?:morning|evening))\b/iu,
    (_, { prompt }) => `Hello! You said ${quote(prompt)}. How can I help? 👋`
  ]
]

/** Prompts that a search engine would look up. */
const LOOK_UP =
  /\b(?:search|look up|news|latest|weather|today|price of|how (?:high|tall|far|old|deep)|who (?:is|was|built)|where is|when (?:did|was|is))\b/iu

function fallback(prompt: string): string {
  return `You wrote ${quote(prompt)}. This is a **simulated** answer: it says the same for the same prompt. ${closing(prompt)}`
}

/** Answers a prompt out of the conversation's memory, plain rules, or by quoting the prompt. */
export function answerTo(asked: Asked): Answer {
  const { prompt } = asked
  for (const [pattern, say] of RULES) {
    const found = pattern.exec(prompt)
    const text = found && say(found, asked)
    if (text) return { text, query: null }
  }
  if (!LOOK_UP.test(prompt)) return { text: fallback(prompt), query: null }
  return {
    text: `On ${quote(prompt)} the sources agree: **42** is the number that they give, measured at low tide. ${closing(prompt)}`,
    query: searchQuery(prompt)
  }
}

/** The prompt as search words. */
export function searchQuery(prompt: string): string {
  const words = prompt.match(/[\p{L}\p{N}]+/gu) ?? []
  return words.slice(0, 8).join(' ').toLowerCase() || 'news'
}

/** Prompts to go on with. Texts repeat the subject, so that a mix-up shows. */
export function suggestionsFor(prompt: string, count: number): string[] {
  const subject = searchQuery(prompt)
  const patterns = [`Tell me more about ${subject}`, `Why ${subject}?`, `What comes after ${subject}?`]
  return Array.from({ length: count }, (_, i) => patterns[i] ?? `${subject} (${i + 1})`)
}
