import { setMaxListeners } from 'node:events'
import { type PartialBehaviours, startSimulator } from '../../src/simulator/index.ts'

// A process of its own, so that its work delays nothing in the gateway's.
setMaxListeners(0)
const simulator = await startSimulator({ behave: JSON.parse(process.argv[2] ?? '{}') as PartialBehaviours })
console.log(`Listening at ${simulator.url}`)
