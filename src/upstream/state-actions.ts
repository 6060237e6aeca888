import type { FailureId } from './failures.ts'
import type { SessionStateName } from './row-kinds.ts'
import type { UpstreamName } from './session-state.ts'

/** How the gateway learns of what a person has done in the browser. */
const TELL = 'give the gateway the new cookies, or save the same file again (SIGHUP does it too)'

const BING: Partial<Record<SessionStateName, string>> = {
  unconfigured: 'Set BING_COOKIE_U or BING_COOKIE_FILE to the _U cookie of a Microsoft account.',
  challenged: `Open bing.com in a browser with this account, pass the check, and ${TELL}.`,
  expired: 'Sign in at bing.com and give the gateway the new _U cookie.',
  forbidden: 'Check that this account and this network may use the service at bing.com.'
}

const COPILOT: Partial<Record<SessionStateName, string>> = {
  unconfigured:
    'Set COPILOT_COOKIE_FILE or COPILOT_ACCESS_TOKEN to what copilot.microsoft.com has given a Microsoft account.',
  challenged: `Open copilot.microsoft.com in a browser with this account, pass the check, and ${TELL}.`,
  expired:
    'Sign in at copilot.microsoft.com and give the gateway the new cookies, or the new access token where one is set.',
  forbidden: 'Check that this account and this network may use copilot.microsoft.com.'
}

/** What is more to the point than the state alone would tell. */
const BY_ROW: Partial<Record<FailureId, string>> = {
  S2: `Open bing.com/chat in a browser with this account, solve the captcha, and ${TELL}.`,
  C4: 'Microsoft does not admit this account to the chat: use another account, or ask Microsoft why. Pictures and videos may still work.',
  P3: 'Copilot has blocked this account: use another one, or ask Microsoft why.',
  P6: 'Give the gateway a new access token of copilot.microsoft.com: this one has expired, or was made for another site.',
  'P6-cookies':
    'Sign in at copilot.microsoft.com and give the gateway the new cookies. Where they are new, this account needs an access token as well.',
  P7: 'Copilot refuses this kind of client: look for a newer version of the gateway.'
}

/** Rows about the network, whichever upstream met them. */
const NETWORK: ReadonlySet<FailureId> = new Set(['T3', 'T5', 'C6', 'W3', 'I14', 'P11'])
const OTHER_NETWORK =
  'Run the gateway in a network and a region that Microsoft serves (see HTTPS_PROXY), and where the service works in a browser.'

/**
 * What a person must do about a state, in plain words.
 * @returns `undefined` where nobody needs to
 */
export function actionFor(
  name: UpstreamName,
  state: SessionStateName,
  row: FailureId | undefined
): string | undefined {
  const action = (name === 'copilot' ? COPILOT : BING)[state]
  if (action === undefined || row === undefined) return action
  return BY_ROW[row] ?? (NETWORK.has(row) ? OTHER_NETWORK : action)
}
