import type { Question } from '../upstream/chat-client.ts'
import { createSydneyClient } from '../upstream/sydney/client.ts'
import type { Finding } from './report.ts'
import { reachStep, type Walk } from './walk.ts'
import { describeAnswer } from './wire.ts'

const STAGES = ['create', 'upgrade', 'handshake', 'first record', 'final record'].map(
  (name) => `sydney: ${name}`
)
/** Short, harmless, and nothing to search for. */
export const QUESTION: Question = {
  prompt: 'Name three colours.',
  invocationId: 0,
  tone: undefined,
  contextChars: 0,
  inDoubt: false
}

/**
 * Chat over the hub. Conversations are said to cost an account its access when they are created often, so none is
 * created unless that was asked for.
 */
export async function walkSydney(walk: Walk, isBingReached: boolean): Promise<void> {
  const { steps, account } = walk
  walk.protocol = 'sydney'
  const isReached = await reachStep(walk, 'sydney', 'BING_CHAT_URL')
  if (!walk.spend.chat) {
    const detail =
      'Not asked for: --spend chat starts one real conversation and asks one question. Starting them often is said to cost accounts their access.'
    return steps.skip(STAGES[0] as string, detail, 'not-asked')
  }
  const why = !isBingReached
    ? 'Bing can not be reached'
    : !isReached
      ? 'the hub can not be reached'
      : account.configured
        ? undefined
        : 'there is no usable cookie'
  if (why !== undefined) {
    for (const name of STAGES) steps.skip(name, `Not tried: ${why}.`, 'failed')
    return
  }
  await oneTurn(walk)
}

async function oneTurn(walk: Walk): Promise<void> {
  const { steps, config, wire, account, clock, proxy, secrets } = walk
  const [create, upgrade, handshake, firstRecord] = STAGES as [string, string, string, string]
  await steps.stages(
    STAGES,
    async (signal, reached) => {
      const client = createSydneyClient({
        bingUrl: config.BING_URL,
        chatUrl: config.BING_CHAT_URL,
        account,
        http: wire.http,
        proxy,
        clock,
        warm: { sockets: 0 },
        diagnosis: {
          onUpgraded: () => reached(upgrade, 'The hub accepted the upgrade.'),
          onRecord: () => reached(firstRecord, 'The hub began to answer.')
        }
      })
      try {
        wire.forget()
        const conversation = await client.create(signal)
        secrets.add(...Object.values(conversation))
        const shape = wire.last === undefined ? 'A conversation' : describeAnswer(wire.last, false)
        const token = conversation.encryptedSignature ? 'with' : 'without'
        reached(create, `${shape}; ${token} a token for the hub.`)
        // From here on the wire is the hub's, which is no HTTP any more.
        wire.forget()
        const answer = await client.ask(conversation, QUESTION, {
          signal,
          onAsked: () => reached(handshake, 'The hub answered the handshake.')
        })
        return {
          ok: answer.notice === undefined,
          detail: `${answer.notice === undefined ? 'A whole answer' : `An answer with the notice ${answer.notice}`} of ${answer.message.length} characters${answer.turns === undefined ? '' : `, turn ${answer.turns.used} of ${answer.turns.max}`}.`,
          hint:
            answer.notice === undefined
              ? undefined
              : 'Microsoft broke off or took back an answer to a harmless question. Run the doctor again later; if it stays, look at the account in a browser.'
        } satisfies Finding
      } finally {
        await client.close()
      }
    },
    config.CHAT_TIMEOUT_MS
  )
}
