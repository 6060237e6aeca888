import t from 'tap'
import { type GroupResult, hits, type Line, toMarkdown, toText } from '../../bench/lines.ts'
import { median, percentile } from '../../bench/stats.ts'

const line = (more: Partial<Line>): Line => ({ what: 'a turn', value: 2, unit: 'ms', ...more })

t.test('a target is met up to its value', async (t) => {
  const cases: [value: number, target: Line['target'], want: boolean | undefined][] = [
    [2, { atMost: 2 }, true],
    [2.01, { atMost: 2 }, false],
    [0.75, { atLeast: 0.75 }, true],
    [0.74, { atLeast: 0.75 }, false],
    [Number.NaN, { atMost: 2 }, false],
    [Number.NaN, { atLeast: 2 }, false],
    [5, undefined, undefined]
  ]
  for (const [value, target, want] of cases)
    t.equal(hits(line({ value, target })), want, `${value} and ${JSON.stringify(target)}`)
})

t.test('percentiles are values that were measured', async (t) => {
  const values = Array.from({ length: 200 }, (_, n) => 200 - n)
  t.strictSame(
    [0, 0.5, 0.99, 0.991, 1].map((share) => percentile(values, share)),
    [1, 100, 198, 199, 200]
  )
  t.equal(percentile([7], 0.99), 7)
  t.ok(Number.isNaN(percentile([], 0.5)))
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 2, 3]), 2.5)
})

t.test('the table shows what was measured, its target, and whether it is missed', async (t) => {
  const results: GroupResult[] = [
    {
      name: 'latency',
      about: 'everything on',
      seconds: 12,
      lines: [
        line({ target: { atMost: 2 }, note: 'raw numbers' }),
        line({ what: 'a | b', value: 0.5, unit: '×', target: { atLeast: 0.75 } }),
        line({ what: 'memory', value: 12_345.6, unit: 'KB' })
      ]
    },
    { name: 'soak', about: 'many turns', seconds: 1, lines: [], error: 'it broke' }
  ]
  const text = toText(results, 'a machine')
  t.strictSame(text.split('\n'), [
    '',
    'latency (12 s): everything on',
    '  a turn       2 ms  ≤ 2 ms   ok',
    '      raw numbers',
    '  a | b       0.50×  ≥ 0.75×  MISS',
    '  memory  12,346 KB',
    '',
    'soak (1 s): many turns',
    '  FAILED: it broke',
    '',
    'a machine.',
    '3 lines, 1 MISS, 13 s.'
  ])
  t.strictSame(toMarkdown(results, 'a machine').split('\n'), [
    '| | measured | target | |',
    '|---|---:|---:|---|',
    '| **latency** | | | |',
    '| a turn | 2 ms | ≤ 2 ms | ok |',
    '| a \\| b | 0.50× | ≥ 0.75× | MISS |',
    '| memory | 12,346 KB |  |  |',
    '| **soak** | | | |',
    '| failed: it broke | | | |',
    '',
    'Measured on a machine.'
  ])
})
