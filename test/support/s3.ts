import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from 's3rver'
import type { Test } from 'tap'

/** The key that the server knows. It doesn't check what is signed with it. */
export const S3_KEY = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

/** An S3-speaking server with a bucket `media`, over files in a folder of its own. Ends with the test. */
export async function startS3(t: Test): Promise<{ port: number; url: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'bing-gateway-s3-'))
  const server = new S3rver({
    port: 0,
    address: '127.0.0.1',
    silent: true,
    directory,
    configureBuckets: [{ name: 'media', configs: [] }]
  })
  const { port } = await server.run()
  t.teardown(async () => {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { port, url: `http://127.0.0.1:${port}` }
}

export interface Wire {
  url: string
  /** Connections that are open now. */
  readonly open: number
  /** Cuts each connection after this many bytes of answers. */
  cutAfter(bytes: number): void
}

/** A connection to a server that can be cut. */
export async function startWire(t: Test, port: number): Promise<Wire> {
  let limit = Number.POSITIVE_INFINITY
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    let passed = 0
    sockets.add(near)
    near.once('close', () => {
      sockets.delete(near)
      far.destroy()
    })
    far.once('close', () => near.destroy())
    near.on('error', () => {})
    far.on('error', () => {})
    far.on('data', (chunk) => {
      passed += chunk.length
      if (passed > limit) near.destroy()
    })
    near.pipe(far)
    far.pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get open() {
      return sockets.size
    },
    cutAfter(bytes) {
      limit = bytes
    }
  }
}
