import { type Config, ConfigError, ConfigSchema, isLoopback, loadConfig, unusedSettings } from '../config.ts'
import type { Finding } from './report.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Variables of the command line, which are no settings of the service. */
const OF_THE_COMMANDS: ReadonlySet<string> = new Set([
  'BING_GATEWAY_URL',
  'BING_GATEWAY_USER',
  'BING_GATEWAY_KEY'
])
/** A variable that begins like a setting and is none is probably a mistyped one. */
const LIKE_A_SETTING = /^(BING|COPILOT|CHAT|IMAGE|VIDEO|WEBHOOK|WHITELIST)_[A-Z_]+$/

/** The settings, when they are good, and what is to be said about them. Names only: values may be secrets. */
export function checkConfiguration(env: Environment): { config: Config | undefined; finding: Finding } {
  let config: Config
  try {
    config = loadConfig({ ...env })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const detail = `${error.problems.length === 1 ? 'A bad setting' : `${error.problems.length} bad settings`}: ${error.problems.join('; ')}.`
    const hint =
      'Correct them where the gateway gets its environment from. README.md and .env.example list every setting.'
    return { config: undefined, finding: { ok: false, detail, hint } }
  }
  const given = Object.keys(ConfigSchema.properties).filter((name) => env[name]?.trim())
  const detail = [
    given.length === 0 ? 'All settings have their defaults.' : `Given and good: ${given.join(', ')}.`,
    isLoopback(config.HOST) ? '' : `It listens beyond this machine (AUTH_MODE=${config.AUTH_MODE}).`
  ]
  const idle = withoutEffect(env, config)
  const unknown = Object.keys(env).filter(
    (name) => LIKE_A_SETTING.test(name) && !isSetting(name) && !OF_THE_COMMANDS.has(name) && !idle.has(name)
  )
  if (idle.size > 0)
    detail.push(`Without effect: ${[...idle].map(([name, why]) => `${name} (${why})`).join(', ')}.`)
  if (unknown.length > 0) detail.push(`No setting has the name ${unknown.join(', ')}.`)
  return {
    config,
    finding: {
      ok: true,
      detail: detail.filter((part) => part !== '').join(' '),
      hint:
        idle.size + unknown.length > 0
          ? 'Look whether something else was meant with the settings that do nothing.'
          : undefined
    }
  }
}

function isSetting(name: string): boolean {
  return Object.hasOwn(ConfigSchema.properties, name)
}

/** Settings that are given and change nothing, with the reason. */
function withoutEffect(env: Environment, config: Config): Map<string, string> {
  const idle = new Map(
    unusedSettings({ ...env }).map((name) => [name, `CHAT_UPSTREAM is ${config.CHAT_UPSTREAM}`])
  )
  const note = (name: string, isIdle: boolean, why: string) => {
    if (isIdle && env[name]?.trim()) idle.set(name, why)
  }
  note('BING_COOKIE_U', config.BING_COOKIE_FILE !== undefined, 'BING_COOKIE_FILE wins')
  note('WEBHOOK_ALLOW_PRIVATE', config.WEBHOOK_SECRET === undefined, 'no WEBHOOK_SECRET, so no webhooks')
  // NO_PROXY and the AWS variables are other programs' too, so without effect they are no mistake.
  return idle
}
