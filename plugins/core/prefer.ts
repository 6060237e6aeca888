import type { FastifyRequest } from 'fastify'
import { GatewayError } from '../../src/errors.ts'

/** The longest wait that a caller may ask for, in seconds. */
const LONGEST_WAIT_S = 60

/** What a `Prefer` header asks for (RFC 7240). Preferences that the gateway doesn't know are ignored, as the RFC has it. */
export interface Preferences {
  respondAsync: boolean
  /** Milliseconds; `undefined` when no wait was asked for. */
  waitMs: number | undefined
}

/** @throws {GatewayError} invalid_request_error for a wait that is no whole number of seconds */
export function preferences(request: FastifyRequest): Preferences {
  const header = [request.headers.prefer ?? []].flat().join(',')
  const found: Preferences = { respondAsync: false, waitMs: undefined }
  for (const part of header.split(/[,;]/)) {
    const [name, value] = part.split('=').map((side) => side.trim())
    if (name?.toLowerCase() === 'respond-async') found.respondAsync = true
    // The first of several is the one that counts (RFC 7240 section 2).
    if (name?.toLowerCase() !== 'wait' || found.waitMs !== undefined) continue
    const seconds = value?.replace(/^"(.*)"$/, '$1') ?? ''
    if (!/^\d{1,9}$/.test(seconds)) {
      throw new GatewayError('invalid_request_error', 'Prefer: wait must be a whole number of seconds.', {
        param: 'Prefer'
      })
    }
    found.waitMs = Math.min(Number(seconds), LONGEST_WAIT_S) * 1000
  }
  return found
}

/** Says in the answer's headers what was done of what was asked for. */
export function applied({ respondAsync, waitMs }: Preferences): Record<string, string> {
  const done = [
    ...(respondAsync ? ['respond-async'] : []),
    ...(waitMs === undefined ? [] : [`wait=${waitMs / 1000}`])
  ]
  return done.length === 0 ? {} : { 'preference-applied': done.join(', ') }
}
