/**
 * The upstream without a gateway before it: the least that a program must do to ask the hub a question, with the
 * gateway's own codec and WebSocket package. What the gateway adds is measured against this.
 */
import { once } from 'node:events'
import WebSocket from 'ws'
import type { UpstreamConversation } from '../src/upstream/chat-client.ts'
import { createRecordDecoder, encodeRecord, type HubRecord } from '../src/upstream/sydney/codec.ts'
import { ACCESS_TOKEN_QUERY, HANDSHAKE, RECORD_TYPE } from '../src/upstream/sydney/constants.ts'
import { createConversation } from '../src/upstream/sydney/create.ts'
import { buildQuestion } from '../src/upstream/sydney/question.ts'
import { COOKIE, chatUrlOf } from './processes.ts'

export interface DirectTurn {
  /** The whole answer. */
  text: string
  /** Milliseconds from the question to the first text, NaN without any. */
  firstMs: number
  /** Milliseconds from each text that was new to the next one. */
  gaps: number[]
  /** Milliseconds from the question to the final record. */
  ms: number
}

export interface DirectConversation {
  /** Opens a socket and shakes hands, so that the next turn finds it warm. */
  warm(): Promise<void>
  /** Asks the next question, on the warm socket if there is one, else on one of its own that is opened first. */
  ask(prompt: string): Promise<DirectTurn>
}

/** @param upstream base URL of the simulator */
export async function openDirect(upstream: string): Promise<DirectConversation> {
  const cookie = `_U=${COOKIE}`
  const conversation = await createConversation(
    {
      async request({ url, headers }) {
        const answer = await fetch(url, { headers: { ...headers, cookie } })
        return {
          status: answer.status,
          headers: Object.fromEntries(answer.headers),
          location: undefined,
          text: await answer.text(),
          url
        }
      }
    } as Parameters<typeof createConversation>[0],
    upstream,
    AbortSignal.timeout(10_000)
  )
  let spare: WebSocket | undefined
  let invocationId = 0
  return {
    async warm() {
      spare = await openHub(upstream, conversation, cookie)
    },
    async ask(prompt) {
      const from = performance.now()
      const socket = spare ?? (await openHub(upstream, conversation, cookie))
      spare = undefined
      const question = {
        prompt,
        invocationId: invocationId++,
        tone: undefined,
        contextChars: 0,
        inDoubt: false
      }
      return askOn(socket, buildQuestion(conversation, question, Date.now()), from)
    }
  }
}

async function openHub(
  upstream: string,
  { encryptedSignature }: UpstreamConversation,
  cookie: string
): Promise<WebSocket> {
  const query = encryptedSignature ? `?${ACCESS_TOKEN_QUERY}=${encodeURIComponent(encryptedSignature)}` : ''
  const socket = new WebSocket(chatUrlOf(upstream) + query, { perMessageDeflate: false, headers: { cookie } })
  await once(socket, 'open')
  socket.send(encodeRecord(HANDSHAKE))
  await once(socket, 'message')
  return socket
}

function askOn(socket: WebSocket, question: object, from: number): Promise<DirectTurn> {
  return new Promise((resolve, reject) => {
    const decoder = createRecordDecoder()
    const turn: DirectTurn = { text: '', firstMs: Number.NaN, gaps: [], ms: 0 }
    let last = 0
    const take = (record: HubRecord) => {
      if (record.type === RECORD_TYPE.streamItem) {
        turn.ms = performance.now() - from
        turn.text = textIn((record.item as { messages?: unknown }).messages) ?? turn.text
        socket.close(1000)
        resolve(turn)
      } else if (record.type === RECORD_TYPE.invocation) {
        const [update] = record.arguments as { messages?: unknown }[]
        const text = textIn(update?.messages)
        if (text === undefined || text === turn.text) return
        const now = performance.now()
        if (turn.text === '') turn.firstMs = now - from
        else turn.gaps.push(now - last)
        last = now
        turn.text = text
      }
    }
    socket.on('message', (data: Buffer) => {
      for (const record of decoder.push(data.toString())) take(record)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the hub closed before its final record')))
    socket.send(encodeRecord(question))
  })
}

/** Text of the answer message among these. */
function textIn(messages: unknown): string | undefined {
  if (!Array.isArray(messages)) return undefined
  return (messages as { author: string; messageType?: string; text: string }[]).findLast(
    ({ author, messageType }) => author === 'bot' && messageType === undefined
  )?.text
}
