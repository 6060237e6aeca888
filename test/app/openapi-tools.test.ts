import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startGateway } from '../support/gateway.ts'

/** Other people's tools must be able to use the document: two linters, two client generators. All work offline. */

const root = fileURLToPath(new URL('../../', import.meta.url))
const openapi = join(root, 'openapi.yaml')

interface Run {
  code: number
  stdout: string
  all: string
}

/** Runs a tool that npm installed, without telemetry and update notices. */
function run(tool: string, args: string[], cwd: string): Promise<Run> {
  const env = {
    ...process.env,
    CI: 'true',
    NO_COLOR: '1',
    DO_NOT_TRACK: '1',
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
    NODE_OPTIONS: ''
  }
  return new Promise((resolve) => {
    execFile(
      join(root, 'node_modules/.bin', tool),
      args,
      { cwd, env, timeout: 100_000, maxBuffer: 32 << 20 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        resolve({ code, stdout, all: `${stdout}\n${stderr}\n${error?.signal ?? ''}` })
      }
    )
  })
}

/** Compiles one file and what it imports as a strict user of it would. */
async function compile(cwd: string, source: string, options: object = {}): Promise<Run> {
  writeFileSync(join(cwd, 'use.ts'), source)
  writeFileSync(
    join(cwd, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 'es2022',
        lib: ['es2022', 'dom', 'dom.iterable'],
        module: 'esnext',
        moduleResolution: 'bundler',
        skipLibCheck: true,
        types: [],
        ...options
      },
      files: ['use.ts']
    })
  )
  return run('tsc', ['-p', 'tsconfig.json'], cwd)
}

t.test('redocly: recommended rules, no error and no warning', async (t) => {
  const cwd = t.testdir()
  const { stdout, all, code } = await run(
    'redocly',
    ['lint', openapi, '--extends=recommended', '--format=json'],
    cwd
  )
  t.equal(code, 0, 'exit code', { all })
  const report = JSON.parse(stdout.slice(stdout.indexOf('{')))
  t.match(report.totals, { errors: 0, warnings: 0 })
  t.strictSame(report.problems, [])
})

t.test('spectral:oas: no result of any severity', async (t) => {
  const cwd = t.testdir({ 'ruleset.yaml': 'extends: ["spectral:oas"]\n' })
  const args = ['lint', '-r', 'ruleset.yaml', '--format=json', '--fail-severity=hint', openapi]
  const { stdout, all, code } = await run('spectral', args, cwd)
  t.equal(code, 0, 'exit code', { all })
  t.strictSame(JSON.parse(stdout.slice(stdout.indexOf('['), stdout.lastIndexOf(']') + 1)), [])
})

t.test('openapi-typescript: its types compile and tell right from wrong', async (t) => {
  const cwd = t.testdir()
  const generated = await run('openapi-typescript', [openapi, '-o', join(cwd, 'gateway.d.ts')], cwd)
  t.equal(generated.code, 0, 'generated', generated)
  const compiled = await compile(
    cwd,
    `import createClient from 'openapi-fetch'
import type { components, paths } from './gateway.d.ts'

const client = createClient<paths, 'application/json'>({ baseUrl: 'http://127.0.0.1:7860' })

export async function tour(): Promise<string[]> {
  const started = await client.POST('/create_conversation', { body: { userId: 'alice' } })
  if (started.error !== undefined) throw new Error(started.error.error.message)
  const answer = await client.POST('/chatgpt', { body: { ...started.data, prompt: 'Hello' } })
  const message: string = answer.data?.message ?? ''
  const image = await client.POST('/create/image', { body: { query: 'a fox', model: 'GPT4O', aspect: 1 } })
  const made = image.data?.data
  // Finished, or accepted with \`Prefer: respond-async\`.
  const images: string[] = made !== undefined && 'images' in made ? made.images : []
  const task = await client.GET('/task/{taskId}', { params: { path: { taskId: 'x' } } })
  const video: string | null | undefined = task.data?.data.video
  // @ts-expect-error there is no such route
  await client.GET('/nothing')
  // @ts-expect-error a number is not a prompt
  await client.POST('/create/video', { body: { query: 42 } })
  return [message, ...images, video ?? '']
}
export type Task = components['schemas']['Task']
`
  )
  t.equal(compiled.code, 0, 'compiled', compiled)
})

t.test('the program of docs/clients.md compiles and does what it says', async (t) => {
  const [, program] =
    /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs', 'clients.md'), 'utf8')) ?? []
  const gateway = await startGateway(t)
  const url = await gateway.listen()
  // Within the project, where its packages are found.
  const cwd = mkdtempSync(join(root, 'node_modules', '.client-'))
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
  await run('openapi-typescript', [openapi, '-o', join(cwd, 'gateway.d.ts')], cwd)
  const compiled = await compile(cwd, program as string, {
    noEmit: false,
    outDir: 'out',
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: true,
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
    types: ['node']
  })
  t.equal(compiled.code, 0, 'compiled', compiled)
  writeFileSync(join(cwd, 'package.json'), '{"type":"module"}')
  const done = await new Promise<Run>((resolve) =>
    execFile(
      process.execPath,
      [join(cwd, 'out', 'use.js')],
      { env: { PATH: process.env.PATH ?? '', GATEWAY_URL: url }, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, stdout, all: `${stdout}${stderr}` })
    )
  )
  t.equal(done.code, 0, done.all)
  const lines = done.stdout.trim().split('\n')
  t.match(lines[0], /How high is the tower/)
  t.match(done.stdout, /Who built it/)
  t.match(lines.at(-2), /\/media\/[0-9a-f-]+\?exp=/, 'a picture')
  t.match(lines.at(-1), /OVID/, 'a video')
})

t.test('@hey-api/openapi-ts: its client compiles and tells right from wrong', async (t) => {
  const cwd = t.testdir()
  const generated = await run('openapi-ts', ['-i', openapi, '-o', join(cwd, 'client')], cwd)
  t.equal(generated.code, 0, 'generated', generated)
  t.ok(existsSync(join(cwd, 'client/sdk.gen.ts')), 'a client was written')
  const compiled = await compile(
    cwd,
    `import { chat, createConversation, createImage, getTask } from './client/sdk.gen'
import type { Error as GatewayError, Task } from './client/types.gen'

export async function tour(): Promise<Task | undefined> {
  const started = await createConversation({ body: { userId: 'alice' } })
  if (started.data === undefined) throw new Error((started.error as GatewayError).error.message)
  await chat({ body: { ...started.data, prompt: 'Hello', tone: 'precise' } })
  const image = await createImage({ body: { query: 'a fox', aspect: 'PORTRAIT' } })
  // @ts-expect-error the answer has no such field
  void image.data?.data.pictures
  // @ts-expect-error not a tone
  await chat({ body: { ...started.data, prompt: 'Hello', tone: 'angry' } })
  const { data } = await getTask({ path: { taskId: image.data?.data.taskId ?? '' } })
  return data?.data
}
`
  )
  t.equal(compiled.code, 0, 'compiled', compiled)
})
