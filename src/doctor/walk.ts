import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Account } from '../upstream/account.ts'
import type { ProxySettings } from '../upstream/http.ts'
import type { Protocol } from './advice.ts'
import { reach } from './reach.ts'
import type { Secrets } from './redact.ts'
import type { Steps } from './report.ts'
import type { Wire } from './wire.ts'

/** What the walk along an upstream needs. */
export interface Walk {
  steps: Steps
  config: Config
  account: Account
  wire: Wire
  proxy: ProxySettings
  clock: Clock
  secrets: Secrets
  /** What may be used up: one real image, one real conversation with one turn. */
  spend: { image: boolean; chat: boolean }
  /** The protocol that is being spoken, for what is said about its failures. */
  protocol: Protocol
}

/** A setting that holds an upstream's URL. */
type UrlSetting = 'BING_URL' | 'BING_MEDIA_URL' | 'BING_CHAT_URL' | 'COPILOT_URL'

/** The step that goes the way to an upstream's server. @param name the upstream, as in the other steps */
export function reachStep(walk: Walk, name: string, setting: UrlSetting): Promise<boolean> {
  const url = walk.config[setting]
  walk.wire.forget()
  return walk.steps.run(`${name}: reach`, (signal) => reach(url, setting, walk.proxy, signal))
}
