import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isLoopback } from '../../src/config.ts'
import { GatewayError } from '../../src/errors.ts'
import { readTextFile, watchTextFile } from '../../src/watched-file.ts'
import { parseWhitelist, type Whitelist } from '../../src/whitelist.ts'

/** Who is calling. `userId` is empty for anonymous callers, as it stands in the store. */
export interface Caller {
  userId: string
}

/**
 * How a route learns who calls. The default, `named`, is the strictest, so that a route that says nothing is closed.
 * - `named`: a whitelisted name in a header
 * - `anonymous`: that, or nobody where ALLOW_ANONYMOUS says so
 * - `credential`: the body carries it (a userId, a signature) and the route's service checks it;
 *   a name in a header must be whitelisted all the same
 */
export type Access = 'named' | 'anonymous' | 'credential'

declare module 'fastify' {
  interface FastifyInstance {
    whitelist: { has(userId: string): boolean }
    /** onRequest hook that puts `request.caller` there or refuses. */
    identify(request: FastifyRequest): Promise<void>
    /** Whether this request may be served without a name. */
    allowsAnonymous(request: FastifyRequest): boolean
  }
  interface FastifyRequest {
    caller: Caller
  }
  interface FastifyContextConfig {
    access?: Access
  }
}

/** Keys start like this. None exist in this version, so a value that looks like one is a wrong key and not a name. */
const KEY_PREFIX = 'bgw_'
const ANONYMOUS: Caller = Object.freeze({ userId: '' })

/** Refuses a name that is not on the whitelist. */
export function notListed(): GatewayError {
  return new GatewayError('permission_error', 'This user is not on the whitelist.', {
    code: 'not_whitelisted',
    shouldRetry: false
  })
}

/** Whitelist auth: the list with its hot reload, and the identity rules of docs/contract.md section 3. */
export default fp(
  async (fastify) => {
    const { config, log } = fastify
    const path = config.WHITELIST_FILE
    let list: Whitelist = new Map()

    function load(content: ReturnType<typeof readTextFile>, atStart: boolean): void {
      if ('error' in content) {
        const absent = content.error.code === 'ENOENT'
        const consequence = atStart ? 'nobody is whitelisted' : 'the last good list stays'
        log.warn(
          { file: path, err: absent ? undefined : content.error },
          `whitelist ${absent ? 'not found' : 'unreadable'}: ${consequence}`
        )
        return
      }
      try {
        list = parseWhitelist(content.text)
        const limited = [...list.values()].filter((limits) => Object.keys(limits).length > 0).length
        log.info({ file: path, users: list.size }, 'whitelist loaded')
        if (limited > 0)
          log.warn(
            { file: path, users: limited },
            'the whitelist holds limits, which this version does not enforce'
          )
      } catch (error) {
        const { message, line } = error as { message: string; line?: number }
        log.error(
          { file: path, line, problem: message },
          `whitelist malformed: ${atStart ? 'nobody is whitelisted' : 'the last good list stays'}`
        )
      }
    }

    load(readTextFile(path), true)
    const stop = watchTextFile(path, (content) => load(content as ReturnType<typeof readTextFile>, false))
    fastify.addHook('onClose', async () => stop())

    fastify.decorate('whitelist', { has: (userId: string) => list.has(userId) })
    fastify.decorate(
      'allowsAnonymous',
      (request: FastifyRequest) => config.ALLOW_ANONYMOUS ?? isFromThisMachine(request, config)
    )
    fastify.decorateRequest('caller', null as unknown as Caller)
    fastify.decorate('identify', async (request: FastifyRequest) => {
      const access = request.routeOptions.config.access ?? 'named'
      const name = claimedName(request)
      if (name !== undefined) {
        if (!list.has(name)) throw notListed()
        request.caller = { userId: name }
        return
      }
      if (access === 'credential' || (access === 'anonymous' && fastify.allowsAnonymous(request))) {
        request.caller = ANONYMOUS
        return
      }
      throw new GatewayError(
        'auth_error',
        'Say who you are: send a whitelisted name in the X-User-Id header.',
        {
          code: 'identity_required',
          shouldRetry: false
        }
      )
    })
  },
  { name: 'whitelist-auth', dependencies: ['config'] }
)

/** The name that the request's headers claim, if they claim one. */
function claimedName(request: FastifyRequest): string | undefined {
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
  if (request.headers['x-api-key'] !== undefined || bearer?.startsWith(KEY_PREFIX)) {
    throw new GatewayError('auth_error', 'This API key is not valid.', {
      code: 'invalid_api_key',
      shouldRetry: false
    })
  }
  const header = request.headers['x-user-id']
  return bearer ?? (typeof header === 'string' && header.trim() !== '' ? header.trim() : undefined)
}

/**
 * The default for anonymous callers: the service listens on loopback, and the request was made to it by that name and
 * not by a web page of another site. The name keeps out DNS rebinding and reverse proxies, the origin keeps out
 * pages that post forms to localhost: either would let strangers spend the operator's creations.
 */
function isFromThisMachine(request: FastifyRequest, config: { HOST: string; PUBLIC_URL?: string }): boolean {
  if (!isLoopback(config.HOST)) return false
  const host = request.headers.host ?? ''
  const known = hostnameOf(`http://${host}`)
  if (known === undefined || !(isLoopback(known) || known === hostnameOf(config.PUBLIC_URL ?? '')))
    return false
  const { origin } = request.headers
  if (origin !== undefined && hostOf(origin) !== host) return false
  return request.headers['sec-fetch-site'] !== 'cross-site'
}

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}
