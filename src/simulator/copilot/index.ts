import type { Frame } from '../frame.ts'
import { registerChat } from './chat.ts'
import { registerPages } from './pages.ts'
import { registerStart } from './start.ts'
import { createWorld } from './world.ts'

/**
 * Plays the consumer chat of copilot.microsoft.com; docs/protocol/chat-copilot.md.
 *
 * Operations: `copilot.home`, `copilot.start`, `copilot.conversations`, `copilot.history`, `copilot.user`, `copilot.config`, `copilot.upgrade`,
 * `copilot.turn`, `copilot.picture`, `copilot.pace`. Their fields: behaviour.ts.
 *
 * Counters: `copilot.home`, `copilot.start` (calls) and `copilot.start.refused`, `copilot.conversations` and `copilot.conversations.refused`,
 * `copilot.create` (conversations given out by either), `copilot.history`, `copilot.user`, `copilot.config`, `copilot.upgrade` and
 * `copilot.upgrade.refused`, `copilot.questions` (`send` events), `copilot.refused` (those answered with an error at once), `copilot.completed`
 * (`done` was sent), `copilot.failed`, `copilot.aborted` (the client closed the socket in the middle of a turn), `copilot.challenges`,
 * `copilot.early` (client events before `connected`), `copilot.pings`, `copilot.probes` (WebSocket pings), `copilot.given-up`,
 * `copilot.pace.exceeded`, `copilot.picture`, `asked:<prompt>`.
 *
 * Gauges: `copilot.sockets`, `copilot.sockets.idle`, `copilot.turns` (running now), `copilot.turns.peak` (most at once since the last reset).
 *
 * Signed in is who shows an accepted `accessToken` (or `Authorization: Bearer`), or an accepted value in a cookie of any name but `_U`;
 * `_C_Auth` with another value is a dead session (401). `__Host-copilot-anon` from a start answer makes an anonymous session.
 */
export function registerCopilot(frame: Frame): void {
  const world = createWorld(frame)
  registerStart(world)
  registerPages(world)
  registerChat(world)
}
