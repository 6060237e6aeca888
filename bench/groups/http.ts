import { setTimeout as pause } from 'node:timers/promises'
import autocannon from 'autocannon'
import type { Group, Line } from '../lines.ts'
import { cpuMsOf, startGatewayPeer, startOwnPeer, startSimulatorPeer } from '../processes.ts'
import { median } from '../stats.ts'

const CONNECTIONS = 10
/** Requests on the way per connection: the load generator would be the slower side without it. */
const PIPELINING = 10

interface Side {
  name: 'gateway' | 'bare' | 'express'
  url: string
  pid: number
  headers: Record<string, string>
}

interface Load {
  rps: number
  /** The part of a processor that the server used meanwhile. NaN where that can't be told. */
  busy: number
}

async function load(side: Side, path: string, seconds: number): Promise<Load> {
  const cpu = cpuMsOf(side.pid)
  const result = await autocannon({
    url: side.url + path,
    headers: side.headers,
    connections: CONNECTIONS,
    pipelining: PIPELINING,
    duration: seconds,
    sampleInt: 100
  })
  const { errors, timeouts, non2xx } = result
  if (errors + timeouts + non2xx > 0)
    throw new Error(`${side.name}${path}: ${errors} errors, ${timeouts} timeouts, ${non2xx} bad answers`)
  return {
    rps: result['2xx'] / result.duration,
    busy: (cpuMsOf(side.pid) - cpu) / 1000 / result.duration
  }
}

/**
 * Requests per second of processor time. Where the server keeps its processor busy, as it does on a machine of its own, it is
 * requests per second; where neighbours or the load generator take time from it, it still says what a request costs.
 */
const perProcessorSecond = ({ rps, busy }: Load) => (Number.isNaN(busy) ? rps : rps / busy)

/** Short rounds, all sides in each, in turning order; the median over the rounds of each round's ratio. */
async function compare(sides: readonly Side[], path: string, rounds: number, seconds: number) {
  for (const side of sides) await load(side, path, seconds)
  const measured = new Map(sides.map(({ name }) => [name, [] as Load[]]))
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < sides.length; n++) {
      const side = sides[(round + n) % sides.length] as Side
      measured.get(side.name)?.push(await load(side, path, seconds))
    }
  }
  const of = (name: Side['name']) => measured.get(name) ?? []
  return {
    ratio: (one: Side['name'], other: Side['name']) =>
      median(of(one).map((load, n) => perProcessorSecond(load) / perProcessorSecond(of(other)[n] as Load))),
    note: sides
      .map(({ name }) => {
        const rps = median(of(name).map((one) => one.rps))
        const busy = median(of(name).map((one) => one.busy))
        return `${name} ${rps.toFixed(0)}/s (${(busy * 100).toFixed(0)} % of a processor)`
      })
      .join(', ')
  }
}

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const rounds = quick ? 1 : 7
  const seconds = quick ? 0.2 : 0.8
  // One creation that is never ready, one that is after its first poll.
  const simulator = await startSimulatorPeer({ videoPoll: { neverReady: true }, media: { plain: true } })
  const gateway = await startGatewayPeer({ upstream: simulator.url, env: { POLL_INTERVAL_MS: '100' } })
  const headers = { authorization: `Bearer ${gateway.key}` }
  const call = async (path: string, body?: object) => {
    const answer = await fetch(gateway.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body)
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${text}`)
    return JSON.parse(text).data
  }
  const processing = (await call('/create/video', { query: 'a bench that is never ready' })).taskId
  const completed = (await call('/create/image', { query: 'a bench by the sea' })).taskId
  // From here on nothing is polled while requests are counted.
  await gateway.stop()
  const again = await startGatewayPeer({
    upstream: simulator.url,
    dataDir: gateway.dataDir,
    env: { POLL_INTERVAL_MS: '3600000' }
  })
  gateway.url = again.url
  await pause(500)
  const answers = {
    [processing]: await call(`/task/${processing}`),
    [completed]: await call(`/task/${completed}`)
  }
  const bare = await startOwnPeer('bare-fastify', [JSON.stringify(answers)])
  const express = await startOwnPeer('express')
  const sides: Record<Side['name'], Side> = {
    gateway: { name: 'gateway', url: again.url, pid: again.pid, headers },
    bare: { name: 'bare', url: bare.url, pid: bare.pid, headers },
    express: { name: 'express', url: express.url, pid: express.pid, headers }
  }

  progress('GET /options')
  const options = await compare([sides.gateway, sides.bare, sides.express], '/options', rounds, seconds)
  const lines: Line[] = [
    {
      what: 'GET /options, requests per processor second against bare Fastify',
      value: options.ratio('gateway', 'bare'),
      unit: '×',
      target: { atLeast: 0.75 },
      note: options.note
    },
    {
      what: 'GET /options, requests per processor second against Express 4 with the same work',
      value: options.ratio('gateway', 'express'),
      unit: '×',
      target: { atLeast: 3 }
    }
  ]
  for (const [state, id] of [
    ['processing', processing],
    ['completed', completed]
  ]) {
    progress(`GET /task/:id, ${state}`)
    const task = await compare([sides.gateway, sides.bare], `/task/${id}`, rounds, seconds)
    lines.push({
      what: `GET /task/:id (${state}), requests per processor second against bare Fastify`,
      value: task.ratio('gateway', 'bare'),
      unit: '×',
      target: { atLeast: 0.4 },
      note: task.note
    })
  }
  await Promise.all([again.stop(), bare.stop(), express.stop(), simulator.stop()])
  return lines
}

export const http: Group = {
  name: 'http',
  about:
    'auth by key, request ids, metrics, security headers, log to a file, SQLite on disk; bare Fastify has the same response schemas and nothing else',
  run
}
