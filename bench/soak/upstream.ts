/** Microsoft, as the soak has it: everything works but for a share of the calls, until an episode begins. */
import { writeFileSync } from 'node:fs'
import { type PartialBehaviours, type Simulator, startSimulator } from '../../src/simulator/index.ts'

export interface SoakUpstream {
  sim: Simulator
  /** What the gateway is to be told. */
  env: Record<string, string>
  /** The share of calls that go wrong, from now on. */
  trouble(share: number): void
  /** Every call fails before it is answered. */
  dies(): void
  /** The account is signed out; nothing of it works until there is a new cookie. */
  signOut(): void
  /** The next question is answered with a check that only a person can pass. */
  challenge(): void
  /** A person signs in again, and saves the new cookies. */
  signIn(): void
  /** A person has passed the check, and saves the same cookies once more. */
  saveAgain(): void
}

/** Real enough to be looked at while it runs, fast enough to see many turns in a short time. */
const PACE: PartialBehaviours = {
  create: { delayMs: 20 },
  turn: { thinkMs: 60, updateDelayMs: 5, charsPerUpdate: 60, search: 'auto' },
  submit: { delayMs: 50 },
  videoSubmit: { delayMs: 50 },
  poll: { readyAfterMs: 1500, readySpread: 0.5 },
  videoPoll: { readyAfterMs: 3000, readySpread: 0.5 },
  media: { plain: true },
  // Without its cookies there is no session, so that their end is seen.
  'copilot.start': { anonymous: false, delayMs: 20 },
  'copilot.turn': { thinkMs: 60, updateDelayMs: 5, charsPerUpdate: 60, plain: true }
}

/** Calls of these operations are all reset while the upstream is away. */
const AWAY = { gone: { reset: true } }
const ALL_AWAY = {
  create: AWAY,
  upgrade: AWAY,
  bootstrap: AWAY,
  submit: AWAY,
  videoSubmit: AWAY,
  poll: AWAY,
  videoPoll: AWAY,
  media: AWAY,
  'copilot.start': AWAY,
  'copilot.upgrade': AWAY
}

export async function startUpstream(
  upstream: 'sydney' | 'copilot',
  seed: number,
  file: (name: string) => string
): Promise<SoakUpstream> {
  let n = 0
  const cookie = () => `soak-cookie-${n}`
  const copilotCookie = () => `soak-copilot-cookie-${n}`
  const sim = await startSimulator({ cookies: [cookie()], copilotCookies: [copilotCookie()], behave: PACE })
  const cookieFile = file('cookie.txt')
  const copilotFile = file('copilot-cookie.txt')

  function save(): void {
    writeFileSync(cookieFile, `_U=${cookie()}; MUID=soak\n`)
    writeFileSync(copilotFile, `_C_Auth=${copilotCookie()}\n`)
  }
  save()

  return {
    sim,
    env: {
      BING_URL: sim.url,
      BING_MEDIA_URL: sim.url,
      BING_COOKIE_U: '',
      BING_COOKIE_FILE: cookieFile,
      ...(upstream === 'sydney'
        ? { BING_CHAT_URL: sim.chatUrl }
        : {
            CHAT_UPSTREAM: 'copilot',
            COPILOT_URL: sim.copilotUrl,
            COPILOT_COOKIE_FILE: copilotFile,
            COPILOT_TURNS_PER_MINUTE: '0',
            COPILOT_CONCURRENCY: '20'
          })
    },
    trouble: (share) => sim.chaos({ share, seed: seed + n }),
    dies: () => sim.chaos({ share: 1, faults: ALL_AWAY }),
    signOut() {
      sim.cookies.expire(cookie())
      sim.copilot.cookies.expire(copilotCookie())
    },
    challenge() {
      if (upstream === 'sydney') sim.enqueue('turn', { failure: 'captcha' })
      else sim.enqueue('copilot.turn', { challenge: 'cloudflare' })
    },
    signIn() {
      n++
      sim.cookies.accept(cookie())
      sim.copilot.cookies.accept(copilotCookie())
      save()
    },
    saveAgain: save
  }
}
