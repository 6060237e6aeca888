import { GatewayError } from '../../src/errors.ts'

/** A creation's prompt without the space around it. */
export function checkedQuery(query: string, maxChars: number): string {
  const prompt = query.trim()
  if (prompt === '')
    throw new GatewayError('invalid_request_error', 'query must not be empty.', { param: 'query' })
  if (prompt.length > maxChars) {
    throw new GatewayError('invalid_request_error', `query is longer than ${maxChars} characters.`, {
      code: 'prompt_too_long',
      param: 'query',
      shouldRetry: false
    })
  }
  return prompt
}
