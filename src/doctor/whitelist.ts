import type { Config } from '../config.ts'
import { readTextFile } from '../watched-file.ts'
import { parseWhitelist } from '../whitelist.ts'
import type { Finding } from './report.ts'

/** Who may call. A gateway without users still starts, but nobody can chat. */
export function checkWhitelist({ WHITELIST_FILE: file }: Config): Finding {
  const content = readTextFile(file)
  if ('error' in content) {
    const code = content.error.code ?? 'unreadable'
    const detail =
      code === 'ENOENT'
        ? `WHITELIST_FILE: ${file} is not there, so nobody is whitelisted.`
        : `WHITELIST_FILE: ${file} can't be read (${code}).`
    return {
      ok: false,
      detail,
      hint: 'Make a file with one userId a line; whitelist.example.txt shows the form.'
    }
  }
  try {
    const users = parseWhitelist(content.text)
    const limited = [...users.values()].filter((limits) => Object.keys(limits).length > 0).length
    const detail = `${file}: ${users.size === 1 ? '1 user' : `${users.size} users`}, ${limited} with limits of their own.`
    if (users.size > 0) return { ok: true, detail }
    return { ok: false, detail, hint: 'Write one userId a line into it; it counts within 2 s.' }
  } catch (error) {
    return {
      ok: false,
      detail: `${file} is malformed: ${(error as Error).message}.`,
      hint: 'Correct this line. A gateway that runs keeps the last good list; one that starts has none.'
    }
  }
}
