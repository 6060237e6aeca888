/** A caller of the gateway: a pool of connections that stay open, as an SDK has it. */
import { createParser } from 'eventsource-parser'
import { Pool } from 'undici'

export interface GatewayTurn {
  /** `message` of the answer. */
  text: string
  /** Milliseconds from the request to the first delta, NaN without any. */
  firstMs: number
  /** Milliseconds from each event with text to the next one. */
  gaps: number[]
  /** Milliseconds from the request to the end of the answer. */
  ms: number
  /** Whether the deltas, put together, are the message. */
  isWhole: boolean
}

export interface GatewayConversation {
  ask(prompt: string): Promise<GatewayTurn>
  stream(prompt: string): Promise<GatewayTurn>
}

export interface GatewayClient {
  /** A conversation, and how long opening it took. */
  open(): Promise<GatewayConversation & { ms: number }>
  /** Milliseconds until the answer. @throws {Error} when it isn't 200 */
  get(path: string): Promise<number>
  close(): Promise<void>
}

export function createGatewayClient(
  { url, key }: { url: string; key: string },
  userId: string,
  connections: number
): GatewayClient {
  const pool = new Pool(url, { connections, bodyTimeout: 120_000, headersTimeout: 120_000 })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }

  async function post(path: string, body: object) {
    const answer = await pool.request({ path, method: 'POST', headers, body: JSON.stringify(body) })
    if (answer.statusCode !== 200)
      throw new Error(`${path} answered ${answer.statusCode}: ${await answer.body.text()}`)
    return answer.body
  }

  return {
    async open() {
      const from = performance.now()
      const credentials = (await (await post('/create_conversation', { userId })).json()) as object & {
        invocationId?: number
      }
      const ms = performance.now() - from
      let invocationId = 0
      return {
        ms,
        async ask(prompt) {
          const from = performance.now()
          const body = await post('/chatgpt', { ...credentials, prompt, invocationId: invocationId++ })
          const { message } = (await body.json()) as { message: string }
          return { text: message, firstMs: Number.NaN, gaps: [], ms: performance.now() - from, isWhole: true }
        },
        async stream(prompt) {
          const from = performance.now()
          const question = { ...credentials, prompt, invocationId: invocationId++, stream: true }
          return readStream(await post('/chatgpt', question), from)
        }
      }
    },
    async get(path) {
      const from = performance.now()
      const answer = await pool.request({ path, method: 'GET' })
      await answer.body.dump()
      if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}`)
      return performance.now() - from
    },
    close: () => pool.destroy()
  }
}

async function readStream(body: AsyncIterable<Buffer>, from: number): Promise<GatewayTurn> {
  const turn: GatewayTurn = { text: '', firstMs: Number.NaN, gaps: [], ms: 0, isWhole: false }
  let said = ''
  let last = 0
  let end: { event: string | undefined; data: string } | undefined
  let now = 0
  const parser = createParser({
    onEvent({ event, data }) {
      if (event !== 'delta' && event !== 'replace') {
        end = { event, data }
        return
      }
      if (Number.isNaN(turn.firstMs)) turn.firstMs = now - from
      else turn.gaps.push(now - last)
      last = now
      const { text } = JSON.parse(data) as { text: string }
      said = event === 'delta' ? said + text : text
    }
  })
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    now = performance.now()
    parser.feed(decoder.decode(chunk, { stream: true }))
  }
  if (end?.event !== 'done') throw new Error(`the stream ended with ${end?.event}: ${end?.data}`)
  turn.ms = performance.now() - from
  turn.text = (JSON.parse(end.data) as { message: string }).message
  turn.isWhole = turn.text === said
  return turn
}
