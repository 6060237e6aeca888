import { readFileSync, type Stats, unwatchFile, watchFile } from 'node:fs'

/** How often the file is looked at. Polled, because notifications get lost on bind mounts and replaced symlinks. */
const INTERVAL_MS = 1000

/**
 * Calls back with the file's text, or with the error when it can't be read, each time that it changes.
 * A file that does not exist yet is waited for.
 * @returns the way to stop
 */
export function watchTextFile(
  path: string,
  onChange: (result: { text: string } | { error: Error }) => void
): () => void {
  const listener = (now: Stats, before: Stats) => {
    // A file that is missing from the start is reported once, although nothing changed.
    if (now.mtimeMs === 0 && before.mtimeMs === 0) return
    onChange(readTextFile(path))
  }
  watchFile(path, { interval: INTERVAL_MS, persistent: false }, listener)
  return () => unwatchFile(path, listener)
}

export function readTextFile(path: string): { text: string } | { error: NodeJS.ErrnoException } {
  try {
    return { text: readFileSync(path, 'utf8') }
  } catch (error) {
    return { error: error as NodeJS.ErrnoException }
  }
}
