import { startSlowLink } from '../../test/support/slow-link.ts'

// A process of its own, so that its timers wait for nothing.
const [, , port, oneWayMs] = process.argv
const link = await startSlowLink({
  target: { host: '127.0.0.1', port: Number(port) },
  oneWayMs: Number(oneWayMs)
})
console.log(`Listening at http://127.0.0.1:${link.port}`)
