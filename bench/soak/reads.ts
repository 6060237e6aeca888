/** Whoever only looks: lists, copies of pictures, health, metrics. */
import type { Soak } from './soak.ts'

const PAGE = 20

/** Looks through somebody's things, over and over. */
export async function browse(soak: Soak): Promise<void> {
  const { client, findings, limits, stats, users, random } = soak
  while (!soak.isOver()) {
    await soak.rest(500 + random() * 1500)
    const { id, headers } = users[Math.floor(random() * users.length)] as (typeof users)[number]
    const call = (path: string, route: string) =>
      client.call({ path, route, headers, withinMs: limits.readMs })

    const conversations = await call(`/conversations?limit=${PAGE}`, '/conversations')
    if (conversations.status !== 200 && conversations.status !== 0)
      findings.note('unexplained', { what: 'GET /conversations', status: conversations.status })

    const tasks = await call(`/tasks?limit=${PAGE}`, '/tasks')
    if (tasks.status !== 200) {
      if (tasks.status !== 0) findings.note('unexplained', { what: 'GET /tasks', status: tasks.status })
      continue
    }
    const listed: { prompt: string; media?: { url: string }[] }[] = tasks.json.data.tasks
    const stranger = listed.find(({ prompt }) => {
      const known = soak.promised.get(prompt)
      return known !== undefined && known.user.id !== id
    })
    if (stranger !== undefined) findings.note('mixed', { what: `a task in the list of ${id}`, stranger })

    const media = listed.flatMap(({ media = [] }) => media)
    const one = media[Math.floor(random() * media.length)]
    if (one === undefined) continue
    const { pathname, search } = new URL(one.url)
    // The signature of the address is the credential.
    const file = await client.call({ path: pathname + search, route: '/media/:id', withinMs: limits.readMs })
    if (file.status === 200) stats.add('copies fetched')
    else if (file.status !== 0)
      findings.note('unexplained', { what: 'GET /media', status: file.status, got: file.json })
  }
}

/** What a load balancer and a browser ask. */
export async function probe(soak: Soak): Promise<void> {
  const { client, findings, limits } = soak
  while (!soak.isOver()) {
    for (const path of ['/health', '/livez', '/readyz', '/options', '/']) {
      const reply = await client.call({ path, withinMs: limits.readMs })
      if (reply.status !== 200 && reply.status !== 0)
        findings.note('unexplained', { what: path, status: reply.status })
    }
    await soak.rest(1000)
  }
}
