import { onStore, printJson, table, time } from './cli-store.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { type ApiKey, createKeyStore, type KeyStore } from './store/key-store.ts'
import { readTextFile } from './watched-file.ts'
import { isUserId, parseWhitelist } from './whitelist.ts'

export interface KeysContext {
  keys: KeyStore
  config: Config
}

interface Output {
  json?: boolean
}

const AGE_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads an age such as `90d`, in days, hours, minutes or seconds. @returns milliseconds; `undefined` when it is none */
export function parseAge(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(count) * (AGE_MS[unit ?? ''] ?? 0)
  return ms > 0 ? ms : undefined
}

/**
 * Runs a command on the keys of the store that the settings name, whether or not a gateway runs on it.
 * @throws {Error} that says in one line why it can't
 */
export async function onKeys(
  settings: () => Config,
  command: (on: KeysContext) => Promise<void>
): Promise<void> {
  await onStore(settings, (store, config) => command({ keys: createKeyStore(store), config }))
}

/** Makes a key. It goes to stdout, alone; what a person should know goes to stderr. */
export async function createKeyCommand(
  { keys, config }: KeysContext,
  userId: string,
  { json, expires }: Output & { expires?: number }
): Promise<void> {
  if (!isUserId(userId)) throw new Error('this userId can not stand in a whitelist.')
  const now = systemClock.now()
  const created = await keys.create(userId, now, expires === undefined ? null : now + expires)
  const { id, key } = created
  const expiresAt = time(created.expiresAt)
  const warning = notListedWarning(config.WHITELIST_FILE, userId)
  if (warning !== undefined) say(`warning: ${warning}`)
  if (json) return printJson({ id, userId, key, expiresAt })
  say(`${id}, a key of ${userId} that ${expiresAt === null ? 'does not expire' : `expires at ${expiresAt}`}.`)
  say('It is shown this once:')
  process.stdout.write(`${key}\n`)
}

export async function listKeysCommand({ keys }: KeysContext, { json }: Output): Promise<void> {
  const all = (await keys.list()).map(view)
  if (json) return printJson(all)
  const rows = all.map(({ id, userId, prefix, createdAt, expiresAt, lastUsedAt, revokedAt }) =>
    [id, userId, `${prefix}…`, createdAt, expiresAt, lastUsedAt, revokedAt].map((cell) => cell ?? '-')
  )
  process.stdout.write(table([['ID', 'USER', 'KEY', 'CREATED', 'EXPIRES', 'LAST USED', 'REVOKED'], ...rows]))
}

export async function revokeKeyCommand({ keys }: KeysContext, id: string, { json }: Output): Promise<void> {
  const revoked = await keys.revoke(id, systemClock.now())
  if (revoked === undefined) throw new Error(`there is no key with the id ${id}. "keys list" shows them.`)
  if (json) return printJson(view(revoked))
  process.stdout.write(`${revoked.id}, a key of ${revoked.userId}, is revoked.\n`)
}

/** What to say about a user whose key will be refused; `undefined` when it won't be. */
function notListedWarning(file: string, userId: string): string | undefined {
  const content = readTextFile(file)
  if ('error' in content)
    return `the whitelist ${file} can't be read (${content.error.code}): the key works once ${userId} is on it.`
  try {
    if (parseWhitelist(content.text).has(userId)) return undefined
    return `${userId} is not on the whitelist ${file}: the key works once they are.`
  } catch (error) {
    return `the whitelist ${file} is malformed (${(error as Error).message}): the key works once ${userId} is on it.`
  }
}

function view({ id, userId, prefix, createdAt, expiresAt, lastUsedAt, revokedAt }: ApiKey) {
  return {
    id,
    userId,
    prefix,
    createdAt: time(createdAt),
    expiresAt: time(expiresAt),
    lastUsedAt: time(lastUsedAt),
    revokedAt: time(revokedAt)
  }
}

function say(text: string): void {
  process.stderr.write(`bing-gateway: ${text}\n`)
}
