// Runs bench/soak from its TypeScript. `npm run typecheck` checks the types; compiling the whole suite of benches for
// it would take as long as a good part of a short soak.
import { isAbsolute } from 'node:path'
import { rolldown } from 'rolldown'

const bundle = await rolldown({
  input: { run: 'bench/soak/run.ts' },
  platform: 'node',
  // Packages stay where they are.
  external: (id) => !id.startsWith('.') && !isAbsolute(id) && id !== 'run',
  logLevel: 'warn'
})
await bundle.write({ dir: '.bench/soak', format: 'esm', sourcemap: true })
await import('../.bench/soak/run.js')
