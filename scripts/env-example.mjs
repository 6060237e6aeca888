// Writes .env.example from the settings' schema. `npm run env-example` builds first.
import { writeFileSync } from 'node:fs'
import { envExample } from '../dist/src/env-example.js'

writeFileSync(new URL('../.env.example', import.meta.url), envExample())
