// What npm runs after an install, and before it links this folder for `npx bing-gateway`: builds, unless that was done
// since the last change. A running gateway keeps its files, and the command line starts at once.
import { execSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const BUILT = 'dist/bin/bing-gateway.js'
const SOURCES = [
  'src',
  'plugins',
  'schemas',
  'scripts',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json'
]

/** When a file, or anything in a folder, changed last; removed files show in the folder's own time. */
function changedAt(path) {
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => changedAt(join(path, name))))
}

if (!existsSync(BUILT) || SOURCES.some((path) => changedAt(path) > statSync(BUILT).mtimeMs))
  execSync('npm run --silent build', { stdio: 'inherit' })
