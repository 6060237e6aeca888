import { createInterface } from 'node:readline/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { ChatAnswer, Conversation } from '../schemas/chat.ts'
import { type ClientOptions, call, print, send } from './cli-client.ts'

/** `bing-gateway chat`: one question, or a talk line by line. */
export async function chatCommand(prompt: string, options: ClientOptions & { tone?: string }): Promise<void> {
  if (options.user === undefined)
    throw new Error(
      'name a whitelisted user with --user or BING_GATEWAY_USER; beside an API key, the one it belongs to.'
    )
  const { invocationId, ...identity } = await call<Conversation>(options, 'POST', '/create_conversation', {
    userId: options.user
  })
  let next = invocationId
  const ask = async (text: string) => {
    const question = { ...identity, prompt: text, invocationId: next, tone: options.tone }
    if (options.json) {
      const answer = await call<ChatAnswer>(options, 'POST', '/chatgpt', question)
      next = answer.invocationId
      print(JSON.stringify(answer, null, 2))
    } else {
      next = (await askAloud(options, question)).invocationId
    }
  }
  if (prompt !== '') return ask(prompt)

  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
  lines.prompt()
  for await (const line of lines) {
    if (line.trim() !== '') await ask(line).catch((error) => print(error.message))
    lines.prompt()
  }
}

/** Asks, and prints the answer as it comes. @throws {Error} as `call` does, or where the answer breaks off */
async function askAloud(options: ClientOptions, question: object): Promise<ChatAnswer> {
  const response = await send(options, 'POST', '/chatgpt', { ...question, stream: true })
  const printer = createPrinter((text) => process.stdout.write(text))
  const events = response.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
  let answer: ChatAnswer | undefined
  try {
    for await (const { event, data: json } of events ?? []) {
      const data = JSON.parse(json)
      if (event === 'delta') printer.add(data.text)
      else if (event === 'replace') printer.replace(data.text)
      else if (event === 'done') answer = data
      else if (event === 'error') throw new Error(data.error.message)
    }
  } finally {
    printer.end(answer?.message)
  }
  if (answer === undefined) throw new Error('the gateway broke off before the answer was complete.')
  const more = formatBeside(answer)
  if (more !== '') print(`\n${more}`)
  return answer
}

/**
 * Prints a text that grows and changes to where nothing can be taken back: a terminal that scrolls, a pipe. A text that
 * shrinks is waited for, as it mostly grows again; one that becomes another is printed anew below.
 */
export function createPrinter(write: (text: string) => void) {
  let printed = ''
  let text = ''
  let isAtLineStart = true

  function put(more: string): void {
    if (more === '') return
    write(more)
    isAtLineStart = more.endsWith('\n')
  }
  function catchUp(isWhole: boolean): void {
    if (text.startsWith(printed)) put(text.slice(printed.length))
    else if (isWhole || !printed.startsWith(text)) put(`${isAtLineStart ? '\n' : '\n\n'}${text}`)
    else return
    printed = text
  }
  return {
    add(more: string): void {
      text += more
      catchUp(false)
    },
    replace(other: string): void {
      text = other
      catchUp(false)
    },
    /** Ends the line. @param whole the text as it is in the end; left out where it broke off */
    end(whole?: string): void {
      if (whole !== undefined) {
        text = whole
        catchUp(true)
      }
      if (!isAtLineStart) put('\n')
    }
  }
}

export function formatAnswer(answer: ChatAnswer): string {
  const more = formatBeside(answer)
  return more === '' ? answer.message : `${answer.message}\n\n${more}`
}

/**
 * What goes with an answer's text: the addresses of pictures, a line each, and the sources. Without a text the pictures
 * are the text already.
 */
function formatBeside({ message, attachments = [], sources = [] }: ChatAnswer): string {
  const pictures = attachments.map(({ url }) => url).filter((url) => !message.includes(url))
  const pages = sources.map(({ title, url }, index) => `[${index + 1}] ${title}: ${url}`)
  return [pictures, pages]
    .filter(({ length }) => length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')
}
