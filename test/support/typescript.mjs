// Makes Node run the tests' TypeScript: types are taken away, nothing is checked (`npm run typecheck` does that). Node 20
// can't do it by itself, and the compiler that tap brings needs ten seconds for a test of the whole gateway.
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) register(import.meta.url)

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context)
  const { transform } = await import('rolldown/experimental')
  const file = fileURLToPath(url)
  const { code, map, errors } = await transform(file, await readFile(file, 'utf8'), {
    target: 'esnext',
    tsconfig: false,
    typescript: { onlyRemoveTypeImports: true },
    sourcemap: true
  })
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0].message}`)
  const inline = Buffer.from(JSON.stringify(map)).toString('base64')
  return {
    format: 'module',
    shortCircuit: true,
    source: `${code}\n//# sourceMappingURL=data:application/json;base64,${inline}\n`
  }
}
