import { existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { type MediaLocation, parseMediaLocation } from '../../src/media/location.ts'
import { type MediaStorage, MediaStorageError, openMediaStorage } from '../../src/media/storage.ts'
import { S3_KEY, startS3 } from '../support/s3.ts'

const BYTES = Buffer.from('0123456789')

async function fileRig(t: Test) {
  const folder = join(t.testdir(), 'deep', 'media')
  const location = parseMediaLocation(pathToFileURL(folder).href)
  return { folder, storage: await openMediaStorage(location, { dataDir: '/nowhere' }) }
}

async function s3Rig(t: Test, { prefix = '/some/where', credentials = S3_KEY, bucket = 'media' } = {}) {
  const { url } = await startS3(t)
  const location = parseMediaLocation(`s3://${bucket}${prefix}?endpoint=${url}`)
  const storage = await openMediaStorage(location, { dataDir: '/nowhere', credentials })
  t.teardown(() => storage.close())
  return storage
}

const failure = (call: Promise<unknown>) =>
  call.then(
    () => 'no failure',
    (error: unknown) => (error instanceof MediaStorageError ? error : String(error))
  )

for (const [name, start] of [
  ['files', async (t: Test) => (await fileRig(t)).storage],
  ['S3', s3Rig],
  ['S3 without a prefix', (t: Test) => s3Rig(t, { prefix: '' })]
] as const) {
  t.test(`${name}: keeps, reads, replaces and removes`, async (t) => {
    const storage: MediaStorage = await start(t)
    await storage.check()
    const read = async (key: string, size: number, range?: { start: number; end: number }) =>
      text(await storage.open(key, size, range))

    await storage.put('task/0', BYTES, 'image/jpeg')
    t.equal(await read('task/0', 10), '0123456789')
    t.equal(await read('task/0', 10, { start: 2, end: 4 }), '234')
    t.equal(await read('task/0', 10, { start: 9, end: 9 }), '9')
    t.equal(await read('task/0', 10, { start: 0, end: 9 }), '0123456789')
    t.equal(await storage.has('task/0'), true)
    t.equal(await storage.has('task/9'), false)

    await storage.put('task/0', Buffer.from('again'), 'image/jpeg')
    t.equal(await read('task/0', 5), 'again', 'a repeat takes its place')
    for (const [key, size, code] of [
      ['task/9', 10, /ENOENT|NoSuchKey/],
      ['none/0', 10, /ENOENT|NoSuchKey/],
      ['task/0', 10, /wrong size/]
    ] as const) {
      for (const range of [undefined, { start: 1, end: 2 }]) {
        const error = (await failure(storage.open(key, size, range))) as MediaStorageError
        t.equal(error.missing, true, `${key} of ${size} bytes`)
        t.match(error.code, code)
      }
    }

    // Larger than one part of an upload in parts.
    const large = Buffer.alloc(11 * 1024 * 1024, 'x')
    await storage.put('task/1', large, 'video/mp4')
    t.equal((await read('task/1', large.length)).length, large.length)
    t.equal(await read('task/1', large.length, { start: large.length - 2, end: large.length - 1 }), 'xx')

    await storage.put('task-2/0', BYTES, 'image/png')
    await storage.remove('task/0')
    await storage.remove('task/0')
    t.equal(await storage.has('task/0'), false)
    t.equal(await storage.has('task/1'), true)
    await storage.removeFolder('task')
    await storage.removeFolder('task')
    t.equal(await storage.has('task/1'), false)
    t.equal(await storage.has('task-2/0'), true, 'a folder with a longer name stays')

    const stop = AbortSignal.abort(new Error('stop'))
    t.equal(await failure(storage.put('task/3', BYTES, 'image/png', stop)), 'Error: stop')
    t.equal(await storage.has('task/3'), false)
  })
}

t.test('files belong to their owner, and stand there whole or not at all', async (t) => {
  const { folder, storage } = await fileRig(t)
  await storage.put('task/0', BYTES, 'image/jpeg')
  t.equal(statSync(join(folder, 'task', '0')).mode & 0o777, 0o600)
  t.equal(statSync(join(folder, 'task')).mode & 0o777, 0o700)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.strictSame(readdirSync(join(folder, 'task')), ['0'], 'nothing unfinished is left')

  // A folder stands where the file should go: the last step fails.
  mkdirSync(join(folder, 'task', '1', 'x'), { recursive: true })
  const error = (await failure(storage.put('task/1', BYTES, 'image/jpeg'))) as MediaStorageError
  t.match(error.message, /could not write \((EISDIR|ENOTEMPTY|EEXIST|EPERM)\)/)
  t.strictSame(readdirSync(join(folder, 'task')).sort(), ['0', '1'], 'nothing unfinished is left of it')

  truncateSync(join(folder, 'task', '0'), 4)
  t.match(await failure(storage.open('task/0', 10)), { missing: true }, 'cut off later')
})

t.test('a folder that could not be made once is tried again', async (t) => {
  const dir = t.testdir({ media: 'a file stands in its place' })
  const storage = await openMediaStorage(undefined, { dataDir: dir })
  t.match(await failure(storage.check()), { code: /EEXIST|ENOTDIR/, missing: false })
  t.match(await failure(storage.put('task/0', BYTES, 'image/jpeg')), { code: /EEXIST|ENOTDIR/ })
  rmSync(join(dir, 'media'))
  await storage.put('task/0', BYTES, 'image/jpeg')
  t.ok(existsSync(join(dir, 'media', 'task', '0')), 'by default in DATA_DIR')
})

t.test('S3 that refuses or is away', async (t) => {
  const stranger = await s3Rig(t, { credentials: { ...S3_KEY, accessKeyId: 'canary-stranger' } })
  for (const call of [
    () => stranger.check(),
    () => stranger.put('task/0', BYTES, 'image/jpeg'),
    () => stranger.open('task/0', 10)
  ]) {
    const error = (await failure(call())) as MediaStorageError
    t.match(error, { code: 'InvalidAccessKeyId', missing: false })
    t.notMatch(`${error.stack} ${JSON.stringify(error)}`, /canary|127\.0\.0\.1|task\/0/, 'and says no more')
  }
  const elsewhere = await s3Rig(t, { bucket: 'another' })
  t.match(await failure(elsewhere.check()), { code: 'NoSuchBucket', missing: false })
  t.match(await failure(elsewhere.open('task/0', 10)), { code: 'NoSuchBucket', missing: false })
  const nobody = await openMediaStorage(parseMediaLocation('s3://media?endpoint=http://127.0.0.1:1'), {
    dataDir: '/nowhere',
    credentials: S3_KEY
  })
  t.match(await failure(nobody.check()), { code: 'ECONNREFUSED', missing: false })
})

t.test('MEDIA_STORAGE', async (t) => {
  const s3 = (more: object) => ({ kind: 's3', bucket: 'b-1.x', prefix: '', region: 'us-east-1', ...more })
  const aws = { endpoint: undefined, forcePathStyle: false }
  const cases: [string, unknown][] = [
    ['file:///srv/media', { kind: 'file', folder: '/srv/media' }],
    ['file:///srv/my%20media/', { kind: 'file', folder: '/srv/my media/' }],
    ['s3://b-1.x', s3(aws)],
    ['s3://b-1.x/', s3(aws)],
    ['s3://b-1.x/a/b/?region=eu-west-1', s3({ ...aws, prefix: 'a/b', region: 'eu-west-1' })],
    [
      's3://b-1.x/a%20b?endpoint=http://minio:9000',
      s3({ prefix: 'a b', endpoint: 'http://minio:9000', forcePathStyle: true })
    ],
    [
      's3://b-1.x?endpoint=https%3A%2F%2Fs3.test&forcePathStyle=false',
      s3({ endpoint: 'https://s3.test', forcePathStyle: false })
    ],
    ['s3://b-1.x?forcePathStyle=true', s3({ forcePathStyle: true, endpoint: undefined })]
  ]
  for (const [setting, want] of cases)
    t.strictSame(parseMediaLocation(setting) as MediaLocation | undefined, want, setting)
  for (const setting of [
    '',
    '/srv/media',
    'file:///',
    'file://host/srv',
    'file:///srv?x=1',
    'file:///a%2Fb',
    's3://',
    's3://b',
    's3:///prefix',
    's3://bucket/%zz',
    's3://bucket#x',
    's3://key:secret@bucket',
    's3://bucket?accessKeyId=x',
    's3://bucket?forcePathStyle=yes',
    's3://bucket?endpoint=minio:9000',
    's3://bucket?endpoint=http://a:b@minio',
    'https://bucket.s3.amazonaws.com'
  ]) {
    t.equal(parseMediaLocation(setting), undefined, setting)
  }
})

t.test('settings of the storage are checked with the others', async (t) => {
  const location = 's3://media/copies?endpoint=https://s3.test'
  const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'canary' }
  t.match(loadConfig({ MEDIA_STORAGE: location, ...keys }), { MEDIA_STORAGE: location, ...keys })
  t.equal(loadConfig({ MEDIA_STORAGE: location }).AWS_ACCESS_KEY_ID, undefined, 'the machine may have a role')
  for (const [env, problem] of [
    [{ MEDIA_STORAGE: 's3://key:canary@media' }, /MEDIA_STORAGE must not hold a user name or password/],
    [{ MEDIA_STORAGE: 's3://media?secret=canary' }, /MEDIA_STORAGE must be file:\/\/\/folder, or s3:\/\//],
    [
      { AWS_SECRET_ACCESS_KEY: 'canary' },
      /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of use together only/
    ],
    [{ AWS_ACCESS_KEY_ID: 'canary' }, /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of use together only/]
  ] as const) {
    try {
      loadConfig(env)
      t.fail(JSON.stringify(env))
    } catch (error) {
      t.match((error as Error).message, problem)
      t.notMatch((error as Error).message, /canary/)
    }
  }
})
