import { cpus } from 'node:os'

/** One measured number, with what it should be. */
export interface Line {
  /** What it is, for a reader who has not seen the code. */
  what: string
  value: number
  unit: 'ms' | '×' | 'KB' | 'MB' | '' | '%' | '/s' | 's'
  /** Without one it is for information. */
  target?: { atMost: number } | { atLeast: number }
  /** Raw numbers behind it, and whatever a reader must know to believe it. */
  note?: string
}

/** A part of the suite. */
export interface Group {
  name: string
  /** What runs, and what is switched on in it. */
  about: string
  run(options: GroupOptions): Promise<Line[]>
}

export interface GroupOptions {
  /** Sizes that only show that it works. */
  quick: boolean
  /** Says what goes on meanwhile. */
  progress(text: string): void
}

export interface GroupResult {
  name: string
  about: string
  seconds: number
  lines: Line[]
  /** Why it did not come to its end. */
  error?: string
}

export function hits({ value, target }: Line): boolean | undefined {
  if (target === undefined) return undefined
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast
}

const verdict = (line: Line) => ({ true: 'ok', false: 'MISS', undefined: '' })[String(hits(line))] as string

function quantity(value: number, unit: Line['unit']): string {
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const number = value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g, ',')
  return unit === '' ? number : unit === '×' || unit === '/s' ? `${number}${unit}` : `${number} ${unit}`
}

function aim({ target, unit }: Line): string {
  if (target === undefined) return ''
  return 'atMost' in target ? `≤ ${quantity(target.atMost, unit)}` : `≥ ${quantity(target.atLeast, unit)}`
}

/** The processor, and what runs on it. */
export function machine(): string {
  const [first] = cpus()
  return `${cpus().length} × ${first?.model.trim() || 'unknown processor'}, Node ${process.versions.node}, ${process.platform}`
}

/** The table for a terminal. */
export function toText(results: readonly GroupResult[], where: string): string {
  const rows = results.flatMap(({ lines }) => lines)
  const width = (cells: string[]) => Math.max(0, ...cells.map((cell) => cell.length))
  const widths = {
    what: width(rows.map(({ what }) => what)),
    measured: width(rows.map(({ value, unit }) => quantity(value, unit))),
    target: width(rows.map(aim))
  }
  const misses = rows.filter((line) => hits(line) === false).length
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
  const parts = results.flatMap(({ name, about, seconds, lines, error }) => [
    `${name} (${seconds.toFixed(0)} s): ${about}`,
    ...lines.flatMap((line) => [
      `  ${line.what.padEnd(widths.what)}  ${quantity(line.value, line.unit).padStart(widths.measured)}  ${aim(line).padEnd(widths.target)}  ${verdict(line)}`.trimEnd(),
      ...(line.note === undefined ? [] : [`      ${line.note}`])
    ]),
    ...(error === undefined ? [] : [`  FAILED: ${error}`]),
    ''
  ])
  return ['', ...parts, `${where}.`, `${rows.length} lines, ${misses} MISS, ${seconds.toFixed(0)} s.`].join(
    '\n'
  )
}

/** The table for README and docs/performance.md. */
export function toMarkdown(results: readonly GroupResult[], where: string): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  return [
    `| | measured | target | |`,
    `|---|---:|---:|---|`,
    ...results.flatMap(({ name, lines, error }) => [
      `| **${name}** | | | |`,
      ...lines.map(
        (line) =>
          `| ${cell(line.what)} | ${quantity(line.value, line.unit)} | ${aim(line)} | ${verdict(line)} |`
      ),
      ...(error === undefined ? [] : [`| failed: ${cell(error)} | | | |`])
    ]),
    '',
    `Measured on ${where}.`
  ].join('\n')
}
