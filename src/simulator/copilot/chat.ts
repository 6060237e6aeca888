import type { IncomingMessage } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Upgrade } from '../frame.ts'
import { answerHttp, playUpgradeFaults } from '../upgrade.ts'
import type { CopilotUpgradeBehaviour, Refusal } from './behaviour.ts'
import type { Fault } from './client-events.ts'
import { refuseUpgrade } from './refusals.ts'
import { faultOfCaller, type Identity } from './session.ts'
import { serveSocket } from './socket.ts'
import type { World } from './world.ts'

const PATH = '/c/api/chat'

/** Largest message of a client. */
const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** First broken rule of the query; docs/protocol/chat-copilot.md section 3. */
function faultOfQuery(query: URLSearchParams): Fault | undefined {
  if (query.get('api-version') !== '2') return ['api-version', 'The chat is opened with api-version=2.']
  if (!UUID.test(query.get('clientSessionId') ?? '')) {
    return ['client-session-id', 'clientSessionId is missing or no UUID.']
  }
  return undefined
}

/** Why there will be no WebSocket, or who is calling. */
function judge(
  { frame, sessions, pace }: World,
  { req, url, cookies }: Upgrade,
  how: CopilotUpgradeBehaviour
): Identity | Fault | { refusal: Exclude<Refusal, 'none'> } {
  const fault = faultOfCaller(frame, req, cookies)
  if (fault !== undefined) return fault
  if (pace.exceededAt('upgrade')) return { refusal: 'overloaded' }
  const query = url.searchParams
  const token = query.get('accessToken') ?? undefined
  const identity = sessions.identify(cookies, token)
  const wrongType = how.identityType !== undefined && query.get('X-UserIdentityType') !== how.identityType
  if (
    identity === 'dead' ||
    identity === 'nobody' ||
    wrongType ||
    (how.requireToken && token === undefined)
  ) {
    return { refusal: 'unauthorized' }
  }
  return identity
}

/** Adds the chat's WebSocket. */
export function registerChat(world: World): void {
  const { frame } = world
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_PAYLOAD_BYTES,
    // A socket that was given up answers no pings either.
    autoPong: false
  })
  const idle = { sockets: 0 }
  const newCookies = new WeakMap<IncomingMessage, string>()
  server.on('headers', (headers, req) => {
    const line = newCookies.get(req)
    if (line !== undefined) headers.push(`set-cookie: ${line}`)
  })
  const names =
    'upgrade upgrade.refused questions refused completed failed aborted challenges early pings probes given-up'
  for (const name of names.split(' ')) frame.count(`copilot.${name}`, 0)
  frame.gauge('copilot.sockets', () => server.clients.size)
  frame.gauge('copilot.sockets.idle', () => idle.sockets)
  frame.closing.addEventListener('abort', () => {
    for (const client of server.clients) client.terminate()
  })

  frame.handle(
    (url) => url.pathname === PATH,
    ({ res }) => {
      frame.violate('copilot', 'not-an-upgrade', 'The chat was called without a WebSocket upgrade.')
      res.writeHead(400).end()
    }
  )

  frame.handleUpgrade(
    (url) => url.pathname === PATH,
    async (upgrade) => {
      frame.count('copilot.upgrade')
      const how = frame.take('copilot.upgrade')
      const refused = () => frame.count('copilot.upgrade.refused')
      if (await playUpgradeFaults(frame, upgrade, how)) return refused()
      if (how.refusal !== 'none') {
        refused()
        return refuseUpgrade(upgrade, how.refusal)
      }
      const judged = judge(world, upgrade, how)
      if (Array.isArray(judged)) {
        frame.violate('copilot', ...judged)
        refused()
        return answerHttp(upgrade, 400, `Simulator: ${judged.join(': ')}`)
      }
      if (typeof judged === 'object') {
        refused()
        return refuseUpgrade(upgrade, judged.refusal)
      }
      const fault = faultOfQuery(upgrade.url.searchParams)
      const { req, socket, head } = upgrade
      if (how.rotate) newCookies.set(req, world.sessions.bot())
      server.handleUpgrade(req, socket, head, (client: WebSocket) => {
        serveSocket({ ...world, client, identity: judged, how, fault, idle })
      })
    }
  )
}
