/** `npm run bench`: docs/performance.md says what is measured, and what for. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { flushTimes } from './folders.ts'
import { concurrency } from './groups/concurrency.ts'
import { dueWork } from './groups/due-work.ts'
import { firstToken } from './groups/first-token.ts'
import { http } from './groups/http.ts'
import { latency } from './groups/latency.ts'
import { network } from './groups/network.ts'
import { polls } from './groups/polls.ts'
import { soak } from './groups/soak.ts'
import { startup } from './groups/start.ts'
import { type Group, type GroupResult, machine, toMarkdown, toText } from './lines.ts'
import { endAll } from './processes.ts'

const GROUPS: readonly Group[] = [
  latency,
  firstToken,
  network,
  polls,
  concurrency,
  http,
  startup,
  dueWork,
  soak
]

const HELP = `Usage: npm run bench -- [options] [group …]

Groups: ${GROUPS.map(({ name }) => name).join(', ')}. Default: all of them, in about 5 minutes.

  --quick      tiny sizes, that show that everything works, and no verdicts
  --markdown   the table as Markdown
  --json FILE  all numbers, as JSON

Targets that are missed are marked MISS; they don't fail the run. A group that breaks does.
BENCH_CPU_PROF=folder writes a CPU profile of every gateway process into the folder.`

async function measure(group: Group, quick: boolean): Promise<GroupResult> {
  const { name, about } = group
  const from = performance.now()
  const seconds = () => (performance.now() - from) / 1000
  const progress = (text: string) => process.stderr.write(`${name}, ${seconds().toFixed(0)} s: ${text}\n`)
  progress('starts')
  try {
    const lines = await group.run({ quick, progress })
    // Tiny sizes show that everything works, and nothing about how fast.
    return {
      name,
      about,
      lines: quick ? lines.map((line) => ({ ...line, target: undefined })) : lines,
      seconds: seconds()
    }
  } catch (error) {
    progress(error instanceof Error ? (error.stack ?? error.message) : String(error))
    return {
      name,
      about,
      lines: [],
      seconds: seconds(),
      error: error instanceof Error ? error.message : String(error)
    }
  } finally {
    endAll()
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  if (values.help) return console.log(HELP)
  const unknown = positionals.filter((name) => !GROUPS.some((group) => group.name === name))
  if (unknown.length > 0) throw new Error(`no such group: ${unknown.join(', ')}\n\n${HELP}`)

  const chosen = GROUPS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const results: GroupResult[] = []
  const flushes = [flushTimes()]
  for (const group of chosen) results.push(await measure(group, values.quick))

  flushes.push(flushTimes())
  const where = `${machine()}; to flush 4 KB to its disk took ${flushes.map(([p50, p99]) => `${p50.toFixed(2)} ms (p99 ${p99.toFixed(1)} ms)`).join(' before, ')} after`

  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine: where, at: new Date().toISOString(), quick: values.quick, results }, null, 2)}\n`
    )
  console.log(values.markdown ? toMarkdown(results, where) : toText(results, where))
  if (results.some(({ error }) => error !== undefined)) process.exitCode = 1
}

// What was started is ended by process.once('exit').
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
