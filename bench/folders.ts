import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { percentile } from './stats.ts'

const folders = new Set<string>()

/** Removes them all, without waiting: it is the last thing that this process does. */
export function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  folders.clear()
}

/** A folder that is removed at the end. @param under where; default: where the system has its temporary files */
export function temporaryFolder(under = tmpdir()): string {
  const folder = mkdtempSync(join(under, 'bing-gateway-bench-'))
  folders.add(folder)
  return folder
}

/** A folder in memory where there is one with room, for what is not about the disk. */
export function folderInMemory(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    if (bavail * bsize > 256 * 2 ** 20) return temporaryFolder('/dev/shm')
  } catch {
    // Not Linux.
  }
  return temporaryFolder()
}

/** Milliseconds that it takes to bring 4 KB to the disk on which the stores of a bench are: median and p99 of some. */
export function flushTimes(): [p50: number, p99: number] {
  const file = openSync(join(temporaryFolder(), 'flushed'), 'w')
  const page = Buffer.alloc(4096, 1)
  const taken = Array.from({ length: 100 }, () => {
    writeSync(file, page)
    const from = performance.now()
    fdatasyncSync(file)
    return performance.now() - from
  })
  closeSync(file)
  return [percentile(taken, 0.5), percentile(taken, 0.99)]
}
