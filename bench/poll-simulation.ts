/**
 * What the adaptive schedule gains, on simulated creations: `npm run bench:polls`. Takes seconds; no network, no clock.
 * Writes docs/data/poll-schedule.csv (looks and lag), poll-spacing.csv (when it looks) and poll-spacing.svg (the same as a
 * picture). The numbers are the same on every machine; a test compares them with what is committed.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { simulateAll, simulationTables } from '../test/support/poll-simulation.ts'

/** Distributions in the picture, as they begin in the table, with their colours. */
const SHOWN: readonly [name: string, colour: string][] = [
  ['image, log-normal, median 20 s, sigma 0.1', '#0072b2'],
  ['image, log-normal, median 20 s, sigma 0.25', '#009e73'],
  ['image, log-normal, median 20 s, sigma 0.5', '#d55e00'],
  ['image, bimodal, 12 s (60 %) and 45 s, sigma 0.15', '#cc79a7']
]
const FIXED_S = 5
const WIDE = { width: 720, height: 360, left: 50, right: 20, top: 20, bottom: 45 }
const MOST = { ageS: 60, waitS: 16 }

/** The wait before each look by the age at which it comes; one line for each distribution. */
function picture(spacing: string): string {
  const points = new Map<string, [age: number, wait: number][]>()
  for (const [, name = '', age, wait] of spacing.matchAll(/^"([^"]+)",(\d+),(\d+)$/gm)) {
    const of = points.get(name) ?? []
    points.set(name, of)
    of.push([Number(age) / 1000, Number(wait) / 1000])
  }
  const { width, height, left, right, top, bottom } = WIDE
  const x = (ageS: number) => (left + ((width - left - right) * ageS) / MOST.ageS).toFixed(1)
  const y = (waitS: number) => (height - bottom - ((height - top - bottom) * waitS) / MOST.waitS).toFixed(1)
  const steps = (count: number, each: number) => Array.from({ length: count + 1 }, (_, n) => n * each)
  const lines = SHOWN.map(([name, colour], n) => {
    const seen = (points.get(name) ?? []).filter(([age, wait]) => age <= MOST.ageS && wait <= MOST.waitS)
    const path = seen.map(([age, wait]) => `${x(age)},${y(wait)}`).join(' ')
    const dots = seen.map(([age, wait]) => `<circle cx="${x(age)}" cy="${y(wait)}" r="2.5"/>`).join('')
    return `<g fill="${colour}"><polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots}
<text x="${x(33)}" y="${top + 14 + 16 * n}">${name}</text></g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="#fff"/>
<g stroke="#ddd">${steps(8, 2)
    .map((wait) => `<line x1="${x(0)}" y1="${y(wait)}" x2="${x(MOST.ageS)}" y2="${y(wait)}"/>`)
    .join('')}</g>
<g fill="#444" text-anchor="end">${steps(8, 2)
    .map((wait) => `<text x="${left - 6}" y="${Number(y(wait)) + 4}">${wait}</text>`)
    .join('')}</g>
<g fill="#444" text-anchor="middle">${steps(6, 10)
    .map((age) => `<text x="${x(age)}" y="${height - bottom + 18}">${age}</text>`)
    .join('')}
<text x="${width / 2}" y="${height - 8}">age of the creation at a look, seconds</text>
<text transform="translate(14 ${height / 2}) rotate(-90)">wait before it, seconds</text></g>
<line x1="${x(0)}" y1="${y(FIXED_S)}" x2="${x(MOST.ageS)}" y2="${y(FIXED_S)}" stroke="#444" stroke-dasharray="5 4"/>
<text x="${x(0.5)}" y="${Number(y(FIXED_S)) - 5}" fill="#444">fixed, ${FIXED_S} s</text>
${lines.join('\n')}
</svg>
`
}

const folder = join(process.cwd(), 'docs', 'data')
mkdirSync(folder, { recursive: true })
const { lag, spacing } = simulationTables(await simulateAll())
writeFileSync(join(folder, 'poll-schedule.csv'), lag)
writeFileSync(join(folder, 'poll-spacing.csv'), spacing)
writeFileSync(join(folder, 'poll-spacing.svg'), picture(spacing))
process.stdout.write(lag)
