/** Who is calling. One object for each request. */
export interface Caller {
  /** Empty for anonymous callers, as it stands in the store. */
  userId: string
  /** Whether somebody said who they are, and was believed. Without, `credential` and `signed` routes look for themselves. */
  named: boolean
  /** Whether an API key said so, and not just a name. */
  byKey: boolean
}

/**
 * How a route learns who calls. The default, `named`, is the strictest, so that a route that says nothing is closed.
 * With `AUTH_MODE=key` all but `signed` need a key.
 * - `named`: an API key, or a whitelisted name in a header
 * - `anonymous`: that, or nobody where ALLOW_ANONYMOUS says so
 * - `credential`: the body carries it (a userId, a signature) and the route's service checks it;
 *   a name in a header must be whitelisted all the same
 * - `signed`: the URL may carry a signature that stands for its owner, in any mode, and the route checks it. Without a
 *   signature, a caller who is not `named` may only be served where `allowsAnonymous`
 */
export type Access = 'named' | 'anonymous' | 'credential' | 'signed'
