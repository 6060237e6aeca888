import { GatewayError } from '../../src/errors.ts'

/** How requests are refused because of who makes them. A repeat of the same request never helps. */
const shouldRetry = false

/** A name that is not on the whitelist, or a key of somebody who isn't. */
export function notListed(): GatewayError {
  return new GatewayError('permission_error', 'This user is not on the whitelist.', {
    code: 'not_whitelisted',
    shouldRetry
  })
}

/** Nobody is named where somebody has to be. */
export function identityRequired(): GatewayError {
  return new GatewayError(
    'auth_error',
    'Say who you are: send an API key, or a whitelisted name in the X-User-Id header.',
    { code: 'identity_required', shouldRetry }
  )
}

/** No key where only keys count. */
export function keyRequired(): GatewayError {
  return new GatewayError(
    'auth_error',
    'An API key is needed: send it as "Authorization: Bearer …" or "X-API-Key: …".',
    { code: 'api_key_required', shouldRetry }
  )
}

/** A key that does not exist, or no longer counts. */
export function invalidKey(reason: 'unknown' | 'expired' | 'revoked'): GatewayError {
  const message = {
    unknown: 'This API key is not valid.',
    expired: 'This API key has expired.',
    revoked: 'This API key has been revoked.'
  }[reason]
  return new GatewayError('auth_error', message, { code: 'invalid_api_key', shouldRetry })
}

/** A name beside a key of somebody else. */
export function notTheKeysOwner(param: string | null): GatewayError {
  return new GatewayError('permission_error', 'This API key belongs to another user.', {
    code: 'not_key_owner',
    param,
    shouldRetry
  })
}

/** @param retryAfter seconds */
export function tooManyFailures(retryAfter: number): GatewayError {
  return new GatewayError(
    'rate_limit_error',
    'Too many failed authentications from this address. Valid API keys still work.',
    { code: 'too_many_failed_authentications', retryAfter, shouldRetry }
  )
}
