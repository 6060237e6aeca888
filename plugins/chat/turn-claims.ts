import type { BaseLogger } from 'pino'
import type { Clock } from '../../src/clock.ts'
import { GatewayError } from '../../src/errors.ts'
import type { WorkerLease } from '../../src/jobs/worker-lease.ts'
import type {
  AnsweredTurn,
  Conversation,
  ConversationStore,
  TurnClaim
} from '../../src/store/conversation-store.ts'
import { isStoreFault } from '../../src/store/database.ts'
import type { UpstreamConversation } from '../../src/upstream/chat-client.ts'

/** Time between two looks for what the store still has to be told, in milliseconds. */
export const SETTLE_MS = 3000

export interface TurnClaimsSettings {
  store: ConversationStore
  worker: Pick<WorkerLease, 'id' | 'onEnded'>
  clock: Clock
  log: Pick<BaseLogger, 'warn' | 'error'>
}

/** What was known of a conversation when its next turn was asked for. */
export type HeldConversation = Pick<Conversation, 'id' | 'nextInvocation'>

/** A turn that only its holder may ask the upstream, whichever gateway the others call. */
export interface HeldTurn {
  /** As it stood when the claim was made: no other turn is answered until this one ends. */
  readonly conversation: Conversation
  /** @throws {GatewayError} conflict_error, when the turn is no longer ours */
  moveUpstream(upstream: UpstreamConversation): Promise<void>
  /**
   * Stores the answer and ends the turn. An answer that the store can't take now is stored as soon as it can, and until
   * then nobody else may ask.
   * @throws {GatewayError} conflict_error, when the turn is no longer ours; the store's fault
   */
  answer(answered: AnsweredTurn): Promise<void>
  /** Ends the turn, and the conversation with it: the upstream has given it up. */
  close(state: 'full' | 'expired'): Promise<void>
  /** Notes that the first turn was broken off after it was asked: the upstream may have counted it. */
  doubt(): void
}

/**
 * Turns of one conversation never overlap upstream, and none is asked twice because an answer got lost: who asks has
 * claimed the conversation in the store, and the claim ends in the transaction that stores the answer.
 *
 * What can come between, and what then holds:
 * - The store is away when the answer comes. The answer is kept in memory and so is the claim, both are settled in the
 *   background; the repeat of a caller who got the store's fault finds the stored answer.
 * - The store is away when a claim is made or given back, or it does so and can't say so any more. Nothing runs under
 *   such a claim; the background finds it by the worker's id and gives it back.
 * - This process ends. Others give its claims back when its lease has ended, and the turn can be asked again. Only an
 *   answer that was never acknowledged can get lost that way. The upstream may have counted the turn: a session can't be
 *   begun twice, so a first turn is then asked in a fresh conversation.
 * - This process is cut off from the store for longer than its lease, or is stopped for so long. Others may then ask the
 *   same turn. The store takes the first answer; who comes later stores nothing and tells its caller to repeat, who then
 *   gets what the others know.
 */
export function createTurnClaims({ store, worker, clock, log }: TurnClaimsSettings) {
  /** Turns that run in this process, by conversation. */
  const running = new Map<string, Promise<unknown>>()
  /** Answers that the store could not take: the upstream has counted them, so they are stored before anything else is asked. */
  const unstored = new Map<string, { claim: TurnClaim; answered: AnsweredTurn }>()
  /** Conversations whose claim is to be given back with the note that their first turn is in doubt. */
  const inDoubt = new Set<string>()
  let settling: Promise<void> = Promise.resolve()
  let cancelTimer = () => {}
  let closed = false

  worker.onEnded((ended) => store.unclaimAll(ended))

  /** Stores an answer that may have been tried before. @returns `false` when the turn is somebody else's by now */
  async function keep(claim: TurnClaim, answered: AnsweredTurn): Promise<boolean> {
    const { conversationId } = claim
    unstored.set(conversationId, { claim, answered })
    try {
      const kept = await store.answer(claim, answered)
      if (!kept)
        log.warn({ conversationId }, 'another gateway has taken over a turn; its answer here is dropped')
      unstored.delete(conversationId)
      return kept
    } catch (error) {
      // What the store will never take must not keep the conversation closed for ever.
      if (!isStoreFault(error)) unstored.delete(conversationId)
      throw error
    }
  }

  async function giveBack(claim: TurnClaim): Promise<void> {
    const { conversationId } = claim
    await store.unclaim(claim, inDoubt.has(conversationId))
    inDoubt.delete(conversationId)
  }

  async function keepLeft(conversationId: string): Promise<void> {
    const left = unstored.get(conversationId)
    if (left !== undefined) await keep(left.claim, left.answered)
  }

  /** Tells the store what it could not be told before. */
  async function settle(): Promise<void> {
    for (const conversationId of [...unstored.keys()]) {
      if (!running.has(conversationId)) await keepLeft(conversationId)
    }
    for (const claim of await store.claimsOf(worker.id)) {
      const { conversationId } = claim
      if (!running.has(conversationId) && !unstored.has(conversationId)) await giveBack(claim)
    }
  }

  function settleSoon(): void {
    if (closed) return
    cancelTimer = clock.timer(SETTLE_MS, () => {
      settling = settle()
        .catch((error) => {
          if (unstored.size > 0 || !isStoreFault(error))
            log.warn({ err: error, unstored: unstored.size }, 'the store could not be told how turns ended')
        })
        .finally(settleSoon)
    })
  }
  settleSoon()

  async function hold<T>(
    { id: conversationId, nextInvocation }: HeldConversation,
    run: (turn: HeldTurn) => Promise<T>
  ): Promise<T> {
    await keepLeft(conversationId)
    const claim: TurnClaim = { conversationId, worker: worker.id, askedAt: clock.now() }
    const conversation = await store.claim(claim, nextInvocation === 0)
    if (conversation === undefined) {
      throw (await store.get(conversationId)) === undefined ? conversationUnknown() : turnInProgress()
    }
    let ended = false
    try {
      return await run({
        // The store may not know yet of a doubt that could not be noted.
        conversation: { ...conversation, inDoubt: conversation.inDoubt || inDoubt.has(conversationId) },
        async moveUpstream(upstream) {
          if (!(await store.moveUpstream(claim, upstream, clock.now()))) throw takenOver()
          inDoubt.delete(conversationId)
        },
        async answer(answered) {
          const kept = await keep(claim, answered).catch((error) => {
            // The claim stays with the answer that waits to be stored.
            ended = unstored.has(conversationId)
            throw error
          })
          ended = true
          if (!kept) throw takenOver()
        },
        async close(state) {
          await store.endConversation(claim, state, clock.now())
          ended = true
        },
        doubt() {
          inDoubt.add(conversationId)
        }
      })
    } finally {
      // A claim that can't be given back now is found by `settle`.
      if (ended) inDoubt.delete(conversationId)
      else await giveBack(claim).catch(() => {})
    }
  }

  return {
    /**
     * Claims the next turn of a conversation, runs it, and gives the claim back however it ends.
     * @throws {GatewayError} conflict_error when a turn is under way, here or elsewhere | not_found_error | what `run` throws
     */
    async hold<T>(conversation: HeldConversation, run: (turn: HeldTurn) => Promise<T>): Promise<T> {
      const { id } = conversation
      if (running.has(id)) throw turnInProgress()
      const turn = hold(conversation, run)
      running.set(id, turn)
      try {
        return await turn
      } finally {
        running.delete(id)
      }
    },

    /** Waits for the turns that run, and tells the store how they ended. Nothing may be asked from then on. */
    async close(): Promise<void> {
      closed = true
      cancelTimer()
      await settling
      await Promise.allSettled(running.values())
      await settle().catch((error) => {
        if (unstored.size > 0)
          log.error({ err: error, unstored: unstored.size }, 'answers could not be stored and are lost')
      })
    }
  }
}

export type TurnClaims = ReturnType<typeof createTurnClaims>

export function conversationUnknown(): GatewayError {
  return new GatewayError('not_found_error', 'There is no such conversation.', {
    code: 'conversation_unknown',
    shouldRetry: false
  })
}

export function turnInProgress(): GatewayError {
  return new GatewayError('conflict_error', 'A turn of this conversation is under way.', {
    code: 'turn_in_progress',
    retryAfter: 1
  })
}

/** A repeat finds the turn under way elsewhere, or its answer. */
function takenOver(): GatewayError {
  return new GatewayError('conflict_error', 'Another gateway has taken over this turn. Send it again.', {
    code: 'turn_in_progress',
    retryAfter: 1
  })
}
