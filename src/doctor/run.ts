import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import { deadline } from '../jobs/deadline.ts'
import { createAccount } from '../upstream/account.ts'
import { cookieNamed, cookieValues } from '../upstream/cookie-header.ts'
import { createUpstreamHttp } from '../upstream/http.ts'
import { checkClock } from './clock.ts'
import { checkConfiguration } from './configuration.ts'
import { checkCookie, useKeptCookies } from './cookie.ts'
import { walkCopilot } from './copilot-walk.ts'
import { explain } from './explain.ts'
import { walkImages } from './image-walk.ts'
import { createSecrets, secretsOfUrl } from './redact.ts'
import { createSteps, type Finding, type Report, RunEnded, type Step } from './report.ts'
import { checkStore, LEAST_FREE_BYTES } from './store.ts'
import { walkSydney } from './sydney-walk.ts'
import { reachStep, type Walk } from './walk.ts'
import { checkWhitelist } from './whitelist.ts'
import { watchWire } from './wire.ts'

/** Deadline of a step, in milliseconds. */
const STEP_MS = 15_000
/** Deadline of everything that costs the account nothing, in milliseconds. */
const TOTAL_MS = 110_000

export const SPENDINGS = ['image', 'chat', 'all'] as const
export type Spending = (typeof SPENDINGS)[number]

export interface DoctorOptions {
  /** What may be used up. Default: nothing that counts against the account. */
  spend?: Spending | undefined
  /** Ends the run early; what was found until then is in the report. */
  signal?: AbortSignal
  /** Told of each step when it is over. */
  onStep?: (step: Step) => void
  clock?: Clock
  /** Deadline of each step in milliseconds, in place of 15 s. */
  stepMs?: number
  /** Bytes that must be free on the disk of DATA_DIR. */
  leastFreeBytes?: number
}

/**
 * Looks at everything that the gateway needs, one step after the other, with the gateway's own clients and parsers.
 * Never throws for what it finds. Leaves nothing in the store.
 * @param env the settings as `serve` would read them
 */
export async function runDoctor(
  env: Readonly<Record<string, string | undefined>>,
  options: DoctorOptions = {}
): Promise<Report> {
  const { clock = systemClock, stepMs = STEP_MS, leastFreeBytes = LEAST_FREE_BYTES } = options
  const spend = {
    image: options.spend === 'image' || options.spend === 'all',
    chat: options.spend === 'chat' || options.spend === 'all'
  }
  const secrets = createSecrets()
  for (const [name, value] of Object.entries(env)) {
    if (/COOKIE_U$|TOKEN|SECRET/.test(name) && !name.endsWith('_FILE')) secrets.add(value?.trim())
    secrets.add(...secretsOfUrl(value?.trim()))
  }
  const { config, finding } = checkConfiguration(env)
  const totalMs =
    TOTAL_MS +
    (spend.image ? (config?.IMAGE_TIMEOUT_MS ?? 0) : 0) +
    (spend.chat ? (config?.CHAT_TIMEOUT_MS ?? 0) : 0)
  const total = deadline(
    systemClock,
    Math.min(totalMs, 2_147_483_647),
    () => new RunEnded('the time of the whole run was over'),
    ...(options.signal === undefined ? [] : [options.signal])
  )
  let walk: Walk | undefined
  const steps = createSteps({
    stepMs,
    signal: total.signal,
    redact: secrets.redact,
    explain: (error) => explain(error, walk),
    onStep: options.onStep
  })
  const report = (): Report => ({ ok: steps.all.every(({ ok }) => ok), steps: [...steps.all] })

  await steps.run('configuration', () => finding)
  if (config === undefined) {
    steps.skip('everything else', 'Not tried: without good settings the gateway does not start.', 'failed')
    total.clear()
    return report()
  }

  const cookie = checkCookie(config)
  secrets.add(...cookie.cookies.map(({ value }) => value))
  await steps.run('store', () => checkStore(config, leastFreeBytes))
  await steps.run('whitelist', () => checkWhitelist(config))
  const account = createAccount([config.BING_URL, config.BING_CHAT_URL])
  let cookieFinding = cookie.finding
  if (cookie.text !== undefined) {
    account.replace(cookie.text)
    const used = useKeptCookies(account, config.DATA_DIR, 'bing')
    cookieFinding = { ...cookie.finding, detail: `${cookie.finding.detail} ${used}` }
  }
  for (const url of [config.BING_URL, config.BING_CHAT_URL])
    secrets.add(...cookieValues(account.cookieHeader(url)))
  await steps.run('cookie', () => cookieFinding)
  const user = () => cookieNamed(account.cookieHeader(config.BING_URL), '_U')
  const userBefore = user()
  const proxy = { httpsProxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY }
  const wire = watchWire(createUpstreamHttp({ account, proxy }), () => clock.now())
  walk = { steps, config, account, wire, proxy, clock, secrets, spend, protocol: 'image-creator' }
  try {
    const isReached = await reachStep(walk, 'bing', 'BING_URL')
    if (isReached) await steps.run('clock', (signal) => checkClock(config.BING_URL, wire, signal))
    else steps.skip('clock', 'Not compared: Bing can not be reached.', 'failed')
    await walkImages(walk, isReached)
    if (config.CHAT_UPSTREAM === 'sydney') await walkSydney(walk, isReached)
    if (config.CHAT_UPSTREAM === 'copilot' || hasCopilotAccount(config)) await walkCopilot(walk)
    if (user() !== userBefore) await steps.run('cookie: renewed', () => RENEWED)
  } finally {
    total.clear()
    await wire.http.close()
  }
  return report()
}

/** The new value is not shown, and not stored: whoever runs the doctor may not be the one who keeps the cookies. */
const RENEWED: Finding = {
  ok: true,
  detail:
    'Microsoft sent a new _U cookie during this run. It was used for the rest of the run and then forgotten.',
  hint: 'The old one mostly stays good for some time. If the gateway reports an expired cookie soon, copy it anew from the browser.'
}

/** Who has given the gateway an account at Copilot wants to know whether it would work. */
function hasCopilotAccount(config: Config): boolean {
  const { COPILOT_COOKIE_FILE, COPILOT_ACCESS_TOKEN, COPILOT_ACCESS_TOKEN_FILE } = config
  return [COPILOT_COOKIE_FILE, COPILOT_ACCESS_TOKEN, COPILOT_ACCESS_TOKEN_FILE].some(
    (value) => value !== undefined
  )
}
