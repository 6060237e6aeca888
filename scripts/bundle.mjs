// Puts the command line and what it imports into a few files under dist/bin: most of a start is the loading of a
// thousand small ones. Packages that bring more than JavaScript (binaries, workers, pages) and those that are
// rarely needed and large stay outside.
import { rolldown } from 'rolldown'

const OUTSIDE = [
  'libsql',
  'sharp',
  'pino',
  'pino-pretty',
  'pg-native',
  '@fastify/swagger-ui',
  '@aws-sdk/client-s3',
  '@flystorage/aws-s3',
  'h264-mp4-encoder',
  '@fastify/otel',
  '@opentelemetry'
]

const bundle = await rolldown({
  input: { 'bing-gateway': 'dist/src/cli.js' },
  platform: 'node',
  external: (id) => OUTSIDE.some((name) => id === name || id.startsWith(`${name}/`)),
  logLevel: 'warn'
})
await bundle.write({
  dir: 'dist/bin',
  format: 'esm',
  // A gateway that runs from here goes on after a build: it finds what it loads later under the same names.
  chunkFileNames: '[name].js',
  sourcemap: true,
  comments: { legal: true },
  // Names stay, so that a stack can be read.
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } }
})
