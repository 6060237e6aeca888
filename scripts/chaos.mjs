// `npm run chaos`: kills and outages. `npm run chaos -- --matrix`: the fault matrix, as a table on stdout.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))

function tap(args, { env = {}, stdout = 'inherit' } = {}) {
  const bin = join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs')
  const child = spawn(process.execPath, [bin, '--disable-coverage', '--jobs=1', '--timeout=0', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['inherit', stdout, 'inherit']
  })
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
}

async function matrix({ markdown, rows }) {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-matrix-'))
  const file = join(dir, 'matrix')
  const env = { MATRIX_FILE: file, MATRIX_FORM: markdown ? 'markdown' : 'text' }
  if (rows !== undefined) env.MATRIX_ROWS = rows
  try {
    const code = await tap(['--reporter=tap', 'test/chaos/matrix.ts'], { env, stdout: 'ignore' })
    process.stdout.write(readFileSync(file))
    return code
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  options: {
    matrix: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    rows: { type: 'string' }
  }
})
if (!values.matrix && (values.markdown || values.rows !== undefined))
  throw new Error('--markdown and --rows belong to --matrix')
process.exitCode = values.matrix ? await matrix(values) : await tap(['test/chaos/*.chaos.ts'])
