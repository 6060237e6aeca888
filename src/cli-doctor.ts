import { styleText } from 'node:util'
import { packageInfo } from './config.ts'
import { type Report, RunEnded, type Step } from './doctor/report.ts'
import { runDoctor, type Spending } from './doctor/run.ts'

interface DoctorCommand {
  json?: boolean
  spend?: Spending
}

/** Widest text on a terminal, in characters. */
const MOST_COLUMNS = 110
/** Where the text of a step begins. */
const INDENT = 9

/**
 * `bing-gateway doctor`: prints what each step found, as it is found; with `--json` one object at the end, on stdout
 * alone. Ends the process, with 0 only when all steps hold: a name server that never answers would keep it alive.
 */
export async function doctorCommand(
  env: Readonly<Record<string, string | undefined>>,
  { json = false, spend }: DoctorCommand
): Promise<never> {
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second one does not wait for what is under way to tell its outcome.
      if (interrupted.signal.aborted) process.exit(1)
      interrupted.abort(new RunEnded(`it was stopped by ${signal}`))
    })
  }
  // Whoever reads may have stopped reading: `doctor | head`.
  process.stdout.on('error', () => process.exit(1))
  const look = {
    colours: process.stdout.isTTY === true && !env.NO_COLOR,
    columns: process.stdout.isTTY ? Math.min(process.stdout.columns || 80, MOST_COLUMNS) : undefined
  }
  if (!json) process.stdout.write(`bing-gateway ${packageInfo().version}: looking at what it needs.\n`)
  const report = await runDoctor(env, {
    spend,
    signal: interrupted.signal,
    onStep: json ? () => {} : (step) => process.stdout.write(formatStep(step, look))
  })
  const end = json ? `${JSON.stringify(report, null, 2)}\n` : formatEnd(report)
  await new Promise((resolve) => process.stdout.write(end, resolve))
  process.exit(report.ok ? 0 : 1)
}

interface Look {
  /** Escape codes for colours. */
  colours: boolean
  /** Wraps lines at this width; absent: one line each, for pipes. */
  columns: number | undefined
}

/** One step as a person reads it. */
export function formatStep({ name, ok, skipped, detail, hint }: Step, { colours, columns }: Look): string {
  const [word, colour] = skipped
    ? (['skipped', 'yellow'] as const)
    : ok
      ? (['ok', 'green'] as const)
      : (['failed', 'red'] as const)
  const shown = colours
    ? styleText(colour, word.padEnd(INDENT), { validateStream: false })
    : word.padEnd(INDENT)
  const lines = [`${shown}${wrapped(`${name} – ${detail}`, columns)}`]
  if (hint !== undefined)
    lines.push(`${' '.repeat(INDENT)}${wrapped(`${ok ? 'Note' : 'What to do'}: ${hint}`, columns)}`)
  return `${lines.join('\n')}\n`
}

export function formatEnd({ ok, steps }: Report): string {
  if (ok) return `\nAll is well: ${steps.filter(({ skipped }) => !skipped).length} steps hold.\n`
  const failed = steps.filter((step) => !step.ok && !step.skipped).map(({ name }) => name)
  const untried = steps.filter((step) => !step.ok && step.skipped).length
  const rest = untried === 0 ? '' : ` ${untried} more could not be tried.`
  return `\n${failed.length === 1 ? '1 step' : `${failed.length} steps`} failed${failed.length === 0 ? '' : `: ${failed.join(', ')}`}.${rest}\n`
}

function wrapped(text: string, columns: number | undefined): string {
  if (columns === undefined) return text
  const width = Math.max(20, columns - INDENT)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(INDENT)}`)
}
