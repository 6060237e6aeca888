import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { errorBody, GatewayError } from '../../src/errors.ts'
import { isTerminal } from '../../src/jobs/task-states.ts'
import { createSeal, type Seal } from '../../src/sealed.ts'
import { waitForRow } from '../../src/store/changes.ts'
import type { Queries } from '../../src/store/database.ts'
import { createIdempotencyStore, type KeyClaim, type KeyUse } from '../../src/store/idempotency-store.ts'
import { sharedSecret } from '../../src/store/secret-store.ts'
import { errorHeaders } from './errors.ts'

/** What a request came to, before it is written. */
export interface Outcome {
  status: number
  body: Record<string, unknown>
  headers?: Record<string, string>
}

/** A creation that a key may stand for. */
export interface KeyedWork {
  /** Whose key it is: keys of different callers have nothing to do with one another. */
  owner: string
  signal: AbortSignal
  /**
   * Begins the work, in which nothing is asked of the upstream yet. What it throws frees the key.
   * @param bind to be called within the transaction that stores the task
   * @returns the task's id; absent for work that is no task, which `answer` then does
   */
  begin?(bind: ((tx: Queries, taskId: string) => Promise<void>) | undefined): Promise<string>
  /** Waits for the outcome, of a task that this or an earlier request has begun. */
  answer(taskId: string): Promise<Outcome>
}

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Does what a request asks for, once for all requests with the same `Idempotency-Key`, and sends the answer.
     * docs/contract.md section 1.2.
     * @throws {GatewayError} invalid_request_error | what the work fails with
     */
    idempotent(request: FastifyRequest, reply: FastifyReply, work: KeyedWork): Promise<FastifyReply>
  }
}

/** A response as it is kept. */
interface KeptResponse {
  status: number
  headers: Record<string, string>
  body: string
}

const LONGEST_KEY = 255
/** Levels of a body that are compared. */
const DEEPEST_BODY = 100

/** `Idempotency-Key` on every route that creates something (draft-ietf-httpapi-idempotency-key-header-07). */
export default fp(
  async (fastify) => {
    const { clock, lifecycle, worker } = fastify
    const { database, tasks } = fastify.store
    /** How many requests of this process hold a key, or are about to. */
    const held = new Map<string, number>()
    const keys = createIdempotencyStore(database)
    const secret = await sharedSecret(database, 'idempotency')
    worker.onEnded(keys.freeOf)
    // Others wait for these keys, and nothing runs that could tell them.
    worker.onRenewed(async () => {
      for (const claim of await keys.claimsOf(worker.id))
        if (!held.has(claim.id)) await keys.free(claim.id, claim)
    })

    /** A request's body as it counts for a repeat: two forms of the same fields are the same. */
    const fingerprint = (request: FastifyRequest) => sha256(canonical(request.body))

    function send(reply: FastifyReply, { status, headers, body }: KeptResponse): FastifyReply {
      return reply
        .code(status)
        .headers(headers)
        .type('application/json; charset=utf-8')
        .serializer((text: string) => text)
        .send(body)
    }

    /** Says that an answer is another request's. */
    const replayed = (reply: FastifyReply) => reply.header('idempotency-replayed', 'true')

    function toKept(reply: FastifyReply, { status, headers = {}, body }: Outcome): KeptResponse {
      return { status, headers, body: reply.serializeInput(body, String(status)) as string }
    }

    async function hasEnded(taskId: string): Promise<boolean> {
      const task = await tasks.get(taskId)
      return task === undefined || isTerminal(task.state)
    }

    /** @param taskId empty for work that is no task */
    async function run(
      { id, seal, mine }: { id: string; seal: Seal; mine?: KeyClaim },
      work: KeyedWork,
      reply: FastifyReply,
      taskId: string
    ): Promise<KeptResponse> {
      const request = taskId === '' ? (mine as KeyClaim) : { taskId }
      let kept: KeptResponse
      try {
        kept = toKept(reply, await work.answer(taskId))
      } catch (error) {
        const isOutcome = error instanceof GatewayError && error.asked
        if (!isOutcome) {
          // A task that has not ended goes on, and so does what the key stands for: it is the caller, the store or this
          // gateway that is leaving.
          if (taskId === '' || (error instanceof GatewayError && (await hasEnded(taskId))))
            await keys.free(id, request)
          throw error
        }
        // From here on this key brings the same answer about, however the upstream is.
        const headers = { ...errorHeaders(error), 'x-should-retry': 'false' }
        kept = { status: error.status, headers, body: JSON.stringify(errorBody(error)) }
      }
      const sealed = seal.seal(JSON.stringify(kept))
      const stored = await keys.finish(id, request, sealed)
      return stored === undefined || stored === sealed ? kept : JSON.parse(seal.open(stored))
    }

    async function begin(id: string, mine: KeyClaim, work: KeyedWork): Promise<string> {
      try {
        const bind = async (tx: Queries, taskId: string) => {
          if (!(await keys.bind(tx, id, worker.id, taskId))) throw keyLost()
        }
        const taskId = await work.begin?.(bind)
        // Who waits for what becomes of the key waits for the task from here on, even if this request is broken off.
        if (taskId !== undefined) database.changes.announce('idempotency', id)
        return taskId ?? ''
      } catch (error) {
        await keys
          .free(id, mine)
          .catch((err) => fastify.log.warn({ err }, 'idempotency key could not be freed'))
        throw error
      }
    }

    /** Waits until something has become of a request that runs elsewhere. */
    async function changed({ id }: KeyUse, signal: AbortSignal): Promise<void> {
      const isSettled = (use: KeyUse | undefined) =>
        use === undefined || use.task_id !== null || use.response !== null
      await waitForRow(database.changes, ['idempotency', id], () => keys.get(id), isSettled, signal)
    }

    fastify.decorate(
      'idempotent',
      async (request: FastifyRequest, reply: FastifyReply, work: KeyedWork): Promise<FastifyReply> => {
        const key = keyOf(request)
        if (key === undefined) {
          const taskId = (await work.begin?.(undefined)) ?? ''
          const { status, headers = {}, body } = await work.answer(taskId)
          return reply.code(status).headers(headers).send(body)
        }
        const bodyHash = fingerprint(request)
        const id = sha256(JSON.stringify([work.owner, request.routeOptions.url, key]))
        const seal = createSeal(secret, key, id)
        for (;;) {
          const mine = { worker: worker.id, createdAt: clock.now() }
          held.set(id, (held.get(id) ?? 0) + 1)
          let use: KeyUse | undefined
          try {
            use = await keys.claim(id, bodyHash, worker.id, mine.createdAt)
            if (use === undefined)
              return send(reply, await run({ id, seal, mine }, work, reply, await begin(id, mine, work)))
          } finally {
            const others = (held.get(id) ?? 1) - 1
            if (others === 0) held.delete(id)
            else held.set(id, others)
          }
          if (use.body_hash !== bodyHash) throw reused()
          if (use.response !== null) return send(replayed(reply), JSON.parse(seal.open(use.response)))
          if (use.task_id !== null)
            return send(replayed(reply), await run({ id, seal }, work, reply, use.task_id))
          await changed(use, AbortSignal.any([work.signal, lifecycle.stopping]))
        }
      }
    )
  },
  { name: 'idempotency', dependencies: ['config', 'store', 'lifecycle', 'errors'] }
)

function keyOf(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key']
  if (header === undefined) return undefined
  const key = [header].flat().join(', ').trim()
  if (key === '' || key.length > LONGEST_KEY) {
    throw new GatewayError(
      'invalid_request_error',
      `Idempotency-Key must have 1 to ${LONGEST_KEY} characters.`,
      { param: 'Idempotency-Key' }
    )
  }
  return key
}

function reused(): GatewayError {
  return new GatewayError(
    'invalid_request_error',
    'This Idempotency-Key was used for a request with another body.',
    { status: 422, code: 'idempotency_key_reused', param: 'Idempotency-Key', shouldRetry: false }
  )
}

/** The lease of this worker ended while the request came in, so that the key may be somebody else's by now. */
function keyLost(): GatewayError {
  return new GatewayError('service_unavailable_error', 'The gateway lost its hold on this Idempotency-Key.', {
    code: 'store_unavailable',
    retryAfter: 1
  })
}

/** @throws {GatewayError} invalid_request_error for what is nested deeper than any body of use: it would be too deep for the stack */
function canonical(value: unknown, depth = DEEPEST_BODY): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (depth === 0) throw new GatewayError('invalid_request_error', 'The body is nested too deeply.')
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth - 1)).join(',')}]`
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field, depth - 1)}`).join(',')}}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
