import type { IncomingHttpHeaders } from 'node:http'
import { KEY_PREFIX } from '../../src/api-key.ts'
import { GatewayError } from '../../src/errors.ts'

/** What the headers of a request say about its caller, believed or not. A key speaks louder than a name. */
export interface Credentials {
  key?: string
  name?: string
}

/**
 * Reads the headers. `X-API-Key` holds a key. A bearer value is a key when it looks like one, and else a name, since
 * clients made for other services always send some bearer value; with `keysOnly` it is always a key.
 * @throws {GatewayError} invalid_request_error when two different keys are sent (RFC 6750, section 3.1)
 */
export function readCredentials(headers: IncomingHttpHeaders, keysOnly: boolean): Credentials {
  const apiKey = given(headers['x-api-key'])
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? '')?.[1]
  const bearerIsKey = bearer !== undefined && (keysOnly || bearer.startsWith(KEY_PREFIX))
  if (apiKey !== undefined && bearerIsKey && apiKey !== bearer) {
    throw new GatewayError(
      'invalid_request_error',
      'X-API-Key and Authorization hold different API keys. Send one.',
      { code: 'ambiguous_credentials', shouldRetry: false }
    )
  }
  return {
    key: apiKey ?? (bearerIsKey ? bearer : undefined),
    name: (bearerIsKey ? undefined : bearer) ?? given(headers['x-user-id'])
  }
}

function given(header: string | string[] | undefined): string | undefined {
  const value = typeof header === 'string' ? header.trim() : ''
  return value === '' ? undefined : value
}
