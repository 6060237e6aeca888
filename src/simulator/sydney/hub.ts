import { type WebSocket, WebSocketServer } from 'ws'
import type { Frame } from '../frame.ts'
import { answerHttp, playUpgradeFaults } from '../upgrade.ts'
import type { Conversations } from './conversations.ts'
import { type HubCounts, serveSocket } from './socket.ts'

const PATH = '/sydney/ChatHub'

/** Largest message of a client. */
const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024

/** What is wrong with the token, as a violation; docs/protocol/chat-sydney.md sections 2.2 and 9. */
function faultOfToken(token: string | null, conversations: Conversations): [string, string] | undefined {
  if (token === null) {
    if (conversations.someWithoutToken()) return undefined
    return [
      'token-missing',
      'The hub was opened without sec_access_token, which every conversation was given.'
    ]
  }
  if (conversations.byToken(token) !== undefined) return undefined
  return ['token-unknown', 'sec_access_token was never given out (or was not percent-encoded).']
}

/** Adds the WebSocket hub. */
export function registerHub(frame: Frame, conversations: Conversations): void {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_PAYLOAD_BYTES,
    // A hub that has given a socket up answers no pings either.
    autoPong: false
  })
  const counts: HubCounts = { turns: 0, idle: 0 }
  for (const name of [
    'sydney.upgrade',
    'sydney.upgrade.refused',
    'sydney.questions',
    'sydney.refused',
    'sydney.completed',
    'sydney.failed',
    'sydney.aborted',
    'sydney.pings',
    'sydney.probes',
    'sydney.given-up'
  ]) {
    frame.count(name, 0)
  }
  frame.gauge('sydney.sockets', () => server.clients.size)
  frame.gauge('sydney.sockets.idle', () => counts.idle)
  frame.gauge('sydney.turns', () => counts.turns)
  frame.closing.addEventListener('abort', () => {
    for (const client of server.clients) client.terminate()
  })

  frame.handle(
    (url) => url.pathname === PATH,
    ({ res }) => {
      frame.violate('chat', 'not-an-upgrade', 'The hub was called without a WebSocket upgrade.')
      res.writeHead(400).end()
    }
  )

  frame.handleUpgrade(
    (url) => url.pathname === PATH,
    async (upgrade) => {
      frame.count('sydney.upgrade')
      const behaviour = frame.take('upgrade')
      if (await playUpgradeFaults(frame, upgrade, behaviour)) {
        frame.count('sydney.upgrade.refused')
        return
      }
      const { url, cookies, req, socket, head } = upgrade
      const token = url.searchParams.get('sec_access_token')
      const fault = faultOfToken(token, conversations)
      const deadCookie = cookies._U !== undefined && !frame.isSignedIn(cookies)
      if (fault !== undefined || deadCookie) {
        if (fault !== undefined) frame.violate('chat', ...fault)
        frame.count('sydney.upgrade.refused')
        return answerHttp(upgrade, 200)
      }
      server.handleUpgrade(req, socket, head, (client: WebSocket) => {
        serveSocket({ frame, conversations, client, token, behaviour, counts })
      })
    }
  )
}
