import { setMaxListeners } from 'node:events'
import { startSimulator } from '../src/simulator/index.ts'

/** Not ready, whichever creation is asked for: the tasks of a bench were never submitted. */
const PENDING = JSON.stringify({ errorMessage: 'Pending', showContent: '' })
const pending = { body: PENDING, headers: { 'content-type': 'application/json; charset=utf-8' } }

// A process of its own, so that its work delays nothing in the gateway's.
setMaxListeners(0)
const simulator = await startSimulator({ behave: { poll: pending, videoPoll: pending } })
process.send?.({ url: simulator.url, chatUrl: simulator.chatUrl })
process.once('disconnect', () => process.exit())
