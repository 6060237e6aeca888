/**
 * An error that says no more than its code. What ws, TLS and proxies put into messages (URLs with the token, proxy
 * addresses with passwords) must not reach a log.
 */
export function bare(error: unknown): Error {
  const code = codeOf(error)
  const cause = new Error(code ?? (error instanceof Error ? error.name : 'unknown'))
  return code === undefined ? cause : Object.assign(cause, { code })
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return typeof code === 'string' ? code : undefined
}
