import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

const ROOT = join(import.meta.dirname, '..', '..')

export interface GatewayProcess {
  child: ChildProcess
  url: string
  /** Everything written to stdout and stderr so far. */
  output(): string
  /** Ends it with a signal and resolves with its exit code (null after SIGKILL). */
  end(signal: NodeJS.Signals): Promise<number | null>
}

export interface StartedProcess {
  child: ChildProcess
  output(): string
  exited: Promise<number | null>
}

/**
 * Runs the built command line. `npm ci` builds it; a tree without it can't prove anything.
 * @param within a command that gets the real one as its arguments
 */
export function runCli(
  t: Test,
  args: string[],
  env: Record<string, string>,
  within: readonly string[] = []
): StartedProcess {
  const cli = join(ROOT, 'dist', 'bin', 'bing-gateway.js')
  if (!existsSync(cli)) throw new Error('dist/ is missing: run "npm run build" first')
  const [command, ...rest] = [...within, process.execPath, cli, ...args] as [string, ...string[]]
  const child = spawn(command, rest, {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe']
  })
  let output = ''
  child.stdout?.on('data', (chunk) => (output += chunk))
  child.stderr?.on('data', (chunk) => (output += chunk))
  const exited = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  t.teardown(() => child.kill('SIGKILL'))
  return { child, output: () => output, exited }
}

/** Starts the service as a process of its own and waits for the line that says that it listens. */
export async function startProcess(
  t: Test,
  env: Record<string, string>,
  within?: readonly string[]
): Promise<GatewayProcess> {
  const { child, output, exited } = runCli(
    t,
    ['serve'],
    {
      HOST: '127.0.0.1',
      PORT: '0',
      // Tests of limits set their own.
      DEFAULT_LIMITS: '',
      ...env
    },
    within
  )
  const url = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const match = /"msg":"Server listening at (http:[^"]+)"/.exec(output())
      if (match === null) return
      // A gateway that is asked much logs much: nobody looks through all of it again for each piece.
      child.stdout?.off('data', look)
      resolve(match[1] as string)
    }
    child.stdout?.on('data', look)
    exited.then((code) => reject(new Error(`the gateway ended with ${code}: ${output()}`)))
  })
  return {
    child,
    url,
    output,
    end(signal) {
      child.kill(signal)
      return exited
    }
  }
}
