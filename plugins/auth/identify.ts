import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../src/clock.ts'
import type { GatewayError } from '../../src/errors.ts'
import type { ApiKey } from '../../src/store/key-store.ts'
import type { Caller } from './caller.ts'
import { readCredentials } from './credentials.ts'
import type { FailedAttempts } from './failed-attempts.ts'
import type { KeyRing } from './key-ring.ts'
import {
  identityRequired,
  invalidKey,
  keyRequired,
  notListed,
  notTheKeysOwner,
  tooManyFailures
} from './refusals.ts'

export interface IdentifySettings {
  /** AUTH_MODE=key: names alone count for nothing. */
  keysOnly: boolean
  isListed: (userId: string) => boolean
  allowsAnonymous: (request: FastifyRequest) => boolean
  keys: KeyRing
  attempts: FailedAttempts
  clock: Clock
}

/** Goes on at once with what is there already: most callers are known, and each promise costs their request time. */
function then<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** The identity rules of docs/contract.md section 3. */
export function createIdentification(settings: IdentifySettings) {
  const { keysOnly, isListed, allowsAnonymous, keys, attempts, clock } = settings

  /** Refuses a wrong name or key, and counts it against the address. */
  async function refuse(request: FastifyRequest, error: GatewayError): Promise<never> {
    const wait = await attempts.count(request.ip)
    throw wait > 0 ? tooManyFailures(wait) : error
  }

  /** @throws {GatewayError} permission_error | rate_limit_error, also for listed names, while too many others have been tried */
  function byName(request: FastifyRequest, userId: string): Caller | Promise<Caller> {
    const caller = { userId, named: true, byKey: false }
    return attempts.isQuiet && isListed(userId) ? caller : byDoubtfulName(request, caller)
  }

  async function byDoubtfulName(request: FastifyRequest, caller: Caller): Promise<Caller> {
    const wait = await attempts.waitOf(request.ip)
    if (wait > 0) throw tooManyFailures(wait)
    if (!isListed(caller.userId)) await refuse(request, notListed())
    return caller
  }

  function ownerOf(
    key: ApiKey | undefined,
    request: FastifyRequest,
    reply: FastifyReply
  ): Caller | Promise<never> {
    const problem =
      key === undefined
        ? 'unknown'
        : key.revokedAt !== null
          ? 'revoked'
          : key.expiresAt !== null && key.expiresAt <= clock.now()
            ? 'expired'
            : undefined
    if (key === undefined || problem !== undefined) {
      reply.header('www-authenticate', 'Bearer error="invalid_token"')
      return refuse(request, invalidKey(problem ?? 'unknown'))
    }
    if (!isListed(key.userId)) throw notListed()
    keys.used(key)
    return { userId: key.userId, named: true, byKey: true }
  }

  return {
    /**
     * Who makes this request, by its headers.
     * @throws {GatewayError} auth_error | permission_error | rate_limit_error | invalid_request_error; the store's error
     */
    callerOf(request: FastifyRequest, reply: FastifyReply): Caller | Promise<Caller> {
      const { key: text, name } = readCredentials(request.headers, keysOnly)
      if (text !== undefined) {
        return then(keys.find(text), (key) =>
          then(ownerOf(key, request, reply), (caller) => {
            if (keysOnly && name !== undefined && name !== caller.userId) throw notTheKeysOwner(null)
            return caller
          })
        )
      }
      const { access = 'named' } = request.routeOptions.config
      if (name !== undefined && !keysOnly) return byName(request, name)
      if (
        access === 'signed' ||
        (access === 'credential' && !keysOnly) ||
        (access === 'anonymous' && allowsAnonymous(request))
      ) {
        return { userId: '', named: false, byKey: false }
      }
      reply.header('www-authenticate', 'Bearer')
      throw keysOnly ? keyRequired() : identityRequired()
    },

    /**
     * Who a request is made for that names a user in its body. A key says more than that name.
     * @throws {GatewayError} permission_error | rate_limit_error
     */
    async callerFor(request: FastifyRequest, userId: string): Promise<Caller> {
      const { caller } = request
      if (!caller.byKey) return byName(request, userId)
      if (keysOnly && userId !== caller.userId) throw notTheKeysOwner('userId')
      if (!isListed(userId)) throw notListed()
      return caller
    }
  }
}
