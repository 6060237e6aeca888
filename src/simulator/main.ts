#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { startSimulator } from './index.ts'

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '7870' },
    cookie: { type: 'string', multiple: true, default: ['simulated-cookie'] },
    token: { type: 'string', multiple: true, default: ['simulated-token'] },
    help: { type: 'boolean', short: 'h', default: false }
  }
})

if (values.help) {
  console.log('Usage: main [--host 127.0.0.1] [--port 7870] [--cookie VALUE]... [--token VALUE]...')
  process.exit(0)
}

/** One that a person can watch; tests use the faster defaults. */
const PACE = { thinkMs: 300, updateDelayMs: 40 }

const simulator = await startSimulator({
  host: values.host,
  port: Number(values.port),
  cookies: values.cookie,
  copilotTokens: values.token,
  behave: { turn: PACE, 'copilot.turn': PACE }
})

console.log(
  `Simulator at ${simulator.url}, chat hub at ${simulator.chatUrl}. State: GET ${simulator.url}/__simulator`
)
console.log('A gateway uses it with these settings:')
console.log(`BING_URL=${simulator.url}`)
console.log(`BING_CHAT_URL=${simulator.chatUrl}`)
console.log(`BING_MEDIA_URL=${simulator.url}`)
console.log(`BING_COOKIE_U=${values.cookie[0]}`)
console.log('and, to chat over Copilot, with these as well:')
console.log('CHAT_UPSTREAM=copilot')
console.log(`COPILOT_URL=${simulator.copilotUrl}`)
console.log(`COPILOT_ACCESS_TOKEN=${values.token[0]}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void simulator.close())
}
