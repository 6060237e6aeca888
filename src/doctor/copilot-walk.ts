import { cookieNamed, cookieValues } from '../upstream/cookie-header.ts'
import { createCopilotClient } from '../upstream/copilot/client.ts'
import { CONNECTED_TIMEOUT_MS, MAX_PROMPT_CHARS, VISIT_COOKIE } from '../upstream/copilot/constants.ts'
import { type CopilotSession, openCopilotSession } from '../upstream/copilot/session.ts'
import { isUserKnown, longestPrompt, type SiteSettings, visitSite } from '../upstream/copilot/site.ts'
import { outdated } from './advice.ts'
import { useKeptCookies } from './cookie.ts'
import type { Finding } from './report.ts'
import { QUESTION } from './sydney-walk.ts'
import { reachStep, type Walk } from './walk.ts'
import { describeAnswer, watchWire } from './wire.ts'

const PAGES = ['start page', 'user', 'limits'].map((name) => `copilot: ${name}`)
const STAGES = ['start', 'upgrade', 'connected', 'first text', 'done'].map((name) => `copilot: ${name}`)
const CREDENTIALS_HINT =
  'Sign in at copilot.microsoft.com in a browser, and copy its whole Cookie header into COPILOT_COOKIE_FILE and the access token of its local storage into COPILOT_ACCESS_TOKEN_FILE.'

/** Copilot: who the gateway is there, what the site says to harmless questions, and one turn where that was asked for. */
export async function walkCopilot(walk: Walk): Promise<void> {
  const { steps, config, proxy, secrets } = walk
  const problems: string[] = []
  const session = openCopilotSession({
    baseUrl: config.COPILOT_URL,
    cookieFile: config.COPILOT_COOKIE_FILE,
    token: config.COPILOT_ACCESS_TOKEN,
    tokenFile: config.COPILOT_ACCESS_TOKEN_FILE,
    proxy,
    isWaiting: () => false,
    log: {
      info() {},
      warn() {},
      error: ({ from, reason }: { from: string; reason: string }) => void problems.push(`${from}: ${reason}`)
    } as never
  })
  secrets.add(session.token(), ...cookiesOf(session, config.COPILOT_URL))
  const used = useKeptCookies(session.account, config.DATA_DIR, 'copilot')
  // Steps look at the wire that is spoken over.
  const before = walk.wire
  walk.wire = watchWire(session.http, () => walk.clock.now())
  walk.protocol = 'copilot'
  try {
    secrets.add(...cookiesOf(session, config.COPILOT_URL))
    await steps.run('copilot: credentials', () => credentials(walk, session, problems, used))
    const isReached = await reachStep(walk, 'copilot', 'COPILOT_URL')
    if (isReached) await lookAtSite(walk, session)
    else for (const name of PAGES) steps.skip(name, 'Not tried: Copilot can not be reached.', 'failed')
    secrets.add(...cookiesOf(session, config.COPILOT_URL))
    if (!walk.spend.chat) {
      const detail = 'Not asked for: --spend chat starts one real conversation and asks one question.'
      steps.skip(STAGES[0] as string, detail, 'not-asked')
    } else if (isReached) await oneTurn(walk, session)
    else for (const name of STAGES) steps.skip(name, 'Not tried: Copilot can not be reached.', 'failed')
  } finally {
    walk.wire = before
    await session.close()
  }
}

function credentials(
  { config }: Walk,
  session: CopilotSession,
  problems: readonly string[],
  used: string
): Finding {
  if (problems.length > 0) return { ok: false, detail: `${problems.join('; ')}.`, hint: CREDENTIALS_HINT }
  const cookies = cookiesOf(session, config.COPILOT_URL).length
  const token = session.token()
  const has = [
    cookies === 0 ? 'no cookies' : cookies === 1 ? '1 cookie' : `${cookies} cookies`,
    token === undefined ? 'no access token' : `an access token of ${token.length} characters`
  ]
  const detail = `${has[0]} and ${has[1]}.${cookies === 0 ? '' : ` ${used}`}`
  if (cookies === 0 && token === undefined) {
    return {
      ok: false,
      detail: `${detail} Copilot is asked as an anonymous visitor, whom it mostly refuses.`,
      hint: CREDENTIALS_HINT
    }
  }
  const missing = cookies === 0 ? 'COPILOT_COOKIE_FILE' : 'COPILOT_ACCESS_TOKEN_FILE'
  const hint = cookies > 0 && token !== undefined ? undefined : `Most accounts need ${missing} too.`
  return { ok: true, detail, hint }
}

async function lookAtSite(walk: Walk, session: CopilotSession): Promise<void> {
  const { steps, config } = walk
  const { wire } = walk
  const site = (signal: AbortSignal): SiteSettings => ({
    http: wire.http,
    baseUrl: config.COPILOT_URL,
    bearer: config.COPILOT_TOKEN_ON_HTTP ? session.token() : undefined,
    identityType: config.COPILOT_IDENTITY_TYPE,
    signal
  })
  const shape = () => (wire.last === undefined ? '' : describeAnswer(wire.last, false))
  wire.forget()
  await steps.run(PAGES[0] as string, async (signal) => {
    await visitSite(site(signal))
    const given = cookieNamed(session.account.cookieHeader(config.COPILOT_URL), VISIT_COOKIE)
    const is = given === undefined ? 'is not' : 'is'
    return { ok: true, detail: `${shape()}; the cookie ${VISIT_COOKIE} ${is} there.` }
  })
  walk.secrets.add(...cookiesOf(session, config.COPILOT_URL))
  wire.forget()
  await steps.run(PAGES[1] as string, async (signal) => {
    if (await isUserKnown(site(signal))) return { ok: true, detail: `Signed in: ${shape()}.` }
    const isAnonymous = config.COPILOT_COOKIE_FILE === undefined
    return {
      ok: isAnonymous,
      detail: `Nobody is signed in by cookie: ${shape()}.`,
      hint: isAnonymous
        ? 'With an access token the socket may work all the same: --spend chat shows it.'
        : `The cookies are no longer good. ${CREDENTIALS_HINT}`
    }
  })
  wire.forget()
  await steps.run(PAGES[2] as string, async (signal) => {
    const most = await longestPrompt(site(signal))
    if (most === undefined) {
      return {
        ok: false,
        detail: `The site does not say how long a prompt may be: ${shape()}.`,
        hint: outdated('copilot', ['CONFIG_PATH'])
      }
    }
    const detail = `Prompts of up to ${most} characters; the gateway takes ${MAX_PROMPT_CHARS}.`
    return most >= MAX_PROMPT_CHARS
      ? { ok: true, detail }
      : { ok: false, detail, hint: outdated('copilot', ['MAX_PROMPT_CHARS']) }
  })
}

async function oneTurn(walk: Walk, session: CopilotSession): Promise<void> {
  const { steps, config, wire, clock, proxy, secrets } = walk
  const [start, upgrade, connected, firstText] = STAGES as [string, string, string, string]
  await steps.stages(
    STAGES,
    async (signal, reached) => {
      const client = createCopilotClient({
        baseUrl: config.COPILOT_URL,
        account: session.account,
        http: wire.http,
        tokenOnHttp: config.COPILOT_TOKEN_ON_HTTP,
        identityType: config.COPILOT_IDENTITY_TYPE,
        proxy,
        clock,
        diagnosis: { onUpgraded: () => reached(upgrade, 'Copilot accepted the upgrade.') }
      })
      try {
        wire.forget()
        const conversation = await client.create(signal)
        secrets.add(...Object.values(conversation), ...cookiesOf(session, config.COPILOT_URL))
        reached(start, `${wire.last === undefined ? 'A conversation' : describeAnswer(wire.last, false)}.`)
        // From here on the wire is a socket, which is no HTTP any more.
        wire.forget()
        const answer = await client.ask(conversation, QUESTION, {
          signal,
          onAsked: () =>
            reached(
              connected,
              `Copilot is ready, or had said nothing for ${CONNECTED_TIMEOUT_MS / 1000} s; the question left.`
            ),
          onText: () => reached(firstText, 'The answer begins.')
        })
        return { ok: true, detail: `A whole answer of ${answer.message.length} characters.` }
      } finally {
        await client.close()
      }
    },
    config.CHAT_TIMEOUT_MS
  )
}

function cookiesOf(session: CopilotSession, url: string): string[] {
  return cookieValues(session.account.cookieHeader(url))
}
