import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Frame } from '../frame.ts'

/**
 * Who is calling. `dead`: shows a token or `_C_Auth` that is not accepted. `anonymous`: shows a `__Host-copilot-anon` that was
 * given out here. `nobody`: shows nothing.
 */
export type Identity = 'signed-in' | 'anonymous' | 'nobody' | 'dead'

export const ANONYMOUS_COOKIE = '__Host-copilot-anon'
const AUTH_COOKIE = '_C_Auth'
const BOT_COOKIE = '__cf_bm'

/** Oldest values are forgotten so that memory stays flat. */
const MAX_VALUES = 20_000

/** Cookies that the page hands out. */
export interface Sessions {
  /** Cookies and token (from the query or a Bearer) of one call, judged together. A token counts first. */
  identify(cookies: Record<string, string>, token: string | undefined): Identity
  /** `Set-Cookie` of a new anonymous session. */
  anonymous(): string
  /** `Set-Cookie` of a new `__cf_bm`. */
  bot(): string
  /** Whether `__cf_bm` is one of ours. */
  cameHome(cookies: Record<string, string>): boolean
  /** `Set-Cookie` of a new `_C_Auth`, accepted from now on. */
  auth(cookies: Record<string, string>, expireOld: boolean): string
}

export function createSessions({ copilot }: Frame): Sessions {
  const anonymous = new Set<string>()
  const bots = new Set<string>()

  function invent(values: Set<string>): string {
    const value = randomBytes(24).toString('base64url')
    values.add(value)
    const [oldest] = values
    if (values.size > MAX_VALUES && oldest !== undefined) values.delete(oldest)
    return value
  }

  const acceptedCookie = (cookies: Record<string, string>) =>
    Object.entries(cookies).find(([name, value]) => name !== '_U' && copilot.cookies.accepted.has(value))

  return {
    identify(cookies, token) {
      if (token !== undefined) return copilot.tokens.accepted.has(token) ? 'signed-in' : 'dead'
      if (acceptedCookie(cookies) !== undefined) return 'signed-in'
      if (cookies[AUTH_COOKIE]) return 'dead'
      return anonymous.has(cookies[ANONYMOUS_COOKIE] ?? '') ? 'anonymous' : 'nobody'
    },
    anonymous: () => `${ANONYMOUS_COOKIE}=${invent(anonymous)}; path=/; Secure; HttpOnly; SameSite=None`,
    bot: () => `${BOT_COOKIE}=${invent(bots)}; path=/; Max-Age=1800; Secure; HttpOnly; SameSite=None`,
    cameHome: (cookies) => bots.has(cookies[BOT_COOKIE] ?? ''),
    auth(cookies, expireOld) {
      const value = randomBytes(48).toString('base64url')
      const [, old] = acceptedCookie(cookies) ?? []
      copilot.cookies.accept(value)
      if (expireOld && old !== undefined) copilot.cookies.expire(old)
      return `${AUTH_COOKIE}=${value}; path=/; Secure; HttpOnly; SameSite=None`
    }
  }
}

const SITE = 'https://copilot.microsoft.com'
const BROWSER = /^Mozilla\/5\.0 .*\bChrome\/\d+/
const NATIVE = /^CopilotNative\/\d/

/**
 * First broken rule of the headers that a page or the mobile program sends; docs/protocol/chat-copilot.md section 2.
 * @returns rule and detail, or `undefined`
 */
export function faultOfCaller(
  frame: Frame,
  { headers }: IncomingMessage,
  cookies: Record<string, string>
): [rule: string, detail: string] | undefined {
  const agent = headers['user-agent'] ?? ''
  const native = NATIVE.test(agent)
  if (!native && !BROWSER.test(agent)) {
    return ['user-agent', 'User-Agent is neither that of a Chrome or Edge nor CopilotNative.']
  }
  if (native && headers.origin !== undefined) return ['origin', 'The mobile program sends no Origin.']
  if (!native && headers.origin !== SITE && headers.origin !== frame.base()) {
    return ['origin', 'Origin is not that of the page.']
  }
  if (frame.cookies.accepted.has(cookies._U ?? '')) {
    return ['bing-cookie', "Bing's _U was sent to Copilot, which has no use for it."]
  }
  return undefined
}
