import {
  FIRST_RECORD_TIMEOUT_MS,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  OPEN_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PROBE_TIMEOUT_MS
} from './constants.ts'

/**
 * How long each stage of a socket and of a turn may take, in milliseconds. Patience is ours, so it follows the gateway's
 * clock, like the deadline of the whole call; pings are for a peer that knows no clock but the real one.
 */
export interface HubDeadlines {
  /** TCP, TLS and the upgrade together (T2, W5). */
  openMs: number
  /** Until the handshake is answered (W5). */
  handshakeMs: number
  /** From the question to the first record that is not a ping (W10). */
  firstRecordMs: number
  /** Between two records that are not pings (W10). */
  idleMs: number
  /** Between the client's own pings; real time. */
  pingEveryMs: number
  /** For a sign of life after a WebSocket ping; real time. */
  probeMs: number
}

export const HUB_DEADLINES: HubDeadlines = {
  openMs: OPEN_TIMEOUT_MS,
  handshakeMs: HANDSHAKE_TIMEOUT_MS,
  firstRecordMs: FIRST_RECORD_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  pingEveryMs: PING_INTERVAL_MS,
  probeMs: PROBE_TIMEOUT_MS
}
