import { isIPv6 } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { DRAIN_MS } from '../plugins/core/lifecycle.ts'
import { type AppDependencies, buildApp } from './app.ts'
import type { Config } from './config.ts'
import { createLogger, flushed } from './logger.ts'
import { isStoreFault } from './store/database.ts'

/** How long closing may take after the running requests have ended, or have been told to, before the process ends anyway. */
const CLOSE_MS = 5000
/** Time for the last answers to leave after the running requests have been told to end. */
const LAST_WORDS_MS = 1000

export interface RunningServer {
  app: FastifyInstance
  /** Where it listens, e.g. `http://127.0.0.1:7860`. */
  url: string
  /** Drains and closes; resolves when everything has ended. */
  stop(): Promise<void>
}

/**
 * Builds the app and listens.
 * @throws the reason why it can't: bad settings, an unusable store, an occupied port
 */
export async function startServer(config: Config, options: AppDependencies = {}): Promise<RunningServer> {
  const app = await buildApp(config, options)
  try {
    // Listening is announced by our own line, which operators and scripts wait for.
    await app.listen({
      host: config.HOST,
      port: config.PORT,
      listenTextResolver: (address) => `Server listening at ${address}`
    })
  } catch (error) {
    await app.close()
    throw error
  }
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.PORT
  const host = isIPv6(config.HOST) ? `[${config.HOST}]` : config.HOST
  return {
    app,
    url: `http://${host}:${port}`,
    async stop() {
      await app.lifecycle.drain()
      // Whoever is still connected has been told, or has not sent a whole request yet: a probe, a browser's spare connection.
      const cut = setTimeout(() => app.server.closeAllConnections(), LAST_WORDS_MS)
      await app.close().finally(() => clearTimeout(cut))
    }
  }
}

/**
 * The process: logs, listens, and ends on SIGTERM or SIGINT with status 0 once it has drained.
 * A second signal ends it at once. On SIGHUP it reads its cookies again and believes that what was wrong with the account
 * has been put right. When it can't start, it says why in one line and ends with status 1.
 *
 * @param unused names of settings that are given and do nothing in this configuration
 */
export async function serve(config: Config, unused: readonly string[] = []): Promise<void> {
  const logger = createLogger({ level: config.LOG_LEVEL, pretty: process.stdout.isTTY })
  if (unused.length > 0) logger.warn({ settings: unused }, 'settings that do nothing in this configuration')
  let server: RunningServer
  try {
    server = await startServer(config, { logger })
  } catch (error) {
    process.stderr.write(`bing-gateway cannot start: ${startProblem(error, config)}\n`)
    await flushed(logger)
    process.exit(1)
  }

  let stopping = false
  // A terminal that is closed sends it as well, and wants the end.
  const ending = process.stdout.isTTY
    ? (['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    : (['SIGTERM', 'SIGINT'] as const)
  if (!process.stdout.isTTY)
    process.on('SIGHUP', () => {
      logger.info({ signal: 'SIGHUP' }, 'reading the cookies again')
      server.app.upstream.reload()
    })
  for (const signal of ending) {
    process.on(signal, () => {
      if (stopping) process.exit(1)
      stopping = true
      logger.info({ signal }, 'stopping')
      server
        .stop()
        .catch((error) => logger.error({ err: error }, 'stopping failed'))
        .finally(async () => {
          logger.info('stopped')
          await flushed(logger)
          process.exit(0)
        })
      // Running requests get their time first, submits under way get theirs after that.
      setTimeout(() => process.exit(0), 2 * DRAIN_MS + CLOSE_MS).unref()
    })
  }
}

/** Why the service can't start, in one line. */
export function startProblem(error: unknown, config: Config): string {
  const { code, message } = (error ?? {}) as { code?: string; message?: string }
  if (code === 'EADDRINUSE') return `port ${config.PORT} on ${config.HOST} is in use.`
  if (code === 'EACCES' && message?.includes('listen')) return `it may not listen on port ${config.PORT}.`
  if (isStoreFault(error) && config.DATABASE_URL !== undefined)
    return `the database that DATABASE_URL names can't be used (${code ?? message}).`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `this machine has no address ${config.HOST}.`
  if (
    code?.startsWith('SQLITE_') ||
    ['EACCES', 'EROFS', 'ENOENT', 'ENOTDIR', 'EEXIST', 'ENOSPC', 'EPERM'].includes(code ?? '')
  ) {
    return `the store in ${config.DATA_DIR} can't be used (${code}).`
  }
  return (message ?? String(error)).split('\n')[0] as string
}
