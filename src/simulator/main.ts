#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { startSimulator } from './index.ts'

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '7870' },
    cookie: { type: 'string', multiple: true, default: ['simulated-cookie'] },
    help: { type: 'boolean', short: 'h', default: false }
  }
})

if (values.help) {
  console.log('Usage: main [--host 127.0.0.1] [--port 7870] [--cookie VALUE]...')
  process.exit(0)
}

const simulator = await startSimulator({
  host: values.host,
  port: Number(values.port),
  cookies: values.cookie,
  // A pace that a person can watch; tests use the faster defaults.
  behave: { turn: { thinkMs: 300, updateDelayMs: 40 } }
})

console.log(
  `Simulator at ${simulator.url}, chat hub at ${simulator.chatUrl}. State: GET ${simulator.url}/__simulator`
)
console.log('A gateway uses it with these settings:')
console.log(`BING_URL=${simulator.url}`)
console.log(`BING_CHAT_URL=${simulator.chatUrl}`)
console.log(`BING_MEDIA_URL=${simulator.url}`)
console.log(`BING_COOKIE_U=${values.cookie[0]}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void simulator.close())
}
