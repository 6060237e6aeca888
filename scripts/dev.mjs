// Rebuilds on every change and restarts the gateway with the new build.
import { spawn, spawnSync } from 'node:child_process'

const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']
const run = (...args) => spawn(process.execPath, args, { stdio: 'inherit' })

spawnSync(process.execPath, tsc, { stdio: 'inherit' })
const children = [
  run(...tsc, '--watch', '--preserveWatchOutput'),
  run('--watch', '--watch-preserve-output', 'dist/src/cli.js', 'serve', ...process.argv.slice(2))
]
const stop = () => {
  for (const child of children) child.kill()
}
process.on('SIGINT', stop).on('SIGTERM', stop)
for (const child of children) child.on('exit', stop)
