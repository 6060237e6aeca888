// Writes openapi.yaml from the app with its default settings. `npm run openapi` builds first.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openApiYaml } from '../dist/plugins/core/openapi.js'
import { buildApp } from '../dist/src/app.js'

const data = mkdtempSync(join(tmpdir(), 'bing-gateway-openapi-'))
try {
  const app = await buildApp({ DATA_DIR: data, LOG_LEVEL: 'silent' })
  writeFileSync(new URL('../openapi.yaml', import.meta.url), await openApiYaml(app.swagger()))
  await app.close()
} finally {
  rmSync(data, { recursive: true, force: true })
}
