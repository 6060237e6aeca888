import { GatewayError } from '../../src/errors.ts'
import { MAX_QUERY_CHARS, MAX_QUERY_ENCODED_BYTES } from '../../src/upstream/image-creator/constants.ts'

/**
 * A creation's prompt: without the space around it, and without what neither the store nor the wire can keep (half a
 * surrogate pair, NUL), so that what is stored, sent and shown is the same text.
 */
export function checkedQuery(query: string): string {
  const prompt = query.replace(/\p{Surrogate}|\0/gu, '\ufffd').trim()
  if (prompt === '')
    throw new GatewayError('invalid_request_error', 'query must not be empty.', { param: 'query' })
  if (prompt.length > MAX_QUERY_CHARS) throw tooLong(`query is longer than ${MAX_QUERY_CHARS} characters.`)
  if (encodeURIComponent(prompt).length > MAX_QUERY_ENCODED_BYTES) {
    throw tooLong(`query takes more than ${MAX_QUERY_ENCODED_BYTES} bytes in a URL, percent-encoded.`)
  }
  return prompt
}

function tooLong(message: string): GatewayError {
  return new GatewayError('invalid_request_error', message, {
    code: 'prompt_too_long',
    param: 'query',
    shouldRetry: false
  })
}
