import { COLUMNS, type Column, type Outcome, titleOf, type Verdict } from './cell.ts'
import type { PageRow } from './page.ts'

/** The fault matrix: what came of its cells, by row and column, and why the other places are empty. */
export interface Chart {
  rows: { row: PageRow; cells: Record<Column, Place> }[]
  /** Reasons of empty places; a place names them by their number, from 1. */
  notes: readonly string[]
  played: number
  wrong: readonly Verdict[]
  slowest: Verdict | undefined
  /** Places with neither a cell nor a reason. */
  gaps: readonly string[]
}

interface Place {
  /** Outcomes, each with the forms that have it: none where all have the same. */
  lines: { text: string; forms: readonly string[] }[]
  note?: number
}

/** @param reasonFor why a row can't occur in a column; `undefined`: it can */
export function makeChart(
  page: readonly PageRow[],
  verdicts: readonly Verdict[],
  reasonFor: (row: string, column: Column) => string | undefined
): Chart {
  const notes: string[] = []
  const gaps: string[] = []
  const others = [...new Set(verdicts.map(({ row }) => row))].filter((row) =>
    page.every((known) => known.row !== row)
  )
  const beside = others.map((row) => ({ row, section: 'Beside the page', symptom: '' }))
  const rows = [...page, ...beside].map((row) => ({
    row,
    cells: Object.fromEntries(
      COLUMNS.map((column): [Column, Place] => {
        const here = verdicts.filter((verdict) => verdict.row === row.row && verdict.column === column)
        if (here.length > 0) return [column, { lines: linesOf(here) }]
        const reason = others.includes(row.row)
          ? 'Not on the page, or not there.'
          : reasonFor(row.row, column)
        if (reason === undefined) {
          gaps.push(`${row.row}: ${column}: neither played nor excused`)
          return [column, { lines: [{ text: '✗ nothing played', forms: [] }] }]
        }
        if (!notes.includes(reason)) notes.push(reason)
        return [column, { lines: [{ text: '–', forms: [] }], note: notes.indexOf(reason) + 1 }]
      })
    ) as Record<Column, Place>
  }))
  const [slowest] = [...verdicts].sort((a, b) => b.ms - a.ms)
  const wrong = verdicts.filter(({ faults }) => faults.length > 0)
  return { rows, notes, played: verdicts.length, wrong, slowest, gaps }
}

/** `503 unreachable ×3, 30 s, stop` */
export function textOf({ outcome, faults }: Verdict): string {
  const mark = faults.length > 0 ? '✗ ' : ''
  return `${mark}${outcome === undefined ? 'no outcome' : describe(outcome)}`
}

function describe({ got, times, retryAfter, stop }: Outcome): string {
  const parts = [times === undefined || times === 0 ? got : `${got} ×${times}`]
  if (retryAfter !== undefined) parts.push(`${retryAfter} s`)
  if (stop) parts.push('stop')
  return parts.join(', ')
}

function linesOf(verdicts: readonly Verdict[]): Place['lines'] {
  const forms = new Map<string, string[]>()
  for (const verdict of verdicts) {
    const text = textOf(verdict)
    forms.set(text, [...(forms.get(text) ?? []), verdict.form ?? 'plainly'])
  }
  if (forms.size === 1) return [...forms.keys()].map((text) => ({ text, forms: [] }))
  return [...forms].map(([text, forms]) => ({ text, forms }))
}

const LEGEND = [
  'Status and code as the caller got them; `event`: the `error` event of a stream that had begun; `task`: what `GET /task/:id` says.',
  '×n: how often the upstream was asked for what failed, first try included; nothing: not at all, or any number of times while waiting.',
  '`30 s`: `Retry-After`. `stop`: `x-should-retry: false`.'
]

/** What comes under the table. */
export function summary({ played, wrong, gaps, rows, slowest }: Chart, tookS: number): string {
  const empty = rows
    .flatMap(({ cells }) => Object.values(cells))
    .filter(({ note }) => note !== undefined).length
  const longest =
    slowest === undefined
      ? ''
      : `; the slowest took ${(slowest.ms / 1000).toFixed(1)} s (${titleOf(slowest)})`
  return `${rows.length} rows × ${COLUMNS.length} columns: ${played} cells played in ${tookS} s, ${wrong.length} wrong; ${empty} places can't occur, ${gaps.length} unexplained${longest}`
}

/** For terminals: columns of a fixed width, long texts over several lines. */
export function asText(chart: Chart): string {
  const widths = [4, 26, ...COLUMNS.map(() => 32)]
  const line = (cells: readonly string[][]) => {
    const height = Math.max(...cells.map((cell) => cell.length))
    return Array.from({ length: height }, (_, n) =>
      cells
        .map((cell, at) => (cell[n] ?? '').padEnd(widths[at] ?? 0))
        .join(' │ ')
        .trimEnd()
    ).join('\n')
  }
  const rule = widths.map((width) => '─'.repeat(width)).join('─┼─')
  const out = [line([['row'], ['symptom'], ...COLUMNS.map((column) => [column])])]
  let section = ''
  for (const { row, cells } of chart.rows) {
    out.push(rule)
    if (row.section !== section) {
      section = row.section
      out.push(line([[], [section.toUpperCase()]]), rule)
    }
    out.push(
      line([
        [row.row],
        wrap(plain(row.symptom), widths[1] ?? 0),
        ...COLUMNS.map((column) => placeLines(cells[column]).flatMap((text) => wrap(text, 32)))
      ])
    )
  }
  out.push(rule, '', ...LEGEND.map(plain), '', ...chart.notes.map((note, n) => `[${n + 1}] ${plain(note)}`))
  return out.join('\n')
}

/** For docs/failures-matrix.md. */
export function asMarkdown(chart: Chart): string {
  const out = [
    '# The fault matrix',
    '',
    'Every row of [protocol/failures.md](protocol/failures.md), and what callers got when the simulator behaved like that. Written by `npm run chaos -- --matrix --markdown`; `npm test` plays the same cells.',
    '',
    ...LEGEND.map((line) => `- ${line}`)
  ]
  let section = ''
  for (const { row, cells } of chart.rows) {
    if (row.section !== section) {
      section = row.section
      out.push(
        '',
        `## ${section}`,
        '',
        `| # | Symptom | ${COLUMNS.join(' | ')} |`,
        `|---|---|${COLUMNS.map(() => '---|').join('')}`
      )
    }
    const places = COLUMNS.map((column) => placeLines(cells[column]).map(escapePipes).join('<br>'))
    out.push(`| ${row.row} | ${row.symptom} | ${places.join(' | ')} |`)
  }
  out.push('', '## Why a place is empty', '', ...chart.notes.map((note, n) => `${n + 1}. ${note}`), '')
  return out.join('\n')
}

function placeLines({ lines, note }: Place): string[] {
  if (note !== undefined) return [`– [${note}]`]
  return lines.map(({ text, forms }) => (forms.length === 0 ? text : `${text} (${forms.join('; ')})`))
}

const plain = (markdown: string) => markdown.replaceAll('`', '').replaceAll('\\|', '|')
const escapePipes = (text: string) => text.replaceAll('|', '\\|')

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
    while (line.length > width) {
      lines.push(line.slice(0, width))
      line = line.slice(width)
    }
  }
  return [...lines, line]
}
