/** The dashboard, the alert rules and the documentation speak of metrics that the gateway really has. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { readExposition } from '../support/exposition.ts'
import { startGateway, USER } from '../support/gateway.ts'
import { SECRET, startReceiver } from '../support/receiver.ts'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

interface Rule {
  alert: string
  expr: string
  labels?: { severity?: string }
  annotations?: Record<string, string>
}

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: { uid: string }
  targets?: { expr: string; refId: string }[]
}

const rules = (): Rule[] =>
  parse(read('deploy/prometheus/alerts.yml')).groups.flatMap((group: { rules: Rule[] }) => group.rules)
const dashboard = () => JSON.parse(read('deploy/grafana/bing-gateway.json')) as { panels: Panel[] }

interface Selector {
  name: string
  labels: string[]
}

/** Metrics that a PromQL expression asks for, with the labels that it names. Enough of the language for what is in use here. */
function selectorsOf(expr: string): Selector[] {
  const grouped = [...expr.matchAll(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g)].flatMap(([, list]) =>
    (list ?? '').split(',').map((label) => label.trim())
  )
  const bare = expr.replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
  const found = [...bare.matchAll(/\b([a-z_][a-z0-9_]*)\s*(?:\{([^}]*)\}|\[|(?=\s|\)|$))/g)]
  return found
    .filter(([, name]) => name !== undefined && !/^(and|or|unless|by|time|sum|min|max|avg|count)$/.test(name))
    .map(([, name, matchers]) => ({
      name: name as string,
      labels: [
        ...[...(matchers ?? '').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label as string),
        ...grouped
      ].filter((label) => label !== '')
    }))
}

/** What Prometheus itself adds. */
const ADDED_LABELS = new Set(['job', 'instance', 'le'])
const ADDED_METRICS = new Set(['up'])

t.test('the reader of expressions sees what is asked for', async (t) => {
  const expr =
    'histogram_quantile(0.9, sum by (kind, le) (rate(a_seconds_bucket{job=~"$job",x!="1"}[5m]))) > 2\nand up == 0'
  t.strictSame(
    selectorsOf(expr).map(({ name, labels }) => [name, labels]),
    [
      ['a_seconds_bucket', ['job', 'x', 'kind', 'le']],
      ['up', ['kind', 'le']]
    ]
  )
})

t.test('what is watched is there', async (t) => {
  const receiver = await startReceiver(t)
  const gateway = await startGateway(t, {
    config: { WEBHOOK_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: true },
    whitelist: `${USER} images=1/d\n`
  })
  const named = { 'x-user-id': USER }
  const identity = await gateway.conversation()
  await gateway.post('/chatgpt', { ...identity, prompt: 'Hi' })
  const created = await gateway.post('/create/image', { query: 'a fox', webhookUrl: receiver.url }, named)
  t.equal(created.status, 200)
  t.equal((await gateway.post('/create/image', { query: 'another fox' }, named)).status, 429)
  await receiver.count(1)
  const { samples, types } = readExposition((await gateway.get('/metrics')).text)
  const labels = new Map<string, Set<string>>()
  for (const sample of samples) {
    const known = labels.get(sample.name) ?? new Set()
    for (const label of Object.keys(sample.labels)) known.add(label)
    labels.set(sample.name, known)
  }

  /** Names and labels that no gateway has. */
  const missing = (expr: string) =>
    selectorsOf(expr).flatMap(({ name, labels: asked }) => {
      if (ADDED_METRICS.has(name)) return []
      const known = labels.get(name)
      if (known === undefined) return [name]
      return asked
        .filter((label) => !known.has(label) && !ADDED_LABELS.has(label))
        .map((label) => `${name}{${label}}`)
    })

  t.test('alert rules', async (t) => {
    const document = read('docs/observability.md')
    t.ok(rules().length >= 10)
    for (const { alert, expr, labels: own, annotations = {} } of rules()) {
      t.ok(selectorsOf(expr).length > 0, `${alert} asks for something`)
      t.strictSame(missing(expr), [], `${alert} asks for what there is`)
      t.match(own?.severity, /^(critical|warning|info)$/, `${alert} says how bad it is`)
      t.ok(annotations.summary && annotations.description, `${alert} says what is wrong`)
      t.match(annotations.runbook_url, new RegExp(`/docs/observability\\.md#${alert.toLowerCase()}$`))
      t.match(document, new RegExp(`^### ${alert}\n.{40}`, 'm'), `${alert} has its section`)
    }
    const sections = [...document.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
    t.strictSame(
      sections.sort(),
      rules()
        .map(({ alert }) => alert)
        .sort(),
      'and no other has one'
    )
    const tested = parse(read('deploy/prometheus/alerts.test.yml')).tests.map(
      ({ name }: { name: string }) => name
    )
    for (const { alert } of rules()) t.ok(tested.includes(alert), `${alert} has its test`)
  })

  t.test('dashboard', async (t) => {
    const { panels } = dashboard()
    for (const { title, type, targets = [], datasource } of panels) {
      if (type === 'row') continue
      t.ok(targets.length > 0, `${title} shows something`)
      t.match(datasource?.uid, /^\$\{datasource\}$/, `${title} asks the chosen data source`)
      for (const { expr } of targets) t.strictSame(missing(expr), [], `${title}: ${expr}`)
    }
    t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'ids are unique')
    const overlapping = panels.filter(({ gridPos: a, id }) =>
      panels.some(
        ({ gridPos: b, id: other }) =>
          other > id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
      )
    )
    t.strictSame(
      overlapping.map(({ title }) => title),
      [],
      'no panel lies on another'
    )
  })

  t.test('documentation', async (t) => {
    const rows = read('docs/observability.md').matchAll(/^\| `([a-z_]+)` \| (.*?) \|/gm)
    const documented = new Map([...rows].map(([, name, of]) => [name, [...(of ?? '').matchAll(/`(\w+)`/g)]]))
    const own = [...types.keys()].filter((name) => !/^(process|nodejs)_/.test(name))
    t.strictSame([...documented.keys()].filter((name) => /_/.test(name ?? '')).sort(), own.sort())
    for (const name of own) {
      const shown = labels.get(name) ?? labels.get(`${name}_count`) ?? new Set()
      const told = (documented.get(name) ?? []).map(([, label]) => label as string)
      if (shown.size > 0) t.strictSame(told.sort(), [...shown].sort(), name)
    }
  })
})
