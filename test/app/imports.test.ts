import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/**
 * Imports point one way and never come back:
 *
 *   schemas <- src/{errors,config,upstream,store,jobs} <- plugins <- src/app <- src/server <- src/cli, src/demo
 */

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Import {
  /** The file that imports, relative to the root. */
  from: string
  /** What it imports: a file relative to the root, or a package. */
  to: string
  names: string
}

const files = ['schemas', 'src', 'plugins'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
)

/** Every `import … from`, `export … from`, `import '…'`, `import('…')` and `declare module` of a file. */
function importsOf(text: string): { names: string; to: string }[] {
  const pattern =
    /^(?:import|export)\s+((?:type\s+)?[^'";]*?)\s*from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm
  return [...text.matchAll(pattern)].map(([, names = '', ...targets]) => ({
    names,
    to: targets.find((target) => target !== undefined) ?? ''
  }))
}

const imports: Import[] = files.flatMap((from) =>
  importsOf(readFileSync(join(root, from), 'utf8')).map(({ names, to }) => ({
    from,
    names,
    to: to.startsWith('.') ? relative(root, join(root, dirname(from), to)) : to
  }))
)

/** Files of the roof, lowest first. Whatever else is in `src/` is the floor. */
const ROOF = ['src/app.ts', 'src/server.ts', 'src/cli.ts']
const isRoof = (file: string) => ROOF.includes(file) || /^src\/(demo|cli)\b[\w-]*\.ts$/.test(file)

function layer(file: string): number {
  if (file.startsWith('schemas/')) return 0
  if (file.startsWith('plugins/')) return 2
  if (!isRoof(file)) return 1
  return 3 + (ROOF.indexOf(file) === -1 ? ROOF.length - 1 : ROOF.indexOf(file))
}

const isOurs = (target: string) => /^(schemas|src|plugins)\//.test(target)
const isPackage = (target: string, name: string) => target === name || target.startsWith(`${name}/`)
const isFastify = (target: string) =>
  isPackage(target, 'fastify') || target === 'fastify-plugin' || target.startsWith('@fastify/')
const say = (found: Import[]) => found.map(({ from, to }) => `${from} imports ${to}`)

t.test('the reader of import lines sees all their forms', async (t) => {
  const text = `import a from 'a'
import type { B } from "b"
import {
  c,
  type D
} from './c.ts'
import 'e'
export { f } from './f.ts'
export * from './g.ts'
export const h = 'from nothing'
const i = await import('i')
`
  t.strictSame(
    importsOf(text).map(({ to }) => to),
    ['a', 'b', './c.ts', 'e', './f.ts', './g.ts', 'i']
  )
  t.ok(imports.length > 100, 'the sources were read')
})

t.test('imports point from the roof to the schemas, never back', async (t) => {
  t.strictSame(say(imports.filter(({ from, to }) => isOurs(to) && layer(to) > layer(from))), [])
})

t.test('our files import no tests, scripts or builds, and name them with their ending', async (t) => {
  const relatives = imports.filter(
    ({ to }) => to.startsWith('.') || to.startsWith('/') || /^\w+\/.*\.[jt]s$/.test(to)
  )
  t.strictSame(say(relatives.filter(({ to }) => !isOurs(to))), [])
  t.strictSame(say(imports.filter(({ to }) => isOurs(to) && !to.endsWith('.ts'))), [])
})

t.test('schemas know TypeBox and nothing else', async (t) => {
  const strangers = imports.filter(
    ({ from, to }) =>
      from.startsWith('schemas/') && !to.startsWith('schemas/') && !isPackage(to, '@sinclair/typebox')
  )
  t.strictSame(say(strangers), [])
})

t.test('the floor knows no Fastify', async (t) => {
  t.strictSame(say(imports.filter(({ from, to }) => layer(from) === 1 && isFastify(to))), [])
})

t.test('what talks to Bing does not know who asks', async (t) => {
  const inner = /^src\/(upstream|jobs|store)\//
  t.strictSame(
    say(
      imports.filter(
        ({ from, to }) =>
          (inner.test(from) && (isFastify(to) || to === 'src/config.ts' || isRoof(to))) ||
          (from.startsWith('src/upstream/') &&
            /^src\/(store|jobs)\//.test(to) &&
            to !== 'src/jobs/deadline.ts')
      )
    ),
    []
  )
})

t.test('capabilities meet at decorated services, not by imports', async (t) => {
  const capability = (file: string) => /^plugins\/([\w-]+)\//.exec(file)?.[1]
  const crossing = imports.filter(({ from, to }) => {
    const [ours, theirs] = [capability(from), capability(to)]
    return ours !== undefined && theirs !== undefined && ours !== theirs && theirs !== 'core'
  })
  // Who is calling, and how an unlisted name is refused, are said in one place.
  const AUTH = /^(type )?\{\s*((type )?(Caller|Access|notListed)[\s,]*)+\}$/
  // How a task looks from outside is the same on the page.
  const VIEW = 'plugins/task/view.ts'
  t.strictSame(
    say(
      crossing.filter(
        ({ from, to, names }) =>
          !(to === 'plugins/auth/index.ts' && AUTH.test(names)) &&
          !(from.startsWith('plugins/studio/') && to === VIEW)
      )
    ),
    []
  )
})

t.test('the simulator shares nothing with what it tests', async (t) => {
  const shared = imports.filter(
    ({ from, to }) =>
      from.startsWith('src/simulator/') && (isFastify(to) || (isOurs(to) && !to.startsWith('src/simulator/')))
  )
  t.strictSame(say(shared), [])
  const users = imports.filter(
    ({ from, to }) =>
      to.startsWith('src/simulator/') && !from.startsWith('src/simulator/') && !from.startsWith('src/demo')
  )
  t.strictSame(say(users), [], 'and only the demo uses it')
})

t.test('the environment is read at the top only', async (t) => {
  const readers = files.filter((file) =>
    /\bprocess\s*(\.|\[['"])\s*env\b|\benv\b.*from 'node:process'/.test(
      readFileSync(join(root, file), 'utf8')
    )
  )
  const allowed = /^src\/(cli|demo[\w-]*|simulator\/main)\.ts$/
  t.strictSame(
    readers.filter((file) => !allowed.test(file)),
    []
  )
})
