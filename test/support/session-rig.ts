import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { COOKIE, type Gateway, type GatewayOptions, startGateway, USER } from './gateway.ts'

/** Waits for something, with patience for a slow machine. */
export const until = async (what: string, condition: () => boolean | Promise<boolean>) => {
  for (let n = 0; !(await condition()); n++) {
    if (n === 2000) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export interface UpstreamShown {
  name: string
  state: string
  until?: string
  action?: string
}

export interface SessionRig extends Gateway {
  file: string
  /** A person has been in the browser: Bing accepts this cookie. `save` puts it into the file. */
  accept(value: string): void
  save(value: string): void
  start(): ReturnType<Gateway['post']>
  image(query?: string, headers?: Record<string, string>): ReturnType<Gateway['post']>
  video(query?: string, headers?: Record<string, string>): ReturnType<Gateway['post']>
  /** All that the upstream was asked so far. */
  asked(): number
  states(): Promise<Record<string, string>>
  circuit(name: string): string | undefined
}

/** A gateway whose cookie is in a file. */
export async function sessionRig(t: Test, options: GatewayOptions = {}): Promise<SessionRig> {
  const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-session-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'cookie.txt')
  writeFileSync(file, COOKIE)
  const gateway = await startGateway(t, {
    ...options,
    config: { BING_COOKIE_U: undefined, BING_COOKIE_FILE: file, CHAT_WARM_SOCKETS: 0, ...options.config }
  })
  const { sim, app } = gateway
  return {
    ...gateway,
    file,
    accept: (value) => sim.cookies.accept(value),
    save: (value) => writeFileSync(file, value),
    start: () => gateway.post('/create_conversation', { userId: USER }),
    image: (query = 'a fox', headers = {}) => gateway.post('/create/image', { query }, headers),
    video: (query = 'waves', headers = {}) => gateway.post('/create/video', { query }, headers),
    asked: () => sim.requests.length,
    async states() {
      const { upstreams } = (await gateway.get('/health')).json.data as { upstreams: UpstreamShown[] }
      return Object.fromEntries(upstreams.map(({ name, state }) => [name, state]))
    },
    circuit: (name) => app.upstream.circuits.find((circuit) => circuit.name === name)?.state
  }
}
