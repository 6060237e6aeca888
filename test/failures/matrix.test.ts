/** The fault matrix as a whole: `npm run chaos -- --matrix` plays it, the other files of this folder do so by section. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Cell, COLUMNS, titleOf, type Verdict } from '../support/fault-rows/cell.ts'
import { asMarkdown, asText, makeChart, summary } from '../support/fault-rows/chart.ts'
import { allGroups } from '../support/fault-rows/index.ts'
import { pageRows } from '../support/fault-rows/page.ts'
import { reasonFor } from '../support/fault-rows/reasons.ts'

const cells: Cell[] = allGroups.flatMap(({ cells }) => cells)
const fine = (cell: Cell): Verdict => ({ ...cell, outcome: { got: '503 code', times: 2 }, ms: 1, faults: [] })

t.test('every row of the page has a cell or a reason in every column', async (t) => {
  const page = pageRows()
  t.ok(page.length > 100, `${page.length} rows`)
  t.strictSame(makeChart(page, cells.map(fine), reasonFor).gaps, [])
  t.equal(
    makeChart(page, [], reasonFor).gaps.length,
    makeChart(page, [], () => undefined).gaps.length - empty()
  )

  function empty() {
    return page.flatMap(({ row }) => COLUMNS.filter((column) => reasonFor(row, column) !== undefined)).length
  }
})

t.test('no place has both', async (t) => {
  const page = pageRows().map(({ row }) => row)
  const both = cells.filter(({ row, column }) => page.includes(row) && reasonFor(row, column) !== undefined)
  t.strictSame(both.map(titleOf), [])
})

t.test('no two cells have the same name', async (t) => {
  const names = cells.map(titleOf)
  t.strictSame(
    names.filter((name, n) => names.indexOf(name) !== n),
    []
  )
})

t.test('the table', async (t) => {
  const page = [
    { row: 'T1', section: 'Transport', symptom: 'TCP `reset` \\| refused' },
    { row: 'V4', section: 'Video', symptom: 'working' }
  ]
  const verdicts: Verdict[] = [
    {
      ...{ row: 'T1', form: 'reset', column: 'image', ms: 5, faults: [] },
      outcome: { got: '503 unreachable', times: 3, retryAfter: '30', stop: true }
    },
    { row: 'T1', form: 'refused', column: 'image', outcome: undefined, ms: 9000, faults: ['should be equal'] }
  ]
  const chart = makeChart(page, verdicts, (row) => (row === 'V4' ? 'Only there.' : undefined))
  t.equal(chart.wrong.length, 1)
  t.strictSame(chart.notes, ['Only there.'])
  t.equal(chart.gaps.length, 4, 'nothing is known of T1 elsewhere')
  t.match(
    summary(chart, 7),
    /^2 rows × 5 columns: 2 cells played in 7 s, 1 wrong; 5 places .*, 4 unexplained; .* 9\.0 s/
  )
  const text = asText(chart)
  for (const part of ['503 unreachable ×3, 30 s, stop', '✗ no outcome (refused)', '– [1]', '[1] Only there.'])
    t.ok(text.includes(part), part)
  t.notMatch(text, /`|\\/)
  const markdown = asMarkdown(chart)
  t.match(markdown, '| T1 | TCP `reset` \\| refused |')
  t.match(markdown, '503 unreachable ×3, 30 s, stop (reset)<br>✗ no outcome (refused)')
})

t.test('docs/failures-matrix.md is about the rows of the page, and all is right there', async (t) => {
  const written = readFileSync(new URL('../../docs/failures-matrix.md', import.meta.url), 'utf8')
  const starts = pageRows().map(({ row, symptom }) => `| ${row} | ${symptom} |`)
  t.strictSame(
    starts.filter((start) => !written.includes(start)),
    []
  )
  t.notMatch(written, '✗')
})
