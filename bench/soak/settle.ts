/** After the load: everything comes to its end, and is counted. */
import type { Simulator } from '../../src/simulator/index.ts'
import type { Promised } from './creations.ts'
import type { Soak } from './soak.ts'

/** Faults of a submit after which nobody knows whether it arrived, or that it must not be sent again for other reasons. */
const NOT_AGAIN = new Set([
  ...['reset', 'stall', 'half-answer', 'truncated', 'lost'],
  ...['status-500', 'status-502', 'status-503', 'status-504', 'gone']
])

export interface EndedTask {
  id: string
  kind: 'image' | 'video'
  prompt: string
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  images?: string[]
  video: string | null
  errorDetail?: { type: string; code: string | null }
}

/** Every task of every user, as the gateway lists them. */
export async function allTasks({ client, users, limits }: Soak): Promise<EndedTask[]> {
  const tasks: EndedTask[] = []
  for (const { headers } of users) {
    for (let cursor = ''; ; ) {
      const path = `/tasks?limit=100${cursor}`
      const { status, json } = await client.call({ path, route: '/tasks', headers, withinMs: limits.readMs })
      if (status !== 200) throw new Error(`the tasks could not be listed: ${status}`)
      tasks.push(...json.data.tasks)
      if (json.data.nextCursor === null) break
      cursor = `&cursor=${encodeURIComponent(json.data.nextCursor)}`
    }
  }
  return tasks
}

/** Holds what became of the creations against what was promised, and what the upstream has seen of them. */
export function checkTasks(
  { promised, findings, explanations, stats }: Soak,
  tasks: readonly EndedTask[]
): void {
  const byId = new Map(tasks.map((task) => [task.id, task]))
  for (const one of promised.values()) {
    const task = byId.get(one.taskId)
    if (task === undefined || task.prompt !== one.prompt) findings.note('lost', { ...one, task })
    else if (one.cancelled && task.status !== 'cancelled')
      findings.note('lost', { what: 'cancelled, and then not', ...one, task })
  }
  for (const task of tasks) {
    const { kind, prompt, status, images = [], video, errorDetail } = task
    stats.add(`${kind}s: ${status}`)
    const hasResult = kind === 'image' ? images.length > 0 : video !== null
    if (status === 'processing' || (status === 'completed' && !hasResult)) findings.note('lost', { ...task })
    if (status !== 'failed') continue
    stats.add(`${kind}s: failed with ${errorDetail?.code}`)
    const faults = explanations.faultsOn(prompt)
    if (!explanations.isExplained(errorDetail?.code ?? null, [prompt]))
      findings.note('unexplained', { ...task, faults })
  }
}

/** Nothing was taken twice, and nothing was sent again that must not be. */
export function checkSubmits({ findings }: Soak, sim: Simulator): void {
  const { counts } = sim
  const struck = new Map<string, string[]>()
  for (const { op, fault, about } of sim.faults)
    if (op === 'submit' || op === 'videoSubmit') struck.set(about, [...(struck.get(about) ?? []), fault])
  for (const [name, n] of Object.entries(counts))
    if (name.startsWith('submit:') && n > 1) findings.note('twice', { prompt: name.slice(7), taken: n })
  for (const [prompt, faults] of struck) {
    const received = counts[`received:${prompt}`] ?? 0
    const at = faults.findIndex((fault) => NOT_AGAIN.has(fault))
    // A good submit ends it, so whatever came after the fault came although it must not.
    if (at >= 0 && (at < faults.length - 1 || received > faults.length))
      findings.note('twice', { prompt, faults, received })
  }
}

/** Each ended creation with a webhookUrl was told of, rightly. */
export function checkWebhooks(
  { findings }: Soak,
  tasks: readonly EndedTask[],
  promised: Iterable<Promised>,
  told: ReadonlyMap<string, string>
): void {
  const byId = new Map(tasks.map((task) => [task.id, task]))
  for (const { taskId, webhook, prompt } of promised) {
    const status = byId.get(taskId)?.status
    if (webhook && told.get(taskId) !== `task.${status}`)
      findings.note('webhooks', { prompt, taskId, status, told: told.get(taskId) })
  }
}
