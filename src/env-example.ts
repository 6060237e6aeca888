import { ConfigSchema } from './config.ts'

const WIDTH = 100

const HEADER = `# Settings of bing-gateway, with their defaults. A line that starts with "# NAME=" is at its default.
# Copy this file to .env, then start with
#   node --env-file=.env dist/bin/bing-gateway.js serve
# or name it as the env_file of the container. Written by "npm run env-example".
`

/** Text of `.env.example`: every setting with its description, commented out at its default. */
export function envExample(): string {
  const settings = Object.entries(ConfigSchema.properties).map(([name, { description, default: fallback }]) =>
    [...wrapped(String(description)), `# ${name}=${fallback ?? ''}`].join('\n')
  )
  return `${[HEADER.trimEnd(), ...settings].join('\n\n')}\n`
}

function wrapped(text: string): string[] {
  const lines: string[] = []
  let line = '#'
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = '#'
    }
    line += ` ${word}`
  }
  return [...lines, line]
}
