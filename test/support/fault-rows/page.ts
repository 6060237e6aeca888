import { readFileSync } from 'node:fs'

/** A row of docs/protocol/failures.md, as the page has it. */
export interface PageRow {
  row: string
  section: string
  symptom: string
}

const PAGE = new URL('../../../docs/protocol/failures.md', import.meta.url)

/** The rows of sections 1 to 8, in the order of the page: what the fault matrix must have an answer for. */
export function pageRows(): PageRow[] {
  const rows: PageRow[] = []
  let section = ''
  for (const line of readFileSync(PAGE, 'utf8').split('\n')) {
    const heading = /^## (\d)\. ([^(]*)/.exec(line)
    if (heading !== null)
      section = Number(heading[1]) >= 1 && Number(heading[1]) <= 8 ? (heading[2] ?? '') : ''
    const cells = /^\| ([A-Z]\d+) \| ((?:[^|\\]|\\.)*) \|/.exec(line)
    if (section !== '' && cells !== null) {
      const [, row = '', symptom = ''] = cells
      rows.push({ row, section: section.trim(), symptom })
    }
  }
  return rows
}
