import type { Socket } from 'node:net'
import type { HttpFaults } from './behaviour.ts'
import type { Frame, Upgrade } from './frame.ts'

const REASONS: Record<number, string> = {
  200: 'OK',
  302: 'Found',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'Too Many Requests',
  502: 'Bad Gateway'
}

/** Answers an upgrade request with plain HTTP, so that there will be no WebSocket, and closes. */
export function answerHttp(
  { socket }: Upgrade,
  status: number,
  body = '',
  headers: Record<string, string> = {}
): void {
  const lines = Object.entries({
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
    ...headers
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}\r\n${lines.join('')}\r\n${body}`)
}

/**
 * Plays the generic faults of an upgrade.
 * @returns `true` when there will be no WebSocket
 */
export async function playUpgradeFaults(
  frame: Frame,
  upgrade: Upgrade,
  faults: HttpFaults
): Promise<boolean> {
  if (faults.delayMs) await frame.delay(faults.delayMs)
  if (faults.reset) (upgrade.socket as Socket).resetAndDestroy()
  else if (faults.raw !== undefined) upgrade.socket.end(faults.raw)
  else if (faults.stall === 'during') upgrade.socket.write('HTTP/1.1 101 Switching Prot')
  else if (faults.redirect !== undefined) {
    answerHttp(upgrade, faults.status ?? 302, faults.body, { location: faults.redirect, ...faults.headers })
  } else if (faults.status !== undefined || faults.body !== undefined) {
    answerHttp(upgrade, faults.status ?? 200, faults.body, faults.headers)
  } else return faults.stall === 'before'
  return true
}
