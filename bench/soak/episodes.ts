/** Trouble that does not come at random: once in a while, in the middle of the load, and with a person to mend it. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Findings } from './findings.ts'
import type { Sample } from './samples.ts'
import type { Stats } from './soak.ts'
import type { SoakUpstream } from './upstream.ts'

export interface EpisodeSettings {
  upstream: SoakUpstream
  findings: Findings
  stats: Stats
  /** Part of the calls that go wrong between episodes. */
  share: number
  latest(): Sample | undefined
  progress(text: string): void
}

/** A gateway looks at its files every second; the rest is for a busy machine, and for somebody to ask something. */
const NOTICED_MS = 20_000
/** How long a person takes. */
const PERSON_MS = 2500
const AWAY_MS = 4000

const isAccountOpen = (one: Sample | undefined) => one?.open.some((name) => name.includes('account')) === true

export function createEpisodes({ upstream, findings, stats, share, latest, progress }: EpisodeSettings) {
  async function until(what: string, holds: () => boolean): Promise<boolean> {
    const from = performance.now()
    while (!holds()) {
      if (performance.now() - from > NOTICED_MS) {
        findings.note('episodes', { what, latest: latest(), at: new Date().toISOString() })
        return false
      }
      await pause(100)
    }
    return true
  }

  /** The account's circuit opens, a person does something about it, and it closes. */
  async function mended(what: string, breaks: () => void, mends: () => void): Promise<void> {
    progress(`episode: ${what}`)
    breaks()
    await until(`${what}: the account's circuit opens`, () => isAccountOpen(latest()))
    await pause(PERSON_MS)
    mends()
    const from = performance.now()
    if (await until(`${what}: the account's circuit closes again`, () => !isAccountOpen(latest())))
      progress(`episode: ${what}; mended, and seen after ${Math.round(performance.now() - from)} ms`)
    stats.add(`episodes: ${what}`)
  }

  return [
    () => mended('the cookie expires, and a new one is saved', upstream.signOut, upstream.signIn),
    () => mended('a captcha, and the same cookies are saved again', upstream.challenge, upstream.saveAgain),
    async () => {
      progress('episode: all connections are cut')
      upstream.sim.cut()
      stats.add('episodes: all connections are cut')
    },
    async () => {
      progress(`episode: the upstream is away for ${AWAY_MS} ms`)
      upstream.dies()
      await pause(AWAY_MS)
      upstream.trouble(share)
      stats.add('episodes: the upstream is away')
    }
  ]
}
