/**
 * Plays every cell of the fault matrix and writes the table: `npm run chaos -- --matrix` (scripts/chaos.mjs), which sets
 * - MATRIX_FILE: where to write it
 * - MATRIX_FORM: `text` or `markdown`
 * - MATRIX_ROWS: only these rows, e.g. `T1,V`; no place counts as forgotten then
 */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { runGroups, titleOf, type Verdict } from '../support/fault-rows/cell.ts'
import { asMarkdown, asText, makeChart, summary, textOf } from '../support/fault-rows/chart.ts'
import { allGroups } from '../support/fault-rows/index.ts'
import { pageRows } from '../support/fault-rows/page.ts'
import { reasonFor } from '../support/fault-rows/reasons.ts'

const { MATRIX_FILE, MATRIX_FORM = 'text', MATRIX_ROWS } = process.env
const only = MATRIX_ROWS?.split(',')
const isWanted = ({ row }: { row: string }) =>
  only === undefined || only.some((name) => row === name || (/^[A-Z]$/.test(name) && row.startsWith(name)))

const startedAt = performance.now()
const verdicts: Verdict[] = []
t.jobs = 4
runGroups(
  t,
  allGroups.filter(({ cells }) => cells.some(isWanted)),
  {
    isWanted,
    onVerdict(verdict) {
      verdicts.push(verdict)
      if (verdict.faults.length > 0) console.error(`WRONG ${titleOf(verdict)}: ${verdict.faults.join(' | ')}`)
    }
  }
)

t.teardown(() => {
  // As they are told, whichever ended first.
  const inOrder = allGroups.flatMap(({ cells }) => cells.map(titleOf))
  verdicts.sort((a, b) => inOrder.indexOf(titleOf(a)) - inOrder.indexOf(titleOf(b)))
  const chart = makeChart(
    pageRows().filter(isWanted),
    verdicts.filter(isWanted),
    only === undefined ? reasonFor : (row, column) => reasonFor(row, column) ?? 'not looked at'
  )
  const last = [
    ...chart.gaps.map((gap) => `FORGOTTEN ${gap}`),
    ...chart.wrong.map(
      (verdict) => `WRONG ${titleOf(verdict)}: ${textOf(verdict)}: ${verdict.faults.join(' | ')}`
    ),
    summary(chart, Math.round((performance.now() - startedAt) / 1000))
  ]
  if (chart.gaps.length + chart.wrong.length > 0 || verdicts.length === 0) process.exitCode = 1
  const text = MATRIX_FORM === 'markdown' ? asMarkdown(chart) : `${asText(chart)}\n\n${last.join('\n')}\n`
  if (MATRIX_FORM === 'markdown') console.error(last.join('\n'))
  if (MATRIX_FILE === undefined) console.error(text)
  else writeFileSync(MATRIX_FILE, text)
})
